"""Which calls out a gateway lets leave, by the lists of its trunks alone."""

from dataclasses import replace

import pytest

from offhook.call.joined.joining import Joining
from offhook.call.out.dial_gate import DialGate
from offhook.call.out.gatekeeper import Allowed, Denied
from offhook.call.out.outbound_gate import OutboundGate
from offhook.call.out.wish import Wish
from offhook.ids import CallId, TrunkName
from offhook.route.destination_uri import AgentUri, WorkerUri
from offhook.route.number_kind import NumberKind, kind_of
from offhook.route.pattern import Pattern
from offhook.route.trunk import Phone, Trunk
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
    return OutboundGate(trunks, gate, chance=lambda: 0.0).judge(Wish(to, AgentUri("bot"), **wish), 0.0)  # type: ignore[arg-type]


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
        assert verdict.slug in ("dial_no_number", "dial_not_listed", "dial_no_trunk")
        assert verdict.why.isprintable()


# What somebody may write to reach 911, a premium number or another phone than the one that is listed.
SPELLINGS = [
    "911", "9-1-1", "9.1.1", "9911", "0112", "112", "%39%31%31", "%2539%2531%2531", "\uff19\uff11\uff11",
    "\u0669\u0661\u0661", "911;phone-context=+1", "911;user=phone", "tel:911", "tel:911;npdi", "911@pbx.example",
    "sip:911@pbx.example", "sip:911@pbx.example;user=phone", "911\r\nX-Evil: 1", "alice\r\nX-Evil: 1",
    "alice%0d%0aX-Evil: 1", "alice%20", "alice;transport=tcp", "alice;maddr=203.0.113.9", "alice@203.0.113.9",
    "sip:alice@203.0.113.9", "ALICE", "alic\u0435", "bob", "x911", "bot-112", "911bot", "911ext7", "19005550100",
    "1-900-555-0100", "1-900-FLOWERS", "x19005550100", "00881612345678", "881612345678", "*67911", "*72", "#31#112",
    "*", "#", "+", "", "..", "-1", "alice\x00", "a" * 65, "\u2028ali\u2028ce", "al ice", "\u200balice", "202", "2001",
    "20", "tel:alice;ext=1",
]  # fmt: skip
LISTED = [(), ("*",), ("+*", "*1*"), ("201", "alice"), ("9*", "1*", "0*", "8*", "x*", "bot*", "911*")]


@pytest.mark.parametrize("to", SPELLINGS, ids=ascii)
@pytest.mark.parametrize("listed", LISTED, ids=",".join)
def test_nobody_is_reached_who_is_not_listed_and_no_pattern_means_what_hurts(to: str, listed: tuple[str, ...]) -> None:
    """Neither emergency nor premium numbers in any reading, whatever the country."""
    for country in ("US", "DE", None):
        verdict = judge(replace(trunk("acme", *listed), country=country), to=to)
        if isinstance(verdict, Allowed):
            # An ordinary number of that country's.
            assert verdict.number.startswith("+"), (country, verdict)
            assert kind_of(verdict.number, country) is NumberKind.ORDINARY
        else:
            assert verdict.why.isprintable()
            assert verdict.hint.isprintable()


@pytest.mark.parametrize(
    ("to", "listed"),
    [("201", "201"), ("201", "2*"), ("2015550", "2*"), ("alice", "alice"), ("my-agent_1", "my-*"), ("tel:201", "2*"),
     ("call_8f1c90a211290055501", "call_*"), ("proj_9005550100abc", "proj_*"), ("12345678901", "12345678901"),
     ("_x.y", "_*"), (" alice ", "al*")],
)  # fmt: skip
@pytest.mark.parametrize("number_format", ["e164", "e164-no-plus", "national"])
def test_an_extension_or_a_name_that_is_listed_is_called_as_it_stands(to: str, listed: str, number_format: str) -> None:
    for country in ("DE", None):
        verdict = judge(replace(trunk("pbx", listed), country=country, number_format=number_format), to=to)
        assert isinstance(verdict, Allowed), verdict
        assert verdict.number == to.strip().removeprefix("tel:")


def test_a_pattern_of_extensions_is_none_of_numbers() -> None:
    """Whoever lists `4*` does not mean a number of eight digits, which may be anybody's."""
    pbx = replace(trunk("pbx", "4*"), country=None)
    assert isinstance(judge(pbx, to="4155550"), Allowed)
    assert denied(judge(pbx, to="41555501")) == "dial_not_listed"
    assert denied(judge(replace(pbx, country="US"), to="4155550142")) == "dial_not_listed"


def test_a_short_emergency_number_is_called_where_it_is_listed_and_configured() -> None:
    assert denied(judge(trunk("pbx", "911"), to="911")) == "dial_emergency"
    assert denied(judge(trunk("pbx", "bot*"), to="bot911")) == "dial_emergency"
    verdict = judge(trunk("pbx", "911", emergency_to=(Pattern("911"),)), to="911")
    assert isinstance(verdict, Allowed)
    assert verdict.number == "911"


def test_an_extension_may_be_shown_to_a_phone_system() -> None:
    pbx = replace(trunk("pbx", "2*"), caller_ids=("100", OURS), country="DE")
    verdict = judge(pbx, to="201")
    assert isinstance(verdict, Allowed)
    assert verdict.caller_id == "100"
    assert denied(judge(pbx, to="201", caller_id="101")) == "dial_caller_id"


