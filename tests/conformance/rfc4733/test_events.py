"""RFC 4733: keys as telephone events, between the media core and a peer of plain packets."""

import asyncio
import itertools
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from tests.support.gateway import ports
from tests.support.rtp_peer import FRAME, Packet, RtpPeer

from offhook._media import EngineConfig, LegConfig, MediaEvent, RemoteMedia
from offhook.media.leg import RtpLeg
from offhook.media.plane import MediaPlane

pytestmark = pytest.mark.conformance

EVENTS = 101
PEERS_EVENTS = 97


@dataclass
class Line:
    """A leg that has begun, and its peer."""

    leg: RtpLeg
    peer: RtpPeer
    told: list[MediaEvent] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, event: MediaEvent) -> None:
        self.told.append(event)
        self.changed.set()

    def event(self, code: int, duration: int, *, end: bool = False, at: int = 0, marker: bool = False) -> None:
        """Send one event packet whose event began `at` samples after the line's beginning."""
        self.peer.timestamp = 50_000 + at
        payload = struct.pack("!BBH", code, (0x80 if end else 0) | 10, duration)
        self.peer.send(payload, payload_type=EVENTS, marker=marker, step=0)

    async def digits(self, count: int, within: float = 2.0) -> list[tuple[str | None, int | None]]:
        """The keys that are told, once there are as many, and a little later."""
        async with asyncio.timeout(within):
            while len(self._digits()) < count:
                self.changed.clear()
                await self.changed.wait()
        await asyncio.sleep(0.03)
        return self._digits()

    def _digits(self) -> list[tuple[str | None, int | None]]:
        return [(event.digit, event.duration_ms) for event in self.told if event.kind == "digit"]

    async def sent(self, keys: int) -> list[list[Packet]]:
        """The event packets of so many keys that we pressed, by key."""

        def events() -> list[list[Packet]]:
            found = [packet for packet in self.peer.packets if packet.payload_type == PEERS_EVENTS]
            return [list(group) for _, group in itertools.groupby(found, key=lambda packet: packet.timestamp)]

        await self.peer.until(lambda _: len(events()) == keys and sum(p.payload[1] >> 7 for p in events()[-1]) == 3)
        return events()


@pytest_asyncio.fixture
async def line() -> AsyncIterator[Line]:
    first = ports(8)
    async with MediaPlane(EngineConfig(port_min=first, port_max=first + 7, quarantine_ms=0)) as plane:
        failed: list[Exception] = []
        leg = plane.open_leg(LegConfig(), on_event=lambda event: line.take(event), on_error=failed.append)
        with RtpPeer() as peer:
            line = Line(leg, peer)
            peer.target = leg.local_address
            leg.set_remote(
                RemoteMedia(
                    address=peer.address[0],
                    port=peer.address[1],
                    codec="PCMU",
                    payload_type=0,
                    receive_payload_types={0: "PCMU"},
                    dtmf_send=PEERS_EVENTS,
                    dtmf_receive=(EVENTS,),
                    signalling_address="127.0.0.1",
                )
            )
            leg.start()
            yield line
        assert not failed


@pytest.mark.rfc(4733, "2.5.1.4")
async def test_the_end_is_said_three_times_and_is_one_key(line: Line) -> None:
    for duration in (160, 320, 480):
        line.event(5, duration, marker=duration == 160)
    for _ in range(3):
        line.event(5, 640, end=True)
    assert await line.digits(1) == [("5", 80)]


@pytest.mark.rfc(4733, "2.6.2")
async def test_of_a_key_only_the_end_may_arrive_or_only_the_beginning(line: Line) -> None:
    line.event(7, 800, end=True)
    line.event(8, 160, at=2_000)
    line.event(9, 160, at=4_000)
    line.event(9, 480, end=True, at=4_000)
    line.event(10, 320, at=6_000)
    assert await line.digits(4) == [("7", 100), ("8", 20), ("9", 60), ("*", 40)]


@pytest.mark.rfc(4733, "2.5.1.2")
async def test_pains_64_keys_are_told_apart_by_timestamp_where_the_marker_is_missing(line: Line) -> None:
    """The same key three times fast, no marker on any packet."""
    for press in range(3):
        line.event(5, 160, at=800 * press)
        for _ in range(3):
            line.event(5, 400, end=True, at=800 * press)
    assert await line.digits(3) == [("5", 50)] * 3


@pytest.mark.rfc(4733, "2.5.1.3")
async def test_a_key_held_for_longer_than_a_packet_can_say_is_one_key(line: Line) -> None:
    line.event(1, 160)
    line.event(1, 0xFFFF)
    line.event(1, 160, at=0xFFFF)
    line.event(1, 8_000, end=True, at=0xFFFF)
    assert await line.digits(1) == [("1", (0xFFFF + 8_000) // 8)]


@pytest.mark.rfc(4733, "2.5.2.2")
async def test_packets_that_overtake_each_other_are_no_further_key(line: Line) -> None:
    line.event(3, 480)
    line.event(3, 160)
    line.event(3, 640, end=True)
    line.event(4, 160, at=2_000)
    line.event(3, 640, end=True)
    line.event(4, 320, end=True, at=2_000)
    assert await line.digits(2) == [("3", 80), ("4", 40)]


@pytest.mark.rfc(4733, "2.5.1.2")
async def test_a_stream_that_begins_anew_keeps_what_was_pressed_before_and_after(line: Line) -> None:
    line.event(1, 160)
    line.peer.ssrc = 0x9999
    line.peer.sequence = 7
    await asyncio.sleep(0.22)
    line.event(2, 400, end=True, at=-40_000)
    assert await line.digits(2) == [("1", 20), ("2", 50)]


@pytest.mark.rfc(4733, "2.2")
async def test_events_that_are_no_keys_and_cut_ones_are_counted_and_told_to_nobody(line: Line) -> None:
    line.event(66, 800, end=True)
    line.peer.send(b"\x05\x8a", payload_type=EVENTS, step=0)
    line.event(16, 800, end=True, at=4_000)
    assert await line.digits(1) == [("!", 100)]
    assert line.leg.stats().received_bad_events == 2


@pytest.mark.rfc(4733, "2.5.1.2")
@pytest.mark.rfc(4733, "2.5.1.4")
async def test_what_we_press_has_one_timestamp_a_growing_duration_and_three_ends(line: Line) -> None:
    line.leg.send_dtmf("1#", duration_ms=100, gap_ms=60)
    one, hash_ = await line.sent(2)
    for packets, code in ((one, 1), (hash_, 11)):
        fields = [struct.unpack("!BBH", packet.payload) for packet in packets]
        assert {field[0] for field in fields} == {code}
        assert [duration for _, _, duration in fields] == [160, 320, 480, 640, 800, 800, 800]
        assert [bool(flags & 0x80) for _, flags, _ in fields] == [False] * 4 + [True] * 3
        assert {flags & 0x3F for _, flags, _ in fields} == {10}, "-10 dBm0"
        assert [packet.marker for packet in packets] == [True] + [False] * 6
    # The press, then the gap, on the clock of the sound.
    assert (hash_[0].timestamp - one[0].timestamp) & 0xFFFFFFFF == 1_280
    packets = line.peer.packets
    assert {(b.sequence - a.sequence) & 0xFFFF for a, b in itertools.pairwise(packets)} == {1}
    assert len({packet.ssrc for packet in packets}) == 1
    sound = [packet for packet in packets if packet.payload_type == 0]
    assert all((b.timestamp - a.timestamp) % FRAME == 0 for a, b in itertools.pairwise(sound))
