"""How a line sounds from the agent's end: how loud the caller is, and how loud all else. Pure."""

import math
import sys
from array import array
from collections import deque
from operator import mul

_KEPT = 1_500
_FEWEST = 50
_LOUDEST = 25
_FLOOR_DB = -90.0
_NOTHING_DB = -60.0
_SPEECH_ABOVE_DB = 12.0


class LineMeter:
    """Takes the caller's sound piece by piece; keeps the last half minute's levels."""

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=_KEPT)

    def feed(self, pcm: bytes) -> None:
        """The next piece, PCM16 of 20 ms."""
        self._levels.append(_level_db(pcm))

    def report(self) -> str:
        """What was measured, in a sentence or two that can be said."""
        # Some telephones send nothing at all between words: that is the best line there is.
        heard = sorted(max(_FLOOR_DB, level) for level in self._levels)
        # Who only listened for half a minute has still said a word or two.
        if len(heard) < _FEWEST or heard[-_LOUDEST] < _NOTHING_DB:
            return "I have not heard enough of you yet to say how the line is."
        noise, voice = heard[len(heard) // 10], heard[-_LOUDEST]
        if voice - noise < _SPEECH_ABOVE_DB:
            return f"I hear a sound at {_db(voice)}, but no voice that stands out of it. That is a noisy line."
        verdict = (
            "That is a quiet voice: speak up, or come closer to the microphone."
            if voice < -42
            else "That is so loud that it may sound harsh."
            if voice > -6
            else "There is a lot of noise behind it."
            if voice - noise < 25
            else "That is a good line."
        )
        return f"I hear your voice at {_db(voice)}, and the noise behind it at {_db(noise)}. {verdict}"


def _db(level: float) -> str:
    return f"minus {round(-level)} dB"


def _level_db(pcm: bytes) -> float:
    """Against full scale: 0 is the loudest square wave; -100 stands for nothing at all."""
    samples = array("h", pcm[: len(pcm) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    power = sum(map(mul, samples, samples)) / len(samples) if samples else 0.0
    return 10 * math.log10(power / 32_768**2) if power else -100.0
