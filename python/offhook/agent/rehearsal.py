"""A call in memory: text in, text out, no gateway and no sound. For the tests of an agent.

    async with rehearse(agent) as caller:
        assert await caller.hears() == "Hello, how can I help?"
        await caller.says("What time is it?")
        assert "noon" in await caller.hears()

What is said is played at once, so a call of minutes takes moments; speech engines are neither needed nor used.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal, TypeVar

from offhook.agent.agent import Agent
from offhook.agent.call import Call
from offhook.agent.caller import CallerFacts, Diversion, EndCause, Identity, UserToUser
from offhook.agent.engines import Speech
from offhook.agent.events import (
    AnsweredBy,
    Answerer,
    BargeIn,
    DigitsMasked,
    DigitsState,
    GreetingOver,
    HandedOver,
    HandOverEnd,
    Held,
    Key,
    Recording,
    RecordingAction,
    Resumed,
    TransferEnd,
    Transferred,
)
from offhook.agent.headers import Place
from offhook.agent.history import Line
from offhook.agent.line import Answered, CallFacts, CallOver, HoldRefused, LineEvent, UtteranceOver
from offhook.agent.session import Session
from offhook.speech.protocol import Heard, SpeechStarted, SpeechStopped, Spoken, Transcript

_T = TypeVar("_T")
_RATE = 8_000


class Caller:
    """Who calls the agent. What waits for the agent fails with `AssertionError` after `patience` seconds."""

    def __init__(self, agent: Agent, facts: CallFacts, patience: float) -> None:
        self.patience = patience
        self._ears = _Ears()
        self._line = _Line(facts)
        self._session = Session(agent, self._line, Speech(self._ears, _Voice()))
        self._line.session = self._session

    @property
    def call(self) -> Call:
        """The call, as the agent sees it."""
        return self._session.call

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self._session.over.done()

    @property
    def digits(self) -> str:
        """The keys that the agent has pressed."""
        return self._line.digits

    @property
    def masked_digits(self) -> DigitsState:
        """Whether the agent has keys masked now: `shown`, `masked`, or `withheld` from itself, too."""
        return self._line.masked

    @property
    def status(self) -> int | None:
        """The SIP status of a call that the agent rejected, None of any other."""
        return self._line.status

    @property
    def answer_headers(self) -> dict[str, str]:
        """The headers that the agent has set for the answer."""
        return self._line.headers_of("answer")

    @property
    def bye_headers(self) -> dict[str, str]:
        """The headers that the agent has set for the BYE."""
        return self._line.headers_of("bye")

    async def hears(self) -> str:
        """The next thing that the agent says, whole. Fails when it says nothing, or hangs up."""
        said = await self._patiently(self._line.said.get(), "the agent says nothing")
        assert said is not None, f"the agent said nothing more: {self.call.end_reason}"
        return said

    async def says(self, text: str) -> None:
        """Say something; the answer is heard by `hears`. Fails when nobody listens: no `on_turn`, no `ask`."""
        await self._patiently(self._ears.wanted.wait(), "nobody listens")
        for event in (SpeechStarted(0), SpeechStopped(200, 10_000), Transcript(text, True, 0, 200)):
            self._ears.events.put_nowait(event)

    async def presses(self, digits: str) -> None:
        """Press keys."""
        for digit in digits:
            told = "?" if self._line.masked == "withheld" else digit
            self._session.receive(Key(told, 100, 0))
        await asyncio.sleep(0)

    async def holds(self) -> None:
        """Put the agent on hold: what it is saying is cut off, and what it begins to say waits for `resumes`."""
        self._line.hold_by_caller()
        await asyncio.sleep(0)

    async def resumes(self) -> None:
        """Have the agent back from hold."""
        self._session.receive(Resumed("caller", 0))
        await asyncio.sleep(0)

    async def answers_as(self, who: Answerer, *, evidence: str = "") -> None:
        """The gateway has heard who it is that has answered a call out."""
        self._session.receive(AnsweredBy(who, 0.9, 1_500, evidence))
        await asyncio.sleep(0)

    async def beeps(self) -> None:
        """The machine that has answered takes a message from now on."""
        self._session.receive(GreetingOver(True, 8_000))
        await asyncio.sleep(0)

    @property
    def is_held(self) -> bool:
        """Whether the agent has put the caller on hold."""
        return self._line.holds

    def refuses_hold(self, status: int = 488) -> None:
        """Let every hold and resumption that the agent asks for from now on fail with this SIP status."""
        self._line.hold_status = status

    async def is_hung_up_on(self) -> None:
        """Wait until the agent ends the call."""
        await self._patiently(asyncio.wait({self._session.over}), "the agent does not hang up")

    async def is_transferred(self, outcome: TransferEnd = "completed", *, status: int | None = None) -> str:
        """Wait until the agent transfers the call, and let that come to `outcome`; gives the target.

        `completed` ends the call. Fails when the agent does not transfer.
        """
        target = await self._patiently(self._line.transfers.get(), "the agent does not transfer the call")
        assert target is not None, f"the agent did not transfer the call: {self.call.end_reason}"
        self._session.receive(Transferred(outcome, status, "rehearsed"))
        if outcome in ("completed", "caller_gone"):
            self._line.end("transferred" if outcome == "completed" else "caller_hung_up")
        await asyncio.sleep(0)
        return target

    async def is_handed_over(self, outcome: HandOverEnd = "handed_over") -> tuple[str, str]:
        """Wait until the agent hands the call over, and let that come to `outcome`; gives to whom, and the note.

        `handed_over` ends the call for the agent. Fails when it does not hand the call over.
        """
        asked = await self._patiently(self._line.hand_overs.get(), "the agent does not hand the call over")
        assert asked is not None, f"the agent did not hand the call over: {self.call.end_reason}"
        self._session.receive(HandedOver(outcome, "rehearsed"))
        if outcome in ("handed_over", "caller_gone"):
            self._line.end("handed_over" if outcome == "handed_over" else "caller_hung_up")
        await asyncio.sleep(0)
        return asked

    def hangs_up(self, *causes: EndCause) -> None:
        """End the call, for these causes."""
        self._line.end("caller_hung_up", causes)

    async def _patiently(self, waiting: Awaitable[_T], what: str) -> _T:
        try:
            return await asyncio.wait_for(waiting, self.patience)
        except TimeoutError:
            raise AssertionError(f"{what}, for {self.patience:g} s; so far:\n{self.call.history}") from None


@asynccontextmanager
async def rehearse(
    agent: Agent,
    *,
    from_number: str = "+14155550100",
    to_number: str = "+14155550123",
    headers: dict[str, str] | None = None,
    identity: Identity | None = None,
    diversions: Sequence[Diversion] = (),
    user_to_user: Sequence[UserToUser] = (),
    early_media: bool = False,
    handed_over_by: str | None = None,
    note: str = "",
    history: Sequence[Line] = (),
    patience: float = 5.0,
) -> AsyncIterator[Caller]:
    """Call the agent. At the end the caller hangs up, if nobody has, and `on_hangup` has run.

    `early_media` is that of a route which lets the agent be heard before it takes the call. With `handed_over_by`
    (`worker:front-desk`) the call comes from another agent, with its `note`; `history` is what was said there.
    """
    about = CallerFacts(identity or Identity(), tuple(diversions), tuple(user_to_user))
    facts = CallFacts(
        "rehearsal",
        from_number,
        to_number,
        headers=headers or {},
        caller=about,
        early_media=early_media,
        history=tuple(history),
        handed_over_by=handed_over_by,
        note=note,
    )
    caller = Caller(agent, facts, patience)
    running = asyncio.create_task(caller._session.run())
    try:
        yield caller
    finally:
        caller.hangs_up()
        await running


class _Voice:
    """Speaks silence, a fifth of a second for each word."""

    name = "rehearsal"

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def say(self, text: str, *, rate: int) -> AsyncGenerator[Spoken, None]:
        """All of it at once."""
        yield Spoken(bytes(2 * (rate // 5)) * len(text.split()), rate, text)

    async def close(self) -> None:
        """Nothing to do."""


class _Ears:
    """One call's ears, and the engine that makes them: they hear what the test says."""

    name = "rehearsal"
    dropped_ms = 0

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self.events: asyncio.Queue[Heard | None] = asyncio.Queue()

    async def warm_up(self) -> None:
        """Nothing to do."""

    def listen(self, *, rate: int, partials: bool = False) -> "_Ears":
        """From now on."""
        self.wanted.set()
        return self

    def write(self, pcm: bytes) -> None:
        """Sound says nothing here."""

    def finish(self) -> None:
        """Everything is finished as it comes."""

    def __aiter__(self) -> AsyncIterator[Heard]:
        return self

    async def __anext__(self) -> Heard:
        event = await self.events.get()
        if event is None:
            raise StopAsyncIteration
        return event

    async def close(self) -> None:
        """No more."""
        self.events.put_nowait(None)


