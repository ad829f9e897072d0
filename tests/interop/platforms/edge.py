"""The SIP edge of an agent platform, of plain sockets: it refuses what that platform refuses, and echoes the sound.

Nothing here is the gateway's own code; SRTP is libsrtp's.
"""

import asyncio
import base64
import hashlib
import re
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pylibsrtp import Policy, Session
from tests.support.served import served

_COPIED = ("via", "record-route", "from", "to", "call-id", "cseq")
_SUITE = "AES_CM_128_HMAC_SHA1_80"


@dataclass(frozen=True, slots=True)
class Message:
    """A SIP request or response as it came."""

    text: str

    @property
    def what(self) -> str:
        """The method, or the status."""
        first = self.text.split(" ", 2)
        return first[1] if first[0] == "SIP/2.0" else first[0]

    @property
    def user(self) -> str:
        """The user part of the Request-URI."""
        found = re.match(r"\w+ sips?:([^@;> ]+)@", self.text)
        return found[1] if found else ""

    @property
    def uri(self) -> str:
        """The Request-URI."""
        return self.text.split(" ", 2)[1]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers, in order."""
        lines = self.text.partition("\r\n\r\n")[0].split("\r\n")[1:]
        return [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def header(self, name: str) -> str:
        """The first header of that name, empty if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def variables(self) -> dict[str, str]:
        """The X- headers, their names in lower case."""
        return {name.lower(): value for name, value in self.headers if name.lower().startswith("x-")}

    @property
    def sdp(self) -> str:
        """The body."""
        return self.text.partition("\r\n\r\n")[2]

    @property
    def codecs(self) -> list[str]:
        """The encodings that are offered, by name."""
        return re.findall(r"a=rtpmap:\d+ ([\w-]+)/", self.sdp)

    @property
    def crypto(self) -> str:
        """The SDES key of the suite that all have, empty where there is none."""
        found = re.search(rf"a=crypto:\d+ {_SUITE} inline:([A-Za-z0-9+/=]+)", self.sdp)
        return found[1] if found and "RTP/SAVP" in self.sdp else ""

    @property
    def crypto_tag(self) -> str:
        """The number of that line, which an answer has to repeat (RFC 4568)."""
        found = re.search(rf"a=crypto:(\d+) {_SUITE} ", self.sdp)
        return found[1] if found else ""


Judge = Callable[["Line", Message], Awaitable[str]]
"""What an INVITE is answered with: a status and its phrase, and headers on further lines."""


