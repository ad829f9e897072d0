"""Who calls the agent: speaks, listens, interrupts, presses keys."""

import asyncio
import wave
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from offhook._media import MediaEvent
from offhook.agent.call import Call
from offhook.agent.events import DigitsState
from offhook.agent.sound import read_wav
from offhook.destination.base import HandOverEnd, TransferEnd
from offhook.speech.protocol import Spoken
from offhook.testing.exchange import Exchange, Past
from offhook.testing.hearing import LOUD, STEP_MS, Began, Lexicon, Listener, Stretch, levels
from offhook.testing.interruption import Interruption, plain
from offhook.testing.overheard import OverheardLine
from offhook.testing.stand_in_voice import speech_of
from offhook.testing.timeline import Span, Timeline
from offhook.testing.track import Track

_T = TypeVar("_T")

PAUSE_MS = 600
"""Silence after which what the agent says is over."""

# An agent that began in time may take so long to come to its end.
_LONGEST_SPEECH = 300.0
_LINE_RATE = 8_000
# Of what was cut off so soon nobody could say what it was, in seconds.
_FRAGMENT = 0.5


@dataclass(frozen=True, slots=True)
class Heard:
    """Something that the agent said, as it came out of the telephone.

    `begins` and `ends` are seconds of the call. `latency_ms` is how long the caller had waited for it since the end of
    the caller's own speech, or since the call was answered if the caller hadn't spoken; None where the caller had not
    finished. `text` is empty for sound that is none of what the agent said, such as music. `unclear_ms` is how much of
    its sound is none of these words: what is left of a sentence before, clicks, music behind them. With real speech
    engines nobody can tell, and it is 0.
    """

    text: str
    begins: float
    ends: float
    latency_ms: int | None
    unclear_ms: int = 0

    def __contains__(self, phrase: str) -> bool:
        """Whether these words are in it, capitals and punctuation aside."""
        return plain(phrase) in plain(self.text)

    def __str__(self) -> str:
        return self.text


