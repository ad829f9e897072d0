"""Whatever a file says, the answer is a configuration or problems with a place, never an exception."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.config.load import examine_text
from offhook.config.normal import normalised
from offhook.config.problems import names_of
from offhook.config.routing import build_routing
from offhook.config.schema import LISTS, SECTIONS, FallbackConfig, InboundConfig

pytestmark = pytest.mark.unit

MODELS = (*SECTIONS.values(), *LISTS.values(), InboundConfig, FallbackConfig)
NAMES = sorted({
    *(name for model in MODELS for name in names_of(model)),
    "env", "uri", "X-Queue", "nonsense", '"a b"', '"é"', '"a\\nb"',
})  # fmt: skip
WORDS = [
    "acme", "bot", "10.0.0.0/8", "10.0.0.1", "::1", "0.0.0.0/0", "udp://0.0.0.0:5060", "tcp://[::]:0", "tls://1.2.3.4",
    "+1415*", "*", "echo:", "agent:bot", "wss://bot/x", "twilio+ws://h", "tel:1", "auto", "silence", "US", "PCMU",
    "opus", "off", "required", "when-ready", "late", "offhook", "twilio", "pcmu", "40000-40100", "127.0.0.1:80", "sqlite:///x",
    "a.example", "", "a\\nb", "\\u001b[31m", "\\u0000", "é", "1:2:3", "[::1", "-", "65536-1", "X-*",
]  # fmt: skip
scalars = st.one_of(
    st.sampled_from(WORDS).map(lambda word: f'"{word}"'),
    st.sampled_from(["true", "false", "0", "1", "-1", "8000", "1e3", "0.5", "inf", "nan", "99999999999999999999"]),
    st.sampled_from(["2026-11-22", "2026-11-22T01:02:03Z", "[]", "{}", '{ env = "SET" }', '{ env = "UNSET" }']),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3).map(
            lambda items: "{ " + ", ".join(f"{name} = {value}" for name, value in items.items()) + " }"
        )
    ),
    max_leaves=5,
)
bodies = st.dictionaries(st.sampled_from(NAMES), values, max_size=6)
heads = st.sampled_from(
    [f"[{name}]" for name in SECTIONS] + [f"[[{name}]]" for name in LISTS] * 3 + ["[trunk]", "[x.y]"]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(heads, bodies), max_size=5))
def test_any_file(tables: list[tuple[str, dict[str, str]]]) -> None:
    text = "\n".join("\n".join([head, *(f"{name} = {value}" for name, value in body.items())]) for head, body in tables)
    found = examine_text(text, {"SET": "do-not-print"}, file="f", base=Path("/"))
    assert (found.config is None) == bool(found.errors)
    for problem in (*found.errors, *found.warnings):
        assert problem.message
        assert str(problem).isprintable()
        assert problem.line is None or 1 <= problem.line <= text.count("\n") + 1
    if found.config is not None:
        build_routing(found.config)
        assert "do-not-print" not in json.dumps(normalised(found.config)) + repr(found.config)
