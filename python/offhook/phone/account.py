"""The account that the phone keeps of its call while it goes on: milestones, steps for people, and the timeline."""

from collections.abc import Callable
from typing import Literal

from offhook.phone.finding import Finding, Milestone, Step, Tone
from offhook.sip.effects import Source
from offhook.sip.message import Message, Request

_STEPS_KEPT = 50


class Account:
    """Writes into a finding what happens. `now` is monotonic seconds; the latest `steps` are there to be watched."""

    def __init__(self, finding: Finding, now: Callable[[], float]) -> None:
        self.finding = finding
        self.steps: list[Step] = []
        self._now = now

    def see(self, direction: Literal["in", "out"], message: Message, source: Source, now: float) -> None:
        """A SIP message came or left."""
        finding, remote = self.finding, host_port(source.remote)
        local = host_port(source.local) if source.local[0] else ""
        finding.timeline.add_sip(now, direction, bytes(message), transport=source.transport, remote=remote, local=local)
        finding.transport, finding.remote_signalling = source.transport, remote
        finding.local_signalling = local or finding.local_signalling
        if isinstance(message, Request):
            if message.method == "INVITE" and direction == "out" and "invite" not in finding.milestones:
                self.reach("invite", now, f"INVITE sent to {remote} by {source.transport.upper()}", note=False)
            return
        if direction != "in" or message.cseq.method != "INVITE":
            return
        word = f"{message.status} {message.reason}"
        if message.status == 100:
            self.reach("trying", now, word, note=False)
        elif message.status < 200:
            self.reach("ringing", now, word, note=False)
        elif message.status < 300:
            self.reach("answered", now, word, "good", note=False)
        elif message.status not in (401, 407, 487):
            self.step(word, "bad", note=False)

    def reach(
        self, milestone: Milestone, at: float | None = None, text: str = "", tone: Tone = "plain", *, note: bool = True
    ) -> None:
        """Note when a milestone was reached first."""
        if milestone in self.finding.milestones:
            return
        at = self._now() if at is None else at
        self.finding.milestones[milestone] = at
        if text:
            self.step(text, tone, at=at, note=note)

    def step(self, text: str, tone: Tone = "plain", *, at: float | None = None, note: bool = True) -> None:
        """Something that people want to see; with `note` it stands in the timeline, too."""
        at = self._now() if at is None else at
        self.steps.append(Step(at - self.finding.milestones.get("invite", at), text, tone))
        del self.steps[:-_STEPS_KEPT]
        if note:
            self.finding.timeline.add("media", at, note=text)


def host_port(address: tuple[str, int]) -> str:
    """An address as people write it."""
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
