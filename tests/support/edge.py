"""The edge of a carrier or PBX, of plain sockets: it judges our calls by its own rules, and places calls as it does.

It shares no line with the gateway. Over UDP, or TLS where it has a context for it, at an address of the loopback.
"""

import asyncio
import itertools
import re
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

LIMIT = 20.0
_COPIED = ("via", "v", "record-route", "from", "f", "to", "t", "call-id", "i", "cseq")
_COMPACT = {"via": "v", "from": "f", "to": "t", "call-id": "i", "contact": "m", "content-type": "c", "supported": "k"}
CRYPTO = "AES_CM_128_HMAC_SHA1_80 inline:" + "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"

Judge: TypeAlias = Callable[["Said"], str]
"""What a real edge would say of an INVITE: a status line such as `403 Forbidden`; empty for a call that it takes."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message as it came."""

    text: str

    @property
    def what(self) -> str:
        """The method, or the status as text."""
        first = self.text.split(" ", 2)
        return first[1] if first[0] == "SIP/2.0" else first[0]

    @property
    def uri(self) -> str:
        """The Request-URI."""
        return self.text.split(" ", 2)[1]

    @property
    def body(self) -> str:
        """What follows the headers."""
        return self.text.partition("\r\n\r\n")[2]

    @property
    def cseq(self) -> str:
        return self.header("CSeq")

    def header(self, name: str) -> str:
        """The first header of that name, empty if there is none."""
        found = re.search(rf"^{name} *: *(.*?)\r?$", self.text.partition("\r\n\r\n")[0], re.M | re.I)
        return found[1] if found else ""

    @property
    def codecs(self) -> list[str]:
        """The codecs of its SDP, in order, telephone events and comfort noise apart."""
        static = {"0": "PCMU", "8": "PCMA", "9": "G722"}
        media = re.search(r"^m=audio \d+ \S+ (.*?)\r?$", self.body, re.M)
        maps = dict(re.findall(r"^a=rtpmap:(\d+) ([\w-]+)/", self.body, re.M))
        named = [maps.get(number, static.get(number, number)) for number in media[1].split()] if media else []
        return [name for name in named if name not in ("telephone-event", "CN", "13")]

    @property
    def crypto_tag(self) -> str:
        """The number of the offered key of the suite that everybody has."""
        found = re.search(r"^a=crypto:(\d+) AES_CM_128_HMAC_SHA1_80 ", self.body, re.M)
        return found[1] if found else "1"

    @property
    def is_encrypted(self) -> bool:
        """Whether its SDP insists on SRTP, with a key in it."""
        return bool(re.search(r"^m=audio \d+ RTP/SAVP ", self.body, re.M)) and "a=crypto:" in self.body


