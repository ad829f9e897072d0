"""Sound from one rate to another: a windowed sinc in phases, on a stream of any pieces."""

from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]
"""Samples with a full scale of 1."""

RATES = (8_000, 16_000, 24_000, 48_000)
_CROSSINGS = 16


class Resampler:
    """Takes a stream from `rate` to `to`. What comes out is late by `delay` input samples, until `finish`."""

    def __init__(self, rate: int, to: int) -> None:
        assert rate in RATES, rate
        assert to in RATES, to
        step = gcd(rate, to)
        self._up, self._down = to // step, rate // step
        self._phases = _phases(self._up, self._down)
        taps = self._phases.shape[1]
        self.delay = taps // 2
        # So that the first sample that comes out is the first that went in.
        self._before = np.zeros(taps - 1 - self.delay, np.float32)
        self._next = 0

    def feed(self, sound: Sound) -> Sound:
        """More of the stream; what can be told of it by now."""
        if self._up == self._down:
            return sound
        taps = self._phases.shape[1]
        sound = np.concatenate([self._before, sound])
        # Output n lies at n * down / up; what is left of the grid is kept as `_next`, in input samples times up.
        count = max(0, ((len(sound) - taps + 1) * self._up - self._next + self._down - 1) // self._down)
        at = self._next + np.arange(count, dtype=np.int64) * self._down
        starts, phases = at // self._up, at % self._up
        windows = np.lib.stride_tricks.sliding_window_view(sound, taps) if len(sound) >= taps else np.empty((0, taps))
        out = np.einsum("nt,nt->n", windows[starts], self._phases[phases]) if count else np.empty(0)
        gone = min((self._next + count * self._down) // self._up, len(sound))
        self._next += count * self._down - gone * self._up
        self._before = sound[gone:]
        return out.astype(np.float32)

    def finish(self) -> Sound:
        """The end of the stream."""
        return self.feed(np.zeros(self.delay, np.float32)) if self._up != self._down else np.empty(0, np.float32)


def resampled(sound: Sound, rate: int, to: int) -> Sound:
    """A whole sound at another rate, as long as it was."""
    resampler = Resampler(rate, to)
    return np.concatenate([resampler.feed(sound), resampler.finish()])


def from_pcm(pcm: bytes) -> Sound:
    """PCM16 little-endian as samples."""
    return (np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2") / 32_768).astype(np.float32)


def to_pcm(sound: Sound) -> bytes:
    """Samples as PCM16 little-endian, limited."""
    return np.clip(np.rint(sound * 32_768), -32_768, 32_767).astype("<i2").tobytes()


@lru_cache(maxsize=16)
def _phases(up: int, down: int) -> "NDArray[np.float32]":
    """The filter for each of `up` positions between two input samples: below 0.45 of the lower rate all passes."""
    cut = min(1.0, up / down)
    half = round(_CROSSINGS / cut)
    taps = np.arange(-half + 1, half + 1)
    places = taps[None, :] - np.arange(up)[:, None] / up
    window = np.cos(np.pi * places / (2 * half + 2)) ** 2
    filters = np.sinc(places * cut * 0.94) * window
    gains: NDArray[np.float64] = filters.sum(axis=1, keepdims=True)
    return np.asarray(filters / gains, np.float32)
