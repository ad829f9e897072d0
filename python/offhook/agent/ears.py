"""What the caller says: as sound for whoever takes it, and as turns where an engine listens."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from offhook.agent.events import Heard, Turn
from offhook.agent.sound import Resampler
from offhook.speech import protocol as speech
from offhook.speech.protocol import SpeechToText, TurnDetector
from offhook.speech.turns import Turn as SpokenTurn
from offhook.speech.turns import TurnStarted, TurnTaking

_TAP_MS = 2_000


class AudioTap:
    """The caller's sound from now on, frame by frame, for one reader.

    At most 2 s wait for it; then the oldest is dropped and counted in `dropped_ms`.
    """

    def __init__(self, line_rate: int, rate: int) -> None:
        self.rate = rate
        self.dropped_ms = 0.0
        self._resampler = Resampler(line_rate, rate)
        self._frames: deque[bytes] = deque()
        self._waiting_ms = 0.0
        self._changed = asyncio.Event()
        self._closed = False

    def write(self, pcm: bytes) -> None:
        """The next piece at the line's rate."""
        frame = self._resampler.feed(pcm)
        if self._closed or not frame:
            return
        self._frames.append(frame)
        self._waiting_ms += self._ms(frame)
        while self._waiting_ms > _TAP_MS and len(self._frames) > 1:
            dropped = self._ms(self._frames.popleft())
            self._waiting_ms -= dropped
            self.dropped_ms += dropped
        self._changed.set()

    def close(self) -> None:
        """Nothing more will come. What waits can still be read."""
        self._closed = True
        self._changed.set()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._frames:
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        frame = self._frames.popleft()
        self._waiting_ms -= self._ms(frame)
        return frame

    def _ms(self, frame: bytes) -> float:
        return len(frame) / 2 * 1000 / self.rate


class Ears:
    """Hears a call. `on_turn` gets each turn of the caller, `on_heard` each transcript.

    `on_changed` is called when a stretch of speech begins, or turns out to be a turn or nothing: see `is_open`.
    """

    def __init__(
        self,
        rate: int,
        *,
        on_turn: Callable[[Turn], None],
        on_heard: Callable[[Heard], None],
        on_changed: Callable[[], None],
    ) -> None:
        self._rate = rate
        self._on_turn = on_turn
        self._on_heard = on_heard
        self._on_changed = on_changed
        self._taps: list[AudioTap] = []
        self._heard_ms = 0.0
        self._offset_ms = 0.0
        self._listening: speech.Listening | None = None
        self._taking: TurnTaking | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = False

    @property
    def is_listening(self) -> bool:
        """Whether an engine listens."""
        return self._taking is not None

    @property
    def is_open(self) -> bool:
        """Whether the caller has said something of which it is not known yet what, or whether there is more."""
        return self._is_open

    @property
    def heard_ms(self) -> float:
        """How much of the caller's sound there was so far."""
        return self._heard_ms

    def hear(self, pcm: bytes) -> None:
        """The next piece of the caller's sound."""
        self._heard_ms += len(pcm) / 2 * 1000 / self._rate
        for tap in self._taps:
            tap.write(pcm)
        if self._listening is not None:
            self._listening.write(pcm)

    def answered(self) -> None:
        """The agent speaks: what the caller says next is no going on with what was said before."""
        if self._taking is not None:
            self._taking.answered()

    def tap(self, rate: int) -> AudioTap:
        """Open a tap."""
        tap = AudioTap(self._rate, rate)
        self._taps.append(tap)
        return tap

    def untap(self, tap: AudioTap) -> None:
        """Close a tap."""
        tap.close()
        if tap in self._taps:
            self._taps.remove(tap)

    def end_taps(self) -> None:
        """No more sound will come."""
        for tap in self._taps:
            tap.close()
        self._taps.clear()

    async def listen(self, engine: SpeechToText, detector: TurnDetector) -> None:
        """Understand the caller from now on, until cancelled. Raises `SpeechError` when the engine is lost."""
        assert self._taking is None, "one engine listens"
        self._offset_ms = self._heard_ms
        self._taking = TurnTaking(detector)
        listening = self._listening = engine.listen(rate=self._rate, partials=True)
        try:
            async for event in listening:
                self._taking.receive(event, asyncio.get_running_loop().time())
                if isinstance(event, speech.Transcript) and event.text:
                    self._on_heard(Heard(event.text, event.final))
                self._drain()
        finally:
            self._listening, self._is_open = None, False
            if self._timer is not None:
                self._timer.cancel()
            await listening.close()

    def _drain(self) -> None:
        assert self._taking is not None, "an engine listens"
        for event in self._taking.drain():
            self._is_open = isinstance(event, TurnStarted)
            # Without text it was a cough, or a door.
            if isinstance(event, SpokenTurn) and event.text:
                begin, end = (self._offset_ms + ms for ms in (event.start_ms, event.end_ms))
                self._on_turn(Turn(event.text, begin / 1000, end / 1000))
        self._on_changed()
        if self._timer is not None:
            self._timer.cancel()
        at = self._taking.next_timeout()
        loop = asyncio.get_running_loop()
        self._timer = None if at is None else loop.call_at(at, self._timeout)

    def _timeout(self) -> None:
        assert self._taking is not None, "an engine listens"
        self._taking.handle_timeout(asyncio.get_running_loop().time())
        self._drain()
