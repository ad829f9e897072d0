"""Both sides change the session as they like, over a network that loses and reorders: in the end both have the same.

Each description is a word of its own, and an answer names the offer that it answers, so that two sides which believe
in different exchanges are found out.
"""

import os
import random
from typing import Any

import pytest
from tests.support.netem import Netem
from tests.support.pair import Node, Pair

from offhook.sip.events import (
    AckMissing,
    Failed,
    InviteReceived,
    ReinviteAnswered,
    Reinvited,
    ReinviteRefused,
    SessionFailed,
)
from offhook.sip.invite import InviteSession
from offhook.sip.offer_answer import State
from offhook.sip.session_state import State as SessionState

pytestmark = pytest.mark.scenario

CALLS = 2_000 if os.environ.get("OFFHOOK_PROVE") == "1" else 60
MOST_CHANGES = 12


class Side:
    """One of the two: what it offers and answers, at once or after a while."""

    def __init__(self, pair: Pair, node: Node, rng: random.Random) -> None:
        self.pair = pair
        self.node = node
        self.rng = rng
        self.session: InviteSession
        self.offers = 0
        node.on[Reinvited] = self._reinvited
        node.on[ReinviteAnswered] = self._answered

    def offer(self) -> bytes:
        """A new description."""
        self.offers += 1
        return f"v=0 {self.node.name}{self.offers}".encode()

    def changes(self) -> None:
        """Want something now."""
        verb = self.rng.choice(["reinvite", "reinvite", "update", "ask"])
        if verb == "update":
            self._do(lambda now: self.session.update(self.offer(), now=now))
        else:
            self._do(lambda now: self.session.reinvite(None if verb == "ask" else self.offer(), now=now))

    def _reinvited(self, event: Reinvited) -> None:
        offered = event.request.sdp
        said = self.offer() if offered is None else answer_to(offered)
        if self.rng.random() < 0.15:
            answer: Any = lambda now: event.session.reject_reinvite(488, now=now)  # noqa: E731
        else:
            answer = lambda now: event.session.answer_reinvite(said, now=now)  # noqa: E731
        if self.rng.random() < 0.5:
            self.pair.at(self.rng.random() * 2, lambda: self._do(answer))
        else:
            answer(self.node.now)

    def _answered(self, event: ReinviteAnswered) -> None:
        if event.session.owes_answer:
            event.session.acknowledge(answer_to(event.response.sdp or b""), now=self.node.now)

    def _do(self, action: Any) -> None:
        self.node.perform(action)


def answer_to(offer: bytes) -> bytes:
    return b"v=0 answers " + offer


@pytest.mark.rfc(3264, "4")
@pytest.mark.rfc(3311, "5.2")
@pytest.mark.rfc(3261, "14.1")
def test_whatever_both_sides_change_they_agree_in_the_end() -> None:
    for seed in range(CALLS):
        rng = random.Random(seed)
        pair = Pair(
            Netem(seed, loss=rng.choice([0, 0.05, 0.15]), delay=rng.choice([0, 0.05, 0.3]), jitter=rng.random())
        )
        pair.uas.on[InviteReceived] = lambda event, p=pair: event.session.answer(answer_to(b"v=0 offer"), now=p.uas.now)
        sides = [Side(pair, node, rng) for node in (pair.uac, pair.uas)]
        sides[0].session = pair.call()
        pair.run(20)
        sides[1].session = pair.uas.told(InviteReceived)[0].session
        wanted = rng.choice([2, 2, 3, MOST_CHANGES])
        for _ in range(wanted):
            pair.at(rng.random() * rng.choice([0.2, 2, 10]), rng.choice(sides).changes)
        pair.run(200)
        ladder = f"OFFHOOK seed {seed}\n{pair.ladder()}"
        for side in sides:
            told = [event for event in side.node.events if isinstance(event, (Failed, AckMissing, SessionFailed))]
            assert told == [], ladder
            assert side.session.state is SessionState.CONFIRMED, ladder
        first, second = (side.session.dialog.offers for side in sides if side.session.dialog is not None)
        assert first.state is second.state is State.IDLE, ladder
        assert first.local is not None
        assert second.local is not None
        assert first.local == answer_to(second.local) or second.local == answer_to(first.local), ladder
        ended = sum(len(side.node.told(kind)) for side in sides for kind in (ReinviteAnswered, ReinviteRefused))
        assert 1 <= ended <= wanted, ladder
        pair.uac.perform(lambda now, s=sides[0].session: s.hang_up(now=now))
        pair.run(100)
        pair.assert_nothing_left()
