"""Locating SIP servers (RFC 3263): which questions DNS is asked about a URI, and the targets in the order to try them.

Nothing here asks: `locate` yields questions, is sent the answers, and returns targets. Chance is handed in.
"""

import ipaddress
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from offhook.sip.effects import Target
from offhook.sip.uri import SipUri

MAX_TARGETS = 32
"""Targets of one URI; whoever publishes more is tried at the first of them."""

MAX_SERVERS = 16
"""Names of one service that are looked up: an answer with a thousand must not cost a thousand questions."""

TRANSPORTS = ("udp", "tcp", "tls")

SERVICES = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}
"""NAPTR services to transports. WebSocket (RFC 7118) and SCTP are not spoken to peers."""

SRV_NAMES = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}

Kind: TypeAlias = Literal["NAPTR", "SRV", "A", "AAAA", "system"]
"""`system` is what this machine knows without DNS: /etc/hosts, mDNS, the names of containers."""

Chance: TypeAlias = Callable[[], float]
"""A number from 0 up to 1."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question; `name` is in lower case and without the root's dot."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Naptr:
    """A NAPTR record (RFC 3403) as far as RFC 3263 section 4.1 looks at it."""

    order: int
    preference: int
    service: str
    replacement: str
    flags: str = "s"


@dataclass(frozen=True, slots=True)
class Srv:
    """An SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


Record: TypeAlias = Naptr | Srv | str
"""What an answer holds; an address is a string."""

Answers: TypeAlias = tuple[tuple[Record, ...], ...]
"""The answers to questions that were asked together, in their order; empty where there is none."""

Locating: TypeAlias = Generator[tuple[Question, ...], Answers, tuple[Target, ...]]


def locate(
    uri: SipUri,
    *,
    chance: Chance,
    speaks: Collection[str] = TRANSPORTS,
    families: Sequence[Literal[4, 6]] = (4, 6),
) -> Locating:
    """Find the targets of `uri`, best first, at most `MAX_TARGETS`; none if there are none that we could reach.

    `speaks` are the transports that we have, `families` the IP versions, the preferred one first. What has to be secure
    is never found by a lesser transport (RFC 3261 26.2.2). TLS has to prove the host of the URI, not that of an SRV
    record (RFC 5922 7.3): whoever sends says so.
    """
    asked = _asked_transport(uri)
    if asked is not None and asked not in speaks:
        return ()
    address = literal(uri.host)
    if address is not None:
        return (Target(asked or "udp", address, uri.port or default_port(asked)),)
    host = normal(uri.host)
    if uri.port is not None:
        return (yield from _hosts([(asked or "udp", host, uri.port)], families))
    services = yield from _services(host, asked, speaks)
    found: list[Target] = []
    for transport, name in services:
        (records,) = yield (Question(name, "SRV"),)
        servers = by_weight([record for record in records if isinstance(record, Srv)], chance)
        found += yield from _hosts([(transport, normal(server.target), server.port) for server in servers], families)
        if len(found) >= MAX_TARGETS:
            break
    if not found:
        found += yield from _hosts([(asked or "udp", host, default_port(asked))], families)
    return tuple(dict.fromkeys(found))[:MAX_TARGETS]


def by_preference(records: Iterable[Naptr], speaks: Collection[str], *, secure: bool = False) -> list[tuple[str, str]]:
    """The (transport, SRV name) that NAPTR records lead to, by order and preference, of those that we speak.

    RFC 3263 section 4.1: with `secure` (a `sips` URI) only SIPS+D2T; only terminal records, which name an SRV record.
    """
    chosen = []
    for record in sorted(records, key=lambda record: (record.order, record.preference)):
        transport = SERVICES.get(record.service.upper())
        usable = record.flags.lower() == "s" and normal(record.replacement)
        if transport is not None and transport in speaks and usable and (transport == "tls" or not secure):
            chosen.append((transport, normal(record.replacement)))
    return list(dict.fromkeys(chosen))[:MAX_SERVERS]


