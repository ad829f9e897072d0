"""The two machines of reliable provisional responses by themselves."""

import pytest
from tests.support.messages import SDP, request, response

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.headers.rack import RAck, parse_rseq
from offhook.sip.message import Response
from offhook.sip.reliable import (
    MAX_WAITING,
    TRANSITIONS,
    Input,
    Order,
    ProvisionalOrder,
    ReliableProvisionals,
    State,
    is_reliable,
)
from offhook.sip.timers import TimerValues

pytestmark = pytest.mark.unit


def ringing(status: int = 180, body: bytes = b"") -> Response:
    return response(request(), status, body=body)


def machine(first: int = 41) -> ReliableProvisionals:
    return ReliableProvisionals(TimerValues(), cseq_number=1, first_rseq=first)


def test_what_leaves_says_that_it_is_reliable_and_which_it_is() -> None:
    line = machine(first=2**31 - 1)
    left = line.send(ringing(), 0.0)
    assert left is not None
    assert (left.require, left.rseq) == (("100rel",), 2**31 - 1)
    assert line.acknowledge(RAck(2**31 - 1, 1, "INVITE")) is left
    second = line.send(ringing(183), 1.0)
    assert second is not None
    assert second.rseq == 2**31


def test_one_is_out_at_a_time_and_the_others_keep_their_order() -> None:
    line = machine()
    first = line.send(ringing(180), 0.0)
    assert first is not None
    assert line.send(ringing(182), 0.0) is None
    assert line.send(ringing(183), 0.0) is None
    assert line.next(0.0) is None
    assert line.acknowledge(RAck(41, 1, "INVITE")) is first
    second = line.next(3.0)
    assert second is not None
    assert (second.status, second.rseq) == (182, 42)
    assert line.next_timeout() == 3.5
    line.acknowledge(RAck(42, 1, "INVITE"))
    third = line.next(4.0)
    assert third is not None
    assert (third.status, third.rseq) == (183, 43)


def test_no_more_than_a_few_wait() -> None:
    line = machine()
    for _ in range(MAX_WAITING + 1):
        assert not line.is_full
        line.send(ringing(), 0.0)
    assert line.is_full


def test_repetitions_double_without_a_cap_until_64_t1() -> None:
    line = machine()
    left = line.send(ringing(), 10.0)
    times = []
    while (at := line.next_timeout()) is not None:
        if line.handle_timeout(at) is left and line.state is State.WAITING:
            times.append(at - 10)
    assert times == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert line.state is State.MISSING
    assert line.handle_timeout(100.0) is None


def test_a_timeout_that_comes_too_early_does_nothing() -> None:
    line = machine()
    line.send(ringing(), 0.0)
    assert line.handle_timeout(0.4) is None
    assert line.state is State.WAITING


@pytest.mark.parametrize(
    "rack",
    [None, RAck(40, 1, "INVITE"), RAck(42, 1, "INVITE"), RAck(41, 2, "INVITE"), RAck(41, 1, "UPDATE")],
)
def test_a_prack_that_names_another_matches_nothing(rack: RAck | None) -> None:
    line = machine()
    line.send(ringing(), 0.0)
    assert line.acknowledge(rack) is None
    assert line.state is State.WAITING


def test_a_prack_matches_once() -> None:
    line = machine()
    assert line.acknowledge(RAck(41, 1, "INVITE")) is None
    line.send(ringing(), 0.0)
    assert line.acknowledge(RAck(41, 1, "INVITE")) is not None
    assert line.acknowledge(RAck(41, 1, "INVITE")) is None
    assert line.next_timeout() is None


def test_only_a_session_description_holds_the_2xx_back() -> None:
    line = machine()
    line.send(ringing(180), 0.0)
    assert not line.holds_final
    line.send(ringing(183, SDP), 0.0)
    assert line.holds_final
    line.acknowledge(RAck(41, 1, "INVITE"))
    line.next(0.0)
    assert line.holds_final
    line.acknowledge(RAck(42, 1, "INVITE"))
    assert not line.holds_final


def test_after_the_final_response_nothing_is_repeated_and_the_prack_under_way_still_counts() -> None:
    line = machine()
    line.send(ringing(), 0.0)
    line.send(ringing(183, SDP), 0.0)
    line.end()
    assert line.next_timeout() is None
    assert line.is_unacknowledged
    assert line.acknowledge(RAck(41, 1, "INVITE")) is not None
    assert line.next(1.0) is None
    assert not line.is_unacknowledged
    assert line.send(ringing(), 2.0) is None


def test_the_table_has_no_way_back_from_the_end() -> None:
    assert all(after is State.ENDED for (before, _), after in TRANSITIONS.items() if before is State.ENDED)
    assert {step for _, step in TRANSITIONS} == set(Input)


def test_the_caller_takes_them_in_turn() -> None:
    order = ProvisionalOrder()
    assert order.take(7) is Order.NEXT
    assert order.take(7) is Order.REPEATED
    assert order.take(9) is Order.GAP
    assert order.take(8) is Order.NEXT
    assert order.take(9) is Order.NEXT
    assert order.take(3) is Order.REPEATED


@pytest.mark.parametrize(
    ("status", "tag", "headers", "reliable"),
    [
        (183, "bob", (("Require", "100rel"), ("RSeq", "1")), True),
        (183, "bob", (("Require", "timer, 100REL"), ("RSeq", "1")), True),
        (183, "bob", (("RSeq", "1"),), False),
        (183, "bob", (("Require", "100rel"),), False),
        (183, None, (("Require", "100rel"), ("RSeq", "1")), False),
        (100, None, (("Require", "100rel"), ("RSeq", "1")), False),
        (200, "bob", (("Require", "100rel"), ("RSeq", "1")), False),
    ],
)
def test_which_responses_want_a_prack(
    status: int, tag: str | None, headers: tuple[tuple[str, str], ...], reliable: bool
) -> None:
    assert is_reliable(response(request(), status, tag, *headers)) is reliable


@pytest.mark.rfc(3262, "7.2")
def test_rack() -> None:
    assert RAck.parse("776656  1\tINVITE") == RAck(776656, 1, "INVITE")
    assert str(RAck(4294967295, 0, "INVITE")) == "4294967295 0 INVITE"
    with pytest.raises(LocalProtocolError):
        RAck(0, 1, "INVITE")


@pytest.mark.rfc(3262, "7.2")
@pytest.mark.parametrize(
    "text",
    ["", "1 INVITE", "1 1", "0 1 INVITE", "4294967296 1 INVITE", "1 2147483648 INVITE", "-1 1 INVITE", "1 1 I 2"],
)
def test_broken_rack(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        RAck.parse(text)


@pytest.mark.rfc(3262, "7.1")
@pytest.mark.parametrize("text", ["", "0", "4294967296", "1 2", "+1", "\u0661"])
def test_broken_rseq(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_rseq(text)
