"""WebSockets that are dialled to us: uvicorn reads the request, we judge it, and the media core gets the connection.

Neither Python nor a WebSocket library ever sees what is said on it.
"""

import asyncio
import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import structlog

_log = structlog.get_logger("offhook.api")

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = "13"
_MAX_QUERY = 16


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """The request for a WebSocket: names of headers in small letters, `source` the peer's address."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    source: str

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """Those that the peer offers, best first."""
        return tuple(name.strip() for name in self.headers.get("sec-websocket-protocol", "").split(",") if name.strip())

    @property
    def bearer(self) -> str | None:
        """The token of its `Authorization: Bearer …`."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" and token.strip() else None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The connection is wanted: `take` gets its descriptor, and the head of the HTTP answer that has to go out first.

    The descriptor is closed here afterwards, so `take` makes one of its own. It may raise.
    """

    subprotocol: str
    take: Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class Declined:
    """The connection is not wanted. What is said goes into the body, as of every error; `about` is its `field`."""

    status: HTTPStatus
    code: str
    message: str
    hint: str = ""
    about: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Judge = Callable[[UpgradeRequest], Accepted | Declined]
"""Decides about the requests for one path. Called on the event loop; must not wait."""


def upgrade_protocol(judges: Mapping[str, Judge]) -> Callable[..., asyncio.Protocol]:
    """What uvicorn makes for a request that wants a WebSocket (its setting `ws`); `judges` by path."""

    def make(**_: Any) -> asyncio.Protocol:
        return _Upgrade(judges)

    return make


class _Upgrade(asyncio.Protocol):
    """One such request. uvicorn hands over the connection, then the request as it would have come from the wire."""

    def __init__(self, judges: Mapping[str, Judge]) -> None:
        self._judges = judges
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._transport = None
        # The peer has to wait for our answer (RFC 6455 section 4.1); what it sends then is not for us to read.
        transport.pause_reading()
        peer = transport.get_extra_info("peername")
        request = read_request(data, peer[0] if isinstance(peer, tuple) else "")
        verdict = self._judge(request)
        if isinstance(verdict, Declined):
            transport.write(refusal(verdict))
            transport.close()
            return
        answer = acceptance(request.headers["sec-websocket-key"], verdict.subprotocol)
        # uvicorn still has the transport in hand.
        asyncio.get_running_loop().call_soon(_hand_over, transport, verdict, answer)

    def _judge(self, request: UpgradeRequest) -> Accepted | Declined:
        judge = self._judges.get(request.path)
        if judge is None:
            return Declined(HTTPStatus.NOT_FOUND, "not_found", "no WebSocket is served at this path")
        if request.headers.get("sec-websocket-version") != _VERSION:
            return Declined(
                HTTPStatus.UPGRADE_REQUIRED,
                "bad_upgrade",
                f"Sec-WebSocket-Version is to be {_VERSION} (RFC 6455)",
                headers={"Sec-WebSocket-Version": _VERSION},
            )
        if not _is_key(request.headers.get("sec-websocket-key", "")):
            return Declined(HTTPStatus.BAD_REQUEST, "bad_upgrade", "Sec-WebSocket-Key is not 16 bytes of base64")
        return judge(request)


def _hand_over(transport: asyncio.Transport, accepted: Accepted, answer: bytes) -> None:
    if transport.is_closing():
        return
    try:
        accepted.take(transport.get_extra_info("socket").fileno(), answer)
    except Exception:
        _log.exception("upgrade.failed")
    # Ours alone is closed: whoever took the connection has a descriptor of its own by now.
    transport.abort()


def read_request(head: bytes, source: str) -> UpgradeRequest:
    """Read the head of a request that an HTTP parser has judged already. Of a header given twice the last counts."""
    request_line, *lines = head.decode("latin-1").split("\r\n")
    target = request_line.split(" ")[1] if request_line.count(" ") >= 2 else "/"
    try:
        parts = urlsplit(target)
    except ValueError:
        # Brackets around what is no address: a target that nothing is served at.
        parts = urlsplit("")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    try:
        query = dict(parse_qsl(parts.query, max_num_fields=_MAX_QUERY))
    except ValueError:
        query = {}
    return UpgradeRequest(parts.path, query, headers, source)


def acceptance(key: str, subprotocol: str) -> bytes:
    """The head of the answer that makes the connection a WebSocket (RFC 6455 section 4.2.2)."""
    digest = hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()
    accept = base64.b64encode(digest).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    ).encode("latin-1")


def refusal(declined: Declined) -> bytes:
    """The answer that refuses: a JSON body `{code, message, hint, field}` like that of every error of the API."""
    error = {"code": declined.code, "message": declined.message, "hint": declined.hint, "field": declined.about}
    body = json.dumps(error, ensure_ascii=False).encode()
    lines = [
        f"HTTP/1.1 {declined.status.value} {declined.status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in declined.headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
