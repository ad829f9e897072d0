"""Which socket a message leaves by, which connections are kept, and which address of ours a peer is told."""

import asyncio
import ipaddress
import socket
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from offhook.sip.effects import Address, LocalAddress, Source, Target
from offhook.sip.message import Message
from offhook.sip.parser import MessageError
from offhook.transport.limits import TransportLimits
from offhook.transport.listener import WILDCARDS, Listener
from offhook.transport.tcp import TcpConnection
from offhook.transport.udp import UdpEndpoint, routed_address

IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

OnFailure: TypeAlias = Callable[[int], None]
"""Hears of a transaction whose message could not be sent."""

ROUTES_KEPT = 1_024
ROUTE_SECONDS = 30.0


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
    ) -> None:
        self.limits = limits
        self.counters = counters
        self.udp: dict[int, UdpEndpoint] = {}
        self.tcp: dict[int, _TcpListener] = {}
        self.connections: dict[int, TcpConnection] = {}
        self._local_networks = tuple(local_networks)
        self._on_datagram = on_datagram
        self.on_stream_message = on_message
        self.on_stream_error = on_error
        self._on_failure = on_failure
        self._admits = admits
        self._in_use = in_use
        self._by_target: dict[Address, TcpConnection] = {}
        self._opening: dict[Address, _Opening] = {}
        self._per_source: Counter[str] = Counter()
        self._routes: OrderedDict[str, tuple[float, str | None]] = OrderedDict()
        self._last_flow = 0
        self._sweep: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> float:
        """The loop's time."""
        assert self._loop is not None, "the flows are open"
        return self._loop.time()

    async def open(self, listeners: Sequence[Listener]) -> None:
        """Bind every listener, or none: the first that is refused closes the others and is raised as TransportError."""
        self._loop = asyncio.get_running_loop()
        try:
            for listener in listeners:
                flow = self._next_flow()
                if listener.transport == "udp":
                    self.udp[flow] = UdpEndpoint(
                        listener, flow, self._on_datagram, self._admits, self.limits, self.counters
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
        sock = listener.open(receive_buffer=self.limits.receive_buffer, send_buffer=self.limits.send_buffer)
        name = sock.getsockname()
        server = await self._loop.create_server(
            lambda: TcpConnection(self, self._next_flow(), flow, None), sock=sock, backlog=512
        )
        self.tcp[flow] = _TcpListener(listener, (name[0], name[1]), server)

    async def close(self) -> None:
        """Close everything."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
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
        if connection is None or not connection.is_open:
            connection = self._by_target.get(target.remote)
        return self._send_tcp(connection, data, target.remote, transaction)

    def send_response(self, data: bytes, source: Source, to: Address, transaction: int | None) -> Source | None:
        """Send a response the way its request came; a connection that is gone is opened anew to `to` (18.2.2)."""
        if source.transport == "udp":
            return self._send_udp(self.udp.get(source.flow), data, to, source.local[0], transaction)
        connection = self.connections.get(source.flow)
        if connection is None or not connection.is_open:
            connection = self._by_target.get(to)
        return self._send_tcp(connection, data, to, transaction, request=False)

    def _send_udp(
        self, endpoint: UdpEndpoint | None, data: bytes, to: Address, local: str | None, transaction: int | None
    ) -> Source | None:
        if endpoint is None:
            self.counters["no_listener"] += 1
            self._failed(transaction)
            return None
        try:
            endpoint.send(data, to, local)
        except OSError:
            self.counters["udp_send_errors"] += 1
            self._failed(transaction)
            return None
        return Source("udp", to, (local or endpoint.address[0], endpoint.address[1]), endpoint.flow)

    def _send_tcp(
        self,
        connection: TcpConnection | None,
        data: bytes,
        to: Address,
        transaction: int | None,
        *,
        request: bool = True,
    ) -> Source | None:
        if connection is not None and connection.is_open:
            if request and transaction is not None:
                connection.transactions.append(transaction)
            if connection.write(data):
                return connection.source
            self._failed(transaction)
            return None
        opening = self._opening.get(to)
        if opening is None:
            if len(self.connections) + len(self._opening) >= self.limits.max_connections:
                self.counters["connections_refused"] += 1
                self._failed(transaction)
                return None
            assert self._loop is not None, "the flows are open"
            opening = _Opening(self._loop.create_task(self._connect(to)))
            self._opening[to] = opening
        if len(opening.waiting) >= self.limits.messages_waiting:
            self.counters["tcp_send_dropped"] += 1
            self._failed(transaction)
            return None
        opening.waiting.append((data, transaction))
        return None

    async def _connect(self, to: Address) -> None:
        assert self._loop is not None, "the flows are open"
        connection: TcpConnection | None = None
        try:
            async with asyncio.timeout(self.limits.connect_timeout):
                _, connection = await self._loop.create_connection(
                    lambda: TcpConnection(self, self._next_flow(), None, to), to[0], to[1]
                )
        except (OSError, TimeoutError):
            self.counters["connect_failures"] += 1
        opening = self._opening.pop(to)
        for data, transaction in opening.waiting:
            if connection is None or not connection.write(data):
                self._failed(transaction)
            elif transaction is not None:
                connection.transactions.append(transaction)

    def _failed(self, transaction: int | None) -> None:
        if transaction is not None and self._loop is not None:
            # Not at once: whoever sends is in the middle of his own input.
            self._loop.call_soon(self._on_failure, transaction)

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
            if not self._admits("tcp", host):
                self.counters["strangers"] += 1
                return False
            if (
                len(self.connections) >= self.limits.max_connections
                or self._per_source[host] >= self.limits.max_connections_per_source
            ):
                self.counters["connections_refused"] += 1
                return False
            self._per_source[host] += 1
        else:
            self._by_target[connection.target] = connection
        self.connections[connection.flow] = connection
        self.counters["connections_opened"] += 1
        return True

    def closed(self, connection: TcpConnection) -> None:
        """Forget a connection and tell the transactions that wait for an answer on it."""
        if self.connections.pop(connection.flow, None) is None:
            return
        if connection.target is None and connection.source is not None:
            host = connection.source.remote[0]
            self._per_source[host] -= 1
            if self._per_source[host] <= 0:
                del self._per_source[host]
        elif connection.target is not None and self._by_target.get(connection.target) is connection:
            del self._by_target[connection.target]
        for transaction in connection.transactions:
            self._failed(transaction)

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
                fitting = [tcp for tcp in self.tcp.values() if tcp.listener.family == family]
                chosen = fitting[0] if fitting else None
            if chosen is not None:
                return chosen.listener, chosen.address
        return None, ("::1" if ":" in peer.remote[0] else "127.0.0.1", 5060)

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
