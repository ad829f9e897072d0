"""What a voice tells about the rate it was made at: its pitch, its colour and how many syllables a second it speaks.

Speech that is played at half its rate is an octave too deep, too dark and too slow, all at once; a deep voice is only
the first of these. So the three are judged together, each as octaves away from a middle voice of the telephone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import mul

from offhook.examine.audio import Encoding, at_line_rate, decoded, loudness
from offhook.phone.sound import RATE, Samples

SECONDS = 6.0
"""How much of a voice is measured; less than half of it in sound says nothing."""

_MIDDLE_PITCH = 160.0
_MIDDLE_COLOUR = 620.0
_MIDDLE_TEMPO = 4.3

_FRAME = 240
_HOP = 160
_LAGS = range(8, 133)
_VOICED = 0.7
_QUIET = 200.0
_LEAST_FRAMES = 25


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice: its pitch in Hz, the middle of its spectrum in Hz, its syllables a second."""

    pitch: float
    colour: float
    tempo: float

    @property
    def octaves(self) -> tuple[float, float, float]:
        """How far each is from a middle voice; -1 each is speech at half its rate."""
        return (
            math.log2(self.pitch / _MIDDLE_PITCH),
            math.log2(self.colour / _MIDDLE_COLOUR),
            math.log2(self.tempo / _MIDDLE_TEMPO),
        )

    @property
    def speed(self) -> float:
        """How fast it seems to be played: 1 as it was spoken, 0.5 at half the rate. Good to a third or so."""
        return float(2 ** (sum(self.octaves) / 3))


def measure(samples: Samples, rate: int) -> Voice | None:
    """Measure speech; None where there is too little of it, or where it is no speech but tones, music or noise."""
    line = at_line_rate(samples, rate)
    pitches = _pitches(line)
    if len(pitches) < _LEAST_FRAMES:
        return None
    middle = pitches[len(pitches) // 2]
    # A tone has one pitch; a melody has few, and steps between them. Voices glide.
    spread = sum(abs(pitch / middle - 1) > 0.02 for pitch in pitches) / len(pitches)
    near = sum(abs(pitch / middle - 1) < 0.5 for pitch in pitches) / len(pitches)
    tempo = _tempo(line)
    if spread < 0.3 or near < 0.6 or tempo < 0.5:
        return None
    return Voice(middle, _colour(line), tempo)


@dataclass(frozen=True, slots=True)
class Grain:
    """How bytes sound in one encoding: how far apart neighbouring samples are, and how loud the loudest block is."""

    roughness: float
    loudest: float


def grain(audio: bytes, encoding: Encoding) -> Grain:
    """Read bytes in an encoding. In the wrong one they are rough and as loud as can be."""
    samples = decoded(audio, encoding)
    size = sum(map(abs, samples))
    if not size:
        return Grain(0.0, 0.0)
    return Grain(sum(abs(later - earlier) for earlier, later in pairwise(samples)) / size, max(loudness(samples, RATE)))


def _pitches(line: Samples) -> list[float]:
    """The pitch of each voiced frame of 60 ms, in order of size."""
    half = [(first + second) / 2 for first, second in zip(line[::2], line[1::2], strict=False)]
    found = []
    for start in range(0, len(half) - _FRAME, _HOP):
        pitch = _pitch(half[start : start + _FRAME])
        if pitch is not None:
            found.append(pitch)
    return sorted(found)


def _pitch(frame: list[float]) -> float | None:
    mean = sum(frame) / _FRAME
    frame = [sample - mean for sample in frame]
    sums = [0.0]
    for sample in frame:
        sums.append(sums[-1] + sample * sample)
    if sums[-1] < _FRAME * _QUIET**2:
        return None
    alike = {}
    for lag in range(_LAGS.start - 1, _LAGS.stop + 1):
        count = _FRAME - lag
        power = sums[count] * (sums[_FRAME] - sums[lag])
        alike[lag] = sum(map(mul, frame[:count], frame[lag:])) / math.sqrt(power) if power > 0 else 0.0
    best = max(alike.values())
    if best < _VOICED:
        return None
    # Every multiple of a period fits as well as the period itself.
    for lag in _LAGS:
        if alike[lag] > 0.88 * best and alike[lag - 1] <= alike[lag] >= alike[lag + 1]:
            return RATE / 2 / lag
    return None


def _colour(line: Samples) -> float:
    steps = [second - first for first, second in pairwise(line)]
    power = sum(map(mul, line, line))
    return max(1.0, math.sqrt(sum(map(mul, steps, steps)) / power) * RATE / (2 * math.pi)) if power else 1.0


def _tempo(line: Samples) -> float:
    """Rises of the loudness by 4 dB or more, per second of sound."""
    cell = RATE // 100
    cells = [
        math.sqrt(sum(map(mul, part, part)) / cell)
        for part in (line[at : at + cell] for at in range(0, len(line) - cell, cell))
    ]
    decibels = [20 * math.log10(max(30.0, level)) for level in _smooth(cells)]
    loud = sum(level > 45 for level in decibels) / 100
    if loud < SECONDS / 4:
        return 0.0
    peaks, low, high, rising = 0, decibels[0], 0.0, True
    for level in decibels:
        if rising:
            high = max(high, level)
            if level < high - 4:
                peaks += high > 50
                rising, low = False, level
        else:
            low = min(low, level)
            if level > low + 4:
                rising, high = True, level
    return peaks / loud


def _smooth(cells: Sequence[float]) -> list[float]:
    weights = (1, 2, 3, 2, 1)
    padded = [cells[0]] * 2 + list(cells) + [cells[-1]] * 2 if cells else []
    return [sum(map(mul, weights, padded[at : at + 5])) / 9 for at in range(len(cells))]
