"""Which socket a message leaves by, which connections are kept, and which address of ours a peer is told."""

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from offhook.errors import RemoteProtocolError, TransportError
from offhook.sip.effects import Address, LocalAddress, Source, Target, TlsSession
from offhook.sip.message import Message, Request
from offhook.sip.parser import MessageError
from offhook.transport.handshakes import HandshakeQueue
from offhook.transport.icmp import OnUndelivered
from offhook.transport.inside import InsideConnection
from offhook.transport.limits import TransportLimits
from offhook.transport.listener import WILDCARDS, Listener
from offhook.transport.secure import TlsConnection
from offhook.transport.tcp import TcpConnection
from offhook.transport.tls_failure import TlsCause, TlsFailure
from offhook.transport.udp import UdpEndpoint, routed_address

if TYPE_CHECKING:
    from offhook.transport.tls_keeper import TlsKeeper

IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

OnFailure: TypeAlias = Callable[[int, str], None]
"""Hears of a transaction whose message could not be sent, and why."""

Way: TypeAlias = tuple[str, Address, tuple[str, ...], str | None]
"""Transport, address, and on TLS the names of which the peer has to prove one, and whose certificate it is shown."""

KEEP_ALIVE = b"\r\n\r\n"

ROUTES_KEPT = 1_024
ROUTE_SECONDS = 30.0
ALIASES_PER_CONNECTION = 4


@dataclass
class _TcpListener:
    listener: Listener
    address: Address
    server: asyncio.Server


@dataclass
class _Opening:
    task: "asyncio.Task[None]"
    waiting: list[tuple[bytes, int | None]] = field(default_factory=list)


