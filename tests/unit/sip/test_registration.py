"""Our registration: what is asked for and when, by what the registrar says (RFC 3261 section 10.2)."""

import random

import pytest

from offhook.sip.message import Headers, Response
from offhook.sip.registration import Register, Registration, State

pytestmark = pytest.mark.unit


def registration(expires: int = 600, start_at: float = 0.0) -> Registration:
    return Registration("token", expires=expires, start_at=start_at, rng=random.Random(1))


def answer(status: int, *headers: tuple[str, str], reason: str = "Said") -> Response:
    return Response(status, reason, Headers([("Via", "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKa"), *headers]))


def registered(granted: str = "<sip:token@192.0.2.2>;expires=300", expires: int = 600) -> Registration:
    one = registration(expires)
    one.handle_timeout(0.0)
    one.answered(answer(200, ("Contact", granted)), "", 0.1)
    assert one.state is State.REGISTERED
    one.drain()
    return one


def waits(one: Registration, now: float) -> float:
    due = one.next_timeout()
    assert due is not None
    return due - now


def test_it_asks_at_its_time_and_waits_for_the_answer() -> None:
    one = registration(start_at=3.0)
    one.handle_timeout(2.9)
    assert one.drain() == []
    one.handle_timeout(3.0)
    assert one.drain() == [Register(600)]
    assert one.next_timeout() is None
    one.handle_timeout(100.0)
    assert one.drain() == []


@pytest.mark.rfc(3261, "10.2.4")
@pytest.mark.parametrize(
    ("headers", "granted"),
    [
        ([("Contact", "<sip:token@192.0.2.2>;expires=300")], 300),
        ([("Contact", "<sip:other@192.0.2.9>;expires=7, <sip:token@203.0.113.9:1024>;expires=90")], 90),
        ([("Contact", "<sip:token@192.0.2.2>"), ("Expires", "120")], 120),
        ([("Expires", "45")], 45),
        ([("Contact", "<<broken"), ("Contact", "<sip:token@a>;expires=77")], 77),
        ([("Contact", "<sip:token@192.0.2.2>;expires=99999999999")], 600),
        ([], 600),
    ],
)
def test_what_counts_is_what_was_granted_to_our_own_contact(headers: list[tuple[str, str]], granted: int) -> None:
    one = registration()
    one.handle_timeout(0.0)
    one.answered(answer(200, *headers), "", 0.0)
    assert (one.state, one.granted, one.until) == (State.REGISTERED, granted, granted)
    assert granted * 0.5 <= waits(one, 0.0) <= granted * 0.8
    assert one.is_registered(granted - 1)
    assert not one.is_registered(granted + 1)


def test_it_is_refreshed_before_it_ends() -> None:
    one = registered()
    due = one.next_timeout()
    assert due is not None
    one.handle_timeout(due)
    assert one.drain() == [Register(600)]
    assert one.is_registered(due)
    one.answered(answer(200, ("Contact", "<sip:token@192.0.2.2>;expires=300")), "", due + 1)
    assert one.registered_at == 0.1
    assert one.until == due + 301


@pytest.mark.rfc(3261, "10.2.8")
def test_an_interval_that_is_too_brief_is_asked_for_anew_at_once() -> None:
    one = registration(60)
    one.handle_timeout(0.0)
    one.drain()
    one.answered(answer(423, ("Min-Expires", "1800")), "", 0.1)
    assert one.drain() == [Register(1800)]
    one.answered(answer(200, ("Expires", "1800")), "", 0.2)
    assert one.granted == 1800


@pytest.mark.parametrize("least", ["", "10", "60", "999999", "-1", "x", "99999999999"])
def test_a_423_that_says_nothing_of_use_is_a_refusal(least: str) -> None:
    one = registration(60)
    one.handle_timeout(0.0)
    one.drain()
    one.answered(answer(423, ("Min-Expires", least)), "", 0.0)
    assert (one.state, one.drain()) == (State.WAITING, [])
    assert one.problem is not None
    assert one.problem.code == "too_brief"


def test_a_registrar_that_raises_its_interval_again_and_again_is_not_followed_for_ever() -> None:
    one, asked, least = registration(60), 0, 100
    one.handle_timeout(0.0)
    while one.drain() and asked < 50:
        asked += 1
        least += 100
        one.answered(answer(423, ("Min-Expires", str(least))), "", 0.0)
    assert asked == 3


@pytest.mark.parametrize(
    ("status", "code", "base"),
    [(401, "wrong_password", 300), (407, "wrong_password", 300), (403, "forbidden", 300), (404, "unknown_user", 300),
     (405, "no_registrar", 300), (302, "redirected", 300), (488, "refused", 300), (500, "failed", 30),
     (503, "failed", 30), (408, "failed", 30), (600, "failed", 30)],
)  # fmt: skip
def test_a_refusal_is_tried_again_later_and_later(status: int, code: str, base: int) -> None:
    one, now, before = registration(), 0.0, 0.0
    for attempt in range(12):
        one.handle_timeout(now)
        assert one.drain() == [Register(600)]
        one.answered(answer(status, reason="Bad\u202e"), "", now)
        assert one.problem is not None
        assert (one.problem.code, one.problem.text.isprintable(), bool(one.problem.hint)) == (code, True, True)
        wait = waits(one, now)
        most = min(base * 2**attempt, 3600 if base == 300 else 1800)
        assert most / 2 <= wait <= most
        before, now = wait, now + wait
    assert before >= 900


