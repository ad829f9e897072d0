"""A telephone line of nothing but time: it plays what an agent says, and does what a test lets the caller do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from offhook.agent import Agent, Call
from offhook.agent.events import (
    BargeIn,
    DigitsMasked,
    DigitsState,
    HandedOver,
    HandOverEnd,
    Held,
    Key,
    Recording,
    Resumed,
    SpeechEnded,
    SpeechStarted,
    TransferEnd,
    Transferred,
)
from offhook.agent.line import Answered, CallFacts, CallOver, HoldRefused, Listener, UtteranceOver
from offhook.agent.session import Session
from offhook.speech.protocol import Spoken

from .speech_engines import ToldEars


@dataclass
class AgentLine:
    """A `Line`. `said` is what its call asked of it, in order; sound is played in the loop's time."""

    facts: CallFacts = field(default_factory=lambda: CallFacts("call-1", "+14155550100", "+14155550123"))
    rate: int = 8_000
    judges_barge_in: bool = False
    rings_for: float = 0.0
    hold_status: int | None = None
    knows_masks: bool = True
    listener: Listener | None = None
    said: list[tuple[object, ...]] = field(default_factory=list)
    sound: bytearray = field(default_factory=bytearray)
    transcripts: list[tuple[str, str, str, bool, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.is_over = False
        self.utterance: str | None = None
        self._begun_at = self._played_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._hanging_up = False

    # -- Line

    def answer(self) -> None:
        self.said.append(("answer",))
        self._loop.call_soon(self._tell, Answered())

    def reject(self, status: int | None, reason: str) -> None:
        self.said.append(("reject", status, reason))
        self._loop.call_soon(self.end, "agent_rejected")

    def begin(self, utterance: str, piece: Spoken, barge_in: BargeIn | None) -> None:
        if self.utterance != utterance:
            self.utterance = utterance
            self._begun_at = self._played_until = self._loop.time()
            self.said.append(("say", barge_in))

    async def send(self, pcm: bytes) -> None:
        if self.utterance is not None:
            self.sound += pcm
            self._played_until = max(self._played_until, self._loop.time()) + len(pcm) / 2 / self.rate

    def finish(self, utterance: str) -> None:
        self._timer = self._loop.call_at(self._played_until, self._finished, utterance)

    def clear(self) -> None:
        self.said.append(("clear",))
        # The answer takes a moment.
        self._loop.call_later(0.02, self.cut)

    def transcript(
        self,
        who: Literal["caller", "agent"],
        line: str,
        text: str,
        *,
        final: bool,
        interrupted: bool = False,
        at_ms: tuple[int, int] | None = None,
    ) -> None:
        self.transcripts.append((who, line, text, final, interrupted))

    def send_dtmf(self, digits: str, duration_ms: int, gap_ms: int) -> None:
        self.said.append(("dtmf", digits))

    def mask_digits(self, on: bool, *, withhold: bool) -> None:
        self.said.append(("mask_digits", on, withhold))
        if self.knows_masks:
            state: DigitsState = ("withheld" if withhold else "masked") if on else "shown"
            self._loop.call_later(0.05, self._tell, DigitsMasked(state))

    def record(self, action: str) -> None:
        self.said.append(("record", action))
        self._loop.call_later(0.05, self._tell, Recording("paused" if action == "pause" else "on"))

    def transfer(self, target: str, headers: Mapping[str, str], timeout: float | None) -> None:
        self.said.append(("transfer", target, dict(headers), timeout))

    def transferred(self, outcome: TransferEnd, **fields: Any) -> None:
        """The transfer that was asked for came to this."""
        self._tell(Transferred(outcome, **fields))

    def hand_over(self, to: str, note: str, timeout: float | None) -> None:
        self.said.append(("hand_over", to, note, timeout))

    def handed_over(self, outcome: HandOverEnd, **fields: Any) -> None:
        """The hand-over that was asked for came to this."""
        self._tell(HandedOver(outcome, **fields))

    def set_headers(self, headers: Mapping[str, str | None], place: str) -> None:
        self.said.append(("headers", dict(headers), place))

    def hold(self, action: Literal["hold", "resume"]) -> None:
        self.said.append((action,))
        refused = HoldRefused(action, "refused", self.hold_status, "no")
        done = Held("agent") if action == "hold" else Resumed("agent", 0)
        self._loop.call_later(0.05, self._tell, done if self.hold_status is None else refused)

    def hang_up(self, reason: str, *, now: bool, failed: bool = False) -> None:
        self.said.append(("hang_up", reason, now, *(["failed"] if failed else [])))
        after = 0 if now else max(0.0, self._played_until - self._loop.time())
        self._loop.call_later(after, self.end, "agent_failed" if failed else "agent_hung_up")

    def give_up(self, reason: str) -> None:
        self.said.append(("give_up", reason))
        self.end("agent_lost")

    # -- the other side

    def holds(self) -> None:
        """The caller puts the agent on hold."""
        self.cut(held=True)
        self._tell(Held("caller"))

    def resumes(self) -> None:
        """It is back."""
        self._tell(Resumed("caller", 0))

    def cut(self, held: bool = False) -> None:
        """What is played falls silent."""
        if self.utterance is not None:
            if self._timer is not None:
                self._timer.cancel()
            played = 1000 * (min(self._loop.time(), self._played_until) - self._begun_at)
            name, self.utterance = self.utterance, None
            self._tell(UtteranceOver(name, played, True, held))

    def end(self, reason: str = "caller_hung_up") -> None:
        """The call ends."""
        if not self.is_over:
            self._tell(CallOver(reason))
            self.is_over = True

    def press(self, digits: str) -> None:
        """The caller presses keys."""
        for digit in digits:
            self._tell(Key(digit, 100, 0))

    def hears(self, ms: int) -> None:
        """The caller's line is silent for so long."""
        assert self.listener is not None, "connected"
        for _ in range(ms // 20):
            self.listener.hear(bytes(self.rate // 25))

    def _finished(self, utterance: str) -> None:
        self.utterance = None
        self._tell(UtteranceOver(utterance, 1000 * (self._played_until - self._begun_at), False))

    def _tell(self, event: object) -> None:
        assert self.listener is not None, "connected"
        if not self.is_over:
            self.listener.receive(event)  # type: ignore[arg-type]


@dataclass
class Caller:
    """Somebody who calls an agent: `says`, `starts` and `stops` are speech as both the gateway and the ears see it."""

    line: AgentLine
    ears: ToldEars
    session: Session
    task: "asyncio.Task[None]"

    @property
    def call(self) -> Call:
        return self.session.call

    async def starts(self) -> None:
        """Begins to speak: the gateway is sure of it after 100 ms."""
        await asyncio.sleep(0.1)
        if self.ears.listening:
            self.ears.starts()
        self.session.receive(SpeechStarted(0, 100))
        await asyncio.sleep(0)

    async def stops(self, text: str) -> None:
        """Has said this: known to the gateway after 300 ms, recognised after 250."""
        await asyncio.sleep(0.25)
        if self.ears.listening:
            self.ears.stops(text)
        await asyncio.sleep(0.05)
        self.session.receive(SpeechEnded(0, 300))

    async def says(self, text: str, seconds: float = 1.0, *, then: float = 0.6) -> None:
        """Speaks for so long, and then waits until the agent must have understood."""
        await self.starts()
        await asyncio.sleep(seconds)
        await self.stops(text)
        await asyncio.sleep(then)

    async def until(self, condition: Callable[[], object], within: float = 60.0) -> None:
        """Wait for something to become true."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + within
        while not condition():
            assert loop.time() < limit, f"not within {within} s: {self.line.said}"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def calling(agent: Agent, ears: ToldEars | None = None, **line: object) -> AsyncIterator[Caller]:
    """A call to the agent; at the end the caller hangs up, and the call has to be over."""
    own = AgentLine(**line)  # type: ignore[arg-type]
    session = Session(agent, own)
    own.listener = session
    task = asyncio.create_task(session.run())
    caller = Caller(own, ears or ToldEars(), session, task)
    try:
        await asyncio.sleep(0)
        yield caller
    finally:
        own.end()
        async with asyncio.timeout(60):
            await task