class _Line:
    """A line on which everything takes no time."""

    judges_barge_in = True
    rate = _RATE

    def __init__(self, facts: CallFacts) -> None:
        self.facts = facts
        self.session: Session | None = None
        self.said: asyncio.Queue[str | None] = asyncio.Queue()
        self.transfers: asyncio.Queue[str | None] = asyncio.Queue()
        self.hand_overs: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()
        self.digits = ""
        self.masked: DigitsState = "shown"
        self.status: int | None = None
        self._open: str | None = None
        self._text = ""
        self._sent_ms = 0.0
        self._over = False
        self._headers: dict[Place, dict[str, str | None]] = {"all": {}, "answer": {}, "bye": {}}
        self.holds = False
        self.hold_status: int | None = None

    def answer(self) -> None:
        """Answered at once."""
        self._soon(Answered())

    def reject(self, status: int | None, reason: str) -> None:
        """Over at once."""
        self.status = 603 if status is None else status
        self.end("agent_rejected")

    def begin(self, utterance: str, piece: Spoken, barge_in: BargeIn | None) -> None:
        """Gather what is said."""
        if self._open != utterance:
            self._open, self._text, self._sent_ms = utterance, "", 0.0
        self._text = f"{self._text} {piece.text}".strip()

    async def send(self, pcm: bytes) -> None:
        """Silence."""
        self._sent_ms += len(pcm) / 2 * 1000 / _RATE

    def finish(self, utterance: str) -> None:
        """Played, unless the caller is on hold."""
        if self.holds:
            self._cut_off()
            return
        if self._text:
            self.said.put_nowait(self._text)
        self._open = None
        self._soon(UtteranceOver(utterance, self._sent_ms, interrupted=False))

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
        """The test knows what is said."""

    def clear(self) -> None:
        """Nothing of what is still being said has been played."""
        if self._open is not None:
            utterance, self._open = self._open, None
            self._soon(UtteranceOver(utterance, 0.0, interrupted=True))

    def send_dtmf(self, digits: str, duration_ms: int, gap_ms: int) -> None:
        """Keys towards the caller."""
        self.digits += digits

    def mask_digits(self, on: bool, *, withhold: bool) -> None:
        """A rehearsal keeps nothing; the test may ask what would be kept."""
        self.masked = ("withheld" if withhold else "masked") if on else "shown"
        self._soon(DigitsMasked(self.masked))

    def record(self, action: RecordingAction) -> None:
        """A rehearsal is not recorded."""
        self._soon(Recording("off"))

    def transfer(self, target: str, headers: Mapping[str, str], timeout: float | None) -> None:
        """The test decides."""
        self.transfers.put_nowait(target)

    def hand_over(self, to: str, note: str, timeout: float | None) -> None:
        """The test decides."""
        self.hand_overs.put_nowait((to, note))

    def set_headers(self, headers: Mapping[str, str | None], place: Place) -> None:
        """Kept for the test."""
        self._headers[place].update(headers)

    def headers_of(self, place: Place) -> dict[str, str]:
        """What our messages of that kind would have."""
        return {
            name: value for name, value in (self._headers["all"] | self._headers[place]).items() if value is not None
        }

    def hold(self, action: Literal["hold", "resume"]) -> None:
        """At once, unless the test has it refused."""
        if self.hold_status is not None:
            self._soon(HoldRefused(action, "refused", self.hold_status, "the caller's side does not want that"))
            return
        self.holds = action == "hold"
        if self.holds:
            self._cut_off()
        self._soon(Held("agent") if self.holds else Resumed("agent", 0))

    def hold_by_caller(self) -> None:
        """The caller does not hear what is still being said."""
        self._cut_off()
        self._soon(Held("caller"))

    def _cut_off(self) -> None:
        if self._open is not None:
            utterance, self._open = self._open, None
            self._soon(UtteranceOver(utterance, 0.0, interrupted=True, held=True))

    def hang_up(self, reason: str, *, now: bool, failed: bool = False) -> None:
        """Over at once."""
        self.end("agent_failed" if failed else "agent_hung_up")

    def give_up(self, reason: str) -> None:
        """Over at once."""
        self.end("agent_lost")

    def end(self, reason: str, causes: tuple[EndCause, ...] = ()) -> None:
        """The call is over."""
        if not self._over:
            self._over = True
            self.said.put_nowait(None)
            self.transfers.put_nowait(None)
            self.hand_overs.put_nowait(None)
            self._soon(CallOver(reason, causes=causes))

    def _soon(self, event: LineEvent) -> None:
        assert self.session is not None, "connected before it says anything"
        asyncio.get_running_loop().call_soon(self.session.receive, event)