@dataclass
class Edge:
    """`host` and `port` are where it is, `gateway` where it sends its calls. `contact` is what it puts there."""

    host: str
    port: int
    gateway: tuple[str, int]
    judge: Judge = lambda invite: ""
    transport: str = "udp"
    contact: str = ""
    formats: tuple[str, ...] = ("0", "8", "101")
    srtp: bool = False
    compact: bool = False
    invite_headers: tuple[str, ...] = ()
    heard: list[Said] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.contact = self.contact or f"<sip:{self.host}:{self.port};transport={self.transport}>"
        self._changed = asyncio.Event()
        self._count = itertools.count(1)
        self.write: Callable[[bytes, tuple[str, int] | None], None] = lambda data, to: None

    # -- what it hears

    def of(self, what: str) -> list[Said]:
        return [one for one in self.heard if one.what == what]

    async def gets(self, what: str, count: int = 1, within: float = LIMIT) -> Said:
        """Wait for the `count`th message of this method or status."""
        try:
            async with asyncio.timeout(within):
                while len(self.of(what)) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            seen = [one.text.split("\r\n", 1)[0] for one in self.heard]
            raise AssertionError(f"{self.host} got no {what} in {within} s: {seen}") from None
        return self.of(what)[count - 1]

    def take(self, text: str, source: tuple[str, int] | None) -> None:
        one = Said(text)
        self.heard.append(one)
        if one.what == "INVITE":
            refusal = self.judge(one)
            if refusal:
                self.answer(one, refusal, source)
            else:
                self.answer(one, "180 Ringing", source)
                self.answer(one, "200 OK", source, body=self.sdp(tag=one.crypto_tag))
        elif not one.text.startswith("SIP/2.0") and one.what != "ACK":
            self.answer(one, "200 OK", source)
        self._changed.set()

    # -- what it says

    def answer(self, request: Said, status: str, source: tuple[str, int] | None, *, body: str = "") -> None:
        lines = [f"SIP/2.0 {status}"]
        for line in request.text.partition("\r\n\r\n")[0].split("\r\n")[1:]:
            name = line.partition(":")[0].strip().lower()
            if name in _COPIED:
                tagged = name in ("to", "t") and "tag=" not in line
                lines.append(line + (";tag=edge" if tagged else ""))
        self._send([*lines, f"Contact: {self.contact}"], body, source)

    def sdp(self, *, way: str = "sendrecv", connection: str = "", tag: str = "1") -> str:
        """Its audio: its formats, with a key where it encrypts."""
        known = {"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000", "18": "G729/8000", "101": "telephone-event/8000"}
        lines = [
            "v=0", f"o=- 7 {next(self._count)} IN IP4 {self.host}", "s=-", f"c=IN IP4 {connection or self.host}",
            "t=0 0",
            f"m=audio 40900 RTP/{'SAVP' if self.srtp else 'AVP'} {' '.join(self.formats)}",
            *(f"a=rtpmap:{number} {known[number]}" for number in self.formats),
            *([f"a=crypto:{tag} {CRYPTO}"] if self.srtp else []),
            f"a={way}",
        ]  # fmt: skip
        return "\r\n".join(lines) + "\r\n"

    def request(
        self,
        method: str,
        uri: str,
        *headers: str,
        from_: str = "",
        to: str = "",
        call_id: str = "",
        body: str = "",
        cseq: int = 0,
    ) -> str:
        """Send a request of its own; returns its Call-ID."""
        number = cseq or next(self._count)
        call_id = call_id or f"{secrets.token_hex(8)}@{self.host}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.transport.upper()} {self.host}:{self.port};branch=z9hG4bK{id(self):x}{number}{method}",
            "Max-Forwards: 70",
            f"From: {from_ or f'<sip:{self.host}:{self.port}>;tag=theirs'}",
            f"To: {to or f'<{uri}>'}",
            f"Call-ID: {call_id}",
            f"CSeq: {number} {method}",
            f"Contact: {self.contact}",
            *headers,
        ]
        self._send(lines, body, self.gateway)
        return call_id

    async def call(self, number: str, caller: str, *, offer: str | None = None, answer: str = "") -> "Theirs":
        """Place a call as it does, up to our final response and its ACK."""
        uri = f"sip:{number}@{self.gateway[0]}:{self.gateway[1]}"
        body = self.sdp() if offer is None else offer
        before = len(self.heard)
        from_, at = f"<{caller}>;tag=theirs", next(self._count)
        call_id = self.request("INVITE", uri, *self.invite_headers, from_=from_, body=body, cseq=at)
        async with asyncio.timeout(LIMIT):
            while not (found := [one for one in self.heard[before:] if one.what >= "200" and "INVITE" in one.cseq]):
                self._changed.clear()
                await self._changed.wait()
        final = found[0]
        theirs = Theirs(self, final, from_, final.header("To") or final.header("t"), call_id)
        target = theirs.target if final.what == "200" else uri
        self.request("ACK", target, from_=from_, to=theirs.to, call_id=call_id, body=answer, cseq=at)
        return theirs

    def _send(self, lines: Sequence[str], body: str, to: tuple[str, int] | None) -> None:
        data = body.encode()
        all_lines = [
            *lines,
            *(["Content-Type: application/sdp"] if data else []),
            f"Content-Length: {len(data)}",
            "",
            "",
        ]
        if self.compact:
            all_lines = [_shortened(line) for line in all_lines]
        self.write("\r\n".join(all_lines).encode() + data, to)


