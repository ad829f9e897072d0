"""One stream to the caller through hold, resumption, another codec, packet time and address: tones, captured.

Before, during and after each change the agent's tone, or the music of a hold, has to be there, and each packet has to
follow the one before.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tests.support.agent import AgentCall, agent_on
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.one_stream import assert_one_stream
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.rtp_peer import Packet, RtpPeer
from tests.support.sip_text import PCMA, PCMU, Heard, Line
from tests.support.tone import has_tone, is_silent, share, tone
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

HZ, CALLER_HZ = 440, 700
TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1"]

[[route]]
name = "agent"
destination = "ws://127.0.0.1:{agent}/"
"""


def a_law(payload: bytes) -> list[int]:
    """The PCM16 values of A-law (G.711)."""
    found = []
    for byte in payload:
        code = byte ^ 0x55
        exponent, mantissa = code >> 4 & 7, code & 15
        magnitude = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
        found.append(magnitude if code & 0x80 else -magnitude)
    return found


def sdp(call: PhoneCall, version: int, way: str = "sendrecv", line: Line = PCMU, ptime: int = 20, port: int = 0) -> str:
    """What the phone offers or answers."""
    address, own = call.rtp.address
    text = line.offer(address, port or own, version)
    return text.replace("a=sendrecv", f"a={way}").replace("a=ptime:20", f"a=ptime:{ptime}")


@asynccontextmanager
async def speaking(agent: AgentCall) -> AsyncIterator[None]:
    """The agent's tone, without end, at the pace of speech."""

    async def speak() -> None:
        # 440 Hz fits five times 20 ms whole, so the tone goes on without a seam.
        frames, due = tone(HZ, 0.1), time.monotonic()
        while True:
            await agent.play(frames, together=5)
            due += 0.1
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    task = asyncio.create_task(speak())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def call_to(gateway: Gateway, port: int) -> AsyncIterator[tuple[PhoneCall, AgentCall]]:
    """A call of which both ends speak."""
    async with agent_on(port, "offhook") as agents, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        agent = await agents.call()
        await agent.text("ringing")
        await agent.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
        await call.answered()
        await agent.text("start")
        async with speaking(agent):
            yield call, agent


def is_tone(packet: Packet) -> bool:
    samples = a_law(packet.payload) if packet.payload_type == 8 else None
    return share(samples, HZ) > 0.8 if samples is not None else has_tone(packet.payload, HZ)


async def hears(call: PhoneCall, peer: RtpPeer | None = None, frames: int = 10) -> None:
    """Wait for so many packets of the agent's tone from now on."""
    peer = peer or call.rtp
    since = len(peer.packets)
    await peer.until(lambda _: sum(map(is_tone, peer.packets[since:])) >= frames)


@pytest.mark.rfc(3264, "8")
@undisturbed
async def test_one_stream_through_every_change(tmp_path: Path) -> None:
    port = ports(1)
    with running_gateway(tmp_path, TOML.format(agent=port)) as gateway:
        async with call_to(gateway, port) as (call, agent):
            await hears(call)
            # The caller holds: not a packet comes, and afterwards the tone again.
            await held(call, agent)
            # Another codec, another packet time, both together.
            for version, (line, ptime) in enumerate([(PCMA, 20), (PCMA, 40), (PCMU, 20)], start=5):
                call.line = line
                answer = await call.offer(sdp(call, version, line=line, ptime=ptime))
                assert f"m=audio {answer.media[1]} RTP/AVP {line.payload_type} " in answer.body
                await hears(call)
                last = call.packets[-1]
                assert (last.payload_type, len(last.payload)) == (line.payload_type, 8 * ptime)
            # The agent holds: music without a pause, and the tone again.
            since = len(call.packets)
            call.answers = lambda invite: sdp(call, 8, way="recvonly")
            await agent.say(type="hold")
            assert (await agent.text("held", 3))["by"] == "agent"
            await call.rtp.until(lambda _: sum(not is_silent(p.payload) for p in call.packets[since:]) > 20)
            music = [p for p in call.packets[since:][-15:] if not is_silent(p.payload) and not is_tone(p)]
            assert len(music) >= 8, "none if it were the agent still"
            call.answers = lambda invite: sdp(call, 9)
            await agent.say(type="resume")
            assert (await agent.text("resumed", 3))["by"] == "agent"
            await hears(call)
            # Another address: the stream goes on there.
            with RtpPeer() as moved:
                moved.target = call.rtp.target
                await moves(call, agent, moved)
                packets = sorted([*call.packets, *moved.packets], key=lambda packet: packet.at)
                assert [p.sequence for p in packets] == [p.sequence for p in [*call.packets, *moved.packets]]
        record = gateway.record(call.call_id)
    assert_one_stream(packets, apart=0.5)
    assert record["media"]["holds"] == 3
    assert record["media"]["sent_music_packets"] >= 20
    assert record["media"]["received_while_held"] > 0


async def held(call: PhoneCall, agent: AgentCall) -> None:
    """Hold by sendonly, and by 0.0.0.0."""
    address = call.rtp.address[0]
    for version, form in ((2, "sendonly"), (4, "0.0.0.0")):
        offer = sdp(call, version, way="sendonly")
        if form == "0.0.0.0":
            offer = sdp(call, version).replace(f"c=IN IP4 {address}", "c=IN IP4 0.0.0.0")
        answer: Heard = await call.offer(offer)
        assert "a=recvonly" in answer.body
        assert (await agent.text("held", version // 2))["by"] == "caller"
        # What has left by then is on its way.
        await asyncio.sleep(0.1)
        count = len(call.packets)
        call.say(tone(CALLER_HZ, 0.2))
        heard = len(agent.audio)
        await asyncio.sleep(0.4)
        assert len(call.packets) == count, "nothing is sent to who holds"
        silence = bytes(agent.audio[heard + 800 :])
        assert len(silence) > 400, "time goes on for the agent"
        assert is_silent(silence), "and nothing of what the holder plays is heard"
        assert "a=sendrecv" in (await call.offer(sdp(call, version + 1))).body
        await agent.text("resumed", version // 2)
        await hears(call)


async def moves(call: PhoneCall, agent: AgentCall, moved: RtpPeer) -> None:
    """The phone goes on at another port. What still comes from the old one is heard until the new one speaks."""
    await call.offer(sdp(call, 10, port=moved.address[1]))
    await hears(call, moved)
    heard = len(agent.audio)
    call.say(tone(CALLER_HZ, 5.0))
    await agent.until(lambda: frames_of(agent, CALLER_HZ, heard) >= 10, what="the tone of the old address")
    call.stop_talking()
    # A phone's stream of its own: another SSRC, from the new address.
    moved.ssrc = 0x9876
    await moved.talk(tone(1000, 1.0))
    await agent.until(lambda: frames_of(agent, 1000, heard) >= 15, what="the tone of the new address")


def frames_of(agent: AgentCall, hz: float, since: int) -> int:
    """How many frames of this tone the agent has heard since then."""
    heard = bytes(agent.audio[since:])
    return sum(has_tone(heard[at : at + 160], hz) for at in range(0, len(heard) - 159, 160))