class Caller:
    """One call, from the caller's end. Made by `caller_for`.

    What waits for the agent fails with `AssertionError` and a picture of the call after `patience` seconds of its time.
    """

    def __init__(
        self,
        *,
        patience: float,
        spoken: Lexicon,
        said: Lexicon,
        voice: Callable[[str, int], Awaitable[list[Spoken]]] | None = None,
        ears: Callable[[bytes, int], Awaitable[str]] | None = None,
    ) -> None:
        self.patience = patience
        self.digits = ""
        """The keys that the agent has pressed."""
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self._ended_after: float | None = None
        self._exchange: Exchange | Past | None = None
        self._spoken = spoken
        self._said = said
        self._voice = voice
        self._ears = ears
        self._listener = Listener(_LINE_RATE, PAUSE_MS)
        self._track = Track(_LINE_RATE)
        # When the first sound of the agent's side began, and what its position was.
        self._sound_from = 0.0
        self._first_position: int | None = None
        self._inbox: deque[Heard] = deque()
        self._understanding: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._marks: dict[str, asyncio.Future[None]] = {}
        self._span: Span | None = None
        # Since when the caller has been silent, and how that was when the agent began to speak.
        self._quiet_since: float | None = None
        self._waited_since: float | None = None
        self._next_mark = 0
        self._targets: deque[str] = deque()
        self._hand_overs: deque[tuple[str, str]] = deque()
        self._timeline = Timeline()

    def calls(self, exchange: Exchange) -> None:
        """It is this call."""
        self._exchange = exchange
        self._listener, self._track = Listener(exchange.rate, PAUSE_MS), Track(exchange.rate)

    def called(self) -> None:
        """It is over, and its media is let go of."""
        self._ended_after = self.now
        if isinstance(self._exchange, Exchange):
            self._exchange = self._exchange.past

    # -- what a test asks

    @property
    def call(self) -> Call:
        """The call as the agent sees it: `history`, `data`, `end_reason`."""
        session = self._line.session
        assert session is not None, "the agent has not been rung"
        return session.call

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self._line.is_over

    @property
    def end_reason(self) -> str | None:
        """Why it has ended: a slug of docs/reference/end-reasons.md, None while it goes on."""
        return self._line.reason

    @property
    def status(self) -> int | None:
        """The SIP status of a call that the agent rejected, None of any other."""
        return self._line.status

    @property
    def answer_headers(self) -> dict[str, str]:
        """The SIP headers that the agent has set for the answer, or the refusal."""
        return dict(self._line.outgoing.answer)

    @property
    def bye_headers(self) -> dict[str, str]:
        """The SIP headers that the agent has set for the BYE."""
        return dict(self._line.outgoing.bye)

    @property
    def is_agent_speaking(self) -> bool:
        """Whether the agent is heard just now."""
        return self._listener.is_speech

    @property
    def now(self) -> float:
        """Seconds since the beginning of the call."""
        return self._loop.time() - self._began_at if self._ended_after is None else self._ended_after

    @property
    def lost_packets(self) -> tuple[int, int]:
        """Packets that the line has lost so far: of the caller's, of the agent's."""
        return self._line.lost_packets

    @property
    def timeline(self) -> str:
        """Who spoke when, as a picture and as lines."""
        return self._timeline.draw(self.now)

    def save(self, path: Path | str) -> None:
        """Write the call as it sounds at the telephone: WAV, the caller on the left, the agent on the right."""
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(self._track.rate)
            file.writeframes(self._track.stereo())

    # -- what the caller does

    async def says(self, what: str | Path, *, text: str | None = None) -> None:
        """Say something, once the agent is silent; returns when it has been said.

        `what` is a text, or the path of a WAV file (16 bit); `text` are the words of that.
        """
        __tracebackhide__ = True
        await self._until(lambda: not self.is_agent_speaking, _LONGEST_SPEECH, "the agent never stops to speak")
        await self._speak(what, text)

    async def interrupts(
        self, what: str | Path = "Wait a moment, please", *, text: str | None = None, after: float = 0.5
    ) -> Interruption:
        """Speak over the agent once it has spoken for `after` seconds; returns when both are silent.

        Whether the agent has stopped because of that, and knows what was heard, is for the test to say: see
        `Interruption`.
        """
        __tracebackhide__ = True
        await self._until(lambda: self.is_agent_speaking, self.patience, "the agent says nothing to interrupt")
        interrupted = self._span
        assert interrupted is not None, "somebody speaks"
        await asyncio.sleep(max(0.0, interrupted.start + after - self.now))
        if not self.is_agent_speaking:
            self._fail(f"the agent had finished before {after:g} s were over")
        line = self._overheard
        line.attend()
        begun = self.now
        quiet_ms = await self._speak(what, text)
        await self._until(lambda: interrupted.end is not None, _LONGEST_SPEECH, "the agent never stops to speak")
        await self._understood()
        self._inbox = deque(heard for heard in self._inbox if heard.begins != interrupted.start)
        assert interrupted.end is not None, "waited for"
        return line.interruption(interrupted.text, max(0, round((interrupted.end - begun) * 1_000) - quiet_ms))

    async def hears(self, phrase: str | None = None, *, within: float | None = None) -> Heard:
        """What the agent says next; with a phrase, the next thing with these words in it, whatever comes before.

        A thing ends with 0.6 s of silence, or with the call. The agent has `within` seconds to begin, else `patience`.
        """
        __tracebackhide__ = True
        wanted = "anything" if phrase is None else repr(phrase)
        limit = self.patience if within is None else within
        passed_over: list[str] = []
        while True:
            heard = await self._next(wanted, limit, passed_over)
            if not heard.text and heard.ends - heard.begins < _FRAGMENT:
                passed_over.append("…")
                continue
            if not heard.text:
                self._fail(
                    f"{heard.ends - heard.begins:.1f} s of sound were heard that are none of what the agent said: "
                    "sound of the wrong rate or order, or by `call.play` (see `hears_sound`)"
                )
            if phrase is None or phrase in heard:
                return heard
            passed_over.append(heard.text)

    async def hears_sound(self, *, within: float | None = None) -> Heard:
        """The next sound of the agent, whether or not it is words: what `call.play` plays."""
        __tracebackhide__ = True
        return await self._next("a sound", self.patience if within is None else within, [])

    async def hears_nothing(self, seconds: float) -> None:
        """For so long the agent must be silent."""
        __tracebackhide__ = True
        if self.is_agent_speaking or self._inbox:
            self._fail("the agent was to be silent, and has said something")
        end = self._loop.time() + seconds
        while not self.is_agent_speaking and self._loop.time() < end:
            self._changed.clear()
            await self._change(end - self._loop.time())
        if self.is_agent_speaking:
            self._fail(f"the agent was to be silent for {seconds:g} s, and speaks")

    async def presses(self, digits: str) -> None:
        """Press keys; returns when the gateway has heard them."""
        __tracebackhide__ = True
        self._timeline.note(self.now, f"the caller presses {digits}")
        await self._patiently(self._line.press(digits), f"the keys {digits} did not all arrive")

    async def holds(self) -> None:
        """Put the agent on hold: what it is saying is cut off, and what it begins to say waits for `resumes`."""
        __tracebackhide__ = True
        self._line.hold(True)
        await self._until(lambda: self.call.is_held, self.patience, "the agent was not told of the hold")

    async def resumes(self) -> None:
        """Have the agent back from hold."""
        __tracebackhide__ = True
        self._line.hold(False)
        hold = self.call._session.hold
        await self._until(lambda: not hold.is_by_caller, self.patience, "the agent was not told that the hold is over")

    @property
    def is_held(self) -> bool:
        """Whether the agent has put the caller on hold, who then hears silence here."""
        return "agent" in self._line.held_by

    def refuses_hold(self, status: int | None = 488) -> None:
        """Let the telephone answer every hold and resumption of the agent's with this SIP status from now on."""
        self._line.refuse_hold(status)

    @property
    def masked_digits(self) -> DigitsState:
        """Whether the agent has keys masked now: `shown`, `masked`, or `withheld` from itself, too."""
        return self._line.masked_digits

    async def is_sent(self, digits: str) -> None:
        """Wait until the agent has pressed these keys, after those that it was waited for before."""
        __tracebackhide__ = True
        await self._until(lambda: self.digits.startswith(digits), self.patience, f"the agent does not press {digits}")
        self.digits = self.digits[len(digits) :]

    async def is_transferred(self, outcome: TransferEnd = "completed", *, status: int | None = None) -> str:
        """Wait until the agent transfers the call, and let that come to `outcome`; gives the target.

        `completed` ends the call, as `transferred`; with `busy`, `no_answer`, `refused` or `timed_out` the caller is
        back with the agent. `status` is the SIP status that the agent is told.
        """
        __tracebackhide__ = True
        await self._until(lambda: bool(self._targets), self.patience, "the agent does not transfer the call")
        target = self._targets.popleft()
        said = outcome.replace("_", " ")
        self._timeline.note(self.now, f"the transfer to {target}: {said}")
        self._line.decide(outcome, status)
        return target

    async def is_handed_over(self, outcome: HandOverEnd = "handed_over") -> tuple[str, str]:
        """Wait until the agent hands the call over to another agent, and let that come to `outcome`.

        Gives to whom, and the note. `handed_over` ends the call for the agent; with anything else but `caller_gone` it
        still has the call. To rehearse the other agent, call it with `handed_over_by`.
        """
        __tracebackhide__ = True
        await self._until(lambda: bool(self._hand_overs), self.patience, "the agent does not hand the call over")
        to, note = self._hand_overs.popleft()
        self._timeline.note(self.now, f"the hand-over to {to}: {outcome.replace('_', ' ')}")
        self._line.decide_hand_over(outcome)
        return to, note

    async def waits(self, seconds: float) -> None:
        """Let so much of the call's time pass."""
        await asyncio.sleep(seconds)

    async def is_hung_up_on(self) -> None:
        """Wait until the agent ends the call."""
        __tracebackhide__ = True
        await self._until(lambda: self.is_over or self.is_agent_speaking, self.patience, "the agent does not hang up")
        await self._until(lambda: self.is_over, _LONGEST_SPEECH, "the agent does not hang up")
        if self.end_reason == "caller_hung_up":
            self._fail("it was the caller who hung up")

    async def hangs_up(self) -> None:
        """End the call; returns when the agent knows."""
        self._timeline.note(self.now, "the caller hangs up")
        self._line.end("caller_hung_up", "")
        session = self._line.session
        if session is not None:
            await asyncio.wait({session.over})

    # -- what the telephone tells

    def answered(self) -> None:
        """The call was answered."""
        self._quiet_since = self.now
        self._timeline.note(self.now, "answered")

    def heard(self, event: MediaEvent) -> None:
        """What the telephone's media tells."""
        if event.kind == "audio":
            self._listen(event)
        elif event.kind == "digit":
            self.digits += event.digit or ""
            self._timeline.note(self.now, f"the agent presses {event.digit}")
        elif event.kind == "mark" and event.name in self._marks:
            waiting = self._marks.pop(event.name)
            if not waiting.done():
                waiting.set_result(None)
        self._changed.set()

    def transferred(self, target: str) -> None:
        """The agent transfers the call."""
        self._timeline.note(self.now, f"the agent transfers the call to {target}")
        self._targets.append(target)
        self._changed.set()

    def handed_over(self, to: str, note: str) -> None:
        """The agent hands the call over."""
        self._timeline.note(self.now, f"the agent hands the call over to {to}")
        self._hand_overs.append((to, note))
        self._changed.set()

    def ended(self, reason: str, detail: str) -> None:
        """The call is over."""
        for found in self._listener.finish():
            self._take(found)
        for waiting in self._marks.values():
            if not waiting.done():
                waiting.set_result(None)
        self._timeline.note(self.now, f"the call is over: {reason}{f' ({detail})' if detail else ''}")
        self._changed.set()

    def note(self, what: str) -> None:
        """Something for the timeline."""
        self._timeline.note(self.now, what)

    # -- its mouth

    async def _speak(self, what: str | Path, text: str | None) -> int:
        """Say it; how many milliseconds of silence it begins with."""
        __tracebackhide__ = True
        if self.is_over:
            self._fail(f"the caller can't say {text or str(what)!r}: the call is over ({self.end_reason})")
        rate = self._line.rate
        pieces = await self._sound_of(what, text, rate)
        pcm = b"".join(piece.pcm for piece in pieces)
        words = " ".join(piece.text for piece in pieces if piece.text)
        loud = [at for at, level in enumerate(levels(pcm, rate)) if level >= LOUD]
        if not loud:
            raise ValueError(f"there is no sound in {what!r}")
        for piece in pieces:
            self._spoken.add(piece)
        self._next_mark += 1
        mark = f"said {self._next_mark}"
        done = self._marks[mark] = self._loop.create_future()
        start = self.now
        span = Span("caller", start + loud[0] * STEP_MS / 1_000, None, words)
        self._timeline.spans.append(span)
        self._track.put(0, start, pcm)
        self._quiet_since = None
        self._line.play(pcm, mark)
        await done
        span.end = min(self.now, start + (loud[-1] + 1) * STEP_MS / 1_000)
        self._quiet_since = span.end
        return loud[0] * STEP_MS

    async def _sound_of(self, what: str | Path, text: str | None, rate: int) -> list[Spoken]:
        if isinstance(what, Path) or what.endswith(".wav"):  # noqa: ASYNC240
            return [Spoken(await asyncio.to_thread(read_wav, what, rate), rate, text or "")]
        if self._voice is not None:
            return await self._voice(what, rate)
        return [speech_of(what, rate)]

    # -- its ears

    def _listen(self, event: MediaEvent) -> None:
        rate, pcm, position = self._line.rate, event.pcm16 or b"", event.position or 0
        if self._first_position is None:
            self._first_position = position
            self._sound_from = event.at - self._began_at - len(pcm) / 2 / rate
        offset = (position - self._first_position) / _LINE_RATE
        self._track.put(1, self._sound_from + offset, pcm)
        missing = round(offset * 1_000) - self._listener.heard_ms
        if missing > 0:
            pcm = bytes(2 * (missing * rate // 1_000)) + pcm
        for found in self._listener.feed(pcm):
            self._take(found)

    def _take(self, found: Began | Stretch) -> None:
        if isinstance(found, Began):
            self._span = Span("agent", self._sound_from + found.at_ms / 1_000, None, "")
            self._timeline.spans.append(self._span)
            self._waited_since = self._quiet_since
            return
        span = self._span
        assert span is not None, "what ends has begun"
        span.end = self._sound_from + found.end_ms / 1_000
        latency = None
        if self._waited_since is not None:
            latency = max(0, round((span.start - self._waited_since) * 1_000))
        if self._ears is None:
            understood = self._said.understand(found.levels)
            self._understand(span, latency, understood.text, understood.unclear_ms)
            return
        task = self._loop.create_task(self._recognise(self._ears, span, latency))
        self._understanding.add(task)
        task.add_done_callback(self._understanding.discard)

    async def _recognise(self, ears: Callable[[bytes, int], Awaitable[str]], span: Span, latency: int | None) -> None:
        assert span.end is not None, "it is over"
        pcm = self._track.cut(1, span.start - 0.3, span.end + 0.3)
        self._understand(span, latency, await ears(pcm, self._track.rate))

    def _understand(self, span: Span, latency: int | None, text: str, unclear_ms: int = 0) -> None:
        assert span.end is not None, "it is over"
        span.text = text
        self._inbox.append(Heard(text, span.start, span.end, latency, unclear_ms))
        self._changed.set()

    async def _understood(self) -> None:
        while self._understanding:
            await asyncio.wait(self._understanding)

    # -- waiting

    @property
    def _line(self) -> Exchange | Past:
        assert self._exchange is not None, "made with a call"
        return self._exchange

    @property
    def _overheard(self) -> OverheardLine:
        line = self.call._session.line
        assert isinstance(line, OverheardLine), "every rehearsed worker has such"
        return line

    async def _next(self, wanted: str, limit: float, passed_over: list[str]) -> Heard:
        __tracebackhide__ = True
        said = "".join(f"\nit said {text!r}" for text in passed_over)
        until = self._loop.time() + limit
        while not self._inbox:
            if self.is_over and not self._understanding:
                self._fail(f"the agent was to say {wanted}, and the call is over ({self.end_reason}){said}")
            if self._loop.time() >= until and not self.is_agent_speaking and not self._understanding:
                self._fail(f"the agent was to say {wanted}, and says nothing for {limit:g} s{said}")
            if self._loop.time() >= until + _LONGEST_SPEECH:
                self._fail(f"the agent was to say {wanted}, and never comes to an end{said}")
            self._changed.clear()
            await self._change(max(0.02, until - self._loop.time()))
        return self._inbox.popleft()

    async def _until(self, condition: Callable[[], bool], limit: float, what: str) -> None:
        __tracebackhide__ = True
        until = self._loop.time() + limit
        while not condition():
            if self._loop.time() >= until:
                self._fail(f"{what}, for {limit:g} s")
            if self.is_over:
                self._fail(f"{what}, and the call is over ({self.end_reason})")
            self._changed.clear()
            await self._change(until - self._loop.time())

    async def _change(self, limit: float) -> None:
        try:
            async with asyncio.timeout(limit):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _patiently(self, waiting: Awaitable[_T], what: str) -> _T:
        __tracebackhide__ = True
        try:
            return await asyncio.wait_for(waiting, self.patience)
        except TimeoutError:
            self._fail(f"{what}, within {self.patience:g} s")
            raise

    def _fail(self, what: str) -> None:
        __tracebackhide__ = True
        raise AssertionError(f"{what}\n\n{self.timeline}")
