"""What the agent says: one utterance after another, and how much of each was heard."""

import asyncio
import inspect
import itertools
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass

from offhook.agent.errors import CallEnded
from offhook.agent.events import BargeIn, Said
from offhook.agent.line import Line, UtteranceOver
from offhook.agent.waiting import first_of
from offhook.speech.protocol import Spoken, TextToSpeech
from offhook.speech.script import Script
from offhook.speech.sentences import Sentences

# How long the gateway may take to say how much was played after a clear.
_SETTLE = 1.0

LONGEST = 20.0
"""Seconds that the agent waits at most for a caller who speaks."""


class Floor:
    """Whose turn it is to speak. What the agent begins to say is held back while the caller has the floor."""

    def __init__(self) -> None:
        self._free = asyncio.Event()
        self._free.set()
        self._there = asyncio.Event()
        self._there.set()

    @property
    def is_taken(self) -> bool:
        """Whether the caller speaks, or has spoken and it is not yet known what, or holds the call."""
        return not (self._free.is_set() and self._there.is_set())

    def keep(self, kept: bool) -> None:
        """The caller holds the call: nobody would hear the agent, however long that takes."""
        if kept:
            self._there.clear()
        else:
            self._there.set()

    def take(self) -> None:
        """The caller speaks."""
        self._free.clear()

    def release(self) -> None:
        """The caller has finished."""
        self._free.set()

    async def free(self, limit: float = LONGEST) -> None:
        """Wait until the caller is there and has finished: `limit` seconds at most, since music and crowds never do."""
        await self._there.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._free.wait()


@dataclass(frozen=True, slots=True)
class Unsaid:
    """What was still to be said of an utterance when it was cut off."""

    text: str
    barge_in: BargeIn | None


class _Utterance:
    """One utterance: what is in it, and once `over` is done what became of it. `text` is all of it, where that is known
    before it has been spoken.
    """

    def __init__(self, name: str, barge_in: BargeIn | None, text: str | None) -> None:
        self.name = name
        self.barge_in = barge_in
        self.text = text
        self.script = Script()
        self.begun_at: float | None = None
        self.sent_ms = 0.0
        self.cut_by_agent = False
        self.over: asyncio.Future[UtteranceOver] = asyncio.get_running_loop().create_future()

    def end(self, played_ms: float, *, interrupted: bool, held: bool = False) -> None:
        if not self.over.done():
            self.over.set_result(UtteranceOver(self.name, played_ms, interrupted, held))

    def estimate(self, now: float) -> float:
        """How many milliseconds of it were played by now, where nobody says so."""
        return 0.0 if self.begun_at is None else min(self.sent_ms, (now - self.begun_at) * 1000)


