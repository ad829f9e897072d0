"""SIP over UDP: one socket a listener, several datagrams a wake-up, answers from the address that was asked."""

import asyncio
import socket
import struct
import sys
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from offhook.sip.effects import Address, Source
from offhook.transport.limits import TransportLimits
from offhook.transport.listener import Listener

_LARGEST: Final = 65_535
_ON_LINUX: Final = sys.platform.startswith("linux")
_IP_PKTINFO: Final = 8  # linux/in.h; the socket module does not name it
_IN_PKTINFO: Final = struct.Struct("@i4s4s")
_IN6_PKTINFO: Final = struct.Struct("@16sI")

OnDatagram = Callable[[bytes, Source], None]


class UdpEndpoint:
    """A bound UDP socket. `flow` is the listener's id; `on_datagram` gets bytes and where they came from."""

    def __init__(
        self,
        listener: Listener,
        flow: int,
        on_datagram: OnDatagram,
        admits: Callable[[str, str], bool],
        limits: TransportLimits,
        counters: Counter[str],
    ) -> None:
        self.listener = listener
        self.flow = flow
        self._on_datagram = on_datagram
        self._admits = admits
        self._limits = limits
        self._counters = counters
        self._buffer = bytearray(_LARGEST)
        self._view = memoryview(self._buffer)
        self._waiting: deque[tuple[bytes, Address, str | None]] = deque()
        self._sock = listener.open(receive_buffer=limits.receive_buffer, send_buffer=limits.send_buffer)
        self._loop: asyncio.AbstractEventLoop | None = None
        name = self._sock.getsockname()
        self.address: Address = (name[0], name[1])
        """As it is bound; the host may be a wildcard."""
        # A socket on 0.0.0.0 learns from the kernel which address each datagram came to, and answers from that one.
        self._knows_local = listener.is_wildcard and _ON_LINUX
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
        loop.add_reader(self._sock.fileno(), self._on_readable)

    def close(self) -> None:
        """Stop reading and close; what waits to be sent is dropped."""
        if self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
            self._loop = None
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
            self._loop.add_writer(self._sock.fileno(), self._on_writable)
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
            self._loop.remove_writer(self._sock.fileno())

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
