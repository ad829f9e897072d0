"""What ICMP says of our datagrams: read from the error queue of a UDP socket, where the system has one (Linux)."""

import select
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from offhook.sip.effects import Address

ON_LINUX: Final = sys.platform.startswith("linux")

_IP_RECVERR: Final = 11  # linux/in.h and in6.h; the socket module names neither
_IPV6_RECVERR: Final = 25
_EXTENDED_ERROR: Final = struct.Struct("@IBBBBII")  # linux/errqueue.h
_FROM_ICMP: Final = 2
_FROM_ICMP6: Final = 3
_QUOTED_BYTES: Final = 2_048
_ANCILLARY_BYTES: Final = 512

_PORT = "nothing listens there (ICMP port unreachable)"
_REASONS: Final = {
    _FROM_ICMP: {0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: _PORT},
    _FROM_ICMP6: {0: "no route", 1: "administratively prohibited", 3: "address unreachable", 4: _PORT},
}
_TOO_LARGE: Final = 4
"""The code of ICMP for a datagram that had to be fragmented: the system sees to that."""


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A datagram of ours that came back: how it began, where it was to go, and why it did not get there."""

    quoted: bytes
    to: Address
    why: str


def hears_icmp(sock: socket.socket) -> bool:
    """Have the system keep what ICMP says of the datagrams of a socket; False where it can't.

    From then on `send` and `recv` may raise what came of an earlier datagram, to whomever.
    """
    if not ON_LINUX:
        return False
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    except OSError:
        return False
    return True


def undelivered(sock: socket.socket, most: int) -> Iterator[Undelivered]:
    """Take at most so many errors from the queue, and give those that RFC 3261 18.4 calls a failure to send."""
    if not ON_LINUX:
        return
    for _ in range(most):
        try:
            quoted, ancillary, _flags, to = sock.recvmsg(_QUOTED_BYTES, _ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
        except OSError:
            return
        why = next((said for level, kind, data in ancillary if (said := _why(level, kind, data))), "")
        if why and to:
            yield Undelivered(quoted, (to[0].partition("%")[0], to[1]), why)


def _why(level: int, kind: int, data: bytes) -> str:
    known = ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR))
    if (level, kind) not in known or len(data) < _EXTENDED_ERROR.size:
        return ""
    _errno, origin, icmp_type, code, *_ = _EXTENDED_ERROR.unpack_from(data)
    return reason(origin, icmp_type, code)


def reason(origin: int, icmp_type: int, code: int) -> str:
    """Why by the type and code of ICMP; empty for what is no failure: source quench, time exceeded, too large."""
    if origin == _FROM_ICMP and icmp_type == 3 and code != _TOO_LARGE:
        return _REASONS[origin].get(code, f"unreachable (ICMP code {code})")
    if origin == _FROM_ICMP6 and icmp_type == 1:
        return _REASONS[origin].get(code, f"unreachable (ICMPv6 code {code})")
    if (origin, icmp_type) in ((_FROM_ICMP, 12), (_FROM_ICMP6, 4)):
        return "an ICMP parameter problem"
    return ""


class Readiness:
    """Calls back when a socket can be read (or written, where that `wants_room`), or has an error to be read.

    A loop of libuv gives up on a descriptor that has an error. It sees an epoll descriptor with the socket in it, which
    is readable, and nothing else, whatever the socket has to say.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._epoll = select.epoll()
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def fileno(self) -> int:
        """What the loop watches for reading."""
        return self._epoll.fileno()

    def wants_room(self, wanted: bool) -> None:
        """Whether room in the send buffer is waited for, too."""
        self._epoll.modify(self._sock.fileno(), select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def close(self) -> None:
        """Watch no longer."""
        self._epoll.close()


OnUndelivered = Callable[[Undelivered], None]
