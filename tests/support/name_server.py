"""A name server on loopback whose zone a test writes down, and may change while it runs."""

import asyncio
from collections import Counter
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset


class NameServer(asyncio.DatagramProtocol):
    """Answers by UDP from `zone`: "name TYPE" to records in the words of a zone file. `silent` is a dead one.

    `ttl` is that of what it has, `negative` of what it has not (RFC 2308).
    """

    def __init__(self, zone: dict[str, list[str]], *, ttl: int = 60, negative: int = 5) -> None:
        self.zone = zone
        self.ttl = ttl
        self.negative = negative
        self.silent = False
        self.asked: Counter[str] = Counter()
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def address(self) -> tuple[str, int]:
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._transport is not None
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked[f"{question.name.to_text(omit_final_dot=True)} {kind}"] += 1
        if self.silent:
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        self._answer(response, question.name, kind)
        assert self._transport is not None
        self._transport.sendto(response.to_wire(), addr)

    def _answer(self, response: dns.message.Message, name: dns.name.Name, kind: str) -> None:
        for _ in range(8):
            shown = name.to_text(omit_final_dot=True).lower()
            if records := self.zone.get(f"{shown} {kind}"):
                response.answer.append(dns.rrset.from_text(name, self.ttl, "IN", kind, *records))
                return
            if not (alias := self.zone.get(f"{shown} CNAME")):
                break
            response.answer.append(dns.rrset.from_text(name, self.ttl, "IN", "CNAME", *alias))
            name = dns.name.from_text(alias[0])
        if not any(key.split()[0] == shown for key in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        soa = f"ns.test. root.test. 1 60 60 60 {self.negative}"
        response.authority.append(dns.rrset.from_text("test.", self.ttl, "IN", "SOA", soa))
