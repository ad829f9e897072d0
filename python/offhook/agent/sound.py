"""Sound in other forms than the line's: WAV files, and other rates."""

import array
import math
import operator
import sys
import wave
from pathlib import Path

from offhook.agent.errors import AgentError

RATES = (8_000, 16_000, 24_000, 48_000)
"""Samples a second that a line may have."""

# Zero crossings of the kernel on each side: enough that speech sounds as it did.
_LOBES = 8


class Resampler:
    """Turns PCM16 of one rate into another, piece by piece, by a windowed sinc. It is behind by some 1 ms.

    It is plain Python and takes some 2 % of a core for each call: choosing the agent's `rate` costs nothing.
    """

    def __init__(self, rate: int, to: int) -> None:
        step = math.gcd(rate, to)
        self._up, self._down = to // step, rate // step
        cutoff = min(1.0, to / rate)
        half = math.ceil(_LOBES / cutoff)
        self._half = half
        self._kernels = [_kernel(phase / self._up, half, cutoff) for phase in range(self._up)]
        # So that the first sample that comes out is the first that went in.
        self._kept = array.array("h", bytes(2 * (half - 1)))
        # Where the next sample comes from, in steps of 1/up of an input sample, counted from the middle of `kept`.
        self._position = 0

    def feed(self, pcm: bytes) -> bytes:
        """The next piece, a whole number of samples."""
        if self._up == self._down:
            return pcm
        samples = self._kept
        samples.extend(_samples(pcm))
        width, out = 2 * self._half, array.array("h")
        while True:
            start, phase = divmod(self._position, self._up)
            if start + width > len(samples):
                break
            value = sum(map(operator.mul, samples[start : start + width], self._kernels[phase]))
            out.append(max(-32_768, min(32_767, round(value))))
            self._position += self._down
        used = min(self._position // self._up, len(samples))
        del samples[:used]
        self._position -= used * self._up
        return _bytes(out)

    def finish(self) -> bytes:
        """What is still to come of all that was fed."""
        return b"" if self._up == self._down else self.feed(bytes(2 * self._half))


def read_wav(path: Path | str, rate: int) -> bytes:
    """A WAV file (16 bit, any rate, mono or the left channel of more) as PCM16 at `rate` Hz.

    Raises `AgentError` when it is something else, and `OSError` when it can't be read.
    """
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2:
                raise AgentError(f"{path} has {8 * file.getsampwidth()} bits a sample", hint="convert it to 16 bit")
            channels, of = file.getnchannels(), file.getframerate()
            samples = _samples(file.readframes(file.getnframes()))
    except (wave.Error, EOFError) as error:
        raise AgentError(f"{path} is no WAV file: {error}", hint="convert it to WAV, 16 bit") from error
    return convert(_bytes(samples[::channels]), of, rate)


def convert(pcm: bytes, rate: int, to: int) -> bytes:
    """A whole piece of PCM16 at another rate."""
    resampler = Resampler(rate, to)
    return resampler.feed(pcm) + resampler.finish()


def _kernel(phase: float, half: int, cutoff: float) -> list[float]:
    taps = []
    for n in range(2 * half):
        distance = n - (half - 1) - phase
        x = distance * cutoff
        sinc = 1.0 if abs(x) < 1e-9 else math.sin(math.pi * x) / (math.pi * x)
        window = 0.5 + 0.5 * math.cos(math.pi * distance / half) if abs(distance) < half else 0.0
        taps.append(sinc * window)
    total = sum(taps)
    return [tap / total for tap in taps]


def _samples(pcm: bytes) -> "array.array[int]":
    samples = array.array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _bytes(samples: "array.array[int]") -> bytes:
    if sys.byteorder == "big":
        samples = array.array("h", samples)
        samples.byteswap()
    return samples.tobytes()
