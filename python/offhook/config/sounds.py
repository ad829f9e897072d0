"""WAV files that settings name: what may be played, and by which words one that may not is refused."""

import wave
from collections.abc import Iterator
from pathlib import Path

from offhook.config.problems import Finding
from offhook.config.schema import Config
from offhook.route.early_media import EarlyMedia

HINT = "a WAV file of 16 bits, mono, 8, 16, 24 or 48 kHz"
LONGEST = 60.0
"""Seconds."""

_RATES = (8000, 16000, 24000, 48000)

UNUSABLE = (OSError, ValueError, EOFError, wave.Error)
"""What `sound_in` raises."""


def sound_in(file: str) -> tuple[bytes, int]:
    """The sound of a WAV file, PCM16 little-endian mono, and its rate. Raises what `UNUSABLE` lists."""
    with wave.open(file, "rb") as sound:
        channels, width, rate, count = (
            sound.getnchannels(),
            sound.getsampwidth(),
            sound.getframerate(),
            sound.getnframes(),
        )
        if (channels, width) != (1, 2) or rate not in _RATES:
            raise ValueError(f"it has {channels} channels of {8 * width} bits at {rate} Hz")
        if not 0 < count <= LONGEST * rate:
            raise ValueError(f"it lasts {count / rate:.0f} s, and {LONGEST:.0f} s at most are played")
        return sound.readframes(count), rate


def why_unusable(error: Exception, file: str | None) -> str:
    """What is wrong with a file, in words."""
    if isinstance(error, OSError):
        return f"{file} can't be read: {error.strerror}"
    return f"{file} can't be used: {error}" if file is not None else str(error)


def early_sounds(config: Config) -> dict[str, tuple[bytes, int]]:
    """The sounds of the files that routes play before the answer, by their paths."""
    files = {route.early_media.detail for route in config.routes if route.early_media.source == "file"}
    return {file: sound_in(file) for file in sorted(files)}


def findings(config: Config) -> Iterator[Finding]:
    """What is wrong with the files that routes and agents name."""
    for index, agent in enumerate(config.agents):
        if agent.voicemail is None:
            continue
        try:
            sound_in(agent.voicemail)
        except UNUSABLE as error:
            yield Finding(("agent", index, "voicemail"), why_unusable(error, agent.voicemail), HINT)
    for index, route in enumerate(config.routes):
        if route.early_media.source != "file":
            continue
        try:
            sound_in(route.early_media.detail)
        except UNUSABLE as error:
            yield Finding(("route", index, "early_media"), why_unusable(error, route.early_media.detail), HINT)


def seen_from(base: Path, early: EarlyMedia) -> EarlyMedia:
    """The setting with its path made absolute."""
    return EarlyMedia("file", str(base / early.detail)) if early.source == "file" else early
