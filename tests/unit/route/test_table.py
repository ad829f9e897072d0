import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.ids import RouteName, TrunkName
from offhook.route.destination_uri import EchoUri
from offhook.route.number import read_caller, read_number
from offhook.route.pattern import Pattern
from offhook.route.table import CallFacts, Fallback, Forward, NoRoute, Route, RouteTable
from offhook.route.trunk import Trunk

pytestmark = pytest.mark.unit


def route(
    name: str,
    *to: str,
    from_: str = "*",
    trunk: str | None = None,
    headers: dict[str, str] | None = None,
    priority: int = 0,
    fallback: tuple[Fallback, ...] = (),
) -> Route:
    return Route(
        RouteName(name),
        EchoUri(),
        trunk=None if trunk is None else TrunkName(trunk),
        to=tuple(Pattern(text) for text in to or ("*",)),
        from_=(Pattern(from_),),
        headers=tuple((header, Pattern(value)) for header, value in (headers or {}).items()),
        priority=priority,
        fallback=fallback,
    )


def facts(
    to: str, from_: str = "+14155550199", trunk: str = "acme", country: str | None = None, **headers: str
) -> CallFacts:
    return CallFacts(
        TrunkName(trunk),
        read_number(to, country),
        read_caller(from_, "", country),
        [(name.replace("_", "-"), value) for name, value in headers.items()],
    )


def taken(table: RouteTable, call: CallFacts) -> str:
    match table.decide(call):
        case Forward(found):
            return found.name
        case NoRoute() as none:
            return f"none:{none.nearest}:{none.field}"


def test_the_first_that_fits_in_file_order() -> None:
    table = RouteTable([route("a", "+1212*"), route("b", "+1*"), route("c", "+14155550100"), route("d")])
    assert taken(table, facts("+12125550100")) == "a"
    assert taken(table, facts("+14155550100")) == "b"
    assert taken(table, facts("sales")) == "d"


def test_exact_numbers_keep_their_place_among_patterns() -> None:
    table = RouteTable([route("exact", "+14155550100"), route("prefix", "+1415*"), route("late", "+14155550101")])
    assert taken(table, facts("+14155550100")) == "exact"
    assert taken(table, facts("+14155550101")) == "prefix"


def test_priority_overrides_file_order() -> None:
    table = RouteTable([route("a"), route("b", priority=1), route("c", priority=1), route("d", priority=-1)])
    assert [found.name for found in table.routes] == ["b", "c", "a", "d"]
    assert taken(table, facts("x")) == "b"


def test_one_of_several_numbers_is_enough() -> None:
    table = RouteTable([route("a", "+14155550100", "+1628*", "sales")])
    for dialled in ("+14155550100", "+16285550100", "sales"):
        assert taken(table, facts(dialled)) == "a"
    assert taken(table, facts("+12125550100")) == "none:a:to"


def test_a_number_fits_as_e164_and_as_received() -> None:
    for pattern in ("+1415*", "415*", "4155550100", "+14155550100"):
        assert taken(RouteTable([route("a", pattern)]), facts("4155550100", country="US")) == "a"


def test_conditions_are_joined() -> None:
    table = RouteTable([route("a", "+1*", from_="+44*", trunk="acme", headers={"X-Queue": "sales*"})])
    good = facts("+14155550100", "+442071838750", X_Queue="sales-1")
    assert taken(table, good) == "a"
    assert taken(table, facts("+14155550100", "+442071838750", "beta", X_Queue="sales")) == "none:a:trunk"
    assert taken(table, facts("+442071838750", "+442071838750", X_Queue="sales")) == "none:a:to"
    assert taken(table, facts("+14155550100", X_Queue="sales")) == "none:a:from"
    assert taken(table, facts("+14155550100", "+442071838750")) == "none:a:headers.X-Queue"


def test_header_names_have_no_case_and_any_value_counts() -> None:
    table = RouteTable([route("a", headers={"x-queue": "sales"})])
    call = CallFacts(TrunkName("t"), read_number("1"), read_number("2"), [("X-QUEUE", "other"), ("X-Queue", "sales")])
    assert taken(table, call) == "a"


def test_withheld_callers_have_a_name() -> None:
    table = RouteTable([route("a", from_="anonymous")])
    assert taken(table, facts("1", "Restricted")) == "a"
    assert taken(table, facts("1", "+14155550100")) == "none:a:from"


def test_no_routes_at_all() -> None:
    decision = RouteTable([]).decide(facts("1"))
    assert decision == NoRoute()
    assert isinstance(decision, NoRoute)
    assert decision.why == "there is no route"


