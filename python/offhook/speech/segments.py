"""Sound cut into stretches of speech, for an engine that recognises one stretch at a time. Pure but for the network."""

from dataclasses import dataclass

import numpy as np

from offhook.speech.protocol import SpeechStarted, SpeechStopped
from offhook.speech.resample import Resampler, Sound
from offhook.speech.voice_activity import CHUNK, RATE, VoiceActivity

CHUNK_MS = CHUNK * 1000 // RATE
LEAD_MS = 320
"""How much before the speech is given to the engine: consonants begin before anybody hears them."""
TAIL_MS = 160
"""How much of the silence behind it is."""
PAUSE_MS = 224
"""Silence after which a stretch is over. Words of a sentence are closer together, sentences are not."""
LONGEST_MS = 12_000
"""A longer stretch is cut where it is quietest."""

_SPEECH = 0.5
_SILENCE = 0.35
_SURE_CHUNKS = 2


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech at the engine's rate, with its lead and tail; the times are those of the speech."""

    sound: Sound
    start_ms: int
    end_ms: int


class Segmenter:
    """One call's sound, at `rate`; out come events, and each stretch at `to` when it is over."""

    def __init__(self, rate: int, to: int, *, pause_ms: int = PAUSE_MS, longest_ms: int = LONGEST_MS) -> None:
        self._to = to
        self._pause_ms, self._longest_ms = pause_ms, longest_ms
        self._for_voice = Resampler(rate, RATE)
        self._for_engine = Resampler(rate, to)
        self._voice = VoiceActivity()
        self._unjudged = np.empty(0, np.float32)
        self._kept = np.empty(0, np.float32)
        self._kept_from = 0
        self._now_ms = 0
        self._start_ms: int | None = None
        self._loud = 0
        self._last_speech_ms = 0
        self._chances: list[float] = []

    def feed(self, sound: Sound) -> list[SpeechStarted | SpeechStopped | Segment]:
        """More sound. A `SpeechStopped` is followed by its `Segment`."""
        self._kept = np.concatenate([self._kept, self._for_engine.feed(sound)])
        self._unjudged = np.concatenate([self._unjudged, self._for_voice.feed(sound)])
        found: list[SpeechStarted | SpeechStopped | Segment] = []
        while len(self._unjudged) >= CHUNK:
            chunk, self._unjudged = self._unjudged[:CHUNK], self._unjudged[CHUNK:]
            chance = self._voice.judge(chunk)
            self._now_ms += CHUNK_MS
            found += self._judged(chance)
        self._forget()
        return found

    def finish(self) -> list[SpeechStarted | SpeechStopped | Segment]:
        """Whatever is being said ends here."""
        return self._stop(self._now_ms) if self._start_ms is not None else []

    def so_far(self) -> Segment | None:
        """The stretch that is being spoken, up to now."""
        return None if self._start_ms is None else self._cut(self._start_ms, self._now_ms)

    def _judged(self, chance: float) -> list[SpeechStarted | SpeechStopped | Segment]:
        if self._start_ms is None:
            self._loud = self._loud + 1 if chance >= _SPEECH else 0
            if self._loud < _SURE_CHUNKS:
                return []
            self._start_ms = max(0, self._now_ms - self._loud * CHUNK_MS)
            self._last_speech_ms, self._chances = self._now_ms, []
            return [SpeechStarted(self._start_ms)]
        self._chances.append(chance)
        if chance >= _SILENCE:
            self._last_speech_ms = self._now_ms
        if self._now_ms - self._last_speech_ms >= self._pause_ms:
            return self._stop(self._last_speech_ms)
        if self._now_ms - self._start_ms >= self._longest_ms:
            # In the last three seconds, so that both halves are long enough to be understood.
            latest = self._chances[-3000 // CHUNK_MS :]
            cut = self._now_ms - (len(latest) - int(np.argmin(latest))) * CHUNK_MS
            found = self._stop(cut)
            self._start_ms, self._last_speech_ms, self._chances = cut, self._now_ms, []
            return [*found, SpeechStarted(cut)]
        return []

    def _stop(self, end_ms: int) -> list[SpeechStarted | SpeechStopped | Segment]:
        assert self._start_ms is not None, "only what began can stop"
        segment = self._cut(self._start_ms, end_ms)
        self._start_ms, self._loud = None, 0
        return [SpeechStopped(end_ms, self._now_ms - end_ms), segment]

    def _cut(self, start_ms: int, end_ms: int) -> Segment:
        first = max(0, (start_ms - LEAD_MS) * self._to // 1000 - self._kept_from)
        last = (end_ms + TAIL_MS) * self._to // 1000 - self._kept_from
        return Segment(self._kept[first:last].copy(), start_ms, end_ms)

    def _forget(self) -> None:
        """Keep what a stretch may still need: its lead, or all since it began."""
        needed_ms = (
            self._now_ms - LEAD_MS - _SURE_CHUNKS * CHUNK_MS if self._start_ms is None else self._start_ms - LEAD_MS
        )
        gone = max(0, needed_ms * self._to // 1000 - self._kept_from)
        if gone > self._to // 2:
            self._kept, self._kept_from = self._kept[gone:], self._kept_from + gone
