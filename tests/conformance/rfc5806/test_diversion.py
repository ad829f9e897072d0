"""RFC 5806: who has sent a call on, and why; the first dialled number of a call that went through several hands."""

import pytest
from tests.support.messages import request

from offhook.sip.diverted import Diverted, diversions
from offhook.sip.headers import Diversion
from offhook.sip.uri import user_of

pytestmark = pytest.mark.conformance


def read(*lines: str) -> list[tuple[str, str, int]]:
    return [(who(one), one.reason, one.counter) for one in diversions(request("INVITE", *lines))]


def who(diverted: Diverted) -> str:
    return "" if diverted.address is None else user_of(diverted.address.uri)


@pytest.mark.rfc(5806)
def test_one_diversion() -> None:
    # As Twilio sends it.
    found = diversions(request("INVITE", "Diversion: <sip:+12025550142@twilio.com>;reason=unconditional"))
    assert [(who(one), one.reason, one.counter, one.header) for one in found] == [
        ("+12025550142", "unconditional", 1, "Diversion")
    ]


@pytest.mark.rfc(5806)
def test_the_latest_stands_first_in_the_message_and_the_first_dialled_first_here() -> None:
    assert read(
        "Diversion: <sip:c@h>;reason=no-answer;counter=1",
        'Diversion: "B" <tel:+14155550102>;reason="user-busy";counter=3, <sip:a@h>;reason=unconditional',
    ) == [("a", "unconditional", 1), ("+14155550102", "user-busy", 3), ("c", "no-answer", 1)]


@pytest.mark.rfc(5806)
@pytest.mark.parametrize(
    ("parameters", "reason", "counter"),
    [
        ("", "unknown", 1),
        (";reason=User-Busy", "user-busy", 1),
        (";reason", "unknown", 1),
        (';reason="two words"', "unknown", 1),
        (";reason=" + "x" * 200, "unknown", 1),
        (";counter=0", "unknown", 1),
        (";counter=-1", "unknown", 1),
        (";counter=999999999999", "unknown", 1),
        (";counter=5000", "unknown", 100),
        (";counter=٣", "unknown", 1),
        (";limit=3;screen=yes;extra=1", "unknown", 1),
    ],
)
def test_parameters_are_read_leniently(parameters: str, reason: str, counter: int) -> None:
    value = Diversion.parse(f"<sip:a@h>{parameters}")
    assert (value.reason, value.counter) == (reason, counter)
    assert Diversion.parse(str(value)) == value


@pytest.mark.rfc(5806)
@pytest.mark.parametrize(("privacy", "named"), [("full", ""), ("name", ""), ("uri", ""), ("off", "a"), ("Full", "")])
def test_one_who_wants_not_to_be_named_is_not(privacy: str, named: str) -> None:
    assert read(f"Diversion: <sip:a@h>;reason=unconditional;privacy={privacy}") == [(named, "unconditional", 1)]


def test_garbage_beside_it_is_left_out() -> None:
    assert read("Diversion: <sip:a@h", 'Diversion: "', "Diversion: , ,<sip:b@h>;reason=no-answer, <<sip:c@h>>") == [
        ("b", "no-answer", 1)
    ]
    assert read("Diversion: ") == []


def test_a_thousand_of_them_are_bounded() -> None:
    many = [f"Diversion: <sip:{number}@h>" for number in range(60)]
    found = read(*many)
    assert len(found) == 8
    # Of those that were looked at, the first dialled and the latest.
    assert (found[0][0], found[-1][0]) == ("31", "0")