def test_the_nearest_route_has_the_fewest_differences() -> None:
    table = RouteTable([
        route("other-trunk", "+44*", trunk="beta"),
        route("queue", "+1415*", trunk="acme", headers={"X-Queue": "sales"}),
        route("far", "+49*", trunk="beta"),
    ])  # fmt: skip
    decision = table.decide(facts("+14155550100", X_Queue="support"))
    assert decision == NoRoute(RouteName("queue"), "headers.X-Queue", "sales", "support")
    assert isinstance(decision, NoRoute)
    assert decision.why == "no route fits; nearest is 'queue': headers.X-Queue is 'support', not 'sales'"
    absent = table.decide(facts("+14155550100"))
    assert isinstance(absent, NoRoute)
    assert absent.got == "(absent)"


def test_what_the_caller_wrote_can_not_steer_a_terminal() -> None:
    table = RouteTable([route("a", headers={"X-Queue": "sales"})])
    decision = table.decide(facts("1", X_Queue="\x1b[2J\r\nforged \udcff" + "x" * 500))
    assert isinstance(decision, NoRoute)
    assert decision.why.isprintable()
    assert decision.got.startswith("\\x1b[2J\\r\\nforged \\udcff")
    assert len(decision.why) < 300


def test_the_number_that_begins_most_alike_is_nearest() -> None:
    table = RouteTable([route("a", "+49*"), route("b", "+14155550101"), route("c", "+1212*")])
    assert taken(table, facts("+14155550100")) == "none:b:to"


@pytest.mark.parametrize(
    ("pattern", "dialled", "said"),
    [
        ("+14155550100", "14155550100", "only the '+' differs: the call came without it"),
        ("+1415*", "14155550100", "set the trunk's country, or write '1415*'"),
        ("14155550100", "+14155550100", "the route lacks it, write '+14155550100'"),
        ("1415*", "+14155550100", "the route lacks it, write '+1415*'"),
    ],
)
def test_a_plus_sign_that_differs_is_said(pattern: str, dialled: str, said: str) -> None:
    table = RouteTable([route("alike", "+14155550*9"), route("a", pattern)])
    decision = table.decide(facts(dialled))
    assert isinstance(decision, NoRoute)
    assert decision.nearest == "a"
    assert said in decision.why


def test_explaining_and_deciding_agree() -> None:
    table = RouteTable([route("a", "+1212*"), route("b", "+1415*", trunk="beta"), route("c", "+1*"), route("d")])
    steps = table.explain(facts("+14155550100"))
    assert [(step.route.name, [str(failed) for failed in step.mismatches]) for step in steps] == [
        ("a", ["to is '+14155550100', not '+1212*'"]),
        ("b", ["trunk is 'acme', not 'beta'"]),
        ("c", []),
    ]
    assert taken(table, facts("+14155550100")) == "c"


def test_the_facts_of_a_call_are_read_by_its_trunk() -> None:
    call = CallFacts.read(Trunk(TrunkName("acme"), country="US"), to_user="4155550100", from_user="2125550100")
    assert (call.trunk, call.to.e164, call.from_.e164) == ("acme", "+14155550100", "+12125550100")


def test_covering_needs_every_condition() -> None:
    assert route("a").covers(route("b", "+1*", trunk="acme", headers={"X": "1"}))
    assert route("a", "+1*", "+44*").covers(route("b", "+1415*", "+4420*"))
    assert not route("a", trunk="acme").covers(route("b"))
    assert not route("a", from_="+1*").covers(route("b"))
    assert not route("a", headers={"X": "1"}).covers(route("b"))
    assert route("a", headers={"x": "*"}).covers(route("b", headers={"X": "1"}))


numbers = st.text(alphabet="+12", min_size=1, max_size=3)
conditions = st.builds(
    lambda to, trunk, priority: (to, trunk, priority),
    st.lists(numbers | st.sampled_from(["*", "1*", "+*", "*2"]), min_size=1, max_size=2),
    st.sampled_from([None, "acme", "beta"]),
    st.integers(0, 1),
)


@given(st.lists(conditions, max_size=8), numbers)
def test_the_index_changes_nothing(rows: list[tuple[list[str], str | None, int]], dialled: str) -> None:
    routes = [route(f"r{index}", *to, trunk=trunk, priority=p) for index, (to, trunk, p) in enumerate(rows)]
    table, call = RouteTable(routes), facts(dialled)
    steps = table.explain(call)
    match table.decide(call):
        case Forward(found):
            assert steps[-1].route == found
            assert steps[-1].mismatches == ()
        case NoRoute() as none:
            assert len(steps) == len(routes)
            assert all(step.mismatches for step in steps)
            if routes:
                near = next(step for step in steps if step.route.name == none.nearest)
                assert near.mismatches[0].field == none.field
                assert len(near.mismatches) == min(len(step.mismatches) for step in steps)
