"""Sound that a test can recognise: tones as G.711 µ-law frames of 20 ms, and how much of a tone is in what came."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

RATE = 8000
FRAME = 160
SILENT_FRAME = b"\xff" * FRAME


def _linear(code: int) -> int:
    code = ~code & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


LINEAR = tuple(_linear(code) for code in range(256))
"""The PCM16 value of each µ-law byte (G.711)."""


def encode(samples: Iterable[float]) -> bytes:
    """PCM16 values as µ-law."""
    out = bytearray()
    for sample in samples:
        magnitude = min(abs(int(sample)), 32_635) + 0x84
        exponent = magnitude.bit_length() - 8
        code = exponent << 4 | magnitude >> exponent + 3 & 0x0F
        out.append(~(code | (0x80 if sample < 0 else 0)) & 0xFF)
    return bytes(out)


def decode(payload: bytes) -> list[int]:
    """µ-law as PCM16 values."""
    return [LINEAR[code] for code in payload]


def tone(hz: float, seconds: float, amplitude: float = 8000.0) -> list[bytes]:
    """A sine as frames of 160 bytes of µ-law, whole frames only."""
    count = round(seconds * RATE / FRAME) * FRAME
    sound = encode(amplitude * math.sin(2 * math.pi * hz * n / RATE) for n in range(count))
    return [sound[at : at + FRAME] for at in range(0, count, FRAME)]


def frames(pcm: Iterable[int]) -> list[bytes]:
    """PCM16 values at 8 kHz as frames of µ-law, the last one filled up with silence."""
    sound = encode(pcm)
    return [sound[at : at + FRAME].ljust(FRAME, b"\xff") for at in range(0, len(sound), FRAME)]


def level(payload: bytes) -> float:
    """The root mean square of µ-law, as a PCM16 value."""
    samples = decode(payload)
    return math.sqrt(sum(sample * sample for sample in samples) / max(1, len(samples)))


def is_silent(payload: bytes) -> bool:
    """Whether nothing can be heard in µ-law."""
    return level(payload) < 50


def share(samples: Iterable[int], hz: float, rate: int = RATE) -> float:
    """How much of a sound's power is this tone, 0 to 1: about 1 for the tone alone, 0 for silence and other tones."""
    heard = list(samples)
    power = sum(sample * sample for sample in heard)
    if not power:
        return 0.0
    step = 2 * math.pi * hz / rate
    real = sum(sample * math.cos(step * n) for n, sample in enumerate(heard))
    imaginary = sum(sample * math.sin(step * n) for n, sample in enumerate(heard))
    return 2 * (real * real + imaginary * imaginary) / (len(heard) * power)


def purest(samples: Sequence[int], hz: float, rate: int = RATE, seconds: float = 0.5) -> float:
    """`share` of the part of so many seconds that is nearest to the tone: what a busy machine does to one is no matter.

    0 while there is no such part.
    """
    sound = np.asarray(samples, dtype=float)
    size = round(seconds * rate)
    turning = np.exp(-2j * np.pi * hz / rate * np.arange(size))
    best = 0.0
    for at in range(0, len(sound) - size + 1, rate // 20):
        part = sound[at : at + size]
        power = float(part @ part)
        # What can't be heard has no tone.
        if power > size * 50.0**2:
            best = max(best, 2 * abs(part @ turning) ** 2 / (size * power))
    return float(best)


def has_tone(payload: bytes, hz: float, at_least: float = 0.8) -> bool:
    """Whether a frame of µ-law is mostly this tone, and loud enough to be heard."""
    return not is_silent(payload) and share(decode(payload), hz) > at_least
