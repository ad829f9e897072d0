"""SIP over UDP: one socket a listener, several datagrams a wake-up, answers from the address that was asked."""

import asyncio
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from offhook.sip.effects import Address, Source
from offhook.transport.icmp import ON_LINUX, OnUndelivered, Readiness, hears_icmp, undelivered
from offhook.transport.limits import TransportLimits
from offhook.transport.listener import Listener

_LARGEST: Final = 65_535
_IP_PKTINFO: Final = 8  # linux/in.h; the socket module does not name it
_IN_PKTINFO: Final = struct.Struct("@i4s4s")
_IN6_PKTINFO: Final = struct.Struct("@16sI")
_SEND_TRIES: Final = 4
"""Each may meet what came of an earlier datagram, which is then out of the way."""

OnDatagram = Callable[[bytes, Source], None]


class UdpEndpoint:
    """A bound UDP socket. `flow` is the listener's id; `on_datagram` gets bytes and where they came from.

    `on_undelivered` hears of the datagrams that came back, where the system tells (Linux).
    """

    def __init__(
        self,
        listener: Listener,
        flow: int,
        on_datagram: OnDatagram,
        admits: Callable[[str, str], bool],
        limits: TransportLimits,
        counters: Counter[str],
        on_undelivered: OnUndelivered = lambda came_back: None,
    ) -> None:
        self.listener = listener
        self.flow = flow
        self._on_datagram = on_datagram
        self._on_undelivered = on_undelivered
        self._admits = admits
        self._limits = limits
        self._counters = counters
        self._buffer = bytearray(_LARGEST)
        self._view = memoryview(self._buffer)
        self._waiting: deque[tuple[bytes, Address, str | None]] = deque()
        self._sock = listener.open(receive_buffer=limits.receive_buffer, send_buffer=limits.send_buffer)
        self._hears_icmp = hears_icmp(self._sock)
        self._readiness: Readiness | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        name = self._sock.getsockname()
        self.address: Address = (name[0], name[1])
        """As it is bound; the host may be a wildcard."""
        # A socket on 0.0.0.0 learns from the kernel which address each datagram came to, and answers from that one.
        self._knows_local = listener.is_wildcard and ON_LINUX
        self._is_v6 = listener.family == socket.AF_INET6
        if self._knows_local:
            if self._is_v6:
                self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                self._sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._ancillary_size = socket.CMSG_SPACE(_IN6_PKTINFO.size if self._is_v6 else _IN_PKTINFO.size)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to read."""
        self._loop = loop
        if self._hears_icmp:
            self._readiness = Readiness(self._sock)
            loop.add_reader(self._readiness.fileno(), self._on_ready)
        else:
            loop.add_reader(self._sock.fileno(), self._on_readable)

    def close(self) -> None:
        """Stop reading and close; what waits to be sent is dropped."""
        if self._loop is not None and self._readiness is not None:
            self._loop.remove_reader(self._readiness.fileno())
            self._readiness.close()
        elif self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
        self._loop = self._readiness = None
        self._waiting.clear()
        self._sock.close()

    def send(self, data: bytes, to: Address, local: str | None = None) -> None:
        """Send a datagram, from `local` where the socket is a wildcard. What the system refuses raises OSError.

        When the send buffer is full it waits, up to a bound; beyond that it is dropped like any other lost datagram.
        """
        if self._waiting:
            self._wait(data, to, local)
            return
        try:
            self._send(data, to, local)
        except (BlockingIOError, InterruptedError):
            self._wait(data, to, local)

    def _send(self, data: bytes, to: Address, local: str | None) -> None:
        for left in range(_SEND_TRIES - 1 if self._hears_icmp else 0, -1, -1):
            try:
                self._hand_over(data, to, local)
            except (BlockingIOError, InterruptedError):
                raise
            except OSError:
                if not left:
                    raise
            else:
                return

    def _hand_over(self, data: bytes, to: Address, local: str | None) -> None:
        if local is None or not self._knows_local:
            self._sock.sendto(data, to)
            return
        if self._is_v6:
            info = _IN6_PKTINFO.pack(socket.inet_pton(socket.AF_INET6, local), 0)
            self._sock.sendmsg([data], [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)], 0, to)
        else:
            info = _IN_PKTINFO.pack(0, socket.inet_aton(local), b"\0\0\0\0")
            self._sock.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, to)

    def _wait(self, data: bytes, to: Address, local: str | None) -> None:
        if self._loop is None:
            return
        if len(self._waiting) >= self._limits.datagrams_waiting:
            self._counters["udp_send_dropped"] += 1
            return
        if not self._waiting:
            self._await_room(self._loop, wanted=True)
        self._waiting.append((data, to, local))

    def _on_writable(self) -> None:
        while self._waiting:
            try:
                self._send(*self._waiting[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._counters["udp_send_errors"] += 1
            self._waiting.popleft()
        if self._loop is not None:
            self._await_room(self._loop, wanted=False)

    def _await_room(self, loop: asyncio.AbstractEventLoop, *, wanted: bool) -> None:
        if self._readiness is not None:
            self._readiness.wants_room(wanted)
        elif wanted:
            loop.add_writer(self._sock.fileno(), self._on_writable)
        else:
            loop.remove_writer(self._sock.fileno())

    def _on_ready(self) -> None:
        if self._waiting:
            self._on_writable()
        for came_back in undelivered(self._sock, self._limits.datagrams_per_wakeup):
            self._counters["udp_undelivered"] += 1
            try:
                self._on_undelivered(came_back)
            except Exception:
                self._counters["reader_faults"] += 1
        self._on_readable()

    def _on_readable(self) -> None:
        for _ in range(self._limits.datagrams_per_wakeup):
            try:
                size, ancillary, _flags, remote = self._sock.recvmsg_into([self._buffer], self._ancillary_size)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # An ICMP error of an earlier datagram; the next read goes on.
                self._counters["udp_receive_errors"] += 1
                continue
            self._counters["udp_datagrams"] += 1
            host = remote[0].partition("%")[0]
            if not self._admits("udp", host):
                self._counters["strangers"] += 1
                continue
            if size <= 4 and not bytes(self._view[:size]).strip(b"\r\n\0 "):
                self._counters["keep_alives"] += 1
                continue
            source = Source("udp", (host, remote[1]), (self._local(ancillary), self.address[1]), self.flow)
            try:
                self._on_datagram(bytes(self._view[:size]), source)
            except Exception:
                # Whatever it was, the reader reads on.
                self._counters["reader_faults"] += 1

    def _local(self, ancillary: list[tuple[int, int, bytes]]) -> str:
        if self._knows_local:
            for level, kind, data in ancillary:
                if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                    return socket.inet_ntoa(data[4:8])
                if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                    return socket.inet_ntop(socket.AF_INET6, data[:16])
        return self.address[0]


def routed_address(remote: Address) -> str | None:
    """The address of ours by which the system would reach a peer, None if it could not."""
    family = socket.AF_INET6 if ":" in remote[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((remote[0], remote[1] or 9))
            name: Any = probe.getsockname()
        except OSError:
            return None
        return str(name[0])


def own_addresses() -> tuple[str, ...]:
    """The addresses that this machine has towards other networks, one of each IP version at most; nothing is sent.

    A telephone beside us may call from there, even if it calls 127.0.0.1. No packet from outside has such a source:
    the system drops it.
    """
    found = (routed_address((host, 9)) for host in ("203.0.113.1", "2001:db8::1"))
    return tuple(address for address in found if address is not None)