class Flows:
    """All sockets of a stack. Ids are never used twice: listeners and connections share one count."""

    def __init__(
        self,
        limits: TransportLimits,
        counters: Counter[str],
        local_networks: Sequence[IpNetwork],
        *,
        on_datagram: Callable[[bytes, Source], None],
        on_message: Callable[[Message, Source], None],
        on_error: Callable[[MessageError, Source], None],
        on_failure: OnFailure,
        admits: Callable[[str, str], bool],
        in_use: Callable[[], set[int]],
        tls: "TlsKeeper | None" = None,
        knows: Callable[[str], bool] = lambda remote: True,
        on_tls_failure: Callable[[TlsFailure], None] = lambda failure: None,
        on_undelivered: OnUndelivered = lambda came_back: None,
    ) -> None:
        self.limits = limits
        self.counters = counters
        self.udp: dict[int, UdpEndpoint] = {}
        self.tcp: dict[int, _TcpListener] = {}
        self.connections: dict[int, TcpConnection] = {}
        self._local_networks = tuple(local_networks)
        self._on_datagram = on_datagram
        self._on_message = on_message
        self.on_stream_error = on_error
        self._on_failure = on_failure
        self._admits = admits
        self._in_use = in_use
        self._tls = tls
        self._knows = knows
        self._on_tls_failure = on_tls_failure
        self._on_undelivered = on_undelivered
        self._by_target: dict[tuple[str, Address], list[TcpConnection]] = {}
        self._aliases: dict[Address, TlsConnection] = {}
        self._opening: dict[Way, _Opening] = {}
        self._per_source: Counter[str] = Counter()
        self._strangers = 0
        self._handshakes = HandshakeQueue(limits, 0.0)
        self._next_turn: asyncio.TimerHandle | None = None
        self._routes: OrderedDict[str, tuple[float, str | None]] = OrderedDict()
        self._last_flow = 0
        self._sweep: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> float:
        """The loop's time."""
        assert self._loop is not None, "the flows are open"
        return self._loop.time()

    @property
    def open_handshakes(self) -> int:
        """TLS handshakes of peers that are not finished."""
        return len(self._handshakes)

    @property
    def speaks_tls(self) -> bool:
        """Whether TLS is set up, so that peers can be reached by it."""
        return self._tls is not None

    async def open(self, listeners: Sequence[Listener]) -> None:
        """Bind every listener, or none: the first that is refused closes the others and is raised as TransportError."""
        self._loop = asyncio.get_running_loop()
        self._handshakes = HandshakeQueue(self.limits, self._loop.time())
        try:
            for listener in listeners:
                flow = self._next_flow()
                if listener.transport == "udp":
                    self.udp[flow] = UdpEndpoint(
                        listener,
                        flow,
                        self._on_datagram,
                        self._admits,
                        self.limits,
                        self.counters,
                        self._on_undelivered,
                    )
                else:
                    await self._listen(listener, flow)
        except BaseException:
            await self.close()
            raise
        for endpoint in self.udp.values():
            endpoint.start(self._loop)
        self._sweep = self._loop.call_later(self.limits.sweep_interval, self._close_overdue)

    async def _listen(self, listener: Listener, flow: int) -> None:
        assert self._loop is not None, "the flows are open"
        tls = self._tls
        if listener.transport == "tls" and (tls is None or not tls.can_listen):
            raise TransportError(
                f"{listener.uri} needs a certificate", address=listener.uri, hint="set sip.tls_certificate and tls_key"
            )
        sock = listener.open(receive_buffer=self.limits.receive_buffer, send_buffer=self.limits.send_buffer)
        name = sock.getsockname()

        def accepted() -> TcpConnection:
            if listener.transport == "tls" and tls is not None:
                return TlsConnection(self, self._next_flow(), flow, None, tls.as_server)
            return TcpConnection(self, self._next_flow(), flow, None)

        server = await self._loop.create_server(accepted, sock=sock, backlog=512)
        self.tcp[flow] = _TcpListener(listener, (name[0], name[1]), server)

    async def close(self) -> None:
        """Close everything."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        for endpoint in self.udp.values():
            endpoint.close()
        openings = [opening.task for opening in self._opening.values()]
        for task in openings:
            task.cancel()
        await asyncio.gather(*openings, return_exceptions=True)
        for listener in self.tcp.values():
            listener.server.close()
        for connection in list(self.connections.values()):
            connection.abort()
        # Connections are told of their end in the next turn of the loop.
        await asyncio.sleep(0)
        self.udp.clear()
        self.tcp.clear()
        self._opening.clear()

    # ------------------------------------------------------------------ sending

    def send_request(self, data: bytes, target: Target, transaction: int | None) -> Source | None:
        """Send a request; returns how it left, None if it waits for a connection or failed (`on_failure`)."""
        if target.transport == "udp":
            endpoint = self._udp_for(target)
            return self._send_udp(endpoint, data, target.remote, None, transaction)
        connection = self.connections.get(target.flow) if target.flow is not None else None
        way = _way_of(target)
        if connection is None or not connection.is_open:
            connection = self._connected(way)
            if connection is None and target.flow is not None:
                # The port that the peer connected from is not one that it listens on; where it does is tried next.
                self._failed(transaction, f"the connection of {_shown(target.remote)} is gone")
                return None
        return self._send_tcp(connection, data, way, transaction)

    def keep_alive(self, target: Target) -> None:
        """Send two line ends where the way is open (RFC 5626 section 3.5.1 for connections); else nothing."""
        if target.transport == "udp":
            endpoint = self._udp_for(target)
            if endpoint is not None:
                with contextlib.suppress(OSError):
                    endpoint.send(KEEP_ALIVE, target.remote, None)
            return
        connection = self._open_to(target)
        if connection is not None:
            connection.write(KEEP_ALIVE)

    def reaches(self, target: Target) -> bool:
        """Whether the way to a target is open: by UDP it always is, else by a connection that is up."""
        return target.transport == "udp" or self._open_to(target) is not None

    def _open_to(self, target: Target) -> TcpConnection | None:
        connection = self.connections.get(target.flow) if target.flow is not None else None
        if connection is not None and connection.is_open:
            return connection
        return self._connected(_way_of(target))

    def send_response(
        self, data: bytes, source: Source, to: Address, transaction: int | None, *, sent_by: str = ""
    ) -> Source | None:
        """Send a response the way its request came; a connection that is gone is opened anew to `to` (18.2.2).

        On TLS who is there has to prove `sent_by`, the host of the topmost Via.
        """
        if source.transport == "udp":
            return self._send_udp(self.udp.get(source.flow), data, to, source.local[0], transaction)
        connection = self.connections.get(source.flow)
        way = (source.transport, to, (sent_by or to[0],) if source.transport == "tls" else (), None)
        if connection is None or not connection.is_open:
            connection = self._connected(way)
        return self._send_tcp(connection, data, way, transaction, request=False)

    def _connected(self, way: Way) -> TcpConnection | None:
        """A connection that leads there: one of ours, or one of the peer's that may be used for it (RFC 5923)."""
        transport, address, names, identity = way
        for connection in self._by_target.get((transport, address), ()):
            if connection.is_open and _serves(connection, names, identity):
                return connection
        alias = self._aliases.get(address) if transport == "tls" else None
        return alias if alias is not None and alias.is_open and _serves(alias, names, identity) else None

    def _send_udp(
        self, endpoint: UdpEndpoint | None, data: bytes, to: Address, local: str | None, transaction: int | None
    ) -> Source | None:
        if endpoint is None:
            self.counters["no_listener"] += 1
            self._failed(transaction, "there is no UDP listener to send from")
            return None
        try:
            endpoint.send(data, to, local)
        except OSError as error:
            self.counters["udp_send_errors"] += 1
            self._failed(transaction, _why(error))
            return None
        return Source("udp", to, (local or endpoint.address[0], endpoint.address[1]), endpoint.flow)

    def _send_tcp(
        self,
        connection: TcpConnection | None,
        data: bytes,
        way: Way,
        transaction: int | None,
        *,
        request: bool = True,
    ) -> Source | None:
        if connection is not None and connection.is_open:
            if request and transaction is not None:
                connection.transactions.append(transaction)
            if connection.write(data):
                return connection.source
            self._failed(transaction, "the peer has left too much unread, or closed the connection")
            return None
        opening = self._opening.get(way)
        if opening is None:
            if len(self.connections) + len(self._opening) >= self.limits.max_connections:
                self.counters["connections_refused"] += 1
                self._failed(transaction, "there are too many connections")
                return None
            assert self._loop is not None, "the flows are open"
            opening = _Opening(self._loop.create_task(self._connect(way)))
            self._opening[way] = opening
        if len(opening.waiting) >= self.limits.messages_waiting:
            self.counters["tcp_send_dropped"] += 1
            self._failed(transaction, "too many messages wait for the connection")
            return None
        opening.waiting.append((data, transaction))
        return None

    async def _connect(self, way: Way) -> None:
        """Open a connection and send what waits for it, or tell why it can't be had."""
        connection, why = await (self._dial_tls(way) if way[0] == "tls" else self._dial(way))
        opening = self._opening.pop(way)
        if connection is None:
            self.counters["connect_failures"] += 1
        for data, transaction in opening.waiting:
            if connection is None or not connection.write(data):
                self._failed(transaction, why)
            elif transaction is not None:
                connection.transactions.append(transaction)

    async def _dial(self, way: Way) -> tuple[TcpConnection | None, str]:
        assert self._loop is not None, "the flows are open"
        to = way[1]
        try:
            async with asyncio.timeout(self.limits.connect_timeout):
                _, connection = await self._loop.create_connection(
                    lambda: TcpConnection(self, self._next_flow(), None, to), to[0], to[1]
                )
        except (OSError, TimeoutError) as error:
            return None, f"{_shown(to)} by TCP: {_why(error)}"
        return connection, f"{_shown(to)} closed the connection"

    async def _dial_tls(self, way: Way) -> tuple[TcpConnection | None, str]:
        _, to, names, identity = way
        tls, loop = self._tls, self._loop
        assert loop is not None, "the flows are open"
        if tls is None:
            return None, f"{_shown(to)} is to be reached by TLS, which is not set up (sip.tls_ca, sip.tls_certificate)"
        dialled: asyncio.Future[TlsFailure | None] = loop.create_future()
        wrap = tls.as_client(names[0], identity)
        try:
            async with asyncio.timeout(self.limits.connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: TlsConnection(
                        self, self._next_flow(), None, to, wrap, names=names, identity=identity, dialled=dialled
                    ),
                    to[0],
                    to[1],
                )
        except (OSError, TimeoutError) as error:
            return None, f"{_shown(to)} by TLS: {_why(error)}"
        # The channel has a time limit of its own.
        failure = await dialled
        if failure is not None:
            return None, f"{_shown(to)} by TLS: {failure} ({failure.cause.slug})"
        return connection, f"{_shown(to)} closed the connection"

    def _failed(self, transaction: int | None, why: str) -> None:
        if transaction is not None and self._loop is not None:
            # Not at once: whoever sends is in the middle of his own input.
            self._loop.call_soon(self._on_failure, transaction, why)

    def _udp_for(self, target: Target) -> UdpEndpoint | None:
        chosen = self.udp.get(target.flow) if target.flow is not None else None
        if chosen is not None:
            return chosen
        family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
        fitting = [endpoint for endpoint in self.udp.values() if endpoint.listener.family == family]
        if len(fitting) > 1:
            route = self._route(target.host)
            fitting.sort(key=lambda endpoint: (endpoint.address[0] != route, not endpoint.listener.is_wildcard))
        return fitting[0] if fitting else None

    # ------------------------------------------------------------------ connections

    def opened(self, connection: TcpConnection) -> bool:
        """Bounds and the gate for a connection that has just come up."""
        source = connection.source
        assert source is not None, "set before it is told"
        host = source.remote[0]
        if connection.target is None:
            if not self._admits(connection.transport_name, host):
                self.counters["strangers"] += 1
                return False
            known = self._knows(host)
            if (
                len(self.connections) >= self.limits.max_connections
                or self._per_source[host] >= self.limits.max_connections_per_source
                # A quarter is kept for those whose addresses trunks list.
                or (not known and self._strangers >= self.limits.max_connections * 3 // 4)
            ):
                self.counters["connections_refused"] += 1
                return False
            if isinstance(connection, TlsConnection) and not self._handshakes.enter(connection.flow, host, known=known):
                self.tls_failed(TlsFailure("in", source.remote, TlsCause.TOO_MANY))
                return False
            self._per_source[host] += 1
            connection.is_strangers = not known
            self._strangers += not known
        else:
            self._by_target.setdefault((connection.transport_name, connection.target), []).append(connection)
        self.connections[connection.flow] = connection
        self.counters["connections_opened"] += 1
        return True

    def join(self, other: "Flows", here: Address, there: Address) -> tuple[int, int]:
        """Connect to another stack of this process; the ids of the connection here and there.

        Each side is told to the other as TCP from its address. The gate and the bounds are for those who come from
        outside.
        """
        near = InsideConnection(self, self._next_flow(), there, here)
        far = InsideConnection(other, other._next_flow(), here, there)
        near.join(far)
        self.connections[near.flow], other.connections[far.flow] = near, far
        return near.flow, far.flow

    def closed(self, connection: TcpConnection) -> None:
        """Forget a connection and tell the transactions that wait for an answer on it."""
        if self.connections.pop(connection.flow, None) is None:
            return
        if connection.target is None and connection.source is not None:
            host = connection.source.remote[0]
            self._per_source[host] -= 1
            if self._per_source[host] <= 0:
                del self._per_source[host]
            self._strangers -= connection.is_strangers
        elif connection.target is not None:
            key = (connection.transport_name, connection.target)
            others = [other for other in self._by_target.get(key, ()) if other is not connection]
            if others:
                self._by_target[key] = others
            else:
                self._by_target.pop(key, None)
        if isinstance(connection, TlsConnection):
            self._handshakes.leave(connection.flow)
            for address in connection.aliases:
                if self._aliases.get(address) is connection:
                    del self._aliases[address]
        where = _shown(connection.source.remote) if connection.source is not None else "the peer"
        failure = connection.failure if isinstance(connection, TlsConnection) else None
        why = (
            f"{where} closed the connection" if failure is None else f"{where} by TLS: {failure} ({failure.cause.slug})"
        )
        for transaction in connection.transactions:
            self._failed(transaction, why)

    def on_stream_message(self, message: Message, source: Source) -> None:
        """A message came on a connection."""
        if source.tls is not None and source.tls.identities and isinstance(message, Request):
            self._learn_alias(message, source)
        self._on_message(message, source)

    def _learn_alias(self, request: Request, source: Source) -> None:
        """RFC 5923: a peer that proved who it is may have requests to its address sent on its own connection."""
        try:
            via = request.via
        except RemoteProtocolError:
            return
        connection = self.connections.get(source.flow)
        if "alias" not in via.params or not isinstance(connection, TlsConnection):
            return
        address = (source.remote[0], via.sent_by[1])
        if address not in connection.aliases and len(connection.aliases) < ALIASES_PER_CONNECTION:
            connection.aliases.append(address)
        if address in connection.aliases:
            self._aliases[address] = connection

    # ------------------------------------------------------------------ TLS

    def asks_for_turn(self, connection: TlsConnection) -> None:
        """A peer has begun its handshake."""
        self._handshakes.ask(connection.flow)
        if self._next_turn is None:
            self._give_turns()

    def shaken(self, connection: TlsConnection) -> None:
        """A handshake is over, one way or the other."""
        self._handshakes.leave(connection.flow)

    def tls_opened(self, connection: TlsConnection, session: TlsSession) -> None:
        """A handshake is done."""
        self.counters["tls_connections_in" if connection.target is None else "tls_connections_out"] += 1

    def tls_failed(self, failure: TlsFailure) -> None:
        """TLS came to nothing: counted, and told."""
        self.counters[f"tls_failures_{failure.direction}"] += 1
        self._on_tls_failure(failure)

    def _give_turns(self) -> None:
        assert self._loop is not None, "the flows are open"
        self._next_turn = None
        for flow in self._handshakes.due(self._loop.time()):
            connection = self.connections.get(flow)
            if isinstance(connection, TlsConnection):
                connection.begin()
        at = self._handshakes.next_timeout(self._loop.time())
        if at is not None and self._next_turn is None:
            self._next_turn = self._loop.call_at(at, self._give_turns)

    def _close_overdue(self) -> None:
        assert self._loop is not None, "the flows are open"
        now = self._loop.time()
        in_use: set[int] | None = None
        for connection in list(self.connections.values()):
            rule = connection.overdue(now)
            if rule is None:
                continue
            if rule == "connections_idle":
                in_use = self._in_use() if in_use is None else in_use
                if connection.flow in in_use:
                    continue
            self.counters[rule] += 1
            connection.abort()
        self._sweep = self._loop.call_later(self.limits.sweep_interval, self._close_overdue)

    def _next_flow(self) -> int:
        self._last_flow += 1
        return self._last_flow

    # ------------------------------------------------------------------ our address

    def local_address(self, peer: Source | Target) -> LocalAddress:
        """What a peer is told: the advertised address, or for loopback and local networks the inside one."""
        host = peer.remote[0]
        listener, bound = self._listener_for(peer)
        if listener is not None and listener.advertise is not None and not self._is_inside(host):
            name, port = listener.advertise
            return LocalAddress(name, bound[1] if port is None else port, peer.transport)
        if isinstance(peer, Source) and peer.local[0] not in WILDCARDS:
            return LocalAddress(peer.local[0], bound[1], peer.transport)
        if listener is not None and not listener.is_wildcard:
            return LocalAddress(bound[0], bound[1], peer.transport)
        return LocalAddress(self._route(host) or bound[0], bound[1], peer.transport)

    def _listener_for(self, peer: Source | Target) -> tuple[Listener | None, Address]:
        if peer.transport == "udp":
            target = peer if isinstance(peer, Target) else Target("udp", peer.remote[0], peer.remote[1], peer.flow)
            endpoint = self._udp_for(target)
            if endpoint is not None:
                return endpoint.listener, endpoint.address
        else:
            connection = self.connections.get(peer.flow) if peer.flow is not None else None
            chosen = self.tcp.get(connection.listener_flow or 0) if connection is not None else None
            if chosen is None:
                family = socket.AF_INET6 if ":" in peer.remote[0] else socket.AF_INET
                fitting = [
                    tcp
                    for tcp in self.tcp.values()
                    if tcp.listener.family == family and tcp.listener.transport == peer.transport
                ]
                chosen = fitting[0] if fitting else None
            if chosen is not None:
                return chosen.listener, chosen.address
        default = 5061 if peer.transport == "tls" else 5060
        return None, ("::1" if ":" in peer.remote[0] else "127.0.0.1", default)

    def _is_inside(self, host: str) -> bool:
        address = ipaddress.ip_address(host)
        return address.is_loopback or any(address in network for network in self._local_networks)

    def _route(self, host: str) -> str | None:
        """The address by which a peer is reached, remembered for a while: asking costs a socket."""
        now = self.now()
        known = self._routes.get(host)
        if known is not None and known[0] > now:
            return known[1]
        route = routed_address((host, 5060))
        self._routes[host] = (now + ROUTE_SECONDS, route)
        self._routes.move_to_end(host)
        if len(self._routes) > ROUTES_KEPT:
            self._routes.popitem(last=False)
        return route


def _way_of(target: Target) -> Way:
    secure = target.transport == "tls"
    names = (target.names or (target.host,)) if secure else ()
    return (target.transport, target.remote, names, target.identity if secure else None)


def _serves(connection: TcpConnection, names: tuple[str, ...], identity: str | None) -> bool:
    """Whether what is for these names may go there: on TLS the peer has proven one, and was shown `identity`."""
    if not isinstance(connection, TlsConnection):
        return True
    if connection.identity != identity:
        return False
    return any(name in connection.names or name.lower() in connection.proves for name in names)


def _why(error: OSError) -> str:
    """What the system says, in its words."""
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer to the connection"
    return (os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)).lower()


def _shown(address: Address) -> str:
    host, port = address
    return f"{host} port {port}"
