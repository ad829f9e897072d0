"""Sound at the line's rate: read from a WAV file, made as a tone, taken from the package, written as a recording."""

import math
import os
import sys
import wave
from array import array
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from operator import mul
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

from offhook.phone.address import UsageError

if TYPE_CHECKING:
    Samples: TypeAlias = array[int]
else:
    # Python 3.11 knows no `array[int]` at run time.
    Samples = array

RATE = 8_000
"""Samples a second on a line of G.711; all sound of the phone is PCM16 mono."""

WIDE_RATE = 16_000
"""Samples a second on a line of G.722."""

LONGEST_SECONDS = 600
"""How much of a file is played."""

_ZERO_CROSSINGS = 16


def load(what: str, rate: int = RATE) -> Samples:
    """The sound to play: `sentence` (spoken, in the package), `tone`, `tone:HZ`, `silence`, or a WAV file's path.

    Raises `UsageError` where it can't be played, with what to write instead.
    """
    if what == "silence":
        return array("h")
    if what == "sentence":
        with (resources.files("offhook.phone") / "sounds" / "sentence.wav").open("rb") as stream:
            return _read(stream, "the spoken sentence", rate)
    kind, _, hz = what.partition(":")
    if kind == "tone":
        highest = rate * 9 // 20
        if not (hz or "440").isdecimal() or not 50 <= int(hz or "440") <= highest:
            hint = f"write tone:440, from 50 to {highest} Hz"
            raise UsageError(f"{what!r} is no tone that a telephone carries", hint=hint)
        return tone(float(hz or 440), 1.0, rate=rate)
    try:
        with Path(what).open("rb") as stream:
            return _read(stream, what, rate)
    except OSError as error:
        hint = "--play takes a WAV file, sentence, tone, tone:HZ or silence"
        raise UsageError(f"{what}: can't be read: {error.strerror}", hint=hint) from error


def tone(hz: float, seconds: float, amplitude: float = 9_000.0, rate: int = RATE) -> Samples:
    """A sine of whole periods, so that it can be played over and over without a click."""
    periods = max(1, round(hz * seconds))
    count = round(periods * rate / hz)
    step = 2 * math.pi * periods / count
    return array("h", (round(amplitude * math.sin(step * n)) for n in range(count)))


def level_db(samples: Sequence[int]) -> float:
    """How loud it is: decibels below the loudest square wave (0); silence is -100."""
    if not samples:
        return -100.0
    power = sum(map(mul, samples, samples)) / len(samples)
    return max(-100.0, 10 * math.log10(power / 32_768**2)) if power else -100.0


def from_bytes(pcm16: bytes) -> Samples:
    """PCM16 little-endian as samples."""
    samples = array("h")
    samples.frombytes(pcm16[: len(pcm16) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def to_bytes(samples: Samples) -> bytes:
    """Samples as PCM16 little-endian."""
    if sys.byteorder == "big":
        samples = samples[:]
        samples.byteswap()
    return samples.tobytes()


def check_recording(path: Path) -> None:
    """Raise `UsageError` where no recording can be written there, before a call is made for it."""
    if path.is_dir():
        raise UsageError(f"{path} is a directory", hint="name a file, such as call.wav")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise UsageError(f"{path} can't be written", hint="choose a place that exists and may be written to")


def write_stereo(path: Path, left: Samples, right: Samples, rate: int = RATE) -> None:
    """Write two channels of the same length. What the system refuses raises OSError."""
    both = array("h", bytes(4 * len(left)))
    both[0::2], both[1::2] = left, right
    with path.open("wb") as stream, wave.open(stream) as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(to_bytes(both))


def _read(stream: IO[bytes], name: str, rate: int) -> Samples:
    try:
        with wave.open(stream) as reader:
            channels, width, stored = reader.getnchannels(), reader.getsampwidth(), reader.getframerate()
            data = reader.readframes(min(reader.getnframes(), LONGEST_SECONDS * stored))
    except (wave.Error, EOFError) as error:
        hint = f"convert it: ffmpeg -i {name} -ar {rate} -ac 1 -c:a pcm_s16le out.wav"
        raise UsageError(f"{name}: is no WAV file of plain PCM: {error}", hint=hint) from error
    samples = _samples(data, width)
    if channels > 1:
        samples = array("h", (sum(samples[at : at + channels]) // channels for at in range(0, len(samples), channels)))
    if not samples:
        raise UsageError(f"{name}: holds no sound", hint="--play silence sends none on purpose")
    return samples if stored == rate else resample(samples, stored, rate)


def _samples(data: bytes, width: int) -> Samples:
    """Samples of 8 (unsigned), 16, 24 or 32 bits as 16."""
    if width == 1:
        return array("h", ((byte - 128) << 8 for byte in data))
    # The two upper bytes of each sample are the loud ones.
    kept = bytearray(len(data) // width * 2)
    kept[0::2], kept[1::2] = data[width - 2 :: width][: len(kept) // 2], data[width - 1 :: width]
    return from_bytes(bytes(kept))


def resample(samples: Samples, rate: int, to: int = RATE) -> Samples:
    """Bring sound of one rate to another, with everything above half of the lower rate filtered out."""
    shared = math.gcd(rate, to)
    up, down = to // shared, rate // shared
    cutoff = min(1.0, to / rate)
    reach = math.ceil(_ZERO_CROSSINGS / cutoff)
    padded = array("h", bytes(2 * reach)) + samples + array("h", bytes(2 * (reach + 1)))
    out = array("h")
    for n in range(len(samples) * up // down):
        whole, phase = divmod(n * down, up)
        total = sum(map(mul, _kernel(phase / up, cutoff, reach), padded[whole : whole + 2 * reach + 1]))
        out.append(max(-32_768, min(32_767, round(total))))
    return out


def between_lines(samples: Samples, rate: int, to: int) -> Samples:
    """Bring sound of one line's rate to the other's a piece at a time and in its place: good enough to measure.

    Each two samples become their mean, or a mean is put between each two.
    """
    if rate == to:
        return samples
    if rate > to:
        return array("h", ((a + b) >> 1 for a, b in zip(samples[0::2], samples[1::2], strict=False)))
    out = array("h", bytes(4 * len(samples)))
    out[0::2] = samples
    out[1::2] = array("h", ((a + b) >> 1 for a, b in pairwise(samples))) + samples[-1:]
    return out


@lru_cache(maxsize=1_024)
def _kernel(shift: float, cutoff: float, reach: int) -> tuple[float, ...]:
    """A sinc under a Hann window, for a sample that lies `shift` behind its neighbour."""
    weights = []
    for n in range(-reach, reach + 1):
        at = n - shift
        sinc = 1.0 if at == 0 else math.sin(math.pi * at * cutoff) / (math.pi * at * cutoff)
        weights.append(cutoff * sinc * (0.5 + 0.5 * math.cos(math.pi * at / (reach + 1))))
    return tuple(weights)
