"""What a line carries beside a voice: noise, breath, music, keys. By frames, full scale 1, the same at each run."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RATE = 8000
FRAME = 160
Sound = NDArray[np.float64]
Source = Callable[[int], Sound]
"""The sound of frame number n."""


def line_noise(level: float) -> Source:
    """White, so loud in dBov."""
    chance = np.random.default_rng(1)
    return lambda _: chance.normal(0, 10 ** (level / 20), FRAME)


def breath(frame: int) -> Sound:
    """Air over a microphone: two seconds in, two out, -30 dBov at its loudest."""
    loud = max(0.0, np.sin(2 * np.pi * frame / 200)) ** 2 * 10 ** (-30 / 20)
    return np.convolve(np.random.default_rng(frame).normal(0, loud, FRAME + 7), np.ones(8) / 3, "valid")


def music(frame: int) -> Sound:
    """A melody over a chord, each note plucked, with overtones."""
    when = (np.arange(FRAME) + frame * FRAME) / RATE
    beat = when // 0.4
    melody = 220 * 2 ** (np.array([0, 4, 7, 12, 9, 7, 5, 2])[(beat % 8).astype(int)] / 12)
    plucked = np.exp(-3 * (when % 0.4))
    sound = sum(np.sin(2 * np.pi * n * melody * when) / n for n in range(1, 6)) * plucked
    sound = sound + sum(np.sin(2 * np.pi * hz * when) for hz in (110.0, 138.6, 164.8)) * 0.3
    return np.asarray(sound * 0.06)


def keys(frame: int) -> Sound:
    """Somebody types in a quiet room: 2.5 strokes a second, each some ten milliseconds of a click and its ring."""
    room = np.random.default_rng(frame).normal(0, 10 ** (-55 / 20), FRAME)
    at = np.arange(FRAME) + frame * FRAME
    for stroke in (at[0] // 3200 - 1, at[0] // 3200):
        chance = np.random.default_rng(abs(int(stroke)))
        since = (at - stroke * 3200 - chance.integers(0, 1600)) / RATE
        ring = np.exp(-np.maximum(since, 0) * 250) * np.sin(2 * np.pi * chance.uniform(900, 2600) * since)
        room = (
            room
            + np.where(since >= 0, ring + np.exp(-np.maximum(since, 0) * 900) * chance.normal(0, 1, FRAME), 0) * 0.2
        )
    return np.asarray(room)
