"""What the files of `[recording]` have to say: its key and its announcement."""

import binascii
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

from offhook.config.problems import Finding
from offhook.config.schema import Config, RecordingConfig
from offhook.config.sounds import HINT, UNUSABLE, sound_in, why_unusable
from offhook.config.values import KeySource

KEY_BYTES = 32
_LONGEST_KEY_FILE = 4096
_MAKE_KEY = "make one with: openssl rand -hex 32"


def findings(config: Config) -> list[Finding]:
    """What is wrong with these files. They are read only if they are set."""
    return list(_findings(config.recording))


def _findings(recording: RecordingConfig) -> Iterator[Finding]:
    if recording.key is not None:
        try:
            key_of(recording.key)
        except (OSError, ValueError) as error:
            yield Finding(("recording", "key"), why_unusable(error, recording.key.file), _MAKE_KEY)
    if recording.announcement != "off":
        try:
            announcement_of(recording)
        except UNUSABLE as error:
            yield Finding(("recording", "announcement"), why_unusable(error, recording.announcement), HINT)


def key_of(source: KeySource) -> bytes:
    """The key: 32 bytes. Raises ValueError with what is wrong, and OSError."""
    if source.secret is not None:
        return read_key(source.secret.reveal(), "the key")
    assert source.file is not None, "a key comes from one of the two"
    return key_in(Path(source.file))


def key_in(file: Path) -> bytes:
    """The key in a file, as text. Raises ValueError with what is wrong, and OSError."""
    with file.open("rb") as opened:
        return read_key(opened.read(_LONGEST_KEY_FILE).decode("ascii", "replace"), "the key in it")


def read_key(text: str, what: str) -> bytes:
    """32 bytes in hex or base64. Raises ValueError, which does not show them."""
    text = text.strip()
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(f"{what} is neither hex nor base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"{what} has {len(key)} bytes, not {KEY_BYTES}")
    return key


def announcement_of(recording: RecordingConfig) -> tuple[bytes, int] | None:
    """The announcement, PCM16 little-endian mono, and its rate; None if it is off.

    Raises ValueError, EOFError, OSError and wave.Error.
    """
    if recording.announcement == "off":
        return None
    return sound_in(recording.announcement)