class Voice:
    """Speaks into a line. `tts` gives the engine, or raises what is to be told to whoever wants to speak.

    `said` is called with each utterance that is over and was begun, whether or not the one who asked still waits:
    what became of it, whether it was speech, whether it was the caller who cut it off, and what was still to be said of
    speech, if that is known. `began` is called when its first sound leaves.
    """

    def __init__(
        self,
        line: Line,
        tts: Callable[[], TextToSpeech],
        floor: Floor,
        said: Callable[[Said, bool, bool, Unsaid | None], None],
        began: Callable[[], None],
    ) -> None:
        self._line = line
        self._tts = tts
        self._floor = floor
        self._said = said
        self._began = began
        self._names = (f"u{number}" for number in itertools.count(1))
        self._one_at_a_time = asyncio.Lock()
        self._current: _Utterance | None = None
        self._ended: str | None = None

    @property
    def is_speaking(self) -> bool:
        """Whether something was sent to be played, and has not been played to its end."""
        return self._current is not None and self._current.begun_at is not None

    @property
    def is_busy(self) -> bool:
        """Whether anything is being said, or is about to be."""
        return self._one_at_a_time.locked()

    @property
    def may_be_interrupted(self) -> bool:
        """Whether the caller may cut off what is being said."""
        if self._current is None or not self.is_speaking:
            return False
        return (self._current.barge_in or self._line.facts.barge_in) != "off"

    @property
    def barge_in(self) -> BargeIn | None:
        """The policy of what is being said, if it has one of its own."""
        return self._current.barge_in if self._current is not None else None

    async def say(
        self, text: str | AsyncIterable[str | None], barge_in: BargeIn | None = None, *, at_once: bool = False
    ) -> Said:
        """Speak, sentence by sentence as the text comes; return when it has been played or was cut off.

        With `at_once` it begins even while the caller speaks.
        Cancelling it silences it. Raises `CallEnded`, and what the text's source or the engine raises: after what was
        spoken until then has been played. What can't be spoken is a `TypeError` at once.
        """
        _check_text(text)
        self._check()
        tts = self._tts()
        pieces = _spoken(text, tts, self._line.rate)
        whole = text if isinstance(text, str) else None
        return await self._utter(pieces, barge_in, whole, is_speech=True, at_once=at_once)

    async def play(self, sound: AsyncIterable[bytes], barge_in: BargeIn | None = None) -> Said:
        """Play PCM16 at the line's rate, of which nothing is heard as words."""
        self._check()
        return await self._utter(_sounds(sound, self._line.rate), barge_in, None, is_speech=False)

    def clear(self, *, for_caller: bool = False) -> None:
        """Cut off what is being said, because the caller wants to speak or for reasons of the agent's own."""
        if self._current is not None and self.is_speaking:
            self._current.cut_by_agent = not for_caller
            self._line.clear()

    def utterance_over(self, event: UtteranceOver) -> None:
        """The gateway says what became of an utterance."""
        if self._current is not None and self._current.name == event.utterance:
            self._current.end(event.played_ms, interrupted=event.interrupted, held=event.held)

    def call_over(self, reason: str) -> None:
        """The call is over, and with it what was being said."""
        self._ended = reason
        current = self._current
        if current is not None:
            played = current.estimate(asyncio.get_running_loop().time())
            current.end(played, interrupted=played < current.sent_ms)

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be said any more."""
        return self._ended is not None

    async def idle(self) -> None:
        """Wait until what is being said and waits to be said has been played."""
        async with self._one_at_a_time:
            pass

    async def drain(self, reason: str) -> None:
        """Wait until what is being said and waits to be said has been played; nothing is said after it."""
        async with self._one_at_a_time:
            self._ended = self._ended or reason

    def _check(self) -> None:
        if self._ended is not None:
            raise CallEnded(self._ended)

    async def _utter(
        self,
        pieces: AsyncGenerator[Spoken, None],
        barge_in: BargeIn | None,
        text: str | None,
        *,
        is_speech: bool,
        at_once: bool = False,
    ) -> Said:
        async with aclosing(pieces), self._one_at_a_time:
            self._check()
            utterance = self._current = _Utterance(next(self._names), barge_in, text)
            feeding = asyncio.create_task(self._feed(utterance, pieces, at_once=at_once or barge_in == "off"))
            try:
                await first_of(feeding, utterance.over)
                if not utterance.over.done():
                    if utterance.begun_at is None:
                        utterance.end(0.0, interrupted=False)
                    else:
                        self._line.finish(utterance.name)
                    await asyncio.wait({utterance.over})
                if utterance.text is None and feeding.done() and feeding.exception() is None:
                    utterance.text = utterance.script.text
            except asyncio.CancelledError:
                utterance.text = None
                feeding.cancel()
                if utterance.begun_at is not None and not utterance.over.done():
                    self._line.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_SETTLE):
                            await asyncio.wait({utterance.over})
                raise
            finally:
                feeding.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({feeding})
                said = self._result(utterance)
                self._current = None
                if utterance.begun_at is not None:
                    if is_speech:
                        self._line.transcript(
                            "agent", utterance.name, said.heard, final=True, interrupted=said.interrupted
                        )
                    by_caller = said.interrupted and not said.held and not utterance.cut_by_agent
                    # The words of a text are those of its pieces, which are told apart by blanks, too.
                    rest = (utterance.text or "").split()[len(said.heard.split()) :] if is_speech else []
                    unsaid = Unsaid(" ".join(rest), utterance.barge_in) if rest else None
                    self._said(said, is_speech, by_caller, unsaid)
            if not feeding.cancelled() and (error := feeding.exception()) is not None:
                raise error
            return said

    async def _feed(self, utterance: _Utterance, pieces: AsyncGenerator[Spoken, None], *, at_once: bool) -> None:
        loop = asyncio.get_running_loop()
        async for piece in pieces:
            if not piece.pcm:
                continue
            if utterance.begun_at is None:
                if not at_once:
                    await self._floor.free()
                utterance.begun_at = loop.time()
                self._began()
            self._line.begin(utterance.name, piece, utterance.barge_in)
            utterance.script.add(piece)
            if piece.text:
                self._line.transcript("agent", utterance.name, utterance.script.text, final=False)
            utterance.sent_ms += piece.duration_ms
            await self._line.send(piece.pcm)

    def _result(self, utterance: _Utterance) -> Said:
        if utterance.over.done():
            over = utterance.over.result()
            played, interrupted, held = over.played_ms, over.interrupted, over.held
        else:
            # Cancelled, and the gateway has not answered in time.
            played, interrupted, held = utterance.estimate(asyncio.get_running_loop().time()), True, False
        heard = utterance.script.heard(played) if interrupted else utterance.script.text
        return Said(heard, interrupted, round(played), held)


async def _spoken(text: str | AsyncIterable[str | None], tts: TextToSpeech, rate: int) -> AsyncGenerator[Spoken, None]:
    async with aclosing(_sentences(text)) as sentences:
        async for sentence in sentences:
            async with aclosing(tts.say(sentence, rate=rate)) as pieces:
                async for piece in pieces:
                    yield piece


async def _sentences(text: str | AsyncIterable[str | None]) -> AsyncGenerator[str, None]:
    sentences = Sentences()
    if isinstance(text, str):
        for sentence in sentences.feed(text):
            yield _whole(sentence)
    else:
        async for token in text:
            if token is not None and not isinstance(token, str):
                raise TypeError(
                    f"what is said is a stream of strings, and this one has {type(token).__name__} in it: take the "
                    "text out of each piece, as in `call.say(piece.text async for piece in stream)`"
                )
            # Streams of language models have pieces without text, such as the one that says why they ended.
            for sentence in sentences.feed(token or ""):
                yield _whole(sentence)
    for sentence in sentences.finish():
        yield _whole(sentence)


def _check_text(text: object) -> None:
    """Raise `TypeError` for what is neither a string nor a stream, before anything waits for it."""
    if isinstance(text, str) or hasattr(text, "__aiter__"):
        return
    if inspect.iscoroutine(text):
        text.close()
        hint = "write `await` before the call that made it"
    elif text is None:
        hint = "does a function return nothing in one of its branches?"
    else:
        hint = "for a number write str(…), for a list of strings ' '.join(…)"
    raise TypeError(f"what is said is a string or an asynchronous stream of strings, not {type(text).__name__}: {hint}")


def _whole(sentence: str) -> str:
    """Without halves of characters: tokens that were JSON may bring one as two (surrogates), or lose one of them."""
    return sentence.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


async def _sounds(sound: AsyncIterable[bytes], rate: int) -> AsyncGenerator[Spoken, None]:
    rest = b""
    async for chunk in sound:
        whole = rest + chunk
        rest = whole[len(whole) & ~1 :]
        yield Spoken(whole[: len(whole) & ~1], rate, "")
