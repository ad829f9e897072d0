"""RFC 3262 sections 3 and 5, the callee: provisional responses that are repeated until their PRACK."""

from dataclasses import replace

import pytest
from tests.support.messages import SDP, request
from tests.support.solo import Solo

from offhook.sip.events import (
    Acknowledged,
    AnswerLeft,
    ByeReceived,
    Cancelled,
    InviteReceived,
    Pracked,
    PrackMissing,
    PrackOffered,
)
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request, Response
from offhook.sip.session_state import State

pytestmark = pytest.mark.conformance

OURS = b"v=0 ours"
SUPPORTED = "Supported: 100rel"
REQUIRED = "Require: 100rel"


def ringing(solo: Solo, *headers: str, body: bytes = SDP) -> InviteSession:
    solo.receive(request("INVITE", *headers, body=body))
    session: InviteSession = solo.told(InviteReceived)[-1].session
    return session


def within(session: InviteSession, method: str, cseq: int, *headers: str, body: bytes = b"") -> Request:
    return request(
        method,
        *headers,
        to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}",
        branch=f"z9hG4bK{method}{cseq}",
        cseq=cseq,
        body=body,
    )


def prack(session: InviteSession, to: Response, cseq: int = 2, *, body: bytes = b"", rack: str = "") -> Request:
    return within(session, "PRACK", cseq, f"RAck: {rack or f'{to.rseq} 1 INVITE'}", body=body)


def statuses(messages: list[Response | Request]) -> list[tuple[int, str]]:
    return [(m.status, m.cseq.method) for m in messages if isinstance(m, Response)]


@pytest.mark.rfc(3262, "3")
def test_t_3262_a_an_invite_that_requires_100rel_gets_an_rseq_and_prack_a_200() -> None:
    solo = Solo()
    session = ringing(solo, REQUIRED)
    solo.do(session.ring, 183, OURS)
    (early,) = solo.responses(183)
    assert early.require == ("100rel",)
    assert early.rseq is not None
    assert 1 <= early.rseq < 2**31
    assert early.contacts
    assert statuses(solo.receive(prack(session, early))) == [(200, "PRACK")]
    (told,) = solo.told(Pracked)
    assert not told.answers
    solo.do(session.answer, OURS)
    assert statuses([solo.responses(200)[-1]]) == [(200, "INVITE")]
    solo.run(100)
    assert len(solo.times(183)) == 1


@pytest.mark.rfc(3262, "3")
def test_repetitions_double_from_t1_until_64_t1_and_then_the_invite_is_refused() -> None:
    solo = Solo()
    session = ringing(solo, SUPPORTED)
    solo.do(session.ring, 183, OURS, reliable=True)
    solo.run(100)
    assert solo.times(183) == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert len({early.rseq for early in solo.responses(183)}) == 1
    assert solo.times(504)[0] == 32
    assert "PRACK" in (solo.responses(504)[0].headers.get("Reason") or "")
    assert len(solo.told(PrackMissing)) == 1
    assert session.state is State.TERMINATED
    solo.run(300)
    solo.assert_empty()


@pytest.mark.rfc(3262, "3")
def test_the_prack_ends_the_repetition() -> None:
    """asterisk/asterisk#794: the 183 was repeated after its PRACK."""
    solo = Solo()
    session = ringing(solo, SUPPORTED)
    solo.do(session.ring, 183, OURS, reliable=True)
    solo.run(0.7)
    solo.receive(prack(session, solo.responses(183)[0]))
    solo.run(59)
    assert solo.times(183) == [0, 0.5]


@pytest.mark.rfc(3262, "3")
@pytest.mark.parametrize("reliable", [True, False])
def test_what_is_said_again_every_minute_is_a_new_response(reliable: bool) -> None:
    solo = Solo()
    session = ringing(solo, REQUIRED if reliable else SUPPORTED)
    solo.do(session.ring, 183, OURS, reliable=True)
    solo.receive(prack(session, solo.responses(183)[0]))
    solo.run(60.2)
    first, second = solo.responses(183)
    assert solo.times(183) == [0, 60]
    assert second.rseq == (first.rseq + 1 if reliable and first.rseq else None)
    assert not second.body


