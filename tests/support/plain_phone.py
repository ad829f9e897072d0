"""A phone that is nothing but text and plain sockets: it shares no line with the gateway's SIP or media.

Its messages are written out below, so what a test says about the gateway does not rest on the gateway's own parser.
"""

import asyncio
import itertools
import secrets
import socket
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Self

from .hosts import Host
from .impair import Relay
from .rtp_peer import Packet, RtpPeer
from .sip_text import EVENT_PAYLOAD_TYPE, INVITE, LATER, PCMU, Heard, Line, ok
from .tone import FRAME, has_tone, is_silent

_DIGITS = "0123456789*#ABCD"
_LIMIT = 30.0


class PlainPhone:
    """A phone on one UDP port. `await phone.dial(…)` for each call."""

    call_type: "type[PhoneCall]"
    """What a call of it is; another one may answer requests in another way."""

    def __init__(self, host: str, on: Host | None = None) -> None:
        self.host = host
        self.on: AbstractContextManager[object] = on if on is not None else nullcontext()
        self.port = 0
        self.calls: dict[str, PhoneCall] = {}
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, host: str = "127.0.0.1", on: Host | None = None) -> AsyncIterator[Self]:
        """A phone at this address, of this machine or of a host of its own; closed at the end with its calls."""
        phone = cls(host, on)
        loop = asyncio.get_running_loop()
        with phone.on:
            own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            own.bind((host, 0))
        transport, _ = await loop.create_datagram_endpoint(lambda: _Socket(phone._take), sock=own)
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
        line: Line = PCMU,
        relay: Callable[[tuple[str, int]], Relay] | None = None,
        announce: tuple[str, int] | None = None,
    ) -> "PhoneCall":
        """Send an INVITE. With `talk` RTP (silence, at first) flows from the 200 on; `acknowledge` answers that 200.

        `relay` makes a relay before the address that it is given, and all RTP goes through it. `announce` is what SDP
        says instead of the truth.
        """
        call = self.call_type(self, gateway, to, caller, name, headers, acknowledge, talk, line, relay, announce)
        call.invite()
        return call

    def send(self, message: str, target: tuple[str, int]) -> None:
        """Send a message as it is, its lines ended as SIP wants it."""
        assert self._transport is not None, "open"
        self._transport.sendto(message.replace("\n", "\r\n").encode(), target)

    def _take(self, data: bytes) -> None:
        heard = Heard.read(data)
        call = self.calls.get(heard.headers.get("call-id", ""))
        if call is not None:
            call.take(heard)