def test_what_is_refused_says_what_to_list() -> None:
    verdict = judge(trunk("pbx", "2*"), to="alice")
    assert isinstance(verdict, Denied)
    assert 'dial_to = ["alice"]' in verdict.hint


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


@pytest.mark.parametrize(("asked", "told"), [("home", "home"), ("whatever-a-client-writes", None), (None, "home")])
def test_a_refusal_names_no_trunk_but_those_of_the_file(asked: str | None, told: str | None) -> None:
    # The name is a label of metrics: whoever may ask could make as many of them as he likes.
    verdict = judge(trunk("home", "+1*"), to="+442079460018", trunk=asked)
    assert isinstance(verdict, Denied)
    assert verdict.trunk == told


def test_a_number_goes_to_a_platform_only_where_that_is_named() -> None:
    # The presets of platforms list all numbers, and their trunks may stand first: a person was meant.
    platform, carrier = trunk("livekit", "*", host="lk.example", only_named=True), trunk("carrier", "+1*")
    somebody, by_name = judge(platform, carrier), judge(platform, carrier, trunk="livekit")
    by_host = judge(platform, carrier, to="sip:+14155550142@lk.example")
    assert [verdict.trunk.name for verdict in (somebody, by_name, by_host) if isinstance(verdict, Allowed)] == [
        "carrier",
        "livekit",
        "livekit",
    ]
    assert denied(judge(platform, carrier, to="+442079460018")) == "dial_not_listed"
    alone = judge(platform)
    assert isinstance(alone, Denied)
    assert (alone.slug, alone.why) == (
        "dial_no_trunk",
        "no trunk calls out but those to platforms, which have to be named",
    )


PEER = trunk("peer", "+1415*", transfer_to=(Pattern("2*"), Pattern("alice")))
DESK = trunk("desk", "alice", host=None, phones=(Phone("alice"),))
ELSEWHERE = trunk("elsewhere", "2*", "alice", host="sip.elsewhere.example")


def joined(own: str | None, **more: object) -> Joining:
    setting = "dial_to" if own is None else "transfer_to"
    return Joining(CallId("a"), None, None, 70, "0" * 32, OURS, OURS, trunk=own, setting=setting, **more)  # type: ignore[arg-type]


def test_an_extension_is_one_of_the_callers_own_phone_system_or_a_phone_of_ours() -> None:
    local = joined("peer", is_local=True)
    for to, by in (("201", "peer"), ("alice", "desk")):
        verdict = judge(ELSEWHERE, PEER, DESK, to=to, joined=local)
        assert isinstance(verdict, Allowed), to
        assert (verdict.trunk.name, verdict.number) == (by, to)
    verdict = judge(PEER, ELSEWHERE, to="alice", joined=local)
    assert isinstance(verdict, Allowed)
    assert verdict.trunk.name == "peer"
    own = judge(replace(PEER, only_named=True), to="201", joined=local)
    assert isinstance(own, Allowed), "it is the caller's own"
    # A trunk that only sends us calls has no way to its extensions, and nobody else is asked for them.
    assert denied(judge(ELSEWHERE, to="201", joined=joined(None, is_local=True))) == "dial_no_trunk"


def test_a_transfer_goes_by_the_list_of_its_own_trunk_and_by_that_of_another() -> None:
    assert denied(judge(PEER, to="+14155550142", joined=joined("peer"))) == "dial_not_listed"
    verdict = judge(PEER, to="+14155550142", joined=joined(None))
    assert isinstance(verdict, Allowed)


def test_a_sip_address_is_that_of_the_trunk_with_its_host() -> None:
    verdict = judge(PEER, ELSEWHERE, to="sip:alice@sip.elsewhere.example")
    assert isinstance(verdict, Allowed)
    assert (verdict.trunk.name, verdict.number) == ("elsewhere", "alice")
    assert denied(judge(DESK, PEER, to="sip:alice@phones.example")) == "dial_no_trunk"
    assert denied(judge(DESK, PEER, to="sip:alice@phones.example", trunk="desk")) == "dial_no_trunk"
    at_home = replace(DESK, domain="phones.example")
    assert isinstance(judge(at_home, to="sip:alice@phones.example"), Allowed)


def test_a_phone_is_named_by_the_name_of_its_trunk() -> None:
    desk = trunk("Desk", "alice", host=None, phones=(Phone("alice"),))
    verdict = judge(trunk("acme", "*"), desk, to="sip:alice@desk")
    assert isinstance(verdict, Allowed)
    assert (verdict.trunk.name, verdict.number) == ("Desk", "alice")
    assert denied(judge(desk, to="sip:bob@desk")) == "dial_not_listed"
    assert denied(judge(desk, to="sip:alice@203.0.113.9")) == "dial_no_trunk"


def test_an_agent_on_a_platform_is_not_what_a_call_is_placed_for() -> None:
    gate = OutboundGate(
        [trunk("acme", "+1415*")], DialGate(Usage({}), wall=round), chance=lambda: 0.0, platforms=["vapi"]
    )
    for agent in (AgentUri("vapi"), WorkerUri("vapi")):
        verdict = gate.judge(Wish("+14155550142", agent), 0.0)
        assert denied(verdict) == "dial_agent_platform"
        assert isinstance(verdict, Denied)
        assert "docs/guides/platforms" in verdict.hint
    assert isinstance(gate.judge(Wish("+14155550142", AgentUri("bot")), 0.0), Allowed)
