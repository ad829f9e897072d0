"""`offhook.worker.v1` as bytes and messages: records about calls, JSON about the worker. Pure.

docs/reference/worker-protocol.md is its page.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from offhook.errors import RemoteProtocolError

SUBPROTOCOL = "offhook.worker.v1"
PATH = "/v1/worker"
MESSAGE_LIMIT = 1 << 20

_HEADER = struct.Struct(">III")
_CLOSE = struct.Struct(">H")


class Kind(IntEnum):
    """Kinds of records."""

    AUDIO = 1
    CONTROL = 2
    CREDIT = 3
    CLOSE = 4


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `kind` may be one that this version doesn't know; such are to be ignored."""

    kind: int
    call: int
    position: int
    payload: bytes


def pack(kind: Kind, call: int, payload: bytes = b"", position: int = 0) -> bytes:
    """One record as bytes."""
    return _HEADER.pack(kind << 24 | len(payload), call, position) + payload


def pack_control(call: int, message: Mapping[str, Any]) -> bytes:
    """A CONTROL record with a message of `offhook.v1`."""
    return pack(Kind.CONTROL, call, json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())


def pack_close(call: int, code: int, reason: str = "") -> bytes:
    """A CLOSE record; the reason is cut at 123 bytes."""
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return pack(Kind.CLOSE, call, _CLOSE.pack(code) + text)


def unpack(message: bytes) -> Iterator[Record]:
    """The records of a binary message. Raises `RemoteProtocolError` where one is cut."""
    at = 0
    while at < len(message):
        if at + _HEADER.size > len(message):
            raise RemoteProtocolError("the header of a record is cut", offset=at)
        first, call, position = _HEADER.unpack_from(message, at)
        begin = at + _HEADER.size
        at = begin + (first & 0xFFFFFF)
        if at > len(message):
            raise RemoteProtocolError("the payload of a record is cut", offset=begin)
        yield Record(first >> 24, call, position, message[begin:at])


def close_code(payload: bytes) -> tuple[int, str]:
    """Code and reason of a CLOSE record; 1005 where there is none."""
    if len(payload) < _CLOSE.size:
        return 1005, ""
    return _CLOSE.unpack_from(payload)[0], payload[_CLOSE.size :].decode(errors="replace")


def parse(text: str | bytes) -> dict[str, Any]:
    """A JSON message with a string `type`. Raises `RemoteProtocolError` where it is none."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"a message is no JSON: {error}") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise RemoteProtocolError("a message is no object with a type")
    return message


def number(message: Mapping[str, Any], name: str) -> int:
    """A whole number of a message, 0 where it is missing or none."""
    value = message.get(name)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0


def words(message: Mapping[str, Any], name: str) -> str:
    """A text of a message, empty where it is missing or none."""
    value = message.get(name)
    return value if isinstance(value, str) else ""
