"""An ear for one call over an engine that recognises whole stretches of speech: it cuts, asks and keeps the order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from offhook.speech.errors import SpeechError
from offhook.speech.pool import Pool
from offhook.speech.protocol import Heard, SpeechStarted, SpeechStopped, Transcript
from offhook.speech.resample import RATES, Sound, from_pcm
from offhook.speech.segments import LONGEST_MS, PAUSE_MS, Segment, Segmenter
from offhook.speech.voice_activity import VoiceActivity

Recognise = Callable[[Sound], Awaitable[str]]
"""What an engine adds: the text of a stretch of speech at its rate. Cancelling it ends its work soon."""

_WAITING_MS = 20_000
_SEGMENTS = 16
_EVENTS = 512
_BATCH_MS = 60
_PARTIAL_EVERY_MS = 800


class SegmentedListening:
    """A `Listening` that runs as two tasks of the loop: one cuts, one recognises. Made by an engine's `listen`."""

    def __init__(
        self,
        pool: Pool,
        recognise: Recognise,
        *,
        rate: int,
        to: int,
        partials: bool,
        pause_ms: int = PAUSE_MS,
        longest_ms: int = LONGEST_MS,
    ) -> None:
        if rate not in RATES:
            raise SpeechError(f"sound at {rate} Hz can't be listened to", code="speech_refused", hint=f"rates: {RATES}")
        self._pool, self._recognise = pool, recognise
        self._rate, self._to, self._partials = rate, to, partials
        self._pause_ms, self._longest_ms = pause_ms, longest_ms
        self._segmenter: Segmenter | None = None
        self._pieces: deque[bytes | None] = deque()
        self._waiting = 0
        self._segments: deque[Segment] = deque()
        self._events: deque[Heard] = deque()
        self._dropped = 0.0
        self._more = asyncio.Event()
        self._cut = asyncio.Event()
        self._told = asyncio.Event()
        self._closed = False
        self._failure: BaseException | None = None
        self._partial: asyncio.Task[None] | None = None
        self._partial_at_ms = 0
        self._tasks = [asyncio.create_task(self._guarded(self._hear)), asyncio.create_task(self._guarded(self._answer))]

    @property
    def dropped_ms(self) -> int:
        """See `Listening.dropped_ms`."""
        return round(self._dropped)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def write(self, pcm: bytes) -> None:
        """See `Listening.write`. Up to 20 s wait; what is dropped leaves no gap in the times."""
        if self._closed:
            return
        self._pieces.append(pcm)
        self._waiting += len(pcm)
        while self._waiting > _WAITING_MS * self._rate * 2 // 1000 and len(self._pieces) > 1:
            piece = self._pieces.popleft()
            if piece is None:
                continue
            self._waiting -= len(piece)
            self._dropped += len(piece) * 500 / self._rate
        if self._waiting >= _BATCH_MS * self._rate * 2 // 1000:
            self._more.set()

    def finish(self) -> None:
        """See `Listening.finish`."""
        self._pieces.append(None)
        self._more.set()

    async def __aiter__(self) -> AsyncIterator[Heard]:
        """See `Listening.__aiter__`. Up to 512 events wait for their reader, then the oldest are forgotten."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self._failure is not None:
                raise SpeechError(f"listening failed: {self._failure}", retryable=True) from self._failure
            if self._closed:
                return
            self._told.clear()
            await self._told.wait()

    async def close(self) -> None:
        """See `Listening.close`."""
        self._closed = True
        self._told.set()
        tasks = [*self._tasks, *filter(None, [self._partial])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:
            # The reader is told; it is the one that can do something.
            self._failure = self._failure or error
            self._told.set()

    def _tell(self, event: Heard) -> None:
        if len(self._events) >= _EVENTS:
            self._events.popleft()
        self._events.append(event)
        self._told.set()

    async def _hear(self) -> None:
        # Loading the network is work for the pool, too.
        self._segmenter = segmenter = await self._pool.run(
            lambda: Segmenter(self._rate, self._to, pause_ms=self._pause_ms, longest_ms=self._longest_ms)
        )
        while True:
            await self._more.wait()
            self._more.clear()
            pieces, self._pieces, self._waiting = list(self._pieces), deque(), 0
            for found in await self._pool.run(lambda pieces=pieces: _cut(segmenter, pieces)):  # type: ignore[misc]
                match found:
                    case Segment():
                        self._queue(found)
                    case SpeechStarted():
                        self._partial_at_ms = found.at_ms
                        self._tell(found)
                    case SpeechStopped():
                        self._tell(found)
            if self._partials:
                await self._ask_partial(segmenter)

    def _queue(self, segment: Segment) -> None:
        if len(self._segments) >= _SEGMENTS:
            # Its stop was told: what is lost is its text.
            lost = self._segments.popleft()
            self._dropped += lost.end_ms - lost.start_ms
            self._tell(Transcript("", True, lost.start_ms, lost.end_ms))
        self._segments.append(segment)
        self._cut.set()

    async def _answer(self) -> None:
        while True:
            while self._segments:
                segment = self._segments.popleft()
                if self._partial is not None:
                    # A guess that comes after the answer is of no use.
                    self._partial.cancel()
                    await asyncio.wait([self._partial])
                    self._partial = None
                text = await self._text_of(segment)
                self._tell(Transcript(text, True, segment.start_ms, segment.end_ms))
            self._cut.clear()
            await self._cut.wait()

    async def _text_of(self, segment: Segment) -> str:
        """What is worth trying again is tried once more."""
        try:
            return await self._recognise(segment.sound)
        except SpeechError as error:
            if not error.retryable:
                raise
        return await self._recognise(segment.sound)

    async def _ask_partial(self, segmenter: Segmenter) -> None:
        """One guess at a time, and only where there is something new to guess at."""
        if (self._partial is not None and not self._partial.done()) or self._segments:
            return
        segment = segmenter.so_far()
        if segment is None or segment.end_ms - self._partial_at_ms < _PARTIAL_EVERY_MS:
            return
        self._partial_at_ms = segment.end_ms
        self._partial = asyncio.create_task(self._guess(segment))

    async def _guess(self, segment: Segment) -> None:
        text = ""
        # A guess that fails is no guess: the answer will tell.
        with suppress(SpeechError):
            text = await self._recognise(segment.sound)
        if text:
            self._tell(Transcript(text, False, segment.start_ms, segment.end_ms))


class Ears:
    """All ears of one engine, so that they end with it.

    A stretch of speech is over after a silence of `pause_ms`, and no longer than `longest_ms`.
    """

    def __init__(
        self, recognise: Recognise, rate: int, *, pause_ms: int = PAUSE_MS, longest_ms: int = LONGEST_MS
    ) -> None:
        # A thread of its own: who speaks is told at once, however long the engine thinks about somebody else.
        self._pool = Pool(1, "silero")
        self._recognise, self._rate = recognise, rate
        self._pause_ms, self._longest_ms = pause_ms, longest_ms
        self._open: list[SegmentedListening] = []

    async def warm_up(self) -> None:
        """Load what finds speech."""
        await self._pool.run(VoiceActivity)

    def open(self, rate: int, partials: bool) -> SegmentedListening:
        """One more."""
        ear = SegmentedListening(
            self._pool,
            self._recognise,
            rate=rate,
            to=self._rate,
            partials=partials,
            pause_ms=self._pause_ms,
            longest_ms=self._longest_ms,
        )
        self._open = [*(other for other in self._open if not other.closed), ear]
        return ear

    async def close(self) -> None:
        """Close them all."""
        ears, self._open = self._open, []
        await asyncio.gather(*(ear.close() for ear in ears))
        self._pool.close()


def _cut(segmenter: Segmenter, pieces: "list[bytes | None]") -> list[SpeechStarted | SpeechStopped | Segment]:
    """In a thread: the pieces in order, None where `finish` was called."""
    found: list[SpeechStarted | SpeechStopped | Segment] = []
    sound: list[bytes] = []
    for piece in [*pieces, b""]:
        if piece:
            sound.append(piece)
            continue
        if sound:
            found += segmenter.feed(from_pcm(b"".join(sound)))
            sound = []
        if piece is None:
            found += segmenter.finish()
    return found
