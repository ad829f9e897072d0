"""Encryption at rest: each file has a key of its own, and that key lies in the file's header, wrapped by ours.

A file is its header (`MAGIC`, the length of what follows in 32 bits, JSON), then the chunks that the media core seals
(`RecordingConfig` of `_media.pyi` says how). Whoever has the wrapping key can read the file; who changes, cuts or
swaps any part of it is found out. The id of a wrapping key is told in the clear, so that the right one can be found.
"""

import hashlib
import json
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from offhook.recording.error import RecordingError

MAGIC = b"offhook recording 1\n"
CHUNK = 16_384
"""Bytes of sound in a chunk, as the media core seals them."""
TAG = 16
KEY_BYTES = 32
CONTENTS = ("wav", "flac", "jsonl", "vtt")
"""What there may be in a file: sound, or a transcript of it."""
_PREFIX_BYTES = 7
_NONCE_BYTES = 12
_LONGEST_HEADER = 4096


class WrappingKey:
    """The key that the keys of recordings are wrapped by: 32 bytes. `id` names it and gives nothing of it away."""

    __slots__ = ("_gcm", "id")

    def __init__(self, key: bytes) -> None:
        self._gcm = AESGCM(key)
        self.id = hashlib.sha256(b"offhook recording key\n" + key).hexdigest()[:16]

    def wrap(self, key: bytes, purpose: bytes) -> bytes:
        """The key as it may lie in a file; it can only be had back for the same purpose."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._gcm.encrypt(nonce, key, purpose)

    def unwrap(self, wrapped: bytes, purpose: bytes) -> bytes:
        """The key again. Raises `InvalidTag`."""
        return self._gcm.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], purpose)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the header of an encrypted file says. `content` is one of `CONTENTS`."""

    header: bytes
    content: str
    call_id: str
    key_id: str
    wrapped: bytes
    prefix: bytes

    @classmethod
    def make(cls, call_id: str, content: str, key: WrappingKey) -> tuple[Self, bytes]:
        """A header for a new file, and the file's own key."""
        own, prefix = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(_PREFIX_BYTES)
        wrapped = key.wrap(own, _purpose(call_id, content))
        said = {
            "cipher": "AES-256-GCM",
            "chunk": CHUNK,
            "content": content,
            "call_id": call_id,
            "key_id": key.id,
            "wrapped_key": b64encode(wrapped).decode(),
            "nonce_prefix": b64encode(prefix).decode(),
        }
        text = json.dumps(said).encode()
        header = MAGIC + len(text).to_bytes(4, "big") + text
        return cls(header, content, call_id, key.id, wrapped, prefix), own

    @classmethod
    def read(cls, file: BinaryIO) -> Self:
        """The header of a file, which is left at its first chunk. Raises `RecordingError` (`recording_damaged`)."""
        begin = file.read(len(MAGIC) + 4)
        length = int.from_bytes(begin[len(MAGIC) :], "big")
        if not begin.startswith(MAGIC) or length > _LONGEST_HEADER:
            raise _damaged("it does not begin as an encrypted recording does")
        text = file.read(length)
        try:
            said = json.loads(text)
            wrapped, prefix = b64decode(said["wrapped_key"]), b64decode(said["nonce_prefix"])
            found = cls(begin + text, str(said["content"]), str(said["call_id"]), str(said["key_id"]), wrapped, prefix)
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged("its header can't be read") from error
        if said.get("chunk") != CHUNK or len(prefix) != _PREFIX_BYTES or found.content not in CONTENTS:
            raise _damaged("its header says what this version does not know")
        return found

    def cipher(self, key: WrappingKey | None) -> "_Cipher":
        """What opens the chunks. Raises `RecordingError` (`recording_key_missing`, `recording_key_wrong`)."""
        if key is None:
            raise RecordingError(
                f"the recording is encrypted under key {self.key_id}, and no key is given",
                hint="give the key by recording.key, or by --key-file",
                code="recording_key_missing",
            )
        if key.id != self.key_id:
            raise RecordingError(
                f"the recording is encrypted under key {self.key_id}, and the key given is {key.id}",
                hint="give the key that was set when the call was recorded, by --key-file",
                code="recording_key_wrong",
            )
        try:
            own = key.unwrap(self.wrapped, _purpose(self.call_id, self.content))
        except InvalidTag as error:
            raise _damaged("its own key can't be unwrapped") from error
        return _Cipher(AESGCM(own), self)


