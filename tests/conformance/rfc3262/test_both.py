"""RFC 3262 between two stacks over a network that loses: the call is answered once, and both sides agree."""

from typing import Any

import pytest
from tests.support.netem import Netem
from tests.support.pair import Node, Pair

from offhook.sip.events import Acknowledged, Answered, InviteReceived, Pracked, PrackMissing, PrackOffered, Provisional
from offhook.sip.message import Message, Request, Response
from offhook.sip.session_state import State

pytestmark = pytest.mark.conformance

OURS = b"v=0 ours"


def early(pair: Pair, *, sdp: bytes | None = OURS) -> None:
    """The callee sends a reliable 183 at once and answers half a second later."""

    def ring(event: InviteReceived) -> None:
        event.session.ring(183, sdp, reliable=True, now=pair.clock.now)

    def answer(event: Pracked) -> None:
        session = event.session
        pair.at(0.5, lambda: pair.uas.perform(lambda now: session.answer(OURS, now=now)))

    pair.uas.on[InviteReceived] = ring
    pair.uas.on[Pracked] = answer


def lose(pair: Pair, what: str | int, method: str, count: int = 1) -> None:
    """Lose the first messages of a kind."""
    left = [count]

    def passes(sender: Node, message: Message) -> bool:
        is_it = (
            message.method == what
            if isinstance(message, Request)
            else (message.status == what and message.cseq.method == method)
        )
        if is_it and left[0]:
            left[0] -= 1
            return False
        return True

    pair.filters.append(passes)


def assert_answered(pair: Pair) -> None:
    assert len(pair.uac.told(Answered)) == 1, pair.ladder()
    assert len(pair.uas.told(Acknowledged)) == 1, pair.ladder()
    assert len(pair.uac.told(Provisional)) == 1, pair.ladder()
    assert len(pair.uas.told(Pracked)) == 1, pair.ladder()


@pytest.mark.rfc(3262, "3")
@pytest.mark.parametrize(
    ("what", "method", "again"),
    [(183, "INVITE", 183), ("PRACK", "PRACK", "PRACK"), (200, "PRACK", "PRACK")],
)
def test_t_3262_b_what_is_lost_is_repeated_by_who_waits_for_it(what: str | int, method: str, again: str | int) -> None:
    pair = Pair()
    early(pair)
    lose(pair, what, method, count=3)
    pair.call()
    pair.run(20)
    assert_answered(pair)
    assert len(pair.sent("uas" if again == 183 else "uac", again)) >= 4


@pytest.mark.rfc(3262, "3")
def test_without_any_prack_the_call_fails_on_both_sides_and_nothing_is_left() -> None:
    pair = Pair()
    early(pair)
    lose(pair, "PRACK", "PRACK", count=1000)
    pair.call()
    pair.run(40)
    assert len(pair.uas.told(PrackMissing)) == 1
    assert [passed.message.status for passed in pair.sent("uas", 504)] == [504]  # type: ignore[union-attr]
    pair.run(100)
    pair.assert_nothing_left()


@pytest.mark.rfc(3262, "5")
def test_a_call_without_an_offer_is_agreed_on_before_the_answer() -> None:
    pair = Pair()
    early(pair)

    def answer(event: Provisional) -> None:
        if event.response.sdp:
            event.session.answer_early(event.response.to.tag or "", b"v=0 theirs", now=pair.clock.now)

    pair.uac.on[Provisional] = answer
    pair.call(offer=None)
    pair.run(5)
    assert_answered(pair)
    (told,) = pair.uas.told(Pracked)
    assert told.answers
    assert told.request.sdp == b"v=0 theirs"
    (answered,) = pair.uac.told(Answered)
    assert answered.response.sdp is None
    assert answered.session.state is State.CONFIRMED


@pytest.mark.rfc(3262, "3")
@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_lost_both_sides_agree_whether_there_is_a_call(seed: int) -> None:
    pair = Pair(Netem(seed=seed, loss=0.3, duplicate=0.1, jitter=0.05))
    early(pair)
    session: Any = pair.call()
    pair.run(25)
    heard = pair.uas.told(InviteReceived)
    if pair.uac.told(Answered):
        assert len(heard) == 1, pair.ladder()
        assert heard[0].session.state in (State.ACCEPTED, State.CONFIRMED, State.ENDING), pair.ladder()
    assert len(pair.uas.told(Pracked)) <= 1, pair.ladder()
    assert len(pair.uac.told(Provisional)) <= 1, pair.ladder()
    pair.uac.perform(lambda now: session.hang_up(now=now))
    pair.run(25)
    if heard:
        pair.uas.perform(lambda now: heard[0].session.hang_up(now=now))
    pair.run(300)
    pair.assert_nothing_left()


@pytest.mark.rfc(3262, "5")
def test_an_offer_in_a_prack_between_two_stacks() -> None:
    pair = Pair()
    early(pair)
    pair.uas.on[PrackOffered] = lambda event: event.session.answer_prack(b"v=0 changed", now=pair.clock.now)

    def offer(event: Provisional) -> None:
        # Our own caller never offers in a PRACK; others do.
        dialog = event.session.dialog
        rack = f"{event.response.rseq} {event.response.cseq.number} INVITE"
        headers = (("RAck", rack), ("Content-Type", "application/sdp"))
        event.session.ask("PRACK", headers, b"v=0 offer", dialog=dialog, now=pair.clock.now)

    lost = [False]

    def without_the_plain_prack(sender: Node, message: Message) -> bool:
        if isinstance(message, Request) and message.method == "PRACK" and not message.body:
            lost[0] = True
            return False
        return True

    pair.filters.append(without_the_plain_prack)
    pair.uac.on[Provisional] = offer
    pair.call()
    pair.run(0.4)
    assert lost[0]
    (answer,) = [p.message for p in pair.sent("uas", 200, "PRACK")]
    assert isinstance(answer, Response)
    assert answer.sdp == b"v=0 changed"