@pytest.mark.rfc(3262, "3")
@pytest.mark.parametrize("headers", [(), ("Supported: timer",)])
def test_nothing_is_reliable_towards_who_does_not_say_100rel(headers: tuple[str, ...]) -> None:
    solo = Solo()
    session = ringing(solo, *headers)
    solo.do(session.ring, 183, OURS, reliable=True)
    early = solo.responses(183)[0]
    assert (early.rseq, early.require) == (None, ())
    solo.run(59)
    assert solo.times(183) == [0]


@pytest.mark.rfc(3262, "3")
def test_who_supports_it_gets_it_where_it_is_wanted_and_who_requires_it_always() -> None:
    solo = Solo()
    session = ringing(solo, SUPPORTED)
    solo.do(session.ring, 180)
    assert solo.responses(180)[0].rseq is None
    other = Solo()
    session = ringing(other, REQUIRED)
    other.do(session.ring, 180)
    assert other.responses(180)[0].rseq is not None


@pytest.mark.rfc(3262, "3")
def test_100_is_never_reliable() -> None:
    solo = Solo()
    ringing(solo, REQUIRED)
    assert solo.responses(100)[0].rseq is None


@pytest.mark.rfc(3262, "3")
@pytest.mark.parametrize("rack", ["{less} 1 INVITE", "{more} 1 INVITE", "{same} 2 INVITE", "{same} 1 UPDATE"])
def test_a_prack_that_matches_nothing_is_481(rack: str) -> None:
    solo = Solo()
    session = ringing(solo, REQUIRED)
    solo.do(session.ring, 180)
    rseq = solo.responses(180)[0].rseq or 0
    wrong = rack.format(less=max(rseq - 1, 1) if rseq > 1 else 7, more=rseq + 1, same=rseq)
    answer = solo.receive(prack(session, solo.responses(180)[0], rack=wrong))
    assert statuses(answer) == [(481, "PRACK")]
    solo.run(0.6)
    assert len(solo.times(180)) == 2


@pytest.mark.rfc(3262, "3")
def test_a_prack_without_rack_or_without_any_reliable_response_is_481() -> None:
    solo = Solo()
    session = ringing(solo, SUPPORTED)
    solo.do(session.ring, 180)
    assert statuses(solo.receive(within(session, "PRACK", 2))) == [(481, "PRACK")]
    assert statuses(solo.receive(within(session, "PRACK", 3, "RAck: 1 1 INVITE"))) == [(481, "PRACK")]
    assert statuses(solo.receive(request("PRACK", "RAck: 1 1 INVITE", branch="z9hG4bKx", cseq=3))) == [(481, "PRACK")]


@pytest.mark.rfc(3262, "7.2")
def test_a_rack_that_can_not_be_read_is_400() -> None:
    solo = Solo()
    session = ringing(solo, REQUIRED)
    solo.do(session.ring, 180)
    assert statuses(solo.receive(within(session, "PRACK", 2, "RAck: 0 1 INVITE"))) == [(400, "PRACK")]


@pytest.mark.rfc(3262, "3")
@pytest.mark.parametrize(("method", "status"), [("UPDATE", 500), ("INFO", None)])
def test_a_prack_that_is_lost_and_overtaken_counts_when_it_comes(method: str, status: int | None) -> None:
    solo = Solo()
    session = ringing(solo, SUPPORTED)
    solo.do(session.ring, 183, OURS, reliable=True)
    (early,) = solo.responses(183)
    solo.do(session.answer, OURS)
    answers = statuses(solo.receive(within(session, method, 3, body=SDP if method == "UPDATE" else b"")))
    assert answers == ([] if status is None else [(status, method)])
    late = prack(session, early)
    assert statuses(solo.receive(late)) == [(200, "PRACK"), (200, "INVITE")]
    assert statuses(solo.receive(late)) == [(200, "PRACK")]
    (again,) = statuses(solo.receive(replace(late, headers=late.headers.replacing("Via", f"{late.via}other"))))
    assert again == (500, "PRACK"), "what has been acknowledged is not waited for"


