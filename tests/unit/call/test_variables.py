"""What is kept of the headers that the other side of a call sends back."""

import pytest

from offhook.call.variables import LONGEST, MASKED, MAX_TOTAL, Variables, said_in
from offhook.platform.variables import MAX_VARIABLES
from offhook.sip.message import Request
from offhook.sip.parser import parse_datagram

pytestmark = pytest.mark.unit


def message(*headers: str, method: str = "BYE", refer_to: str = "") -> Request:
    lines = [
        f"{method} sip:a@192.0.2.2 SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1",
        "From: <sip:a@192.0.2.9>;tag=1",
        "To: <sip:b@192.0.2.2>;tag=2",
        "Call-ID: c1",
        f"CSeq: 1 {method}",
        "Max-Forwards: 70",
        *([f"Refer-To: {refer_to}"] if refer_to else []),
        *headers,
        "Content-Length: 0",
    ]
    parsed = parse_datagram(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape"))
    assert isinstance(parsed, Request)
    return parsed


def test_headers_become_variables_by_what_follows_the_x() -> None:
    said = said_in(message("X-Outcome: booked", "x-ticket: 4711", "P-Odd: no", "X-Outcome: again"), ("X-*",))
    assert (said.values, said.left_out) == ({"Outcome": "booked", "ticket": "4711"}, ())


def test_only_what_the_patterns_name_counts_and_never_what_is_of_sip_itself() -> None:
    bye = message("X-A: 1", "X-B: 2", "User-to-User: 56a390;encoding=hex", "Reason: SIP;cause=200")
    assert said_in(bye, ()).values == {}
    assert said_in(bye, ("X-B", "User-to-User")).values == {"B": "2", "User-to-User": "56a390;encoding=hex"}
    assert set(said_in(bye, ("*",)).values) == {"A", "B", "User-to-User"}


def test_nothing_is_kept_of_a_secret() -> None:
    said = said_in(message("X-Session-Token: 5ec4e7", "X-Api-Key: 5ec4e7", "X-PASSWORD: 5ec4e7"), ("X-*",))
    assert set(said.values.values()) == {MASKED}


def test_of_a_refer_what_it_wants_in_the_invite_counts_too() -> None:
    refer = message("X-Transfer-Summary: wants a cake", method="REFER", refer_to="<sip:1@192.0.2.9?X-Ticket=47%2011>")
    assert said_in(refer, ("X-*",)).values == {"Transfer-Summary": "wants a cake", "Ticket": "47 11"}
    for odd in ("<tel:+14155550142>", "nonsense<"):
        assert said_in(message(method="REFER", refer_to=odd), ("X-*",)).values == {}


def test_a_line_end_makes_a_value_none_however_it_is_written() -> None:
    refer = message(method="REFER", refer_to="<sip:1@192.0.2.9?X-A=1%0d%0aEvil%3a%20yes&X-B=2>")
    said = said_in(refer, ("X-*",))
    assert said.values == {"B": "2"}
    assert [name for name, _ in said.left_out] == ["X-A"]
    folded = said_in(message("X-A: one\r\n two", "X-B: a\u2028b", "X-C: \udcff"), ("X-*",))
    assert folded.values == {"A": "one two"}
    assert {name for name, _ in folded.left_out} == {"X-B", "X-C"}


def test_what_one_message_and_one_call_say_is_bounded() -> None:
    many = said_in(message(*(f"X-N{i}: {i}" for i in range(90))), ("X-*",))
    assert len(many.values) == MAX_VARIABLES
    [long] = said_in(message("X-Long: " + "a" * 4000), ("X-*",)).values.values()
    assert len(long) == LONGEST
    variables = Variables()
    assert variables.take({f"n{i}": "x" * LONGEST for i in range(8)}) == ("n7",)
    assert sum(len(name) + len(value) for name, value in variables.values.items()) <= MAX_TOTAL
    variables = Variables()
    assert variables.take({f"n{i}": "x" for i in range(MAX_VARIABLES + 2)}) == (
        f"n{MAX_VARIABLES}",
        f"n{MAX_VARIABLES + 1}",
    )


def test_the_last_word_counts_whatever_the_case_of_its_name() -> None:
    variables = Variables()
    variables.take({"Outcome": "asking", "a": "b"})
    variables.take({"outcome": "booked"})
    assert variables.values == {"Outcome": "booked", "a": "b"}
