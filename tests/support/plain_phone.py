"""A phone that is nothing but text and plain sockets: it shares no line with the gateway's SIP or media.

Its messages are written out below, so what a test says about the gateway does not rest on the gateway's own parser.
"""

import asyncio
import itertools
import re
import secrets
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from .rtp_peer import Packet, RtpPeer
from .tone import FRAME, SILENT_FRAME, has_tone, is_silent

EVENT_PAYLOAD_TYPE = 101
_DIGITS = "0123456789*#ABCD"
_LIMIT = 15.0

_INVITE = """\
INVITE {uri} SIP/2.0
Via: SIP/2.0/UDP {host}:{port};branch={branch};rport
Max-Forwards: 70
From: "{name}" <sip:{caller}@{host}>;tag={tag}
To: <{uri}>
Call-ID: {call_id}
CSeq: 1 INVITE
Contact: <sip:phone@{host}:{port}>
{extra}Content-Type: application/sdp
Content-Length: {length}

"""

_LATER = """\
{method} {uri} SIP/2.0
Via: SIP/2.0/UDP {host}:{port};branch={branch};rport
Max-Forwards: 70
From: "{name}" <sip:{caller}@{host}>;tag={tag}
To: {to}
Call-ID: {call_id}
CSeq: {cseq} {method}
Content-Length: 0

"""

_OFFER = """\
v=0
o=phone 1 1 IN IP4 {host}
s=-
c=IN IP4 {host}
t=0 0
m=audio {port} RTP/AVP 0 {event}
a=rtpmap:0 PCMU/8000
a=rtpmap:{event} telephone-event/8000
a=fmtp:{event} 0-15
a=ptime:20
a=sendrecv
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """A SIP message as it came: its first line, its headers by lower-case name, its body; `at` is monotonic seconds."""

    at: float
    first_line: str
    headers: dict[str, str]
    body: str

    @property
    def status(self) -> int:
        """The status of a response, 0 of a request."""
        return int(self.first_line.split()[1]) if self.first_line.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """The method of a request, or of what a response answers."""
        return self.headers["cseq"].split()[1]


class PlainPhone:
    """A phone on one UDP port. `await phone.dial(…)` for each call."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.port = 0
        self.calls: dict[str, PhoneCall] = {}
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, host: str = "127.0.0.1") -> AsyncIterator[Self]:
        """A phone at this address, closed at the end together with its calls."""
        phone = cls(host)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Socket(phone._take), local_addr=(host, 0))
        phone._transport = transport
        phone.port = transport.get_extra_info("sockname")[1]
        try:
            yield phone
        finally:
            for call in {id(call): call for call in phone.calls.values()}.values():
                await call.close()
            transport.close()

    def dial(
        self,
        gateway: tuple[str, int],
        to: str = "+14155550123",
        *,
        caller: str = "+14155550100",
        name: str = "Ada",
        headers: Sequence[str] = (),
        acknowledge: bool = True,
        talk: bool = True,
    ) -> "PhoneCall":
        """Send an INVITE. With `talk` RTP (silence, at first) flows from the 200 on; `acknowledge` answers that 200."""
        call = PhoneCall(self, gateway, to, caller, name, headers, acknowledge, talk)
        call.invite()
        return call

    def send(self, message: str, target: tuple[str, int]) -> None:
        """Send a message as it is, its lines ended as SIP wants it."""
        assert self._transport is not None, "open"
        self._transport.sendto(message.replace("\n", "\r\n").encode(), target)

    def _take(self, data: bytes) -> None:
        head, _, body = data.decode().partition("\r\n\r\n")
        first_line, *lines = head.split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            field_name, _, value = line.partition(":")
            headers.setdefault(field_name.strip().lower(), value.strip())
        heard = Heard(time.monotonic(), first_line, headers, body)
        call = self.calls.get(headers.get("call-id", ""))
        if call is not None:
            call.take(heard)


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._give = take

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        self._give(data)


