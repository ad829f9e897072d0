"""What a machine may ask of its driver, and the addresses in which it speaks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from offhook.sip.events import Event
    from offhook.sip.message import Request, Response
    from offhook.sip.uri import SipUri

Address: TypeAlias = tuple[str, int]
"""A numeric IP address (no brackets) and a port."""


@dataclass(frozen=True, slots=True)
class TlsSession:
    """What was agreed on a TLS connection, such as "TLSv1.3" and "TLS_AES_256_GCM_SHA384".

    `identities` are the SIP domains that the peer's certificate has proven (RFC 5922 7.1); empty if it showed none.
    """

    version: str
    cipher: str
    identities: tuple[str, ...] = ()

    def __str__(self) -> str:
        who = f"its certificate is {', '.join(self.identities[:3])}" if self.identities else "it showed no certificate"
        return f"{self.version.replace('v', ' ')}, {self.cipher}, {who}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a message came from: `transport` is "udp", "tcp" or "tls", `flow` the id of the connection or UDP listener.

    `local` is the address of ours that it was sent to, the interface's own even where the listener is a wildcard.
    `tls` is what was agreed, on TLS alone.
    """

    transport: str
    remote: Address
    local: Address
    flow: int = 0
    tls: TlsSession | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: a candidate of RFC 3263. `flow` is a connection or listener preferred while it lives.

    `names` are the domains of which TLS has to prove one (RFC 5922 7.3: the domain before any SRV look-up); empty
    stands for the host itself. `identity` is the trunk whose certificate TLS shows there, None for our own:
    what goes out under one never leaves by a connection of another.
    """

    transport: str
    host: str
    port: int
    flow: int | None = None
    names: tuple[str, ...] = ()
    identity: str | None = None

    @property
    def remote(self) -> Address:
        """The peer's address and port."""
        return (self.host, self.port)


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """What we call ourselves towards one peer, in Via and Contact. `host` is an address without brackets or a name."""

    host: str
    port: int
    transport: str

    @property
    def sent_by(self) -> str:
        """`host:port` with the brackets that IPv6 needs."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


LocalAddressPolicy: TypeAlias = Callable[[Source | Target], LocalAddress]
"""Which of our addresses a peer is told: the advertised one, or the inside one for local networks."""


@dataclass(frozen=True, slots=True)
class SendResponse:
    """Send `wire` back where the request came from.

    `to` is the address by RFC 3261 18.2.2 and RFC 3581. On TCP it is used only when the connection is gone.
    """

    response: "Response"
    source: Source
    to: Address
    wire: bytes
    transaction: int | None = None


@dataclass(frozen=True, slots=True)
class SendRequest:
    """Send `wire` to `target`; a failure is reported with `UserAgent.transport_failed(transaction, ...)`.

    `transaction` is None for what nobody waits for (an ACK to 2xx).
    """

    request: "Request"
    target: Target
    wire: bytes
    transaction: int | None = None


@dataclass(frozen=True, slots=True)
class SendKeepAlive:
    """Send two line ends to `target` by the way that is open there; a connection that is gone is not opened for it."""

    target: Target


@dataclass(frozen=True, slots=True)
class Resolve:
    """Find the targets of `uri` (RFC 3263) and give them to `UserAgent.resolved(resolution, ...)`."""

    resolution: int
    uri: "SipUri"


@dataclass(frozen=True, slots=True)
class Tell:
    """Something that the layer above has to know."""

    event: "Event"


Effect: TypeAlias = SendResponse | SendRequest | SendKeepAlive | Resolve | Tell
