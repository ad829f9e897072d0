"""SIP over TCP: framing, keep-alives, and what a connection may cost us."""

import asyncio
import socket
from collections import Counter, deque
from typing import Final, Protocol, cast

from offhook.errors import RemoteProtocolError
from offhook.sip.effects import Address, Source, TlsSession
from offhook.sip.message import Message, Request, Response
from offhook.sip.parser import KeepAlive, MessageError, StreamParser
from offhook.transport.limits import TransportLimits
from offhook.transport.listener import mark
from offhook.transport.tls_failure import Speaks, TlsCause, TlsFailure, first_bytes


class ConnectionOwner(Protocol):
    """Who keeps the connections."""

    counters: Counter[str]
    limits: TransportLimits

    def opened(self, connection: "TcpConnection") -> bool:
        """A connection stands; False to have it closed at once."""

    def closed(self, connection: "TcpConnection") -> None:
        """A connection is gone."""

    def on_stream_message(self, message: Message, source: Source) -> None:
        """A message came."""

    def on_stream_error(self, error: MessageError, source: Source) -> None:
        """Something came that is no message."""

    def tls_failed(self, failure: TlsFailure) -> None:
        """TLS came to nothing, or was spoken where it is not."""

    def now(self) -> float:
        """The loop's time."""


_READ_AT_ONCE: Final = 8 << 10
"""Bytes of one connection that are worked off before the loop turns to others: some twenty small messages."""


class TcpConnection(asyncio.BufferedProtocol):
    """One TCP connection, accepted or opened by us. It never blocks: who does not read is cut off."""

    transport_name = "tcp"
    is_of_the_network = True
    """Whether a socket carries it."""

    def __init__(self, owner: ConnectionOwner, flow: int, listener_flow: int | None, target: Address | None) -> None:
        self.flow = flow
        self.listener_flow = listener_flow
        """The listener that accepted it; None if we opened it."""
        self.target = target
        """Where we opened it to; None if it was accepted."""
        self.source: Source | None = None
        self.is_strangers = False
        """Whether it came from an address that no trunk lists."""
        self.transactions: deque[int] = deque(maxlen=owner.limits.transactions_per_connection)
        """Client transactions that were sent on it, the newest last."""
        self._owner = owner
        self._buffer = bytearray(_READ_AT_ONCE)
        self._parser = StreamParser(owner.limits.message)
        self._transport: asyncio.Transport | None = None
        self._opened_at = 0.0
        self._last_at: float | None = None
        self._spoke = False
        self._half_since: float | None = None
        self._begun = False

    def _named(self, remote: Address, local: Address, tls: TlsSession | None = None) -> Source:
        return Source(self.transport_name, remote, local, self.flow, tls)

    @property
    def is_open(self) -> bool:
        """Whether something can be written."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        transport = cast(asyncio.Transport, transport)
        sock: socket.socket | None = transport.get_extra_info("socket")
        remote, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._transport = transport
        if sock is None or remote is None or local is None:
            transport.abort()
            return
        mark(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        host = remote[0].partition("%")[0]
        self.source = self._named((host, remote[1]), (local[0].partition("%")[0], local[1]))
        self._opened_at = self._owner.now()
        if not self._owner.opened(self):
            transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(memoryview(self._buffer)[:nbytes])
        if not self._begun and first_bytes(data) in (Speaks.TLS, Speaks.OLD_TLS):
            assert self.source is not None, "known before anything comes"
            self._owner.tls_failed(TlsFailure("in", self.source.remote, TlsCause.TLS_ON_PLAIN_PORT))
            self.abort()
            return
        self._begun = True
        self.take(data)

    def take(self, data: bytes) -> None:
        """Bytes of SIP."""
        source = self.source
        if source is None or not self.is_open:
            return
        now = self._owner.now()
        try:
            found = self._parser.receive(data)
        except RemoteProtocolError:
            self._owner.counters["reader_faults"] += 1
            self.abort()
            return
        for item in found:
            try:
                self._take(item, source)
            except Exception:
                # Whatever it was, the reader reads on.
                self._owner.counters["reader_faults"] += 1
        if found:
            self._last_at = now
            self._spoke = self._spoke or any(isinstance(item, Request | Response) for item in found)
        if not self._parser.pending:
            self._half_since = None
        elif self._half_since is None or found:
            self._half_since = now
        if self._parser.is_dead and self._transport is not None:
            # The answer, if there was one, leaves before the end.
            self._owner.counters["streams_broken"] += 1
            self.close()

    def _take(self, item: Message | KeepAlive | MessageError, source: Source) -> None:
        match item:
            case Request() | Response():
                self._owner.on_stream_message(item, source)
            case KeepAlive.PING:
                self._owner.counters["keep_alives"] += 1
                self.write(b"\r\n")
            case KeepAlive.PONG:
                self._owner.counters["keep_alives"] += 1
            case MessageError():
                self._owner.on_stream_error(item, source)

    def eof_received(self) -> bool:
        """A peer that has closed its side may still read our answers, but not for long: the connection goes."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._owner.closed(self)

    def write(self, data: bytes) -> bool:
        """Queue bytes; False if the connection is gone or its peer has left too much unread."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        transport.write(data)
        if transport.get_write_buffer_size() > self._owner.limits.write_buffer:
            self._owner.counters["connections_not_read"] += 1
            transport.abort()
            return False
        return True

    def overdue(self, now: float) -> str | None:
        """The counter of the rule by which it has to be closed, "connections_idle" only if no session uses it."""
        limits = self._owner.limits
        if self._half_since is not None and now - self._half_since > limits.half_message_timeout:
            return "connections_half_message"
        if self.target is None and not self._spoke and now - self._opened_at > limits.first_message_timeout:
            # Line ends alone keep nothing alive that has never said a word.
            return "connections_silent"
        since = self._opened_at if self._last_at is None else self._last_at
        return "connections_idle" if now - since > limits.idle_timeout else None

    def close(self) -> None:
        """Send what is queued, then close."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
