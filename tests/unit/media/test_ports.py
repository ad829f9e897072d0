"""Ports that carry many legs, as signalling sees them."""

import asyncio
import struct
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from tests.support.gateway import ports
from tests.support.rtp_peer import FRAME, RtpPeer
from tests.unit.media.conftest import Call, Events, until

from offhook._media import EngineConfig, LegConfig, MediaError
from offhook.media.plane import MediaPlane

pytestmark = pytest.mark.unit


def call_of(plane: MediaPlane, peer: RtpPeer, **changes: object) -> Call:
    """A leg for a peer whose SDP is known, as for an INVITE with an offer."""
    events = Events()
    values: dict[str, object] = {"remote": peer.address, "signalling_address": peer.address[0], **changes}
    leg = plane.open_leg(LegConfig(**values), on_event=events.add, on_error=events.errors.append)  # type: ignore[arg-type]
    peer.target = leg.local_address
    return Call(plane, leg, peer, events)


def word(number: int) -> bytes:
    """A frame that tells whose it is."""
    return bytes([number, 0xFF - number]) * (FRAME // 2)


async def test_calls_share_ports_and_none_is_crossed(driver: str) -> None:
    first = ports(4)
    config = EngineConfig(port_min=first, port_max=first + 3, quarantine_ms=0)
    with ExitStack() as peers:
        async with MediaPlane(config) as plane:
            assert plane.stats().leg_capacity == 4096, "ports are no limit"
            assert plane.stats().unheard_capacity == plane.stats().ports_ipv4 == 2
            calls = [call_of(plane, peers.enter_context(RtpPeer())) for _ in range(20)]
            assert {call.leg.local_address[1] for call in calls} == {first, first + 2}
            assert plane.stats().legs_per_port == 10
            for call in calls:
                call.leg.echo(True)
                call.answer()
            words = [word(number) for number in range(1, 21)]
            await asyncio.gather(*(call.peer.talk([said] * 8) for call, said in zip(calls, words, strict=True)))
            for call, said in zip(calls, words, strict=True):
                await call.peer.until(lambda peer, said=said: peer.audio.count(said) >= 3)  # type: ignore[misc]
                assert not [heard for heard in call.peer.audio if heard in words and heard != said]
                assert call.leg.stats().received_wrong_source == 0
                call.leg.close()
            await until(lambda: plane.stats().legs == 0)


async def test_calls_behind_one_address_wait_for_a_port_until_one_is_heard(driver: str) -> None:
    only = ports(2)
    config = EngineConfig(port_min=only, port_max=only + 1, quarantine_ms=0)
    with ExitStack() as peers:
        async with MediaPlane(config) as plane:
            one, two = (peers.enter_context(RtpPeer()) for _ in range(2))
            first = call_of(plane, one, remote=("10.0.0.1", 9), nat=True, allow_loopback=True)
            with pytest.raises(MediaError, match="1 carry a call that could be taken for this one") as error:
                call_of(plane, two, remote=("10.0.0.2", 9), nat=True)
            assert error.value.code == "no_port"
            first.answer(address="10.0.0.1", port=9, nat=True)
            two.ssrc = 0x5678
            await one.talk([word(1)] * 3)
            await until(lambda: first.leg.stats().received_packets == 3)
            second = call_of(plane, two, remote=("10.0.0.2", 9), nat=True)
            second.leg.echo(True)
            second.answer(address="10.0.0.2", port=9, nat=True)
            await two.talk([word(2)] * 10)
            await two.until(lambda peer: word(2) in peer.audio)
            assert second.leg.local_address == first.leg.local_address
            assert first.leg.stats().received_packets == 3


async def test_a_new_address_that_another_call_has_moves_the_leg(driver: str) -> None:
    begin = ports(4)
    config = EngineConfig(port_min=begin, port_max=begin + 3, quarantine_ms=0)
    with ExitStack() as peers:
        async with MediaPlane(config) as plane:
            mixer, other, phone = (peers.enter_context(RtpPeer()) for _ in range(3))
            first, _second, call = (call_of(plane, peer) for peer in (mixer, other, phone))
            first.answer()
            call.leg.echo(True)
            call.answer()
            old = call.leg.local_address
            assert old == first.leg.local_address
            await phone.talk([word(1)] * 3)
            with pytest.raises(MediaError) as error:
                call.set_remote(address=mixer.address[0], port=mixer.address[1])
            assert error.value.code == "collision"
            new = call.leg.place(mixer.address)
            assert new == call.leg.local_address != old
            call.set_remote(address=mixer.address[0], port=mixer.address[1])
            await phone.talk([word(2)] * 5)
            await mixer.until(lambda peer: word(2) in peer.audio)
            assert {packet.source for packet in mixer.packets if packet.payload == word(2)} == {new}
            assert plane.stats().collisions == 2
            assert call.leg.place(mixer.address) == new


async def test_media_aimed_at_our_own_ports_is_never_sent(plane: MediaPlane, place_call: Callable[..., Call]) -> None:
    victim, call = place_call(), place_call()
    host, port = victim.leg.local_address
    for aimed in (port, port + 1):
        call.answer(address=host, port=aimed, rtcp_port=aimed)
        await until(lambda: call.leg.stats().unsent_packets > 3)
    call.leg.close()
    await until(lambda: plane.stats().legs == 1)
    stats = call.leg.stats()
    assert (stats.sent_packets, stats.rtcp_sent) == (0, 0)
    assert plane.stats().refused_packets == 0


async def test_each_ip_version_has_its_ports(driver: str) -> None:
    first = ports(2)
    config = EngineConfig(addresses=["127.0.0.1", "::1"], port_min=first, port_max=first + 1, quarantine_ms=0)
    with ExitStack() as peers:
        async with MediaPlane(config) as plane:
            stats = plane.stats()
            assert (stats.ports_ipv4, stats.ports_ipv6) == (1, 1)
            six, four = peers.enter_context(RtpPeer("::1")), peers.enter_context(RtpPeer())
            call = call_of(plane, six)
            assert call.leg.local_address == ("::1", first)
            call.leg.echo(True)
            call.answer(signalling_address="::1")
            await six.talk([word(1)] * 5)
            await six.until(lambda peer: word(1) in peer.audio)
            with pytest.raises(MediaError) as error:
                call.set_remote(address=four.address[0], port=four.address[1])
            assert error.value.code == "no_family"
            assert call.leg.place(four.address) == ("127.0.0.1", first)
            call.set_remote(address=four.address[0], port=four.address[1])
            await four.until(lambda peer: len(peer.packets) > 3)
    other = ports(2)
    async with MediaPlane(EngineConfig(port_min=other, port_max=other + 1)) as plane:
        with pytest.raises(MediaError) as error:
            plane.open_leg(LegConfig(remote=("2001:db8::1", 4000)), on_event=print, on_error=print)
        assert error.value.code == "no_family"


async def test_reports_come_by_the_rtp_port_where_that_was_agreed(call: Call) -> None:
    call.answer(rtcp_mux=True)
    await call.peer.talk([word(1)] * 3)
    report = struct.pack("!BBHI", 0x80, 201, 1, call.peer.ssrc)
    call.peer.rtp.sendto(report, call.peer.target)
    await until(lambda: call.leg.stats().rtcp_received == 1)
    call.leg.close()
    await call.peer.until(lambda peer: any(packet[1] == 200 for packet in peer.reports_on_rtp))
    assert call.peer.rtcp_packets == []


async def test_the_small_range_of_a_second_gateway_is_told(driver: str) -> None:
    begin = ports(6)
    first = EngineConfig(port_min=begin, port_max=begin + 3)
    async with MediaPlane(first) as one, MediaPlane(EngineConfig(port_min=begin, port_max=begin + 5)) as two:
        assert (one.stats().ports_taken, two.stats().ports_taken) == (0, 2)
        assert two.stats().unheard_capacity == 1
