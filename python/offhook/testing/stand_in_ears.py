"""Ears for the agent in place of an engine: they understand what the caller said, if its sound has come through."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from offhook.speech.protocol import Heard, SpeechStarted, SpeechStopped, Transcript
from offhook.testing.hearing import Began, Lexicon, Listener

PAUSE_MS = 220
"""Silence that ends a stretch of speech, about as it does for a real engine."""


class StandInEars:
    """The engine. `lexicon` is what the caller says; `unclear` is called when what came through is none of it."""

    name = "stand-in"

    def __init__(self, lexicon: Lexicon, unclear: Callable[[], None]) -> None:
        self._lexicon = lexicon
        self._unclear = unclear
        self.wanted = asyncio.Event()
        """Set once somebody listens."""

    async def warm_up(self) -> None:
        """Nothing to do."""

    def listen(self, *, rate: int, partials: bool = False) -> "_Listening":
        """From now on."""
        self.wanted.set()
        return _Listening(rate, self._lexicon, self._unclear)

    async def close(self) -> None:
        """Nothing to do."""


class _Listening:
    """One call's ears."""

    dropped_ms = 0

    def __init__(self, rate: int, lexicon: Lexicon, unclear: Callable[[], None]) -> None:
        self._listener = Listener(rate, PAUSE_MS)
        self._lexicon = lexicon
        self._unclear = unclear
        self._events: deque[Heard | None] = deque()
        self._more = asyncio.Event()

    def write(self, pcm: bytes) -> None:
        """See `Listening`."""
        for found in self._listener.feed(pcm):
            if isinstance(found, Began):
                self._tell(SpeechStarted(found.at_ms))
                continue
            text = self._lexicon.understand(found.levels).text
            if not text:
                self._unclear()
            self._tell(SpeechStopped(found.end_ms, PAUSE_MS), Transcript(text, True, found.start_ms, found.end_ms))

    def finish(self) -> None:
        """Everything is finished as it comes."""

    def __aiter__(self) -> AsyncIterator[Heard]:
        return self

    async def __anext__(self) -> Heard:
        while not self._events:
            self._more.clear()
            await self._more.wait()
        event = self._events.popleft()
        if event is None:
            raise StopAsyncIteration
        return event

    async def close(self) -> None:
        """No more."""
        self._tell(None)

    def _tell(self, *events: Heard | None) -> None:
        self._events.extend(events)
        self._more.set()
