"""Files as the media core leaves them."""

import struct
from pathlib import Path

from offhook.recording.envelope import CHUNK, Envelope, WrappingKey
from offhook.recording.shelf import Facts

CALL = "01kat6r8q3m0v9x2c4f6h8j0k2"
KEY = WrappingKey(bytes(range(32)))
OTHER_KEY = WrappingKey(bytes(32))


def wav(samples: int, rate: int = 8000) -> bytes:
    """A WAV file whose lengths are still open."""
    header = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 2**32 - 1, b"WAVEfmt ", 16, 1, 2, rate, 4 * rate, 4, 16, b"data",
                         2**32 - 1)  # fmt: skip
    return header + b"".join(struct.pack("<hh", n % 100, -(n % 77)) for n in range(samples))


def seal(clear: bytes, key: WrappingKey = KEY, *, ended: bool = True, call: str = CALL) -> bytes:
    """The file that the media core makes of it; not `ended`, what there is of it by then."""
    envelope, own = Envelope.make(call, "wav", key)
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    gcm, sealed = AESGCM(own), envelope.header
    chunks = [clear[at : at + CHUNK] for at in range(0, len(clear), CHUNK)]
    for number, chunk in enumerate(chunks if ended else chunks[:-1]):
        last = ended and number + 1 == len(chunks)
        nonce = envelope.prefix + number.to_bytes(4, "big") + bytes([last])
        sealed += gcm.encrypt(nonce, chunk, envelope.header)
    return sealed


def facts(**changes: object) -> Facts:
    """What a recording's call knows of it."""
    known: Facts = {
        "version": 1,
        "call_id": CALL,
        "started_at": "2026-11-22T16:00:00.000+00:00",
        "format": "wav",
        "rate": 8000,
        "samples": 4000,
        "pauses": [],
        "dropped_frames": 0,
        "complete": True,
        "recovered": False,
        "error": None,
        "key_id": None,
    }
    return known | changes


def modes(directory: Path) -> set[int]:
    """The rights of everything below a directory, files and directories apart."""
    return {path.stat().st_mode & 0o777 for path in directory.rglob("*")}
