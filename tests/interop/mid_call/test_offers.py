"""Offers of sipp within a call, with sound on both sides all along: by a phone of plain sockets that speaks for it."""

import asyncio
import itertools
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.interop.mid_call import line
from tests.interop.mid_call.line import WAITING, heard_in_turn, talking
from tests.interop.sipp.scenario import OFFER, Check, Played, Player, Scenario
from tests.support.agent import Agent
from tests.support.gateway import Gateway
from tests.support.rtp_peer import Packet, RtpPeer
from tests.support.tone import decode, share, tone
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

HERE, THERE = 440.0, 550.0
"""What is said at the first address, and at the one that the call moves to."""


def offer(rtp: RtpPeer, *lines: str, formats: str = "0 8 101") -> str:
    host, port = rtp.address
    there = OFFER.replace("c=IN IP[media_ip_type] [media_ip]", f"c=IN IP4 {host}").replace("[media_port]", str(port))
    return "\n".join([there.replace("0 8 101", formats).rstrip("\n"), *lines, ""])


@contextmanager
def speaking(rtp: RtpPeer, hz: float, after: float = 0.0) -> Iterator[None]:
    """Say it without end, once it is known where to and so many seconds after the first packet came."""

    async def speak() -> None:
        await rtp.until(lambda peer: bool(peer.packets), 15)
        rtp.target = rtp.packets[0].source
        await asyncio.sleep(after)
        while True:
            await rtp.talk(tone(hz, 1.0))

    task = asyncio.create_task(speak())
    try:
        yield
    finally:
        task.cancel()


def between(packets: list[Packet], begin: float, end: float) -> list[Packet]:
    """Those of a while, which begins a tenth of a second later: what was under way has come then."""
    return [packet for packet in packets if begin + 0.1 < packet.at < end]


def is_the_agent(packets: list[Packet]) -> bool:
    sound = b"".join(packet.payload for packet in packets if packet.payload_type == 0)
    return len(sound) > 1600 and share(decode(sound), line.HZ) > 0.9


def whiles(played: Played) -> list[tuple[float, float]]:
    """From each ACK of sipp's to the next that it sent, by the clock of the packets."""
    midnight = played.midnight
    sent = [(midnight + at, text) for at, way, text in played.messages if way == "out"]
    return [(at, then) for (at, text), (then, _) in itertools.pairwise(sent) if text.startswith("ACK ")]


async def play(gateway: Gateway, flow: Scenario, directory: Path) -> Played:
    return await asyncio.to_thread(Player(directory, gateway.udp).play, flow)


@undisturbed
async def test_refused_another_packet_time_listening_and_another_address(
    gateway: Gateway, agent: Agent, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        here, there = stack.enter_context(RtpPeer()), stack.enter_context(RtpPeer("127.0.0.9"))
        flow = (
            Scenario("offers", to="agent")
            .set_up(body=offer(here))
            .pause(600)
            .invite(offer(here, formats="18").split("a=rtpmap:0")[0], cseq=2, branch="g729", within=True)
            .expect(100, optional=True)
            .expect(488)
            .request("ACK", cseq=2, branch="g729")
            .pause(500)
            .invite(offer(here, "a=ptime:40"), cseq=3, branch="ptime", within=True)
            .expect(100, optional=True)
            .expect(200, Check("a=ptime:40"))
            .ack(cseq=3)
            .pause(500)
            .invite(offer(here, "a=recvonly"), cseq=4, branch="listens", within=True)
            .expect(100, optional=True)
            .expect(200, Check("a=sendonly"))
            .ack(cseq=4)
            .pause(500)
            .invite(offer(there), cseq=5, branch="moves", within=True)
            .expect(100, optional=True)
            .expect(200, Check("a=sendrecv"))
            .ack(cseq=5)
            .pause(1200)
            .tear_down(cseq=6)
        )
        stack.enter_context(speaking(here, HERE))
        stack.enter_context(speaking(there, THERE, after=0.5))
        playing = asyncio.create_task(play(gateway, flow, tmp_path))
        async with talking(agent) as agents_end:
            played = await playing
            heard = bytes(agents_end.call.audio)
        before, refused, slower, listening, moved = whiles(played)
        for at, to in (before, refused, slower, listening):
            assert is_the_agent(between(here.packets, at, to)), "as before"
        assert is_the_agent(between(there.packets, *moved))
        assert {len(packet.payload) for packet in between(here.packets, *refused)} == {160}
        assert {len(packet.payload) for packet in between(here.packets, *slower)} == {320}
        assert between(here.packets, *moved) == [], "nothing goes to where it was"
        assert_one_stream([*here.packets, *there.packets])
    # Who only listens is not heard; and what comes from the old address is, until the new one speaks.
    assert heard_in_turn(array("h", decode(heard)), HERE, THERE) == [HERE, 0, HERE, THERE]
    assert gateway.record(played.call_id)["remote_media"] == f"127.0.0.9:{there.address[1]}"


def assert_one_stream(packets: list[Packet]) -> None:
    assert len({packet.ssrc for packet in packets}) == 1
    numbers = [packet.sequence for packet in sorted(packets, key=lambda packet: packet.at)]
    assert numbers == [(numbers[0] + n) & 0xFFFF for n in range(len(numbers))]


@undisturbed
async def test_both_change_the_call_at_once(gateway: Gateway, agent: Agent, tmp_path: Path) -> None:
    """Glare: the agent holds while sipp offers; both get 491. sipp made the Call-ID, so ours comes again within 2 s."""
    with RtpPeer() as here, speaking(here, HERE):
        flow = (
            Scenario("glare", to="sounds", talks_over=True)
            .invite(offer(here))
            .expect(100, optional=True)
            .expect(183)
            .expect(200)
            .ack()
            .expect_request("INVITE", Check("a=sendonly"), keep=True)
            .invite(offer(here, "a=ptime:20"), cseq=2, branch="glare", within=True)
            .expect(491)
            .answer("491 Request Pending")
            .expect_request("ACK")
            .request("ACK", cseq=2, branch="glare")
            .expect_request("INVITE", Check("a=sendonly"), within_ms=3_000)
            .answer(body=offer(here, "a=recvonly"))
            .expect_request("ACK")
            .invite(offer(here), cseq=3, branch="again", within=True)
            .expect(100, optional=True)
            .expect(200, Check("a=sendonly"))
            .ack(cseq=3)
            .expect_request("INVITE", Check("a=sendrecv"))
            .answer(body=offer(here))
            .expect_request("ACK")
            .pause(600)
            .tear_down(cseq=4)
        )
        playing = asyncio.create_task(play(gateway, flow, tmp_path))
        async with talking(agent) as agents_end:
            await agents_end.hears(HERE)
            await agents_end.call.say(type="hold")
            await agents_end.call.text("held")
            await agents_end.hears_nothing()
            await agents_end.call.say(type="resume")
            await agents_end.call.text("resumed")
            await agents_end.hears(HERE)
            played = await playing
    times = [at for at, text in played.received("INVITE ") if "a=sendonly" in text]
    refused = [at for at, way, text in played.messages if way == "out" and text.startswith("SIP/2.0 491")]
    assert 0 <= times[-1] - refused[0] < 3.0, "RFC 3261 14.1: who did not make the Call-ID waits for 0 to 2 s"
    sides = heard_in_turn(array("h", decode(b"".join(packet.payload for packet in here.packets))), line.HZ, WAITING)
    assert [hz for hz in sides if hz] == [line.HZ, WAITING, line.HZ]
    record = gateway.record(played.call_id)
    assert (record["end_reason"], record["media"]["holds"]) == ("caller_hung_up", 1)
