"""Speech to send through a line, and how well it is understood then: PESQ (ITU-T P.862), as listeners would rate it."""

import math
import wave
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pesq
from numpy.typing import NDArray

from .gateway import REPOSITORY

Sound = NDArray[np.int16]

_WELCOME = REPOSITORY / "python/offhook/destination/prompts/welcome.wav"
_SENTENCE = REPOSITORY / "python/offhook/phone/sounds/sentence.wav"
_PAUSE = 0.5
_LONGEST_DELAY = 3.0


@cache
def speech(rate: int) -> Sound:
    """Thirteen seconds of several sentences, with pauses: at 8 kHz two recordings, above that one that is wide."""
    if rate > 16_000:
        return resampled(speech(16_000), 16_000, rate)
    welcome, wide = read_wav(_WELCOME)
    sentence, narrow = read_wav(_SENTENCE)
    assert (wide, narrow) == (16_000, 8_000)
    pause = np.zeros(round(_PAUSE * rate), np.int16)
    if rate == wide:
        return np.concatenate([pause, welcome, pause, welcome, pause])
    assert rate == narrow, rate
    return np.concatenate([pause, sentence, pause, resampled(welcome, wide, narrow), pause])


def resampled(sound: Sound, rate: int, to: int) -> Sound:
    """The same sound at another rate, all of it at once by its spectrum: no method that works on a stream is better."""
    if rate == to:
        return sound
    # To whole periods of both rates.
    step = rate // math.gcd(rate, to)
    size = -(-len(sound) // step) * step
    spectrum = np.fft.rfft(sound.astype(float), size)
    count = size * to // rate
    kept = np.zeros(count // 2 + 1, complex)
    both = min(len(spectrum), len(kept))
    kept[:both] = spectrum[:both]
    return as_pcm(np.fft.irfft(kept, count) * to / rate)


def as_pcm(sound: "NDArray[Any]") -> Sound:
    """Rounded and limited to 16 bits."""
    return np.clip(np.rint(sound), -32_768, 32_767).astype(np.int16)


def read_wav(path: Path) -> tuple[Sound, int]:
    """The samples of a mono WAV and their rate."""
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2), path
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16), file.getframerate()


def write_wav(path: Path, sound: Sound, rate: int) -> None:
    """PCM16 mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sound.astype("<i2").tobytes())


def delay(reference: Sound, heard: Sound) -> int:
    """How many samples later than in `reference` the same sound is in `heard`: where both are most alike.

    Nine tenths of it have to be there, so that of a sentence said twice the first is not taken for the second.
    """
    size = 1 << (len(reference) + len(heard)).bit_length()
    spectrum = np.fft.rfft(heard.astype(float), size) * np.conj(np.fft.rfft(reference.astype(float), size))
    return int(np.argmax(np.fft.irfft(spectrum, size)[: max(1, len(heard) - len(reference) * 9 // 10)]))


def quality(reference: Sound, heard: Sound, rate: int, *, heard_rate: int = 0) -> float:
    """The listening quality (MOS-LQO, 1 to 4.6) of what was heard of `reference`, wide band if that is at 16 kHz.

    What came before it and after it is cut off.
    """
    heard = resampled(heard, heard_rate or rate, rate)
    start = delay(reference, heard)
    part = heard[start : start + len(reference)]
    assert len(part) > 0.9 * len(reference), f"only {len(part) / rate:.1f} of {len(reference) / rate:.1f} s were heard"
    found: float = pesq.pesq(rate, reference, part, "wb" if rate == 16_000 else "nb")
    return found
