"""A callee of plain sockets, which shares no line with the gateway: what it answers is in the test's hand."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

_LIMIT = 30.0
_COPIED = ("Via", "Record-Route", "From", "To", "Call-ID", "CSeq")


@dataclass(frozen=True, slots=True)
class Received:
    """A request or response as it came, at monotonic seconds of the loop."""

    at: float
    text: str
    source: tuple[str, int]

    @property
    def what(self) -> str:
        """The method, or the status as text."""
        first = self.text.split(" ", 2)
        return first[1] if first[0] == "SIP/2.0" else first[0]

    def header(self, name: str) -> str:
        """The first header of that name, empty if there is none."""
        found = re.search(rf"^{name} *: *(.*?)\r?$", self.text, re.M | re.I)
        return found[1] if found else ""

    @property
    def body(self) -> str:
        """What follows the headers."""
        return self.text.partition("\r\n\r\n")[2]


class PlainCallee(asyncio.DatagramProtocol):
    """A callee at 127.0.0.1. It answers BYE, CANCEL and other requests by 200 itself; INVITEs are the test's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.received: list[Received] = []
        self._changed = asyncio.Event()
        self._transport: asyncio.DatagramTransport
        self._cseq = itertools.count(1)

    @property
    def port(self) -> int:
        """Where it takes calls."""
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    @property
    def contact(self) -> str:
        return f"<sip:{self.name}@127.0.0.1:{self.port}>"

    def of(self, what: str) -> list[Received]:
        """What came with this method or status, repetitions too."""
        return [one for one in self.received if one.what == what]

    async def gets(self, what: str, count: int = 1, within: float = _LIMIT) -> Received:
        """Wait for the `count`th request of this method, or response of this status."""
        return await self.until(lambda: self.of(what)[count - 1] if len(self.of(what)) >= count else None, what, within)

    async def until(self, found: Callable[[], Received | None], what: str = "it", within: float = _LIMIT) -> Received:
        """Wait for something in what came."""
        try:
            async with asyncio.timeout(within):
                while (one := found()) is None:
                    self._changed.clear()
                    await self._changed.wait()
                return one
        except TimeoutError:
            seen = [one.text.split("\r\n", 1)[0] for one in self.received]
            raise AssertionError(f"{self.name} got no {what} in {within} s: {seen}") from None

    def answer(self, request: Received, status: str, *headers: str, sdp: str = "", tag: str = "") -> None:
        """Respond. `tag` is what To gets, by default one a callee; a body of `sdp` is text with `\\n`."""
        lines = [f"SIP/2.0 {status}"]
        for line in request.text.partition("\r\n\r\n")[0].split("\r\n")[1:]:
            name = line.partition(":")[0].strip()
            if name.lower() in (known.lower() for known in _COPIED):
                if name.lower() == "to" and "tag=" not in line and not status.startswith("100"):
                    line += f";tag={tag or self.name}"
                lines.append(line)
        if request.what == "INVITE" and not status.startswith("100"):
            lines.append(f"Contact: {self.contact}")
        lines += headers
        self._send(lines, sdp, request.source)

    def request(self, method: str, invite: Received, *headers: str, body: str = "", tag: str = "") -> int:
        """A request within the dialog of that INVITE; its CSeq number."""
        number = next(self._cseq)
        target = re.search(r"<?(sip:[^>;]+)", invite.header("Contact"))
        assert target is not None, "an INVITE has a Contact"
        routes = re.findall(r"^Record-Route *: *(.*?)\r?$", invite.text, re.M | re.I)
        lines = [
            f"{method} {target[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{self.name}{number}{method}",
            "Max-Forwards: 70",
            *(f"Route: {route}" for route in routes),
            f"From: {invite.header('To')};tag={tag or self.name}",
            f"To: {invite.header('From')}",
            f"Call-ID: {invite.header('Call-ID')}",
            f"CSeq: {number} {method}",
            f"Contact: {self.contact}",
            *headers,
        ]
        self._send(lines, body, invite.source)
        return number

    def _send(self, lines: list[str], body: str, to: tuple[str, int]) -> None:
        data = body.replace("\n", "\r\n").encode()
        if data:
            lines.append("Content-Type: application/sdp")
        lines += [f"Content-Length: {len(data)}", "", ""]
        self._transport.sendto("\r\n".join(lines).encode() + data, to)

    # -- asyncio's

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        one = Received(asyncio.get_running_loop().time(), data.decode("utf-8", "replace"), addr[:2])
        self.received.append(one)
        if one.what not in ("INVITE", "ACK") and not one.text.startswith("SIP/2.0"):
            self.answer(one, "200 OK")
        self._changed.set()


@asynccontextmanager
async def callee(name: str, port: int = 0) -> AsyncIterator[PlainCallee]:
    """A callee on this port, by default one that the system chooses."""
    loop = asyncio.get_running_loop()
    transport, plain = await loop.create_datagram_endpoint(lambda: PlainCallee(name), local_addr=("127.0.0.1", port))
    try:
        yield plain
    finally:
        transport.close()


def sdp(port: int, *, formats: str = "0 101", way: str = "sendrecv", version: int = 1) -> str:
    """Audio at 127.0.0.1."""
    maps = {"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000", "101": "telephone-event/8000"}
    lines = [
        "v=0",
        f"o=callee 1 {version} IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        f"m=audio {port} RTP/AVP {formats}",
        *(f"a=rtpmap:{one} {maps[one]}" for one in formats.split()),
        f"a={way}",
    ]
    return "\n".join(lines) + "\n"