def _is_final(heard: Heard, cseq: int) -> bool:
    return heard.status >= 200 and heard.headers["cseq"] == f"{cseq} INVITE"


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
    line: Line
    make_relay: Callable[[tuple[str, int]], Relay] | None
    announce: tuple[str, int] | None
    heard: list[Heard] = field(default_factory=list)
    acknowledged_at: float | None = None
    dialled_at: float = 0.0

    def __post_init__(self) -> None:
        with self.phone.on:
            self.rtp = RtpPeer(self.phone.host)
        self.relay = self.make_relay(self.rtp.address) if self.make_relay is not None else None
        self._attempts = 0
        self._cseq = itertools.count(2)
        self._changed = asyncio.Event()
        self._line: asyncio.Task[None] | None = None
        self.answers: Callable[[Heard], str] = lambda invite: ""
        """The SDP that a re-INVITE of the gateway's is answered with."""
        self.late = 0.0
        """How late a packet of ours left at worst, in seconds: what the machine did to this call's sound."""
        self._queue: deque[tuple[bytes, int, bool, int]] = deque()

    # -- signalling

    def invite(self) -> None:
        """Send the INVITE of a new attempt."""
        self.call_id = f"{secrets.token_hex(8)}@{self.phone.host}"
        self._tag = secrets.token_hex(4)
        self._branch = "z9hG4bK" + secrets.token_hex(8)
        self._attempts += 1
        self.phone.calls[self.call_id] = self
        offer = self.line.offer(*(self.announce or (self.relay.outer if self.relay is not None else self.rtp.address)))
        extra = "".join(f"{line}\n" for line in self.extra)
        length = len(offer.replace("\n", "\r\n"))
        self.dialled_at = time.monotonic()
        invite = INVITE.format(**self._fields(), cseq=1, branch=self._branch, extra=extra, length=length)
        self.phone.send(invite + offer, self.gateway)

    def ack(self, answer: Heard | None = None) -> None:
        """Acknowledge the 200 (or repeat that), by default that of the INVITE."""
        answer = answer or self._final()
        assert answer is not None, "there is something to acknowledge"
        cseq = int(answer.headers["cseq"].split()[0])
        branch = self._branch if answer.status >= 300 else "z9hG4bK" + secrets.token_hex(8)
        self._later("ACK", answer, cseq=cseq, branch=branch)
        self.acknowledged_at = self.acknowledged_at or time.monotonic()

    async def offer(self, sdp: str) -> Heard:
        """Offer a change by re-INVITE; gives its final response, acknowledged."""
        first, count = self._final(), len(self.heard)
        assert first is not None, "answered"
        cseq, self._branch = next(self._cseq), "z9hG4bK" + secrets.token_hex(8)
        self._later("INVITE", first, cseq=cseq, branch=self._branch, body=sdp)
        await self._until(lambda: any(_is_final(heard, cseq) for heard in self.heard[count:]), _LIMIT)
        return next(heard for heard in self.heard[count:] if _is_final(heard, cseq))

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
                self.ack(heard)
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

    async def responds(self, *statuses: int, within: float = _LIMIT) -> None:
        """Wait until so many responses to the INVITE have come: these, in this order."""
        await self._until(lambda: len(self.statuses()) >= len(statuses), within)
        assert self.statuses() == list(statuses)

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
        if self.relay is not None:
            self.relay.close()
        self.rtp.close()

    # -- sound

    def say(self, frames: Iterable[bytes]) -> None:
        """Queue frames of the line's codec; they leave at the pace of speech, silence before and after."""
        self._queue.extend((frame, self.line.payload_type, False, FRAME) for frame in frames)

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
            self._queue.extend((self.line.silence, self.line.payload_type, False, FRAME) for _ in range(3))

    @property
    def waiting(self) -> int:
        """How many packets are queued."""
        return len(self._queue)

    def stop_talking(self) -> None:
        """Drop what is queued."""
        self._queue.clear()

    @property
    def packets(self) -> list[Packet]:
        """What came by RTP."""
        return self.rtp.packets

    def audible(self) -> list[Packet]:
        """The packets of µ-law that are not silence."""
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

    @property
    def _uri(self) -> str:
        return f"sip:{self.to}@{self.gateway[0]}:{self.gateway[1]}"

    def _fields(self) -> dict[str, object]:
        return {
            "uri": self._uri,
            "to": f"<{self._uri}>",
            "host": self.phone.host,
            "port": self.phone.port,
            "caller": self.caller,
            "name": self.name,
            "tag": self._tag,
            "call_id": self.call_id,
        }

    def _later(self, method: str, answer: Heard | None, cseq: int, branch: str, body: str = "") -> None:
        fields = self._fields()
        if answer is not None:
            fields["to"] = answer.headers["to"]
        if answer is not None and answer.status < 300:
            fields["uri"] = answer.contact or fields["uri"]
        extra = "Content-Type: application/sdp\nContact: <sip:phone@{host}:{port}>\n".format(**fields) if body else ""
        length = len(body.replace("\n", "\r\n"))
        head = LATER.format(**fields, method=method, cseq=cseq, branch=branch, extra=extra, length=length)
        self.phone.send(head + body, self.gateway)

    def _answer(self, request: Heard) -> None:
        if request.method == "ACK":
            return
        answer = self.answers(request) if request.method == "INVITE" else ""
        contact = (f"Contact: <sip:phone@{self.phone.host}:{self.phone.port}>",) if answer else ()
        self.phone.send(ok(request, *contact, sdp=answer), self.gateway)

    def _pick_up(self, answer: Heard) -> None:
        self.rtp.target = answer.media
        if self.relay is not None:
            self.relay.far, self.rtp.target = answer.media, self.relay.inner
        if self.talk:
            self.start_talking()

    def start_talking(self) -> None:
        """Let RTP flow to the gateway from now on."""
        if self._line is not None:
            return
        self._line = asyncio.create_task(self._keep_talking())

    def send_nothing(self) -> None:
        """Let no RTP flow to the gateway, not even silence, until `start_talking`."""
        if self._line is not None:
            self._line.cancel()
            self._line = None

    async def _keep_talking(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            payload, payload_type, marker, step = (
                self._queue.popleft() if self._queue else (self.line.silence, self.line.payload_type, False, FRAME)
            )
            self.late = max(self.late, loop.time() - due)
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


PlainPhone.call_type = PhoneCall
