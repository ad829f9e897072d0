"""What a connection to the HTTP server may cost: how many there are, how long a request takes, how large it is.

uvicorn waits for the rest of a request for ever and reads a head of any size; whoever has no token could hold every
descriptor of the process that way, or its event loop.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from offhook.api.guard import OnRefused

RULE = "http_connection"
"""The rule that refusals of connections are listed by."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"  # RFC 6585
)


@dataclass(frozen=True, slots=True)
class HttpBounds:
    """Times in seconds, sizes in bytes. Whoever goes beyond is cut off, counted and listed."""

    connections: int = 2_000
    unfinished: int = 256
    """Connections whose request is not whole; of more, the one that has taken longest is cut off."""
    request_seconds: float = 20.0
    """From the connection, or the first byte of a further request, to the last byte."""
    unread_seconds: float = 30.0
    """How long an answer may lie there without being read to its end."""
    head_bytes: int = 32 << 10
    """Request line and header fields (431)."""
    request_bytes: int = 512 << 10
    """Head, body and whatever is wrapped around them: twice the longest body that anything here reads."""


class HttpConnections:
    """All connections of one server. `now` is monotonic seconds; `refused` hears of whom was cut off, and why."""

    def __init__(self, refused: OnRefused, *, now: Callable[[], float], bounds: HttpBounds | None = None) -> None:
        self.bounds = bounds or HttpBounds()
        self._refused = refused
        self._now = now
        self._all: dict[HttpConnection, None] = {}
        self._unfinished: OrderedDict[HttpConnection, float] = OrderedDict()
        self._unread: dict[HttpConnection, float] = {}

    def __len__(self) -> int:
        return len(self._all)

    def protocol(self, **settings: Any) -> "HttpConnection":
        """What uvicorn makes for each connection (its setting `http`)."""
        return HttpConnection(self, **settings)

    def opened(self, connection: "HttpConnection") -> bool:
        """A connection stands; False if it is one too many."""
        if len(self._all) >= self.bounds.connections:
            self._tell(connection, f"{len(self._all)} connections are open, as many as there may be")
            return False
        self._all[connection] = None
        self.begun(connection)
        return True

    def begun(self, connection: "HttpConnection") -> None:
        """A request is awaited, or has begun to come."""
        if connection in self._unfinished:
            return
        self._unfinished[connection] = self._now()
        if len(self._unfinished) > self.bounds.unfinished:
            oldest = next(iter(self._unfinished))
            self.cut_off(
                oldest, f"{self.bounds.unfinished} others had no whole request either, and it had been longest"
            )

    def finished(self, connection: "HttpConnection") -> None:
        """A request has come whole."""
        self._unfinished.pop(connection, None)

    def closed(self, connection: "HttpConnection") -> None:
        """A connection is gone, or somebody else's by now."""
        for table in (self._all, self._unfinished, self._unread):
            table.pop(connection, None)

    def cut_off(self, connection: "HttpConnection", why: str) -> None:
        """End a connection at once."""
        self._tell(connection, why)
        self.closed(connection)
        connection.transport.abort()

    def sweep(self) -> None:
        """Cut off whoever takes too long; to be called every second or so."""
        now, bounds = self._now(), self.bounds
        for connection, since in list(self._unfinished.items()):
            if now - since <= bounds.request_seconds:
                break
            if connection.has_spoken:
                self.cut_off(connection, f"a request was not whole after {bounds.request_seconds:g} s")
            else:
                # Browsers connect ahead of what they may want.
                self.closed(connection)
                connection.transport.abort()
        for connection in list(self._all):
            if not connection.transport.get_write_buffer_size():
                self._unread.pop(connection, None)
            elif now - self._unread.setdefault(connection, now) > bounds.unread_seconds:
                self.cut_off(connection, f"an answer was not read within {bounds.unread_seconds:g} s")

    def _tell(self, connection: "HttpConnection", why: str) -> None:
        self._refused(connection.client[0] if connection.client else "", RULE, f"an HTTP connection was cut off: {why}")


class HttpConnection(HttpToolsProtocol):
    """One connection, as uvicorn serves it, within the bounds."""

    def __init__(self, connections: HttpConnections, **settings: Any) -> None:
        super().__init__(**settings)
        self._connections = connections
        self._taken = 0
        self._in_head = True
        self.has_spoken = False
        """Whether anything has come on it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if there is room for it."""
        super().connection_made(transport)
        if not self._connections.opened(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._connections.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request, as long as it is none too large."""
        self.has_spoken = True
        self._connections.begun(self)
        self._taken += len(data)
        super().data_received(data)
        bounds = self._connections.bounds
        if self._taken > (bounds.head_bytes if self._in_head else bounds.request_bytes):
            self._refuse()

    def _refuse(self) -> None:
        if self._in_head and (self.cycle is None or self.cycle.response_complete):
            self.transport.write(_TOO_LARGE)
        part, most = (
            ("the head of a request", self._connections.bounds.head_bytes)
            if self._in_head
            else ("a request", self._connections.bounds.request_bytes)
        )
        self._connections.cut_off(self, f"{part} had more than {most} bytes")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._taken, self._in_head = 0, True
        self._connections.finished(self)
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """The connection is no longer uvicorn's."""
        self._connections.closed(self)
        super().handle_websocket_upgrade()
