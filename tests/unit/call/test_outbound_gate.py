"""Which calls out a gateway lets leave, by the lists of its trunks alone."""

import pytest

from offhook.call.dial_gate import DialGate
from offhook.call.dialler import Allowed, Denied
from offhook.call.outbound_gate import OutboundGate
from offhook.call.wish import Wish
from offhook.ids import TrunkName
from offhook.route.destination_uri import AgentUri
from offhook.route.pattern import Pattern
from offhook.route.trunk import Trunk
from offhook.route.usage import Usage

pytestmark = pytest.mark.unit

OURS = "+14155550100"


def trunk(name: str = "acme", *dial_to: str, host: str | None = "sip.acme.example", **settings: object) -> Trunk:
    return Trunk(
        TrunkName(name),
        host=host,
        country="US",
        caller_ids=(OURS, "+14155550101"),
        dial_to=tuple(Pattern(text) for text in dial_to),
        **settings,  # type: ignore[arg-type]
    )


def judge(*trunks: Trunk, to: str = "+14155550142", **wish: object) -> Allowed | Denied:
    gate = DialGate(Usage({}), wall=round)
    return OutboundGate(trunks, gate).judge(Wish(to, AgentUri("bot"), **wish), 0.0)  # type: ignore[arg-type]


def denied(verdict: Allowed | Denied) -> str:
    assert isinstance(verdict, Denied), verdict
    assert verdict.why
    return verdict.slug


def test_nothing_is_dialled_that_is_not_listed() -> None:
    assert denied(judge(trunk())) == "dial_not_listed"
    assert denied(judge(trunk("acme", "+44*"))) == "dial_not_listed"


@pytest.mark.parametrize(
    "to", ["+14155550142", "(415) 555-0142", "4155550142", "tel:+14155550142", " +1-415-555-0142 "]
)
def test_a_listed_number_is_dialled_however_it_is_written(to: str) -> None:
    verdict = judge(trunk("acme", "+1415*"), to=to)
    assert isinstance(verdict, Allowed)
    assert (verdict.number, verdict.caller_id, verdict.trunk.name) == ("+14155550142", OURS, "acme")


@pytest.mark.parametrize(
    "to",
    ["911", "112", "sip:desk@example.com", "2001", "", "*72", "+1", "+14155550142\r\nX-A: b",
     "+14155550142@evil.example", "+14155550142;phone-context=x", "1800FLOWERS", "\u0664\u0661\u0665"],
)  # fmt: skip
def test_what_is_no_number_of_the_world_is_not_dialled(to: str) -> None:
    verdict = judge(trunk("acme", "*"), to=to)
    if isinstance(verdict, Allowed):
        assert verdict.number == "+14155550142"
    else:
        assert verdict.slug == "dial_no_number"
        assert verdict.why.isprintable()


@pytest.mark.parametrize("to", ["+19005550142", "+881612345678", "+447700900123x"])
def test_what_costs_a_fortune_has_to_be_named_for_itself(to: str) -> None:
    assert denied(judge(trunk("acme", "*"), to=to)) in ("dial_premium", "dial_no_number")


def test_a_premium_number_that_is_named_twice_is_dialled() -> None:
    named = trunk("acme", "+1900*", premium_to=(Pattern("+1900*"),))
    assert isinstance(judge(named, to="+19005550142"), Allowed)


def test_only_numbers_of_ours_are_shown() -> None:
    acme = trunk("acme", "*")
    verdict = judge(acme, caller_id="(415) 555-0101")
    assert isinstance(verdict, Allowed)
    assert verdict.caller_id == "+14155550101"
    assert denied(judge(acme, caller_id="+12025550123")) == "dial_caller_id"
    assert denied(judge(acme, caller_id="anonymous")) == "dial_caller_id"


def test_the_first_trunk_that_may_is_taken_or_the_one_that_is_wanted() -> None:
    home, away, inside = trunk("home", "+1*"), trunk("away", "*"), trunk("inside", "*", host=None)
    first = judge(inside, home, away)
    assert isinstance(first, Allowed)
    assert first.trunk.name == "home"
    abroad = judge(inside, home, away, to="+442079460018")
    assert isinstance(abroad, Allowed)
    assert abroad.trunk.name == "away"
    assert denied(judge(home, away, to="+442079460018", trunk="home")) == "dial_not_listed"
    assert denied(judge(home, inside, trunk="inside")) == "dial_no_trunk"
    assert denied(judge(inside)) == "dial_no_trunk"
