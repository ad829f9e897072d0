import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.config.lines import line_of, locate

pytestmark = pytest.mark.unit

EXAMPLE = '''\
# a comment = with [brackets]
top = 1
[sip]
listen = [            # 4
  "udp://0.0.0.0:5060",
  { uri = "a # b", advertise = "x" },
]
"quoted key" = """
[not.a.table]
\\""" still""""
after = 'c'           # 11

[[trunk]]
name = "a"            # 14
[trunk.inbound]
username = "u"        # 16
[[trunk]]
name = "b"            # 18
inbound.password = { env = "X" }
[[route]]
headers = { "X-A" = "1", "X-B" = "2" }
fallback = [
  { on = ["late",
          "lost"], to = "echo:" },
]
'''


def test_every_place_of_an_ordinary_file() -> None:
    lines = locate(EXAMPLE)
    assert tomllib.loads(EXAMPLE)["trunk"][1]["inbound"] == {"password": {"env": "X"}}
    assert {
        ("top",): 2,
        ("sip",): 3,
        ("sip", "listen"): 4,
        ("sip", "listen", 0): 5,
        ("sip", "listen", 1, "advertise"): 6,
        ("sip", "quoted key"): 8,
        ("sip", "after"): 11,
        ("trunk", 0): 13,
        ("trunk", 0, "name"): 14,
        ("trunk", 0, "inbound"): 15,
        ("trunk", 0, "inbound", "username"): 16,
        ("trunk", 1): 17,
        ("trunk", 1, "name"): 18,
        ("trunk", 1, "inbound", "password"): 19,
        ("trunk", 1, "inbound", "password", "env"): 19,
        ("route", 0, "headers", "X-B"): 21,
        ("route", 0, "fallback", 0, "on", 1): 24,
        ("route", 0, "fallback", 0, "to"): 24,
    }.items() <= lines.items()


def test_a_missing_key_is_looked_for_where_it_should_stand() -> None:
    lines = locate(EXAMPLE)
    assert line_of(lines, ("trunk", 1, "allow")) == 17
    assert line_of(lines, ("nothing", "like", "it")) is None


def paths_of(value: object, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    found = {path} if path else set()
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return found.union(*(paths_of(item, (*path, key)) for key, item in items))


keys = st.text(alphabet="ab-_1", min_size=1, max_size=3)
quoted_keys = st.text(alphabet="a.=#[]{}' ,", min_size=1, max_size=4).map(lambda text: f'"{text}"')
scalars = st.one_of(
    st.integers(-5, 5).map(str),
    st.booleans().map(lambda value: str(value).lower()),
    st.text(alphabet="ab#[]{}=,.'", max_size=6).map(lambda text: f'"{text}"'),
    st.text(alphabet='ab#[]{}=,."\\', max_size=6).map(lambda text: f"'{text}'"),
    st.text(alphabet="a#[]=\n'", max_size=6).map(lambda text: f'"""{text}"""'),
    st.sampled_from(['"\\""', '"a\\\\"', "'''a''b'''", '"""a""b\\""""', "1979-05-27T07:32:00Z", "1.5e3", "inf"]),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[ # note ]\n " + ",\n ".join(items) + "\n]")
        | st.dictionaries(keys, inner, max_size=3).map(
            lambda items: "{ " + ", ".join(f"{key} = {item}" for key, item in items.items()) + " }"
        )
    ),
    max_leaves=6,
)
pairs = st.dictionaries(keys | quoted_keys, values, max_size=3).map(
    lambda items: "".join(f"{key} = {item} # note\n" for key, item in items.items())
)
files = st.tuples(
    pairs, st.lists(st.tuples(st.sampled_from(["[[t]]", "[t.s]", "[[u]]", "[v]"]), pairs), max_size=4)
).map(lambda parts: parts[0] + "".join(f"\n{head}\n{body}" for head, body in parts[1]))


@given(files)
def test_whatever_tomllib_reads_has_a_line_that_exists(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = locate(text)
    assert paths_of(data) <= set(lines)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