def by_weight(records: Iterable[Srv], chance: Chance) -> list[Srv]:
    """SRV records in the order to try them: by priority, and within one by chance, each as likely as its weight.

    A record whose target is the root says that there is no such service (RFC 2782), and drops out.
    """
    usable = [record for record in records if normal(record.target)]
    ordered: list[Srv] = []
    for priority in sorted({record.priority for record in usable}):
        # RFC 2782: those without weight stand first, so that they are chosen only where chance says nought.
        group = sorted((record for record in usable if record.priority == priority), key=lambda record: record.weight)
        while group:
            ordered.append(group.pop(drawn([record.weight for record in group], chance)))
    return ordered[:MAX_SERVERS]


def drawn(weights: Sequence[int], chance: Chance) -> int:
    """The index of one weight, drawn as RFC 2782 says: as often as its share; without any weight all are equal."""
    total = sum(weights)
    if total == 0:
        return int(chance() * len(weights))
    mark, running = chance() * total, 0
    for index, weight in enumerate(weights):
        running += weight
        if mark < running:
            return index
    return len(weights) - 1


def literal(host: str) -> str | None:
    """An IP address in its usual form; None for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def default_port(transport: str | None) -> int:
    """5061 for TLS, else 5060 (RFC 3261 19.1.2)."""
    return 5061 if transport == "tls" else 5060


def normal(name: str) -> str:
    """A name for comparison: lower case, without the root's dot."""
    return name.lower().rstrip(".")


def _asked_transport(uri: SipUri) -> str | None:
    """The transport that the URI fixes; "none" if it is one by which nobody may be reached."""
    if uri.is_secure:
        return "none" if uri.transport == "udp" else "tls"
    return uri.transport


def _services(
    host: str, asked: str | None, speaks: Collection[str]
) -> Generator[tuple[Question, ...], Answers, list[tuple[str, str]]]:
    """The (transport, SRV name) to ask for: by NAPTR where no transport is fixed, else UDP before TCP (4.1)."""
    if asked is not None:
        return [(asked, f"{SRV_NAMES[asked]}.{host}")]
    (records,) = yield (Question(host, "NAPTR"),)
    chosen = by_preference([record for record in records if isinstance(record, Naptr)], speaks)
    plain = [transport for transport in ("udp", "tcp") if transport in speaks]
    return chosen or [(transport, f"{SRV_NAMES[transport]}.{host}") for transport in plain]


def _hosts(
    servers: Sequence[tuple[str, str, int]], families: Sequence[Literal[4, 6]]
) -> Generator[tuple[Question, ...], Answers, tuple[Target, ...]]:
    """The addresses of (transport, host, port) in turn, each in the IP versions that we have."""
    found: list[Target] = []
    for transport, host, port in servers:
        address = literal(host)
        if address is not None:
            found += [Target(transport, address, port)] if _family(address) in families else []
            continue
        answers = yield tuple(Question(host, "A" if family == 4 else "AAAA") for family in families)
        addresses = [record for answer in answers for record in answer]
        if not addresses:
            (addresses_here,) = yield (Question(host, "system"),)
            addresses = list(addresses_here)
        # One server with a hundred addresses leaves room for the next.
        known = [literal(str(record)) for record in addresses[:MAX_SERVERS]]
        found += [
            Target(transport, address, port)
            for address in known
            if address is not None and _family(address) in families
        ]
        if len(found) >= MAX_TARGETS:
            break
    return tuple(found[:MAX_TARGETS])


def literal_target(uri: SipUri) -> Target | None:
    """The target of a URI whose host is an IP address; None when DNS has to be asked."""
    try:
        address = ipaddress.ip_address(uri.host)
    except ValueError:
        return None
    transport = "tls" if uri.is_secure else uri.transport or "udp"
    return Target(transport, str(address), uri.port or (5061 if transport == "tls" else 5060))


def _family(address: str) -> Literal[4, 6]:
    return 6 if ":" in address else 4
