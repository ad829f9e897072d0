"""SIP as text: the requests of a caller, its offer, and a message as it came. The gateway has no part in it."""

import re
import time
from dataclasses import dataclass
from typing import Self

EVENT_PAYLOAD_TYPE = 101

INVITE = """\
INVITE {uri} SIP/2.0
Via: SIP/2.0/UDP {host}:{port};branch={branch};rport
Max-Forwards: 70
From: "{name}" <sip:{caller}@{host}>;tag={tag}
To: {to}
Call-ID: {call_id}
CSeq: {cseq} INVITE
Contact: <sip:phone@{host}:{port}>
{extra}Content-Type: application/sdp
Content-Length: {length}

"""

LATER = """\
{method} {uri} SIP/2.0
Via: SIP/2.0/UDP {host}:{port};branch={branch};rport
Max-Forwards: 70
From: "{name}" <sip:{caller}@{host}>;tag={tag}
To: {to}
Call-ID: {call_id}
CSeq: {cseq} {method}
{extra}Content-Length: {length}

"""

OFFER = """\
v=0
o=phone 1 {version} IN IP4 {host}
s=-
c=IN IP4 {host}
t=0 0
m=audio {port} RTP/AVP {payload_type} {event}
a=rtpmap:{payload_type} {codec}/8000
a=rtpmap:{event} telephone-event/8000
a=fmtp:{event} 0-15
a=ptime:20
a=sendrecv
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A codec as a caller offers it: its static payload type, its name, and 20 ms of silence."""

    payload_type: int
    codec: str
    silence: bytes

    def offer(self, host: str, port: int, version: int = 1) -> str:
        """SDP of one audio stream at this address."""
        fields = {"host": host, "port": port, "version": version, "event": EVENT_PAYLOAD_TYPE}
        return OFFER.format(payload_type=self.payload_type, codec=self.codec, **fields)


PCMU = Line(0, "PCMU", b"\xff" * 160)
PCMA = Line(8, "PCMA", b"\xd5" * 160)


@dataclass(frozen=True, slots=True)
class Heard:
    """A SIP message as it came: its first line, its headers by lower-case name, its body; `at` is monotonic seconds."""

    at: float
    first_line: str
    headers: dict[str, str]
    body: str

    @classmethod
    def read(cls, data: bytes) -> Self:
        """From a datagram that has just come."""
        head, _, body = data.decode().partition("\r\n\r\n")
        first_line, *lines = head.split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(name.strip().lower(), value.strip())
        return cls(time.monotonic(), first_line, headers, body)

    @property
    def status(self) -> int:
        """The status of a response, 0 of a request."""
        return int(self.first_line.split()[1]) if self.first_line.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """The method of a request, or of what a response answers."""
        return self.headers["cseq"].split()[1]

    @property
    def media(self) -> tuple[str, int]:
        """The address and port of the audio that its SDP names."""
        address, port = re.search(r"c=IN IP4 (\S+)", self.body), re.search(r"m=audio (\d+)", self.body)
        assert address, self.body
        assert port, self.body
        return address[1], int(port[1])

    @property
    def contact(self) -> str:
        """The URI of its Contact; empty if it has none."""
        found = re.search(r"<([^>]+)>", self.headers.get("contact", ""))
        return found[1] if found else ""


def ok(request: Heard, *extra: str, sdp: str = "") -> str:
    """The 200 to a request of the gateway, its lines ended by line feeds; `extra` are header lines."""
    copied = ("via", "from", "to", "call-id", "cseq")
    lines = [f"{name.title()}: {request.headers[name]}" for name in copied]
    content = ("Content-Type: application/sdp",) if sdp else ()
    length = len(sdp.replace("\n", "\r\n"))
    return "\n".join(["SIP/2.0 200 OK", *lines, *extra, *content, f"Content-Length: {length}", "", sdp])