@dataclass
class Edge:
    """One platform's edge at a port of 127.0.0.1. `judge` decides about each INVITE that is not only a re-INVITE."""

    judge: Judge
    answer_headers: list[str] = field(default_factory=list)
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    refuses_methods: bool = False
    """As LiveKit: whatever is not OPTIONS, INVITE, ACK, BYE or NOTIFY gets 405."""
    requests: list[Message] = field(default_factory=list)
    lines: list["Line"] = field(default_factory=list)
    port: int = 0
    echoed: int = 0
    """RTP packets that came in the clear, or could be decrypted, and went back."""

    def of(self, method: str) -> list[Message]:
        """The requests of that method, in order."""
        return [one for one in self.requests if one.what == method]

    def answers_to(self, method: str) -> list[str]:
        """The statuses that our own requests of that method have got, in order."""
        ours = [one for one in self.requests if one.what.isdigit()]
        return [one.what for one in ours if one.header("CSeq").endswith(f" {method}")]

    @asynccontextmanager
    async def open(self, port: int = 0, context: ssl.SSLContext | None = None) -> AsyncIterator["Edge"]:
        """Listen, by TLS where there is a context, else by TCP."""
        async with served(self._serve, "127.0.0.1", port, context) as self.port:
            try:
                yield self
            finally:
                for line in self.lines:
                    line.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(self, writer)
        self.lines.append(line)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.strip():
                    continue
                length = re.search(rb"(?im)^content-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                await line.take(Message((head.lstrip(b"\r\n") + body).decode()))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass


class Line:
    """One connection to an edge, and the call on it."""

    def __init__(self, edge: Edge, writer: asyncio.StreamWriter) -> None:
        self.edge = edge
        self._writer = writer
        self._tag = secrets.token_hex(4)
        self._rtp: asyncio.DatagramTransport | None = None
        self._answer = ""
        self.invite: Message | None = None
        self.confirmed = asyncio.Event()
        self.cancelled = asyncio.Event()
        self._judging: asyncio.Task[None] | None = None

    async def take(self, message: Message) -> None:
        self.edge.requests.append(message)
        match message.what:
            case "INVITE" if self._answer:
                # No renegotiation: the SDP of before, whatever is offered.
                self._respond(message, "200 OK", self._answer)
            case "INVITE":
                self.invite = message
                self._respond(message, "100 Trying")
                self._judging = asyncio.ensure_future(self._decide(message))
            case "ACK":
                self.confirmed.set()
            case "CANCEL":
                self.cancelled.set()
                self._respond(message, "200 OK")
                assert self.invite is not None, "there is something to cancel"
                if self._judging is not None and not self._judging.done():
                    self._judging.cancel()
                self._respond(self.invite, "487 Request Terminated")
            case "BYE" | "OPTIONS" | "NOTIFY":
                self._respond(message, "200 OK")
            case what if what.isdigit():
                pass
            case _ if self.edge.refuses_methods:
                self._respond(message, "405 Method Not Allowed")
            case _:
                self._respond(message, "200 OK")

    async def _decide(self, invite: Message) -> None:
        verdict = await self.edge.judge(self, invite)
        if not verdict.startswith("200"):
            self._respond(invite, verdict)
            return
        self._respond(invite, "180 Ringing")
        self._answer = await self._media(invite)
        self._respond(invite, "\r\n".join([verdict, *self.edge.answer_headers]), self._answer)

    async def _media(self, invite: Message) -> str:
        """Listen for sound, and the SDP that says where."""
        codec = next(one for one in invite.codecs if one in self.edge.codecs)
        number = re.search(rf"a=rtpmap:(\d+) {codec}/", invite.sdp)
        assert number is not None, "it was found there"
        theirs, ours = invite.crypto, secrets.token_bytes(30)
        loop = asyncio.get_running_loop()
        self._rtp, _ = await loop.create_datagram_endpoint(
            lambda: _Echo(self.edge, base64.b64decode(theirs) if theirs else b"", ours if theirs else b""),
            local_addr=("127.0.0.1", 0),
        )
        port = self._rtp.get_extra_info("sockname")[1]
        event = re.search(r"a=rtpmap:(\d+) telephone-event/8000", invite.sdp)
        formats = [number[1], *([event[1]] if event else [])]
        lines = [
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "c=IN IP4 127.0.0.1",
            "t=0 0",
            f"m=audio {port} RTP/{'SAVP' if theirs else 'AVP'} {' '.join(formats)}",
            f"a=rtpmap:{number[1]} {codec}/8000",
            *([f"a=rtpmap:{event[1]} telephone-event/8000", f"a=fmtp:{event[1]} 0-16"] if event else []),
            *([f"a=crypto:{invite.crypto_tag} {_SUITE} inline:{base64.b64encode(ours).decode()}"] if theirs else []),
            "a=ptime:20",
            "a=sendrecv",
        ]
        return "\r\n".join(lines) + "\r\n"

    def request(self, method: str, *headers: str, cseq: int = 1) -> None:
        """A request within the dialog of the INVITE."""
        invite = self.invite
        assert invite is not None, "a call is on"
        target = re.search(r"<(sips?:[^>]+)>", invite.header("Contact"))
        assert target is not None, "an INVITE has a Contact"
        lines = [
            f"{method} {target[1]} SIP/2.0",
            f"Via: SIP/2.0/TCP 127.0.0.1:{self.edge.port};branch=z9hG4bK{secrets.token_hex(6)}",
            "Max-Forwards: 70",
            f"From: {invite.header('To')};tag={self._tag}",
            f"To: {invite.header('From')}",
            f"Call-ID: {invite.header('Call-ID')}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:127.0.0.1:{self.edge.port};transport=tcp>",
            *headers,
            "Content-Length: 0",
        ]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def _respond(self, request: Message, status: str, sdp: str = "") -> None:
        first, *extra = status.split("\r\n")
        lines = [f"SIP/2.0 {first}"]
        for name, value in request.headers:
            if name.lower() in _COPIED:
                tagged = name.lower() == "to" and "tag=" not in value and not first.startswith("100")
                lines.append(f"{name}: {value}{f';tag={self._tag}' if tagged else ''}")
        if request.what == "INVITE" and sdp:
            lines.append(f"Contact: <sip:{request.user}@127.0.0.1:{self.edge.port};transport=tcp>")
        lines += [*extra, *(["Content-Type: application/sdp"] if sdp else []), f"Content-Length: {len(sdp.encode())}"]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n" + sdp).encode())

    def close(self) -> None:
        if self._judging is not None:
            self._judging.cancel()
        if self._rtp is not None:
            self._rtp.close()
        self._writer.close()


class _Echo(asyncio.DatagramProtocol):
    """Sends each RTP packet back where it came from, opened and sealed anew where there are keys."""

    def __init__(self, edge: Edge, theirs: bytes, ours: bytes) -> None:
        self._edge = edge
        self._in = self._session(theirs, Policy.SSRC_ANY_INBOUND)
        self._out = self._session(ours, Policy.SSRC_ANY_OUTBOUND)
        self._transport: asyncio.DatagramTransport | None = None

    @staticmethod
    def _session(key: bytes, kind: int) -> Session | None:
        profile = Policy.SRTP_PROFILE_AES128_CM_SHA1_80
        return Session(Policy(key=key, ssrc_type=kind, srtp_profile=profile)) if key else None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None, "connected"
        if len(data) < 12 or 192 <= data[1] <= 223:
            return
        if self._in is not None and self._out is not None:
            # What can't be opened raises, and is not echoed.
            data = self._out.protect(self._in.unprotect(data))
        self._edge.echoed += 1
        self._transport.sendto(data, addr)


def digest_is_right(header: str, password: str, method: str) -> bool:
    """Whether a `Proxy-Authorization` or `Authorization` of MD5 is that of the password (RFC 2617)."""
    said = dict(re.findall(r'(\w+)="?([^",]*)"?', header.partition(" ")[2]))

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    ha1 = md5(f"{said.get('username')}:{said.get('realm')}:{password}")
    ha2 = md5(f"{method}:{said.get('uri')}")
    middle = f":{said['nc']}:{said['cnonce']}:{said['qop']}" if "qop" in said else ""
    return said.get("response") == md5(f"{ha1}:{said.get('nonce')}{middle}:{ha2}")
