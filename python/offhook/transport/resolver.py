"""RFC 3263: a SIP URI to the targets that serve it, in the order in which they are to be tried."""

import asyncio
import ipaddress
import random
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, TypeAlias

import dns.asyncresolver
import dns.exception
import dns.resolver

from offhook.sip.effects import Target
from offhook.sip.uri import SipUri

MAX_TARGETS = 32
MAX_RECORDS = 64
CACHE_SIZE = 1_024
NEGATIVE_SECONDS = 5.0
LONGEST_SECONDS = 3_600.0

_SERVICES = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}
_SRV = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}

Records: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Cached:
    records: Records
    until: float


class DnsResolver:
    """Asks the system's name servers; answers are kept for their time to live, at most an hour.

    Priorities and weights of SRV are honoured anew at each call (RFC 2782), so load is spread.
    """

    def __init__(self, *, timeout: float = 3.0, rng: random.Random | None = None) -> None:
        self._timeout = timeout
        self._rng = rng or random.SystemRandom()
        self._cache: OrderedDict[tuple[str, str], _Cached] = OrderedDict()
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def resolve(self, uri: SipUri) -> tuple[Target, ...]:
        """The targets of `uri`. A literal address is one at once; an unknown name gives none."""
        if uri.transport not in (None, "udp", "tcp", "tls") or (uri.is_secure and uri.transport == "udp"):
            # What we do not speak has no target: never by a lesser transport (RFC 3261 26.2.2).
            return ()
        asked = "tls" if uri.is_secure else uri.transport
        address = _literal(uri.host)
        if address is not None:
            return (Target(asked or "udp", address, uri.port or _default_port(asked)),)
        if uri.port is not None:
            return await self._hosts(uri.host, uri.port, asked or "udp")
        transports = [asked] if asked else await self._transports(uri.host)
        found: list[Target] = []
        for transport in transports:
            for host, port in await self._services(f"{_SRV[transport]}.{uri.host}"):
                found += await self._hosts(host, port, transport)
                if len(found) >= MAX_TARGETS:
                    return tuple(found[:MAX_TARGETS])
        if found:
            return tuple(found)
        return await self._hosts(uri.host, _default_port(asked), asked or "udp")

    async def _transports(self, host: str) -> list[str]:
        """By NAPTR where there is one that we can serve, else UDP before TCP."""
        records = await self._ask(host, "NAPTR")
        services = sorted(
            (
                (record.order, record.preference, record.service.decode("ascii", "replace").upper())
                for record in records
            ),
        )
        chosen = [_SERVICES[service] for _, _, service in services if service in _SERVICES]
        return list(dict.fromkeys(chosen)) or ["udp", "tcp"]

    async def _services(self, name: str) -> list[tuple[str, int]]:
        """The hosts of an SRV name: by priority, and by chance according to weight within one (RFC 2782)."""
        records = [record for record in await self._ask(name, "SRV") if str(record.target) != "."]
        ordered: list[tuple[str, int]] = []
        for priority in sorted({record.priority for record in records}):
            group = [record for record in records if record.priority == priority]
            while group:
                total = sum(record.weight for record in group)
                mark = self._rng.random() * total
                chosen = group[0]
                for record in group:
                    chosen = record
                    mark -= record.weight
                    if mark < 0:
                        break
                group.remove(chosen)
                ordered.append((str(chosen.target).rstrip("."), chosen.port))
        return ordered

    async def _hosts(self, host: str, port: int, transport: str) -> tuple[Target, ...]:
        address = _literal(host)
        if address is not None:
            return (Target(transport, address, port),)
        four, six = await asyncio.gather(self._ask(host, "A"), self._ask(host, "AAAA"))
        found = [Target(transport, str(record.address), port) for record in (*four, *six)]
        if not found:
            found = [Target(transport, name, port) for name in await self._hosts_file(host)]
        return tuple(found[:MAX_TARGETS])

    async def _hosts_file(self, host: str) -> list[str]:
        """What DNS does not know, the system may: /etc/hosts, mDNS, a container's names."""
        loop = asyncio.get_running_loop()
        try:
            found = await asyncio.wait_for(loop.getaddrinfo(host, None), self._timeout)
        except (OSError, TimeoutError, UnicodeError):
            return []
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def _ask(self, name: str, kind: str) -> Records:
        key = (name.lower().rstrip("."), kind)
        now = asyncio.get_running_loop().time()
        cached = self._cache.get(key)
        if cached is not None and cached.until > now:
            return cached.records
        records, seconds = await self._query(key[0], kind)
        self._cache[key] = _Cached(records, now + min(seconds, LONGEST_SECONDS))
        self._cache.move_to_end(key)
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return records

    async def _query(self, name: str, kind: str) -> tuple[Records, float]:
        """Records and their time to live; a failure counts as none for a few seconds."""
        try:
            if self._resolver is None:
                self._resolver = dns.asyncresolver.Resolver()
            answer = await self._resolver.resolve(f"{name}.", kind, lifetime=self._timeout, raise_on_no_answer=False)
        except (dns.exception.DNSException, OSError, ValueError):
            return (), NEGATIVE_SECONDS
        rrset = answer.rrset
        if rrset is None:
            return (), NEGATIVE_SECONDS
        return tuple(rrset)[:MAX_RECORDS], float(rrset.ttl)


def _default_port(transport: str | None) -> int:
    return 5061 if transport == "tls" else 5060


def _literal(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None
