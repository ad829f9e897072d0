"""A message as it comes: when it is over, and what of it is kept. Pure."""

import math
import sys
from array import array
from operator import mul

_LOUD = 400
_OVER_AFTER = 3.0
_EDGE = 0.3


class Recording:
    """Sound at `rate`, PCM16, piece by piece."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._pcm = bytearray()
        self._first: int | None = None
        self._last = 0

    def feed(self, piece: bytes) -> bool:
        """The next piece; False once nothing has been said for three seconds, or for six from the beginning."""
        self._pcm += piece
        if _loudness(piece) > _LOUD:
            self._last = len(self._pcm)
            self._first = self._last - len(piece) if self._first is None else self._first
        silent = (len(self._pcm) - self._last) / 2 / self._rate
        return silent < (_OVER_AFTER if self._first is not None else 2 * _OVER_AFTER)

    def spoken(self) -> bytes:
        """What was said, without the silence around it."""
        if self._first is None:
            return b""
        edge = round(_EDGE * self._rate) * 2
        return bytes(self._pcm[max(0, self._first - edge) : self._last + edge])


def beep(rate: int) -> bytes:
    """A fifth of a second of 880 Hz, PCM16, without a click at its ends."""
    count, edge = rate // 5, rate // 100
    samples = array("h", bytes(2 * count))
    for n in range(count):
        fade = min(1.0, n / edge, (count - 1 - n) / edge)
        samples[n] = round(9_000 * fade * math.sin(2 * math.pi * 880 * n / rate))
    return _swapped(samples).tobytes()


def _loudness(piece: bytes) -> float:
    samples = _swapped(array("h", piece[: len(piece) // 2 * 2]))
    return math.sqrt(sum(map(mul, samples, samples)) / len(samples)) if samples else 0.0


def _swapped(samples: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        samples.byteswap()
    return samples