@dataclass(frozen=True, slots=True)
class _Cipher:
    """The chunks of one file, by their numbers."""

    gcm: AESGCM
    envelope: Envelope

    def open(self, sealed: bytes, number: int, *, last: bool) -> bytes:
        return self.gcm.decrypt(self._nonce(number, last), sealed, self.envelope.header)

    def seal(self, clear: bytes, number: int, *, last: bool) -> bytes:
        return self.gcm.encrypt(self._nonce(number, last), clear, self.envelope.header)

    def _nonce(self, number: int, last: bool) -> bytes:
        return self.envelope.prefix + number.to_bytes(4, "big") + bytes([last])


def open_sealed(path: Path, key: WrappingKey | None) -> tuple[Envelope, Iterator[bytes]]:
    """The header of an encrypted file and its sound, piece by piece.

    Raises `RecordingError`, while the pieces are taken, too: what came before must then not be used.
    """
    with path.open("rb") as file:
        envelope = Envelope.read(file)
    return envelope, _pieces(path, envelope, envelope.cipher(key))


def seal(call_id: str, content: str, clear: bytes, key: WrappingKey) -> bytes:
    """A whole encrypted file of something that is small enough to be held."""
    envelope, own = Envelope.make(call_id, content, key)
    cipher = _Cipher(AESGCM(own), envelope)
    last = max(0, len(clear) - 1) // CHUNK
    chunks = (clear[number * CHUNK : (number + 1) * CHUNK] for number in range(last + 1))
    return envelope.header + b"".join(
        cipher.seal(chunk, number, last=number == last) for number, chunk in enumerate(chunks)
    )


def _pieces(path: Path, envelope: Envelope, cipher: _Cipher) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(len(envelope.header))
        sealed, number = file.read(CHUNK + TAG), 0
        while True:
            following = file.read(CHUNK + TAG)
            try:
                yield cipher.open(sealed, number, last=not following)
            except InvalidTag as error:
                raise _damaged(f"chunk {number} was changed, or what followed it was cut off") from error
            if not following:
                return
            sealed, number = following, number + 1


def complete_sealed(path: Path, key: WrappingKey | None) -> bool:
    """Make a file whole that its writer left where it was; False if there is no sound in it.

    What is not a whole chunk goes, and the chunk before it becomes the last. Raises `RecordingError`.
    """
    with path.open("r+b") as file:
        envelope = Envelope.read(file)
        cipher, begin = envelope.cipher(key), len(envelope.header)
        size = file.seek(0, os.SEEK_END) - begin
        whole, rest = divmod(size, CHUNK + TAG)
        count = whole + bool(rest)
        if count and _opens(file, cipher, begin, count - 1):
            return True
        if not whole:
            return False
        place = begin + (whole - 1) * (CHUNK + TAG)
        file.seek(place)
        try:
            clear = cipher.open(file.read(CHUNK + TAG), whole - 1, last=False)
        except InvalidTag as error:
            raise _damaged(f"chunk {whole - 1} is not as it was written") from error
        file.seek(place)
        file.write(cipher.seal(clear, whole - 1, last=True))
        file.truncate()
    return True


def _opens(file: BinaryIO, cipher: _Cipher, begin: int, number: int) -> bool:
    """Whether this chunk was sealed as the last one."""
    file.seek(begin + number * (CHUNK + TAG))
    try:
        cipher.open(file.read(CHUNK + TAG), number, last=True)
    except InvalidTag:
        return False
    return True


def _purpose(call_id: str, content: str) -> bytes:
    return f"recording {content} of call {call_id}".encode()


def _damaged(what: str) -> RecordingError:
    return RecordingError(f"the recording can't be read: {what}", code="recording_damaged")