@pytest.mark.rfc(3262, "3")
def test_a_lost_200_to_the_prack_is_repeated_with_the_prack() -> None:
    solo = Solo()
    session = ringing(solo, REQUIRED)
    solo.do(session.ring, 180)
    acknowledges = prack(session, solo.responses(180)[0])
    assert statuses(solo.receive(acknowledges)) == [(200, "PRACK")]
    assert statuses(solo.receive(acknowledges)) == [(200, "PRACK")]
    assert len(solo.told(Pracked)) == 1
    # A second one, in a transaction of its own, acknowledges nothing any more.
    assert statuses(solo.receive(prack(session, solo.responses(180)[0], 3))) == [(481, "PRACK")]


@pytest.mark.rfc(3262, "3")
def test_the_second_response_waits_for_the_prack_of_the_first() -> None:
    solo = Solo()
    session = ringing(solo, REQUIRED)
    solo.do(session.ring, 180)
    solo.do(session.ring, 183, OURS)
    solo.run(0.1)
    assert solo.times(183) == []
    first = solo.responses(180)[0]
    assert statuses(solo.receive(prack(session, first))) == [(200, "PRACK"), (183, "INVITE")]
    assert solo.responses(183)[0].rseq == (first.rseq or 0) + 1


@pytest.mark.rfc(3262, "3")
def test_responses_that_wait_are_bounded() -> None:
    solo = Solo()
    session = ringing(solo, REQUIRED)
    taken = [solo.do(session.ring, 180) for _ in range(8)]
    assert taken == [True] * 5 + [False] * 3
    assert len(solo.times(180)) == 1


@pytest.mark.rfc(3262, "5")
def test_the_200_waits_for_the_prack_of_sdp() -> None:
    solo = Solo()
    session = ringing(solo, SUPPORTED)
    solo.do(session.ring, 183, OURS, reliable=True)
    assert solo.do(session.answer, OURS) is True
    assert session.is_answer_held
    assert solo.do(session.answer, OURS) is False
    assert solo.do(session.ring, 180) is False
    solo.run(1)
    assert [r.cseq.method for r in solo.responses(200)] == []
    answers = solo.receive(prack(session, solo.responses(183)[0]))
    assert statuses(answers) == [(200, "PRACK"), (200, "INVITE")]
    assert solo.responses(200)[-1].sdp == OURS
    assert len(solo.told(AnswerLeft)) == 1
    solo.receive(within(session, "ACK", 1))
    assert len(solo.told(Acknowledged)) == 1
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3262, "3")
def test_the_200_does_not_wait_for_a_response_without_sdp_and_its_prack_is_still_answered() -> None:
    solo = Solo()
    session = ringing(solo, REQUIRED)
    solo.do(session.ring, 180)
    solo.do(session.answer, OURS)
    assert [r.cseq.method for r in solo.responses(200)] == ["INVITE"]
    assert statuses(solo.receive(prack(session, solo.responses(180)[0]))) == [(200, "PRACK")]
    solo.receive(within(session, "ACK", 1))
    solo.run(40)
    assert len(solo.times(180)) == 1