def test_nobody_answers() -> None:
    one = registration()
    one.handle_timeout(0.0)
    one.answered(None, "timeout", 32.0)
    assert one.problem is not None
    assert (one.problem.code, one.problem.text) == ("no_answer", "timeout")
    assert 15 <= waits(one, 32.0) <= 30


@pytest.mark.rfc(3261, "20.33")
def test_retry_after_is_waited_for_and_bounded() -> None:
    for said, least, most in (("120", 120, 120), ("1", 15, 30), ("99999999", 21_600, 21_600)):
        one = registration()
        one.handle_timeout(0.0)
        one.answered(answer(503, ("Retry-After", said)), "", 0.0)
        assert least <= waits(one, 0.0) <= most


def test_a_refresh_that_fails_is_tried_again_while_there_is_time() -> None:
    one = registered()
    due = one.next_timeout()
    assert due is not None
    one.handle_timeout(due)
    one.answered(answer(500), "", due)
    assert one.is_registered(due)
    assert waits(one, due) < 300.1 - due


def test_a_2xx_that_keeps_nothing_is_no_registration() -> None:
    one = registration()
    one.handle_timeout(0.0)
    one.drain()
    one.answered(answer(200, ("Expires", "0")), "", 0.0)
    assert (one.state, one.drain(), one.is_registered(0.1)) == (State.WAITING, [], False)
    assert one.problem is not None
    assert one.problem.code == "nothing_granted"


def test_a_lost_connection_is_replaced_at_once() -> None:
    one = registered()
    one.flow_lost(10.0)
    assert one.drain() == [Register(600)]
    one.flow_lost(10.1)
    assert one.drain() == []


@pytest.mark.rfc(3261, "10.2.2")
def test_at_the_end_our_contact_is_taken_out() -> None:
    one = registered()
    one.leave(5.0)
    assert one.drain() == [Register(0)]
    one.answered(answer(200), "", 5.1)
    assert (one.state, one.is_registered(5.2), one.next_timeout()) == (State.OVER, False, None)
    one.leave(6.0)
    assert one.drain() == []
    waiting = registration(start_at=9.0)
    waiting.leave(1.0)
    assert (waiting.state, waiting.drain()) == (State.OVER, [])


@pytest.mark.rfc(3261, "10.2")
@pytest.mark.parametrize("refreshes", [False, True])
def test_the_goodbye_waits_for_the_answer_to_the_request_before(refreshes: bool) -> None:
    """Else it could be overtaken, and our contact would stay in."""
    one = registered() if refreshes else registration()
    one.handle_timeout(280.0)
    one.drain()
    one.leave(281.0)
    assert (one.state, one.drain()) == (State.PARTING, [])
    one.answered(answer(200), "", 281.5)
    assert (one.state, one.drain()) == (State.LEAVING, [Register(0)])
    one.answered(answer(200), "", 281.6)
    assert (one.state, one.next_timeout()) == (State.OVER, None)


def test_who_never_got_in_has_no_goodbye_to_say() -> None:
    """But a refresh that is refused leaves what was there."""
    one = registration()
    one.handle_timeout(0.0)
    one.drain()
    one.leave(1.0)
    one.answered(answer(403), "", 2.0)
    assert (one.state, one.drain()) == (State.OVER, [])
    one = registered()
    one.handle_timeout(280.0)
    one.drain()
    one.leave(281.0)
    one.answered(None, "timeout", 282.0)
    assert (one.state, one.drain()) == (State.LEAVING, [Register(0)])


def test_a_registrar_that_does_not_answer_the_goodbye_keeps_nobody() -> None:
    one = registered()
    one.leave(5.0)
    one.answered(None, "timeout", 37.0)
    assert (one.state, one.next_timeout()) == (State.OVER, None)


@pytest.mark.rfc(3581, "4")
@pytest.mark.rfc(3608, "5.1")
def test_it_learns_how_it_is_seen_and_the_way_that_calls_take() -> None:
    one = registration()
    one.handle_timeout(0.0)
    via = "SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKa;received=203.0.113.7;rport=61024"
    headers = [("Via", via), ("Service-Route", "<sip:edge.example;lr>, nonsense <"), ("Expires", "60")]
    one.answered(Response(200, "OK", Headers(headers)), "", 0.0)
    assert one.seen_as == ("203.0.113.7", 61024)
    headers[1] = ("Service-Route", "<sip:edge.example;lr>")
    one.handle_timeout(59.0)
    one.answered(Response(200, "OK", Headers(headers)), "", 59.0)
    assert one.service_route == ("<sip:edge.example;lr>",)


def test_its_numbers_only_grow() -> None:
    one = registration()
    assert [one.next_number() for _ in range(3)] == [1, 2, 3]
