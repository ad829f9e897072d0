"""SIP over TLS: a TCP connection whose bytes go through a `TlsChannel`."""

import asyncio
from typing import Final, Protocol

from offhook.sip.effects import Address, TlsSession
from offhook.transport.tcp import ConnectionOwner, TcpConnection
from offhook.transport.tls import AsksForTurn, Ended, Failed, Opened, Received, TlsChannel, ToWire, Wrap
from offhook.transport.tls_failure import TlsCause, TlsFailure

_LAST_WORDS: Final = 2.0
"""Seconds in which a peer may take what was sent to it before the end."""


class SecureOwner(ConnectionOwner, Protocol):
    """Who keeps TLS connections: an owner of connections that also says whose handshake goes on."""

    def asks_for_turn(self, connection: "TlsConnection") -> None:
        """The peer of an accepted connection has begun its handshake; answer with `begin`."""

    def shaken(self, connection: "TlsConnection") -> None:
        """The handshake of an accepted connection is done, or came to nothing."""

    def tls_opened(self, connection: "TlsConnection", session: TlsSession) -> None:
        """A handshake is done; SIP may follow."""


class TlsConnection(TcpConnection):
    """One TLS connection, accepted or opened by us. `wrap` is asked when the handshake begins.

    `names` are those of which the server that we dial has to prove one, `identity` whose certificate it is shown;
    `dialled` is settled when it did or did not.
    """

    transport_name = "tls"

    def __init__(
        self,
        owner: SecureOwner,
        flow: int,
        listener_flow: int | None,
        target: Address | None,
        wrap: Wrap,
        *,
        names: tuple[str, ...] = (),
        identity: str | None = None,
        dialled: "asyncio.Future[TlsFailure | None] | None" = None,
    ) -> None:
        super().__init__(owner, flow, listener_flow, target)
        self.names = names
        self.identity = identity
        self.aliases: list[Address] = []
        """Where else the peer says that it can be reached by this connection (RFC 5923)."""
        self.channel: TlsChannel | None = None
        self.failure: TlsFailure | None = None
        """Why it ended, where that was for a reason of TLS."""
        self._keeper = owner
        self._closing_at: float | None = None
        self._wrap = wrap
        self._dialled = dialled

    @property
    def is_open(self) -> bool:
        return super().is_open and self.channel is not None and self.channel.session is not None

    @property
    def proves(self) -> tuple[str, ...]:
        """The SIP domains that the peer has proven."""
        tls = self.source.tls if self.source is not None else None
        return tls.identities if tls is not None else ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        source, now = self.source, self._owner.now()
        if source is None or self._transport is None or self._transport.is_closing():
            return
        incoming = self.target is None
        timeout = None if incoming else self._owner.limits.connect_timeout
        self.channel = TlsChannel(
            self._wrap,
            "in" if incoming else "out",
            source.remote,
            self._owner.limits,
            now,
            names=self.names,
            timeout=timeout,
        )
        if not incoming:
            self.begin()

    def begin(self) -> None:
        """Go on with the handshake: it is this connection's turn."""
        if self.channel is not None and self._transport is not None:
            if not self._transport.is_closing():
                self._transport.resume_reading()
            self.channel.begin(self._owner.now())
            self._do()

    def buffer_updated(self, nbytes: int) -> None:
        if self.channel is not None:
            self.channel.receive(bytes(memoryview(self._buffer)[:nbytes]), self._owner.now())
            self._do()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self.channel is not None:
            self.channel.lost()
            self._do()
        self._settle(TlsFailure("out", self.target or ("", 0), TlsCause.CLOSED))
        super().connection_lost(exc)

    def write(self, data: bytes) -> bool:
        if self.channel is None or not self.is_open:
            return False
        sent = self.channel.send(data)
        return self._do() and sent

    def close(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self._do()
        self._finish()

    def overdue(self, now: float) -> str | None:
        channel = self.channel
        if channel is None or self._transport is None:
            return None
        if self._closing_at is not None:
            return "connections_not_read" if now - self._closing_at > _LAST_WORDS else None
        at = channel.next_timeout()
        if at is not None and at <= now:
            channel.handle_timeout(now)
            self._do()
        return super().overdue(now) if self.is_open else None

    def _do(self) -> bool:
        """Carry out what the channel asks for; False if the connection is not to be used any more."""
        channel, transport = self.channel, self._transport
        assert channel is not None, "made with the connection"
        for effect in channel.drain():
            match effect:
                case ToWire(data):
                    if not super().write(data):
                        return False
                case AsksForTurn():
                    if transport is not None and not transport.is_closing():
                        # What more it sends waits in the system: only a turn costs anything.
                        transport.pause_reading()
                    self._keeper.asks_for_turn(self)
                case Opened(session):
                    self._opened(session)
                case Received(data):
                    self.take(data)
                case Failed(failure):
                    self._failed(failure)
                    return False
                case Ended():
                    self._finish()
                    return False
        return transport is not None

    def _opened(self, session: TlsSession) -> None:
        source = self.source
        assert source is not None, "known before the handshake"
        self.source = self._named(source.remote, source.local, session)
        self._opened_at = self._owner.now()
        self._keeper.shaken(self)
        self._keeper.tls_opened(self, session)
        self._settle(None)

    def _failed(self, failure: TlsFailure) -> None:
        self._keeper.shaken(self)
        self.failure = failure
        self._owner.tls_failed(failure)
        self._settle(failure)
        # Not cut off: an alert may be on its way.
        self._finish()

    def _finish(self) -> None:
        if self._closing_at is None:
            self._closing_at = self._owner.now()
        super().close()

    def _settle(self, failure: TlsFailure | None) -> None:
        if self._dialled is not None and not self._dialled.done():
            self._dialled.set_result(failure)