@pytest.mark.rfc(3262, "3")
@pytest.mark.parametrize("how", ["reject", "CANCEL", "BYE"])
def test_after_a_refusal_nothing_is_repeated_and_the_prack_under_way_is_still_answered(how: str) -> None:
    solo = Solo()
    session = ringing(solo, REQUIRED)
    solo.do(session.ring, 183, OURS)
    solo.do(session.answer, OURS)
    match how:
        case "reject":
            solo.do(session.reject, 480)
        case "CANCEL":
            answers = solo.receive(request("CANCEL"))
            assert statuses(answers) == [(200, "CANCEL"), (487, "INVITE")]
            assert len(solo.told(Cancelled)) == 1
        case "BYE":
            answers = solo.receive(within(session, "BYE", 2))
            assert statuses(answers) == [(200, "BYE"), (487, "INVITE")]
            assert len(solo.told(ByeReceived)) == 1
    assert not session.is_answer_held
    solo.receive(request("ACK", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}"))
    assert statuses(solo.receive(prack(session, solo.responses(183)[0], 3))) == [(200, "PRACK")]
    assert statuses(solo.receive(prack(session, solo.responses(183)[0], 4))) == [(481, "PRACK")]
    assert statuses(solo.receive(within(session, "OPTIONS", 5))) == [(481, "OPTIONS")]
    solo.run(70)
    assert len(solo.times(183)) == 1
    assert solo.told(AnswerLeft) == []
    solo.assert_empty()


@pytest.mark.rfc(3262, "5")
def test_t_3262_c_our_offer_in_a_183_is_answered_in_the_prack_and_the_200_has_no_sdp() -> None:
    solo = Solo()
    session = ringing(solo, SUPPORTED, body=b"")
    solo.do(session.ring, 183, OURS, reliable=True)
    solo.do(session.answer, OURS)
    answers = solo.receive(prack(session, solo.responses(183)[0], body=SDP))
    assert statuses(answers) == [(200, "PRACK"), (200, "INVITE")]
    (told,) = solo.told(Pracked)
    assert told.answers
    assert told.request.sdp == SDP
    assert [a.body for a in answers] == [b"", b""]
    solo.receive(within(session, "ACK", 1))
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3262, "5")
def test_a_prack_may_offer_once_the_183_has_answered_and_gets_the_answer_in_its_200() -> None:
    solo = Solo()
    session = ringing(solo, SUPPORTED)
    solo.do(session.ring, 183, OURS, reliable=True)
    early = solo.responses(183)[0]
    assert statuses(solo.receive(prack(session, early, body=SDP))) == []
    assert len(solo.told(PrackOffered)) == 1
    assert solo.told(Pracked) == []
    # The answer to the call waits for the answer to the offer.
    solo.do(session.answer, OURS)
    assert session.is_answer_held
    solo.do(session.answer_prack, b"v=0 changed")
    to_prack, to_invite = solo.responses(200)
    assert (to_prack.cseq.method, to_prack.sdp) == ("PRACK", b"v=0 changed")
    # It would be taken for the first answer, which it is no longer.
    assert (to_invite.cseq.method, to_invite.sdp) == ("INVITE", None)
    assert solo.do(session.answer_prack, b"v=0 again") is False


@pytest.mark.rfc(3262, "5")
def test_an_offer_in_a_prack_is_open_when_the_caller_gives_up() -> None:
    solo = Solo()
    session = ringing(solo, SUPPORTED)
    solo.do(session.ring, 183, OURS, reliable=True)
    solo.receive(prack(session, solo.responses(183)[0], body=SDP))
    answers = solo.receive(request("CANCEL"))
    assert statuses(answers) == [(200, "CANCEL"), (487, "INVITE"), (487, "PRACK")]
    assert solo.do(session.answer_prack, OURS) is False
    solo.receive(request("ACK", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}"))
    solo.run(70)
    solo.assert_empty()


@pytest.mark.rfc(6337, "3.1.1")
def test_sdp_in_a_prack_that_neither_answers_nor_may_offer_is_passed_over() -> None:
    solo = Solo()
    session = ringing(solo, REQUIRED)
    solo.do(session.ring, 180)
    answers = solo.receive(prack(session, solo.responses(180)[0], body=SDP))
    assert statuses(answers) == [(200, "PRACK")]
    assert solo.told(PrackOffered) == []
    (told,) = solo.told(Pracked)
    assert not told.answers


@pytest.mark.rfc(6337, "3.1.1")
def test_an_unreliable_183_settles_nothing_and_the_200_repeats_its_sdp() -> None:
    """miuda-ai/active-call#124: a provisional answer was applied as the final one."""
    solo = Solo()
    session = ringing(solo)
    solo.do(session.ring, 183, OURS)
    solo.do(session.answer, OURS)
    assert [r.sdp for r in (*solo.responses(183), *solo.responses(200))] == [OURS, OURS]
    assert session.dialog is not None


def test_responses_of_an_invite_with_prack_are_known_to_the_peer() -> None:
    solo = Solo()
    session = ringing(solo)
    solo.do(session.answer, OURS)
    answer = solo.responses(200)[0]
    assert "PRACK" in answer.allow
    assert "100rel" in answer.supported


def test_a_fault_of_ours_ends_a_reliable_response_too() -> None:
    solo = Solo()
    session = ringing(solo, REQUIRED)
    solo.do(session.ring, 183, OURS)
    solo.user_agent.session_failed(session, RuntimeError("ours"), solo.now)
    solo.drain()
    solo.receive(request("ACK", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}"))
    solo.run(70)
    assert len(solo.times(183)) == 1
    solo.assert_empty()
