"""Audio as it lies in an agent's messages, turned into samples and back."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from operator import mul
from typing import Literal, cast

from offhook.phone.sound import RATE, Samples, from_bytes, resample, to_bytes

Encoding = Literal["pcm16", "pcmu", "pcma"]

BLOCK_MS = 20
"""Loudness is told for pieces of this length, in milliseconds."""

AUDIBLE = 100.0
"""A block whose root mean square is above this (PCM16, -50 dB) is sound; below it is silence or the noise of a line."""


@dataclass(frozen=True, slots=True)
class Format:
    """`encoding/rate`, as dialects write it."""

    encoding: Encoding
    rate: int

    @classmethod
    def parse(cls, text: str) -> "Format":
        """Read `pcm16/16000`; the text is one of a dialect's own."""
        encoding, rate = text.split("/")
        return cls(cast(Encoding, encoding), int(rate))

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample."""
        return 2 if self.encoding == "pcm16" else 1

    @property
    def bytes_per_second(self) -> int:
        """Bytes of one second of sound."""
        return self.rate * self.sample_bytes

    @property
    def silence(self) -> bytes:
        """One sample of silence."""
        return {"pcm16": b"\0\0", "pcmu": b"\xff", "pcma": b"\xd5"}[self.encoding]

    def __str__(self) -> str:
        return f"{self.encoding}/{self.rate}"


def decoded(audio: bytes, encoding: Encoding) -> Samples:
    """Audio of an agent as samples; half a sample at its end is left out."""
    if encoding == "pcm16":
        return from_bytes(audio)
    low, high = _tables(encoding)
    pcm = bytearray(2 * len(audio))
    pcm[0::2], pcm[1::2] = audio.translate(low), audio.translate(high)
    return from_bytes(bytes(pcm))


def encoded(samples: Samples, encoding: Encoding) -> bytes:
    """Samples as audio for an agent."""
    if encoding == "pcm16":
        return to_bytes(samples)
    code = _codes(encoding)
    return bytes(code[sample >> 2 & 0x3FFF] for sample in samples)


def at_rate(samples: Samples, rate: int, to: int) -> Samples:
    """The same sound at another rate."""
    return samples if rate == to else resample(samples, rate, to)


def at_line_rate(samples: Samples, rate: int) -> Samples:
    """Sound of a multiple of 8 kHz at 8 kHz, each sample the mean of those it stands for: good enough to measure."""
    step = rate // RATE
    if step <= 1:
        return samples
    return array("h", (sum(samples[at : at + step]) // step for at in range(0, len(samples) - step + 1, step)))


def loudness(samples: Sequence[int], rate: int) -> list[float]:
    """The root mean square of each block; a last one that is shorter counts like the others."""
    size = rate * BLOCK_MS // 1000
    blocks = (samples[at : at + size] for at in range(0, len(samples), size))
    return [float((sum(map(mul, block, block)) / len(block)) ** 0.5) for block in blocks]


@cache
def _tables(encoding: Encoding) -> tuple[bytes, bytes]:
    """For each code the low and the high byte of its sample."""
    linear = _ulaw if encoding == "pcmu" else _alaw
    values = [linear(code) & 0xFFFF for code in range(256)]
    return bytes(value & 0xFF for value in values), bytes(value >> 8 for value in values)


@cache
def _codes(encoding: Encoding) -> bytes:
    """For each sample, by its upper 14 bits, the code that is nearest."""
    linear = _ulaw if encoding == "pcmu" else _alaw
    ordered = sorted((linear(code), code) for code in range(256))
    codes, at = bytearray(1 << 14), 0
    for upper in range(-(1 << 13), 1 << 13):
        sample = (upper << 2) + 2
        while at < 255 and abs(ordered[at + 1][0] - sample) <= abs(ordered[at][0] - sample):
            at += 1
        codes[upper & 0x3FFF] = ordered[at][1]
    return bytes(codes)


def _ulaw(code: int) -> int:
    """The sample of a µ-law code (G.711)."""
    code = ~code & 0xFF
    size = ((((code & 0x0F) << 3) + 0x84) << (code >> 4 & 7)) - 0x84
    return -size if code & 0x80 else size


def _alaw(code: int) -> int:
    """The sample of an A-law code (G.711)."""
    code ^= 0x55
    exponent, size = code >> 4 & 7, (code & 0x0F) << 4
    size = size + 8 if exponent == 0 else (size + 0x108) << exponent - 1
    return size if code & 0x80 else -size
