"""Asks name servers what RFC 3263 wants to know, and keeps what they say for as long as they say."""

import asyncio
import random
from collections import Counter, OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver
from dns.message import Message
from dns.rdata import Rdata
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from offhook.sip.effects import Target
from offhook.sip.locating import TRANSPORTS, Naptr, Question, Record, Srv, locate
from offhook.sip.uri import SipUri

MAX_RECORDS = 64
"""Records that are read of one answer."""

CACHE_SIZE = 1_024
NEGATIVE_SECONDS = 30.0
"""How long a name that does not exist is believed not to, if its zone does not say."""
LONGEST_NEGATIVE = 300.0
FAILED_SECONDS = 5.0
"""How long a name server that said nothing is left in peace about a name."""
LONGEST_SECONDS = 3_600.0
STALE_SECONDS = 3_600.0
"""How long after its time an answer still serves while no name server answers (RFC 8767)."""

Records = tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question came to: records and the seconds that they may be kept, or that nobody answered it."""

    records: Records = ()
    seconds: float = NEGATIVE_SECONDS
    failed: bool = False


@dataclass(frozen=True, slots=True)
class _Cached:
    records: Records
    until: float
    fresh_until: float
    """When the records themselves were to be forgotten: `until` is later while they only serve for want of others."""


class DnsResolver:
    """Finds the targets of SIP URIs by the system's name servers, or by `name_servers` (addresses, or address:port).

    Answers are kept for their time to live, at most an hour, and while no name server answers for an hour more. A
    question that is under way is not asked twice. `speaks` and `families` are the transports and IP versions that we
    have. Lives on the event loop, which it never blocks.
    """

    def __init__(
        self,
        *,
        name_servers: Sequence[tuple[str, int]] = (),
        speaks: Collection[str] = TRANSPORTS,
        families: Sequence[Literal[4, 6]] = (4, 6),
        timeout: float = 3.0,
        rng: random.Random | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._name_servers = tuple(name_servers)
        self._speaks = frozenset(speaks)
        self._families = tuple(families)
        self._timeout = timeout
        self._rng = rng or random.SystemRandom()
        self._cache: OrderedDict[Question, _Cached] = OrderedDict()
        self._asking: dict[Question, asyncio.Task[Records]] = {}
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def resolve(self, uri: SipUri) -> tuple[Target, ...]:
        """The targets of `uri`. A literal address is one at once; an unknown name gives none."""
        steps = locate(uri, chance=self._rng.random, speaks=self._speaks, families=self._families)
        try:
            questions = next(steps)
            while True:
                answers = await asyncio.gather(*map(self._ask, questions))
                questions = steps.send(tuple(answers))
        except StopIteration as found:
            targets: tuple[Target, ...] = found.value
            return targets

    async def _ask(self, question: Question) -> Records:
        now = asyncio.get_running_loop().time()
        cached = self._cache.get(question)
        if cached is not None and cached.until > now:
            self._cache.move_to_end(question)
            return cached.records
        asking = self._asking.get(question)
        if asking is None:
            asking = asyncio.get_running_loop().create_task(self._learn(question), name=f"DNS {question.name}")
            self._asking[question] = asking
            asking.add_done_callback(lambda task: self._asking.pop(question, None))
        # Who gives up leaves the question to the others that wait for it, and to the cache.
        return await asyncio.shield(asking)

    async def _learn(self, question: Question) -> Records:
        self.counters["dns_questions"] += 1
        answer = await (self._system(question) if question.kind == "system" else self._query(question))
        now, before = asyncio.get_running_loop().time(), self._cache.get(question)
        if answer.failed:
            self.counters["dns_failures"] += 1
            if before is not None and before.records and now < before.fresh_until + STALE_SECONDS:
                self.counters["dns_stale"] += 1
                self._cache[question] = _Cached(before.records, now + FAILED_SECONDS, before.fresh_until)
                return before.records
        until = now + min(answer.seconds, LONGEST_SECONDS)
        self._cache[question] = _Cached(answer.records, until, until)
        self._cache.move_to_end(question)
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return answer.records

    async def _query(self, question: Question) -> Answer:
        """What the name servers say. CNAMEs are followed by the library, which gives up loops and long chains."""
        try:
            found = await self._servers().resolve(
                f"{question.name}.", question.kind, lifetime=self._timeout, raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN as error:
            return Answer(seconds=_negative_seconds(_said(error)))
        except (dns.exception.DNSException, OSError, ValueError):
            return Answer(seconds=FAILED_SECONDS, failed=True)
        if found.rrset is None:
            return Answer(seconds=_negative_seconds(found.response))
        records = [_record(rdata) for rdata in tuple(found.rrset)[:MAX_RECORDS]]
        seconds = max(0.0, float(found.chaining_result.minimum_ttl))
        return Answer(tuple(record for record in records if record is not None), seconds)

    async def _system(self, question: Question) -> Answer:
        """What DNS does not know, the system may: /etc/hosts, mDNS, a container's names."""
        loop = asyncio.get_running_loop()
        try:
            found = await asyncio.wait_for(loop.getaddrinfo(question.name, None), self._timeout)
        except (OSError, TimeoutError, UnicodeError):
            return Answer(seconds=FAILED_SECONDS, failed=True)
        return Answer(tuple(dict.fromkeys(str(entry[4][0]) for entry in found))[:MAX_RECORDS])

    def _servers(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            resolver = dns.asyncresolver.Resolver(configure=not self._name_servers)
            if self._name_servers:
                resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in self._name_servers]
            # The time-out of one server must leave time for the next.
            resolver.timeout = min(resolver.timeout, self._timeout / max(1, min(3, len(resolver.nameservers))))
            self._resolver = resolver
        return self._resolver


def _record(rdata: Rdata) -> Record | None:
    """A record of the library as ours; None for one that says nothing that can be used."""
    match rdata:
        case SRV():
            return Srv(rdata.priority, rdata.weight, rdata.port, str(rdata.target))
        case NAPTR() if not rdata.regexp:
            service, flags = rdata.service.decode("ascii", "replace"), rdata.flags.decode("ascii", "replace")
            return Naptr(rdata.order, rdata.preference, service, str(rdata.replacement), flags)
        case A() | AAAA():
            return str(rdata.address)
        case _:
            return None


def _said(error: dns.resolver.NXDOMAIN) -> Message | None:
    """The response that says that there is no such name."""
    responses: dict[object, Message] = error.kwargs.get("responses", {})
    return next(iter(responses.values()), None)


def _negative_seconds(response: Message | None) -> float:
    """How long the zone says that what is not there may be remembered so (RFC 2308 section 5)."""
    for rrset in response.authority if response is not None else ():
        for rdata in rrset:
            if isinstance(rdata, SOA):
                return float(min(rrset.ttl, rdata.minimum, LONGEST_NEGATIVE))
    return NEGATIVE_SECONDS