@dataclass
class PhoneCall:
    """One call of the phone. What came is in `heard` and in `rtp.packets`."""

    phone: PlainPhone
    gateway: tuple[str, int]
    to: str
    caller: str
    name: str
    extra: Sequence[str]
    acknowledge: bool
    talk: bool
    heard: list[Heard] = field(default_factory=list)
    acknowledged_at: float | None = None
    dialled_at: float = 0.0

    def __post_init__(self) -> None:
        self.rtp = RtpPeer(self.phone.host)
        self._attempts = 0
        self._cseq = itertools.count(2)
        self._changed = asyncio.Event()
        self._line: asyncio.Task[None] | None = None
        self._queue: deque[tuple[bytes, int, bool, int]] = deque()

    # -- signalling

    def invite(self) -> None:
        """Send the INVITE of a new attempt."""
        self.call_id = f"{secrets.token_hex(8)}@{self.phone.host}"
        self._tag = secrets.token_hex(4)
        self._branch = "z9hG4bK" + secrets.token_hex(8)
        self._attempts += 1
        self.phone.calls[self.call_id] = self
        host, port = self.phone.host, self.phone.port
        offer = _OFFER.format(host=host, port=self.rtp.address[1], event=EVENT_PAYLOAD_TYPE)
        extra = "".join(f"{line}\n" for line in self.extra)
        length = len(offer.replace("\n", "\r\n"))
        self.dialled_at = time.monotonic()
        self.phone.send(_INVITE.format(**self._fields(), branch=self._branch, extra=extra, length=length) + offer,
                        self.gateway)  # fmt: skip
        assert port, "open"

    def ack(self) -> None:
        """Acknowledge the 200 (or repeat that)."""
        answer = self._final()
        assert answer is not None, "there is something to acknowledge"
        branch = self._branch if answer.status >= 300 else "z9hG4bK" + secrets.token_hex(8)
        self._later("ACK", answer, cseq=1, branch=branch)
        self.acknowledged_at = self.acknowledged_at or time.monotonic()

    def hang_up(self) -> None:
        """Send BYE."""
        answer = self._final()
        assert answer is not None, "answered"
        self._later("BYE", answer, cseq=next(self._cseq), branch="z9hG4bK" + secrets.token_hex(8))

    def cancel(self) -> None:
        """Send CANCEL."""
        self._later("CANCEL", None, cseq=1, branch=self._branch)

    def take(self, heard: Heard) -> None:
        """A message of this call has come."""
        self.heard.append(heard)
        if not heard.status:
            self._answer(heard)
        elif heard.method == "INVITE" and heard.status >= 200:
            if heard.status >= 300 or self.acknowledge:
                self.ack()
            if heard.status < 300 and self._line is None:
                self._pick_up(heard)
            if heard.status == 503 and "limit_loop_lag" in heard.headers.get("reason", "") and self._attempts < 5:
                # A machine that is short of breath is not what a test looks at; carriers try again, too.
                self.heard.clear()
                asyncio.get_running_loop().call_later(1.0, self.invite)
        self._changed.set()

    async def final(self, within: float = _LIMIT) -> Heard:
        """The final response to the INVITE."""
        await self._until(lambda: self._final() is not None, within)
        found = self._final()
        assert found is not None, "waited for"
        return found

    async def answered(self, within: float = _LIMIT) -> Heard:
        """The 200; fails on any other final response."""
        final = await self.final(within)
        assert final.status == 200, f"{final.first_line} {final.headers.get('reason', '')}"
        return final

    async def hung_up(self, within: float = _LIMIT) -> Heard:
        """The gateway's BYE."""
        await self._until(lambda: self._bye() is not None, within)
        found = self._bye()
        assert found is not None, "waited for"
        return found

    @property
    def is_up(self) -> bool:
        """Answered, and not hung up on."""
        final = self._final()
        return final is not None and final.status == 200 and self._bye() is None

    def statuses(self) -> list[int]:
        """The statuses of the responses to the INVITE, retransmissions left out."""
        found = (heard.status for heard in self.heard if heard.status and heard.method == "INVITE")
        return [status for status, _ in itertools.groupby(found)]

    async def close(self) -> None:
        """Hang up, if that has not been done, and free the sockets."""
        if self.is_up:
            self.hang_up()
        if self._line is not None:
            self._line.cancel()
            await asyncio.wait([self._line])
        self.rtp.close()

    # -- sound

    def say(self, frames: Iterable[bytes]) -> None:
        """Queue frames of µ-law; they leave at the pace of speech, silence before and after."""
        self._queue.extend((frame, 0, False, FRAME) for frame in frames)

    def press(self, digits: str, frames: int = 5) -> None:
        """Queue key presses as RFC 4733 events of that many packets, 60 ms apart."""
        for digit in digits:
            event = _DIGITS.index(digit)
            for number in range(1, frames + 3):
                end = number >= frames
                duration = min(number, frames) * FRAME
                payload = struct.pack("!BBH", event, (0x80 if end else 0) | 10, duration)
                # One timestamp for the whole event; the next audio is as much later as the event lasted.
                last = number == frames + 2
                self._queue.append((payload, EVENT_PAYLOAD_TYPE, number == 1, frames * FRAME if last else 0))
            self._queue.extend((SILENT_FRAME, 0, False, FRAME) for _ in range(3))

    def stop_talking(self) -> None:
        """Drop what is queued."""
        self._queue.clear()

    @property
    def packets(self) -> list[Packet]:
        """What came by RTP."""
        return self.rtp.packets

    def audible(self) -> list[Packet]:
        """The packets of sound that is not silence."""
        return [packet for packet in self.rtp.packets if packet.payload_type == 0 and not is_silent(packet.payload)]

    async def hears(self, hz: float, frames: int = 5, within: float = _LIMIT, since: int = 0) -> list[Packet]:
        """Wait for so many packets of this tone, counted from packet number `since` on."""

        def found() -> list[Packet]:
            return [packet for packet in self.rtp.packets[since:] if has_tone(packet.payload, hz)]

        try:
            await self.rtp.until(lambda _: len(found()) >= frames, within)
        except TimeoutError:
            came = len(self.rtp.packets) - since
            raise AssertionError(f"{len(found())} of {frames} frames of {hz} Hz among {came} packets") from None
        return found()

    # -- within

    def _fields(self) -> dict[str, object]:
        return {
            "uri": f"sip:{self.to}@{self.gateway[0]}:{self.gateway[1]}",
            "host": self.phone.host,
            "port": self.phone.port,
            "caller": self.caller,
            "name": self.name,
            "tag": self._tag,
            "call_id": self.call_id,
        }

    def _later(self, method: str, answer: Heard | None, cseq: int, branch: str) -> None:
        fields = self._fields()
        fields["to"] = answer.headers["to"] if answer is not None else f"<{fields['uri']}>"
        contact = re.search(r"<([^>]+)>", answer.headers.get("contact", "")) if answer is not None else None
        if contact and answer is not None and answer.status < 300:
            fields["uri"] = contact[1]
        self.phone.send(_LATER.format(**fields, method=method, cseq=cseq, branch=branch), self.gateway)

    def _answer(self, request: Heard) -> None:
        if request.method == "ACK":
            return
        copied = ("via", "from", "to", "call-id", "cseq")
        lines = [f"{name.title()}: {request.headers[name]}" for name in copied]
        self.phone.send("\n".join(["SIP/2.0 200 OK", *lines, "Content-Length: 0", "", ""]), self.gateway)

    def _pick_up(self, answer: Heard) -> None:
        address, port = re.search(r"c=IN IP4 (\S+)", answer.body), re.search(r"m=audio (\d+)", answer.body)
        assert address, answer.body
        assert port, answer.body
        self.rtp.target = (address[1], int(port[1]))
        if self.talk:
            self.start_talking()

    def start_talking(self) -> None:
        """Let RTP flow to the gateway from now on."""
        self._line = asyncio.create_task(self._keep_talking())

    async def _keep_talking(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            payload, payload_type, marker, step = (
                self._queue.popleft() if self._queue else (SILENT_FRAME, 0, False, FRAME)
            )
            self.rtp.send(payload, payload_type=payload_type, marker=marker, step=step)
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _final(self) -> Heard | None:
        return next((heard for heard in self.heard if heard.method == "INVITE" and heard.status >= 200), None)

    def _bye(self) -> Heard | None:
        return next((heard for heard in self.heard if not heard.status and heard.method == "BYE"), None)

    async def _until(self, condition: Callable[[], bool], within: float) -> None:
        try:
            async with asyncio.timeout(within):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"after {within} s only: {[heard.first_line for heard in self.heard]}") from None
