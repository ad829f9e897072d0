"""An RTP peer of plain sockets, which shares no line with the media core."""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

FRAME = 160
SILENCE = b"\xff" * FRAME
# Where loud sound is cut off, the silence after it begins with 4 ms of it.
FADE = 32
_SO_TIMESTAMPNS = 35


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet as it arrived; `at` is the kernel's time in seconds, so a busy test doesn't blur it."""

    at: float
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    source: tuple[str, int] = ("", 0)


class RtpPeer:
    """A caller's end of RTP: sends PCMU, keeps what it gets.

    `seal` and `open` are what encryption does to a packet; one that `open` raises for is kept in `unopened`.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.rtp, self.rtcp = _pair(host)
        self.address: tuple[str, int] = self.rtp.getsockname()[:2]
        self.packets: list[Packet] = []
        self.wire: list[bytes] = []
        """The packets of `packets` and `unopened` as they came."""
        self.unopened: list[bytes] = []
        self.seal: Callable[[bytes], bytes] = bytes
        self.open: Callable[[bytes], bytes] = bytes
        self.rtcp_packets: list[bytes] = []
        self.reports_on_rtp: list[bytes] = []
        """RTCP that came to the RTP port (RFC 5761)."""
        self.target: tuple[str, int] = ("", 0)
        self.sequence = 1000
        self.timestamp = 50_000
        self.ssrc = 0x1234
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._loop.add_reader(self.rtp.fileno(), self._read_rtp)
        self._loop.add_reader(self.rtcp.fileno(), self._read_rtcp)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for one in (self.rtp, self.rtcp):
            self._loop.remove_reader(one.fileno())
            one.close()

    @property
    def audio(self) -> list[bytes]:
        """Payloads of codec packets that are no silence, nor silence into which sound fades, in order of arrival."""
        return [p.payload for p in self.packets if p.payload_type in (0, 8) and p.payload[FADE:].strip(b"\xff\xd5")]

    def send(self, payload: bytes, *, payload_type: int = 0, marker: bool = False, step: int = FRAME) -> None:
        """Send one packet and move the timeline on by `step` samples."""
        first = 0x80, (0x80 if marker else 0) | payload_type
        head = struct.pack("!BBHII", *first, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc)
        self.rtp.sendto(self.seal(head + payload), self.target)
        self.sequence += 1
        self.timestamp += step

    async def talk(self, frames: list[bytes]) -> None:
        """Send frames at the pace of speech."""
        due = self._loop.time()
        for frame in frames:
            self.send(frame)
            due += 0.02
            await asyncio.sleep(max(0.0, due - self._loop.time()))

    async def key(self, digit: int, payload_type: int = 101, *, marker: bool = True) -> None:
        """Press a digit as RFC 4733 has it: three updates, three end packets, one timestamp, a marker on the first."""
        for duration, end in ((160, 0), (320, 0), (480, 0), (640, 0x80), (640, 0x80), (640, 0x80)):
            payload = struct.pack("!BBH", digit, end | 10, duration)
            self.send(payload, payload_type=payload_type, marker=marker and duration == 160, step=0)
            await asyncio.sleep(0.02)
        self.timestamp += 640

    async def until(self, condition: Callable[["RtpPeer"], bool], within: float = 15.0) -> None:
        """Wait for packets until `condition(self)` holds."""
        async with asyncio.timeout(within):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    def _read_rtp(self) -> None:
        while True:
            try:
                data, control, _, source = self.rtp.recvmsg(2048, 64)
            except BlockingIOError:
                break
            seconds, nanoseconds = struct.unpack("qq", control[0][2][:16]) if control else (0, 0)
            self.wire.append(data)
            try:
                data = self.open(data)
            except ValueError:
                self.unopened.append(data)
                continue
            if not data:
                # It keeps the way open while nothing is to be heard (RFC 6263 section 4.1).
                continue
            if 192 <= data[1] <= 223:
                self.reports_on_rtp.append(data)
                continue
            _, second, sequence, timestamp, ssrc = struct.unpack("!BBHII", data[:12])
            at = seconds + nanoseconds / 1e9
            kind, marker = second & 0x7F, bool(second & 0x80)
            self.packets.append(Packet(at, kind, marker, sequence, timestamp, ssrc, data[12:], source[:2]))
        self._changed.set()

    def _read_rtcp(self) -> None:
        self.rtcp_packets.append(self.rtcp.recv(2048))
        self._changed.set()


def _pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Bind an even port and the one above, as RTP wants it."""
    while True:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        rtp = socket.socket(family, socket.SOCK_DGRAM)
        rtp.bind((host, 0))
        port = rtp.getsockname()[1]
        rtcp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if port % 2:
                raise OSError("an odd port")
            rtcp.bind((host, port + 1))
        except OSError:
            rtp.close()
            rtcp.close()
            continue
        for one in (rtp, rtcp):
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        return rtp, rtcp
