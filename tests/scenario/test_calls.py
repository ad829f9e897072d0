"""Whole calls between two user agents, by every way in which a network may treat them."""

import pytest
from tests.support.netem import Netem
from tests.support.pair import Pair

from offhook.sip.events import (
    Acknowledged,
    Answered,
    ByeReceived,
    HungUp,
    InviteReceived,
)

pytestmark = pytest.mark.scenario


def ring_and_answer(pair: Pair, after: float = 1.0) -> None:
    """Let the callee ring at once and answer later."""

    def received(event: InviteReceived) -> None:
        event.session.ring(now=pair.uas.now)
        pair.at(after, lambda: pair.uas.perform(lambda now: event.session.answer(b"v=0 answer", now=now)))

    pair.uas.on[InviteReceived] = received


def test_a_call_is_set_up_and_ended_by_the_caller() -> None:
    pair = Pair()
    ring_and_answer(pair)
    session = pair.call()
    pair.run(3)
    pair.uac.perform(lambda now: session.hang_up(now=now))
    pair.run(100)
    assert [p.at for p in pair.log] == [0, 0, 0, 1, 1, 3, 3]
    assert len(pair.uac.told(Answered)) == len(pair.uas.told(Acknowledged)) == len(pair.uas.told(ByeReceived)) == 1
    assert pair.uac.told(HungUp)[0].response.status == 200
    pair.assert_nothing_left()


@pytest.mark.parametrize("seed", range(40))
def test_a_call_survives_loss_reordering_and_repetition(seed: int) -> None:
    pair = Pair(Netem(seed=seed, loss=0.25, duplicate=0.2, delay=0.02, jitter=0.3))
    ring_and_answer(pair)
    session = pair.call()
    pair.run(20)
    if not pair.uac.told(Answered):
        pytest.skip("every copy of a message was lost")
    pair.uac.perform(lambda now: session.hang_up(now=now))
    pair.run(200)
    ladder = pair.ladder()
    assert len(pair.uas.told(InviteReceived)) == 1, ladder
    assert len(pair.uac.told(Answered)) == 1, ladder
    assert len(pair.uac.told(HungUp)) == 1, ladder
    pair.assert_nothing_left()
