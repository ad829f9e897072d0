"""What `hold_music` of trunks and routes names: the gateway's own music, silence, or a WAV file."""

import sys
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offhook.config.problems import Finding
from offhook.config.schema import Config

if TYPE_CHECKING:
    from offhook._media import Melody

OURS = "melody"
NONE = "silence"

_RATES = (8000, 16000, 24000, 48000)
_LONGEST = 600.0
_SHORTEST = 0.02


def findings(config: Config) -> Iterator[Finding]:
    """What is wrong with these files. Each is read once."""
    told: dict[str, str | None] = {}
    named: list[tuple[str, int, str | None]] = [
        *(("trunk", index, trunk.hold_music) for index, trunk in enumerate(config.trunks)),
        *(("route", index, route.hold_music) for index, route in enumerate(config.routes)),
    ]
    for table, index, file in named:
        if file is None or file in (OURS, NONE):
            continue
        if file not in told:
            told[file] = _complaint(file)
        if (message := told[file]) is not None:
            hint = "`melody`, `silence`, or a WAV file of 16 bits, mono or stereo, 8, 16, 24 or 48 kHz"
            yield Finding((table, index, "hold_music"), message, hint)


def at(base: Path, section: Any) -> Any:
    """A trunk or route whose file is seen from `base`."""
    file = section.hold_music
    if file is None or file in (OURS, NONE):
        return section
    return section.model_copy(update={"hold_music": str(base / file)})


def melodies(config: Config) -> "dict[str, Melody]":
    """The music by the names that trunks and routes have for it; `silence` is none. It takes a moment for each file.

    Raises ValueError, EOFError, OSError and wave.Error for a file that has changed since it was looked at.
    """
    # A file is checked where the media core was not built, too.
    from offhook._media import Melody

    named = {trunk.hold_music for trunk in config.trunks} | {route.hold_music for route in config.routes}
    files = {name for name in named if name is not None and name not in (OURS, NONE)}
    return {OURS: Melody.composed()} | {file: Melody(*_read(file)) for file in files}


def _read(file: str) -> tuple[bytes, int]:
    """PCM16 little-endian mono, and its rate."""
    with wave.open(file, "rb") as sound:
        _check(sound)
        pcm, channels, rate = sound.readframes(sound.getnframes()), sound.getnchannels(), sound.getframerate()
    return (_mono(pcm) if channels == 2 else pcm), rate


def _check(sound: wave.Wave_read) -> None:
    channels, width = sound.getnchannels(), sound.getsampwidth()
    rate, count = sound.getframerate(), sound.getnframes()
    if channels not in (1, 2) or width != 2 or rate not in _RATES:
        raise ValueError(f"it has {channels} channels of {8 * width} bits at {rate} Hz")
    if not _SHORTEST * rate <= count <= _LONGEST * rate:
        raise ValueError(f"it lasts {count / rate:.2f} s, and 0.02 to {_LONGEST:.0f} s are played")


def _mono(pcm: bytes) -> bytes:
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    mixed = array("h", ((left + right) // 2 for left, right in zip(samples[::2], samples[1::2], strict=False)))
    if sys.byteorder == "big":
        mixed.byteswap()
    return mixed.tobytes()


def _complaint(file: str) -> str | None:
    try:
        with wave.open(file, "rb") as sound:
            _check(sound)
    except OSError as error:
        return f"{file} can't be read: {error.strerror}"
    except (ValueError, EOFError, wave.Error) as error:
        return f"{file} can't be used: {error}"
    return None