@dataclass(frozen=True)
class Theirs:
    """A call that an edge placed: our final response, and what its later requests need."""

    edge: Edge
    final: Said
    from_: str
    to: str
    call_id: str

    @property
    def target(self) -> str:
        """The URI of our Contact."""
        found = re.search(r"<?(sips?:[^>]+)>?", self.final.header("Contact") or self.final.header("m"))
        assert found is not None, self.final.text
        return found[1]

    async def ask(self, method: str, *headers: str, body: str = "") -> Said:
        """A request within the call; our final response to it."""
        before = len(self.edge.heard)
        number = 1000 + before
        self.edge.request(
            method, self.target, *headers, from_=self.from_, to=self.to, call_id=self.call_id, body=body, cseq=number
        )
        async with asyncio.timeout(LIMIT):
            while True:
                for one in self.edge.heard[before:]:
                    if one.cseq == f"{number} {method}" and one.what >= "200":
                        if method == "INVITE":
                            self.edge.request(
                                "ACK", self.target, from_=self.from_, to=self.to, call_id=self.call_id, cseq=number
                            )
                        return one
                self.edge._changed.clear()
                await self.edge._changed.wait()

    async def hang_up(self) -> None:
        assert (await self.ask("BYE")).what == "200"


def _shortened(line: str) -> str:
    name, colon, value = line.partition(":")
    return f"{_COMPACT.get(name.lower(), name)}{colon}{value}" if colon else line


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._edge.take(data.decode("utf-8", "replace"), addr[:2])


class _Stream(asyncio.Protocol):
    """One TLS connection, of either direction."""

    def __init__(self, edge: Edge, open_ones: "list[_Stream] | None" = None) -> None:
        self._edge = edge
        self._gone = asyncio.Event()
        if open_ones is not None:
            open_ones.append(self)
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._edge.write = lambda data, to: transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()

    async def close(self) -> None:
        """Leave nothing open."""
        self._transport.close()
        await self._gone.wait()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            length = re.search(rb"^(?:Content-Length|l) *: *(\d+)", head, re.M | re.I)
            size = int(length[1]) if length else 0
            if len(rest) < size:
                return
            self._buffer = rest[size:]
            # Requests are answered on the connection that brought them.
            self._edge.write = lambda said, to: self._transport.write(said)
            self._edge.take((head + b"\r\n\r\n" + rest[:size]).decode("utf-8", "replace"), None)


@asynccontextmanager
async def listening(edge: Edge, *, server: ssl.SSLContext | None = None) -> AsyncIterator[Edge]:
    """The edge at its address: over UDP, or with `server` over TLS."""
    loop = asyncio.get_running_loop()
    if server is not None:
        streams: list[_Stream] = []
        listener = await loop.create_server(lambda: _Stream(edge, streams), edge.host, edge.port, ssl=server)
        try:
            yield edge
        finally:
            listener.close()
            for stream in streams:
                await stream.close()
        return
    transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(edge), local_addr=(edge.host, edge.port))
    edge.write = lambda data, to: transport.sendto(data, to)
    try:
        yield edge
    finally:
        transport.close()


@asynccontextmanager
async def connected(edge: Edge, client: ssl.SSLContext, name: str) -> AsyncIterator[Edge]:
    """The edge with a TLS connection of its own to the gateway, from its address."""
    loop = asyncio.get_running_loop()
    _, stream = await loop.create_connection(
        lambda: _Stream(edge), *edge.gateway, ssl=client, server_hostname=name, local_addr=(edge.host, 0)
    )
    try:
        yield edge
    finally:
        await stream.close()
