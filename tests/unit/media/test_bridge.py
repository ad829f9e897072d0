"""Two legs that hear each other, by peers that are none of our stack, over loopback."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from tests.support.rtp_peer import Packet, RtpPeer
from tests.support.tone import decode, has_tone, tone
from tests.unit.media.conftest import Call, Events

from offhook._media import EngineConfig, LegConfig, MediaError
from offhook.media.plane import MediaPlane

pytestmark = pytest.mark.unit

LOW, HIGH = 440.0, 1000.0


@pytest_asyncio.fixture
async def callee(plane: MediaPlane) -> AsyncIterator[Callable[[Call], Call]]:
    """A second leg on the thread of the first, as whoever is called for a caller has it."""
    peers: list[RtpPeer] = []

    def place(caller: Call) -> Call:
        peer, events = RtpPeer(), Events()
        peers.append(peer)
        on_error = events.errors.append
        leg = plane.open_leg(LegConfig(), on_event=events.add, on_error=on_error, beside=caller.leg)
        peer.target = leg.local_address
        return Call(plane, leg, peer, events)

    yield place
    for peer in peers:
        peer.close()


def sounds(peer: RtpPeer, since: int) -> list[bytes]:
    return [packet.payload for packet in peer.packets[since:] if packet.payload_type == 0]


def heard(peer: RtpPeer, since: int) -> list[int]:
    return decode(b"".join(sounds(peer, since)))


def is_loud(packet: Packet) -> bool:
    """Whether it is A-law of a loud tone."""
    return packet.payload_type == 8 and sum((code ^ 0x55) & 0x70 >= 0x40 for code in packet.payload) > 100


async def test_tones_go_both_ways_and_digits_too(call: Call, callee: Callable[[Call], Call]) -> None:
    other = callee(call)
    call.answer()
    other.answer()
    bridge = call.plane.bridge(call.leg, other.leg)
    await asyncio.gather(call.peer.talk(tone(LOW, 0.3)), other.peer.talk(tone(HIGH, 0.3)))
    since = len(call.peer.packets), len(other.peer.packets)
    await asyncio.gather(call.peer.talk(tone(LOW, 0.5)), other.peer.talk(tone(HIGH, 0.5)))
    # Of 25 frames; on a busy machine some are late, and what stands for them is another sound.
    await call.peer.until(lambda peer: sum(has_tone(payload, HIGH) for payload in sounds(peer, since[0])) >= 10)
    await other.peer.until(lambda peer: sum(has_tone(payload, LOW) for payload in sounds(peer, since[1])) >= 10)
    await call.peer.key(5)
    await other.peer.until(lambda peer: any(packet.payload_type == 96 for packet in peer.packets))
    assert (await call.events.wait("digit")).digit == "5"
    assert {p.payload[0] for p in other.peer.packets if p.payload_type == 96} == {5}
    assert "digit" not in other.events.kinds()
    bridge.close()
    bridge.close()
    since = len(call.peer.packets), len(other.peer.packets)
    for peer, before in zip((call.peer, other.peer), since, strict=True):
        await peer.until(lambda peer, before=before: len(peer.packets) >= before + 8)  # type: ignore[misc]
    since = len(call.peer.packets), len(other.peer.packets)
    await asyncio.gather(call.peer.talk(tone(LOW, 0.2)), other.peer.talk(tone(HIGH, 0.2)))
    assert set(heard(call.peer, since[0])) == {0}, "silence goes on"
    assert set(heard(other.peer, since[1])) == {0}
    for peer in (call.peer, other.peer):
        assert len({packet.ssrc for packet in peer.packets}) == 1
        steps = {(b.sequence - a.sequence) & 0xFFFF for a, b in itertools.pairwise(peer.packets)}
        assert steps == {1}, "one stream from first to last"
    other.leg.close()
    call.leg.close()


async def test_codecs_may_differ(call: Call, callee: Callable[[Call], Call]) -> None:
    other = callee(call)
    call.answer()
    other.answer(codec="PCMA", payload_type=8)
    call.plane.bridge(call.leg, other.leg)
    await call.peer.talk(tone(LOW, 0.6))
    # A-law of a tone of this level is nowhere near silence: its codes differ from 0xd5 in their segment.
    await other.peer.until(lambda peer: sum(is_loud(packet) for packet in peer.packets) >= 10)
    other.leg.close()
    call.leg.close()


async def test_a_leg_that_ends_leaves_its_partner_alone(call: Call, callee: Callable[[Call], Call]) -> None:
    other = callee(call)
    call.answer()
    other.answer()
    bridge = call.plane.bridge(call.leg, other.leg)
    await call.peer.talk(tone(LOW, 0.1))
    call.leg.close()
    bridge.close()
    before = len(other.peer.packets)
    await other.peer.until(lambda peer: len(peer.packets) > before + 10)
    other.leg.close()


async def test_what_cannot_be_bridged_is_refused(driver: str) -> None:
    async with MediaPlane(EngineConfig(threads=2)) as plane:
        events = Events()
        legs = [plane.open_leg(on_event=events.add, on_error=events.errors.append) for _ in range(2)]
        assert legs[0].thread != legs[1].thread
        with pytest.raises(MediaError) as refused:
            plane.bridge(legs[0], legs[1])
        assert refused.value.code == "wrong_thread"
        with pytest.raises(MediaError) as refused:
            plane.bridge(legs[0], legs[0])
        assert refused.value.code == "bad_config"
        for leg in legs:
            leg.close()
