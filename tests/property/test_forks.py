"""A call of ours that forks: whatever its far ends say, in whatever order, none of them is mistaken for another.

Each fork has a Session-ID, descriptions and an order of its own, so that what is told to the wrong one is found out.
"""

import os
import random
from itertools import count

import pytest
from tests.support.messages import SDP, request, response
from tests.support.solo import Solo

from offhook.sip.effects import SendRequest
from offhook.sip.events import Answered, Provisional, Reinvited, SessionFailed
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request, Response
from offhook.sip.session_state import State

pytestmark = pytest.mark.scenario

CALLS = 3_000 if os.environ.get("OFFHOOK_PROVE") == "1" else 150
STEPS = 30
BROKEN = b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0"


class Fork:
    """One far end, as the peer has it."""

    def __init__(self, number: int) -> None:
        self.tag = f"fork{number}"
        self.uuid = f"{number + 1:032x}"
        self.rseq = random.Random(number).randrange(1, 1000)
        self.cseq = 10 * number
        self.has_rung = self.has_answered = self.is_gone = False

    @property
    def mark(self) -> tuple[str, str]:
        return "Session-ID", f"{self.uuid};remote={'0' * 32}"


class Peer:
    """All forks of one INVITE, and what was seen of us."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.solo = Solo(seed=seed)
        self.forks = [Fork(number) for number in range(self.rng.randrange(1, 5))]
        self.session: InviteSession = self.solo.invite("sip:alice@192.0.2.1", self.rng.choice([b"v=0 offer", None]))
        self.invite = self.solo.requests("INVITE")[0]
        self.answered: list[str] = []
        self.until = 0.0
        """Until when further 2xx are waited for (timer M)."""
        self.branches = count()
        self.seen = 0

    def step(self) -> None:
        """Something happens."""
        self.rng.choice([self.rings, self.rings, self.updates, self.leaves, self.answers, self.replies, self.wants])()
        if self.rng.random() < 0.3:
            self.solo.run(self.solo.clock.elapsed + self.rng.choice([0.3, 2.0, 10.0]))
        self.layer_above()

    def rings(self) -> None:
        fork = self.rng.choice(self.forks)
        if self.answered:
            return
        headers = (
            [fork.mark, ("Require", "100rel"), ("RSeq", str(fork.rseq))] if self.rng.random() < 0.7 else [fork.mark]
        )
        if len(headers) > 1 and self.rng.random() < 0.8:
            fork.rseq += 1
        fork.has_rung = True
        self.solo.receive(response(self.invite, 183, fork.tag, *headers, body=self.rng.choice([SDP, b"", BROKEN])))

    def leaves(self) -> None:
        fork = self.rng.choice(self.forks)
        if fork.has_rung and not self.answered and self.rng.random() < 0.3:
            fork.is_gone = True
            self.solo.receive(response(self.invite, 199, fork.tag, fork.mark))

    def updates(self) -> None:
        fork = self.rng.choice(self.forks)
        fork.cseq += 1
        body = self.rng.choice([b"v=0 theirs", b""])
        self.solo.receive(
            request(
                self.rng.choice(["UPDATE", "UPDATE", "INFO", "BYE"]) if body else "UPDATE",
                "Session-ID: " + fork.mark[1],
                from_=f"<sip:alice@192.0.2.1>;tag={fork.tag}",
                to=f"<sip:us@192.0.2.2>;tag={self.invite.from_.tag}",
                call_id=self.invite.call_id,
                branch=f"z9hG4bKtheirs{next(self.branches)}",
                cseq=fork.cseq,
                body=body,
            )
        )

    def answers(self) -> None:
        fork = self.rng.choice(self.forks)
        if self.rng.random() < 0.6 or fork.has_answered or (self.answered and self.solo.clock.elapsed > self.until):
            return
        self.until = self.until or self.solo.clock.elapsed + 30.0
        fork.has_answered = True
        self.answered.append(fork.tag)
        headers = [fork.mark, *self.rng.choice([[], [("Contact", "<tel:1>")], [("Record-Route", "<tel:1>")]])]
        made = response(
            self.invite,
            200,
            fork.tag,
            *headers,
            body=self.rng.choice([SDP, SDP, b"", BROKEN]),
            contact=not any(name == "Contact" for name, _ in headers),
        )
        self.solo.receive(made)
        self.solo.receive(made)

    def replies(self) -> None:
        """Something of ours is answered at last, or is not."""
        ours = [r for r in self.requests() if r.method in ("PRACK", "UPDATE", "BYE")]
        if ours:
            asked = self.rng.choice(ours)
            self.solo.receive(response(asked, self.rng.choice([200, 200, 481, 491, 488]), None, body=b""))

    def wants(self) -> None:
        self.solo.do(self.session.update, b"v=0 ours")

    def layer_above(self) -> None:
        """Answers what is asked of it, sooner or later."""
        if self.rng.random() < 0.5 and self.solo.told(Reinvited):
            self.solo.do(self.session.answer_reinvite, b"v=0 our answer")
        for event in self.solo.told(Provisional):
            if event.response.sdp and self.rng.random() < 0.5:
                self.solo.do(self.session.answer_early, event.response.to.tag, b"v=0 our early answer")
        if self.session.owes_answer and self.rng.random() < 0.5:
            self.solo.do(self.session.acknowledge, b"v=0 our late answer")

    def requests(self) -> list[Request]:
        return [effect.request for _, effect in self.solo.sent if isinstance(effect, SendRequest)]

    def finish(self) -> None:
        """Everything comes to its end: what is owed is given, and we hang up."""
        if self.session.owes_answer:
            self.solo.do(self.session.acknowledge, b"v=0 our late answer")
        if not self.answered:
            self.solo.receive(response(self.invite, 486, self.forks[0].tag, self.forks[0].mark))
        self.solo.do(self.session.hang_up)
        self.solo.run(self.solo.clock.elapsed + 300)


def check(peer: Peer) -> None:
    solo = peer.solo
    assert solo.told(SessionFailed) == []
    acked = {r.to.tag for r in peer.requests() if r.method == "ACK" and r.cseq.number == peer.invite.cseq.number}
    assert set(peer.answered) <= acked, "every 2xx has its ACK"
    ended = {r.to.tag for r in peer.requests() if r.method == "BYE"}
    assert set(peer.answered[1:]) <= ended, "who answered too late has his BYE"
    assert len(solo.told(Answered)) <= 1
    uuids = {fork.tag: fork.uuid for fork in peer.forks}
    for sent in peer.requests():
        if sent.to.tag in uuids:
            assert sent.session_id is not None
            assert sent.session_id.remote == uuids[sent.to.tag], f"{sent.method} to {sent.to.tag}"
    for _, effect in solo.sent:
        made = getattr(effect, "response", None)
        if isinstance(made, Response) and made.status < 300 and made.from_.tag in uuids:
            assert made.session_id is not None
            assert made.session_id.remote == uuids[made.from_.tag], f"{made.status} to {made.from_.tag}"
    solo.assert_empty()


@pytest.mark.parametrize("part", range(5))
def test_no_fork_is_mistaken_for_another_and_none_leaves_anything(part: int) -> None:
    for seed in range(part, CALLS, 5):
        peer = Peer(seed)
        try:
            for _ in range(STEPS):
                if peer.session.state is State.TERMINATED:
                    break
                peer.step()
            peer.finish()
            check(peer)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
