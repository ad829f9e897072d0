"""Sound that a test can recognise: tones as G.711 µ-law frames of 20 ms, and how much of a tone is in what came."""

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

RATE = 8000
FRAME = 160
SILENT_FRAME = b"\xff" * FRAME


def _linear(code: int) -> int:
    code = ~code & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


LINEAR = tuple(_linear(code) for code in range(256))
"""The PCM16 value of each µ-law byte (G.711)."""
_LINEAR = np.array(LINEAR, dtype=float)
_KNOWN = 20_000
"""Frames of which is remembered what is in them: whoever waits for a tone looks at all that came each time."""


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


def lasting(hz: float) -> list[bytes]:
    """A minute of a sine of whole periods in a fifth of a second: whoever waits for it hears it, however late."""
    return tone(hz, 0.2) * 300


def frames(pcm: Iterable[int]) -> list[bytes]:
    """PCM16 values at 8 kHz as frames of µ-law, the last one filled up with silence."""
    sound = encode(pcm)
    return [sound[at : at + FRAME].ljust(FRAME, b"\xff") for at in range(0, len(sound), FRAME)]


def level(payload: bytes | bytearray) -> float:
    """The root mean square of µ-law, as a PCM16 value."""
    return _level(bytes(payload))


@lru_cache(_KNOWN)
def _level(payload: bytes) -> float:
    samples = _LINEAR[np.frombuffer(payload, np.uint8)]
    return math.sqrt(float(samples @ samples) / max(1, len(samples)))


def is_silent(payload: bytes) -> bool:
    """Whether nothing can be heard in µ-law."""
    return level(payload) < 50


def share(samples: ArrayLike, hz: float, rate: int = RATE) -> float:
    """How much of a sound's power is this tone, 0 to 1: about 1 for the tone alone, 0 for silence and other tones."""
    heard = np.asarray(samples, dtype=float)
    power = float(heard @ heard)
    if not power:
        return 0.0
    return 2 * float(abs(heard @ _turning(hz / rate, len(heard)))) ** 2 / (len(heard) * power)


@lru_cache(64)
def _turning(cycles: float, count: int) -> NDArray[np.complex128]:
    return np.exp(2j * np.pi * cycles * np.arange(count))


def purest_part(samples: ArrayLike, hz: float, rate: int = RATE, seconds: float = 0.25) -> NDArray[np.float64]:
    """The part of so many seconds that is nearest to the tone: what a busy machine does to one of them is no matter.

    Empty while there is no part in which something can be heard.
    """
    sound = np.asarray(samples, dtype=float)
    size = round(seconds * rate)
    turning = _turning(hz / rate, size)
    best, found = -1.0, sound[:0]
    for at in range(0, len(sound) - size + 1, rate // 20):
        part = sound[at : at + size]
        power = float(part @ part)
        if power > size * 50.0**2 and (purity := float(abs(part @ turning)) ** 2 / power) > best:
            best, found = purity, part
    return found


def purest(samples: ArrayLike, hz: float, rate: int = RATE, seconds: float = 0.25) -> float:
    """`share` of the tone in the `purest_part`; 0 if there is none.

    1 for a tone that came whole, 0.9 if one frame of ten is missing or µ-law was read as A-law, 0.5 for half of it.
    """
    return share(purest_part(samples, hz, rate, seconds), hz, rate)


def has_tone(payload: bytes | bytearray, hz: float, at_least: float = 0.8) -> bool:
    """Whether a frame of µ-law is mostly this tone, and loud enough to be heard."""
    return _has_tone(bytes(payload), hz, at_least)


@lru_cache(_KNOWN)
def _has_tone(payload: bytes, hz: float, at_least: float) -> bool:
    return not is_silent(payload) and share(_LINEAR[np.frombuffer(payload, np.uint8)], hz) > at_least
