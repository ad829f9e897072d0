"""Speech engines whose every word is known: a voice of tones, and ears that hear what a test says."""

import array
import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator
from functools import cache

from offhook.speech.protocol import Heard, SpeechStarted, SpeechStopped, Spoken, Transcript, Word

WORD_MS = 200
"""How long the voice takes for each word."""

HZ = 600


class ToneVoice:
    """Speaks each word as a tone of 200 ms. `said` are the sentences that it was given."""

    name = "tones"

    def __init__(self, hz: float = HZ, *, slow: float = 0.0) -> None:
        self._hz = hz
        self.said: list[str] = []
        self.is_warm = self.is_closed = False
        self._slow = slow

    async def warm_up(self) -> None:
        self.is_warm = True

    async def say(self, text: str, *, rate: int) -> AsyncGenerator[Spoken, None]:
        if self._slow:
            await asyncio.sleep(self._slow)
        self.said.append(text)
        words = text.split()
        times = tuple(Word(word, n * WORD_MS, (n + 1) * WORD_MS) for n, word in enumerate(words))
        yield Spoken(sine(rate, WORD_MS * len(words), self._hz), rate, text, times)

    async def close(self) -> None:
        self.is_closed = True


@cache
def sine(rate: int, ms: int, hz: float = HZ) -> bytes:
    """A tone of so many milliseconds as PCM16."""
    return array.array(
        "h", (round(8000 * math.sin(2 * math.pi * hz * n / rate)) for n in range(rate * ms // 1000))
    ).tobytes()


class ToldEars:
    """Ears that hear what the test says: `await ears.hear("yes, please")` is a caller who says that."""

    name = "told"

    def __init__(self) -> None:
        self.listening: list[ToldListening] = []
        self.is_warm = self.is_closed = False

    async def warm_up(self) -> None:
        self.is_warm = True

    def listen(self, *, rate: int, partials: bool = False) -> "ToldListening":
        self.listening.append(ToldListening(rate))
        return self.listening[-1]

    async def close(self) -> None:
        self.is_closed = True

    def tell(self, event: Heard) -> None:
        """The caller of the last call is heard so."""
        self.listening[-1].events.put_nowait(event)

    def starts(self) -> None:
        """The caller begins to speak."""
        self.tell(SpeechStarted(self.listening[-1].heard_ms))

    def stops(self, text: str) -> None:
        """The caller has said this; nothing, if it was no words."""
        now = self.listening[-1].heard_ms
        self.tell(SpeechStopped(now, 250))
        self.tell(Transcript(text, True, now, now))

    def partly(self, text: str) -> None:
        """The caller is saying this."""
        now = self.listening[-1].heard_ms
        self.tell(Transcript(text, False, now, now))


class ToldListening:
    """One call's ears."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.events: asyncio.Queue[Heard | BaseException | None] = asyncio.Queue()
        self.sound = bytearray()
        self.dropped_ms = 0

    @property
    def heard_ms(self) -> int:
        """How much sound was written."""
        return len(self.sound) * 500 // self.rate

    def write(self, pcm: bytes) -> None:
        self.sound += pcm

    def finish(self) -> None: ...

    async def close(self) -> None:
        self.events.put_nowait(None)

    def __aiter__(self) -> AsyncIterator[Heard]:
        return self

    async def __anext__(self) -> Heard:
        event = await self.events.get()
        if event is None:
            raise StopAsyncIteration
        if isinstance(event, BaseException):
            raise event
        return event
