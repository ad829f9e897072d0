"""Where SIP is listened for, and under which address that is told to peers."""

import errno
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from offhook.errors import ConfigError, ConfigProblem, TransportError

CLASS_SELECTOR_3 = 24 << 2
"""DSCP CS3, what signalling is marked with (RFC 4594 section 3)."""

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - recognised, not chosen


@dataclass(frozen=True, slots=True)
class Listener:
    """`uri` is like "udp://0.0.0.0:5060", "tcp://[::]:5060" or "tls://0.0.0.0:5061".

    `advertise` is what peers outside are told instead of the bound address; port None stands for the bound one.
    """

    uri: str
    advertise: tuple[str, int | None] | None = None

    @property
    def transport(self) -> str:
        """ "udp", "tcp" or "tls"."""
        return self.uri.partition("://")[0].lower()

    @property
    def host(self) -> str:
        """The address to bind, without brackets."""
        return urlsplit(self.uri).hostname or ""

    @property
    def port(self) -> int:
        """The port to bind; 0 lets the system choose."""
        port = urlsplit(self.uri).port
        if port is None:
            return 5061 if self.transport == "tls" else 5060
        return port

    @property
    def family(self) -> socket.AddressFamily:
        """IPv4 or IPv6."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def is_wildcard(self) -> bool:
        """Whether it takes what comes to any address of the machine."""
        return self.host in WILDCARDS

    def check(self) -> None:
        """Raise ConfigError where this is no listener."""
        try:
            ipaddress.ip_address(self.host)
            known = self.transport in ("udp", "tcp", "tls") and 0 <= self.port <= 65535
        except ValueError:
            known = False
        if not known:
            raise ConfigError(
                [
                    ConfigProblem(
                        "sip.listen",
                        f"{self.uri!r} is no listener",
                        hint="write udp://ADDRESS:PORT, tcp://… or tls://…",
                    )
                ]
            )

    def open(self, *, receive_buffer: int, send_buffer: int) -> socket.socket:
        """Bind the socket. What the system refuses is a TransportError that says what to do."""
        self.check()
        kind = socket.SOCK_DGRAM if self.transport == "udp" else socket.SOCK_STREAM
        sock = socket.socket(self.family, kind)
        try:
            sock.setblocking(False)
            if self.family == socket.AF_INET6:
                # An IPv4 listener stands beside it with an address of its own.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            mark(sock)
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            sock.bind((self.host, self.port))
        except OSError as error:
            sock.close()
            raise _refused(self, error) from error
        return sock


def mark(sock: socket.socket) -> None:
    """Set the DSCP of signalling; a system that refuses leaves it unmarked."""
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, CLASS_SELECTOR_3)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, CLASS_SELECTOR_3)
    except OSError:
        return


def _refused(listener: Listener, error: OSError) -> TransportError:
    where = f"{listener.transport} port {listener.port} of {listener.host}"
    flag = "u" if listener.transport == "udp" else "t"
    match error.errno:
        case errno.EADDRINUSE:
            return TransportError(
                f"{where} is taken by another program",
                address=listener.uri,
                hint=f"stop that program (`ss -l{flag}np sport = :{listener.port}` names it) or change [sip] listen",
            )
        case errno.EADDRNOTAVAIL:
            return TransportError(
                f"{listener.host} is no address of this machine",
                address=listener.uri,
                hint="listen on 0.0.0.0, and put a public address that a router holds into advertise",
            )
        case errno.EACCES | errno.EPERM:
            return TransportError(
                f"this user may not open {where}", address=listener.uri, hint="choose a port above 1023 in [sip] listen"
            )
    return TransportError(f"{where} can't be opened: {error.strerror}", address=listener.uri)
