"""A call of ours that Kamailio forks to two callees: both ring, one is heard, one answers, the other is let go."""

import asyncio
import wave
from array import array
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.interop.kamailio.proxy import Kamailio
from tests.interop.phone.callee import Told, phone
from tests.support.plain_callee import PlainCallee, Received, callee, sdp
from tests.support.rtp_peer import RtpPeer
from tests.support.tone import share, tone
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

RATE = 8000
EARLY, ANSWERED = 500.0, 1200.0


class Fork:
    """One of the two callees, with a voice of its own."""

    def __init__(self, sip: PlainCallee, rtp: RtpPeer) -> None:
        self.sip, self.rtp = sip, rtp
        self.invite: Received

    async def ring(self, status: str = "180 Ringing", *, heard: bool = False) -> None:
        self.invite = await self.sip.gets("INVITE")
        self.sip.answer(self.invite, "100 Trying")
        self.sip.answer(self.invite, status, sdp=sdp(self.rtp.address[1]) if heard else "")

    def take(self) -> None:
        self.sip.answer(self.invite, "200 OK", sdp=sdp(self.rtp.address[1]))

    async def talk(self, hz: float) -> None:
        """Say it until the phone hangs up."""
        end = asyncio.create_task(self.sip.gets("BYE"))
        while not end.done():
            await self.say(hz, 0.2)
        await end

    async def say(self, hz: float, seconds: float) -> None:
        body = self.invite.body
        self.rtp.target = ("127.0.0.1", int(body.split("m=audio ")[1].split()[0]))
        await self.rtp.talk(tone(hz, seconds))


Flow = Callable[[Fork, Fork], Awaitable[None]]


async def forked(directory: Path, flow: Flow, seconds: float = 2.0) -> tuple[Told, list[int], Kamailio]:
    """Call through Kamailio, which forks to both; what the phone told, and what it heard."""
    heard = directory / "heard.wav"
    async with callee("one") as one, callee("two") as two:
        with RtpPeer() as at_one, RtpPeer() as at_two:
            at_two.ssrc, at_two.sequence, at_two.timestamp = 0x5678, 30_000, 900_000
            proxy = await asyncio.to_thread(
                Kamailio, directory / "kamailio", ("127.0.0.1", one.port), "udp", also=(("127.0.0.1", two.port),)
            )
            with proxy:
                host, port = proxy.address
                call = asyncio.create_task(
                    asyncio.to_thread(
                        phone, f"sip:both@{host}:{port}", "--seconds", str(seconds), "--play", "tone:700", "--once",
                        "--record", str(heard), "--codec", "PCMU", "--listen", "127.0.0.1",
                    )
                )  # fmt: skip
                await flow(Fork(one, at_one), Fork(two, at_two))
                told = await call
    if not heard.exists():
        return told, [], proxy
    with wave.open(str(heard)) as reader:
        assert reader.getframerate() == RATE
        both = array("h", reader.readframes(reader.getnframes()))
    return told, both[1::2].tolist(), proxy


def hears(samples: list[int], hz: float) -> bool:
    """Whether this tone is what is heard for a tenth of a second somewhere in it."""
    step, width = RATE // 50, RATE // 10
    return any(share(samples[at : at + width], hz, RATE) > 0.9 for at in range(0, len(samples) - width, step))


@undisturbed
async def test_early_sound_of_one_and_the_answer_of_the_other(tmp_path: Path) -> None:
    async def flow(one: Fork, two: Fork) -> None:
        await one.ring("183 Session Progress", heard=True)
        await two.ring()
        await one.say(EARLY, 1.0)
        two.take()
        await two.sip.gets("ACK")
        await one.sip.gets("CANCEL")
        one.sip.answer(one.invite, "487 Request Terminated")
        await two.talk(ANSWERED)

    told, heard, _ = await forked(tmp_path, flow)
    assert told.code == 0
    assert told.found["verdict"]["ended_by"] == "time"
    assert hears(heard, EARLY)
    assert hears(heard, ANSWERED)


@undisturbed
async def test_the_one_that_was_heard_early_answers(tmp_path: Path) -> None:
    async def flow(one: Fork, two: Fork) -> None:
        await two.ring()
        await one.ring("183 Session Progress", heard=True)
        await one.say(EARLY, 1.0)
        one.take()
        await one.sip.gets("ACK")
        await two.sip.gets("CANCEL")
        two.sip.answer(two.invite, "487 Request Terminated")
        await one.talk(ANSWERED)

    told, heard, _ = await forked(tmp_path, flow)
    assert told.code == 0
    assert hears(heard, EARLY)
    assert hears(heard, ANSWERED)


@undisturbed
async def test_both_are_heard_early_and_the_answer_of_one_is_what_counts(tmp_path: Path) -> None:
    async def flow(one: Fork, two: Fork) -> None:
        await one.ring("183 Session Progress", heard=True)
        await two.ring("183 Session Progress", heard=True)
        await asyncio.gather(one.say(EARLY, 0.4), two.say(300.0, 0.4))
        two.take()
        await two.sip.gets("ACK")
        one.sip.answer(one.invite, "487 Request Terminated")
        await two.talk(ANSWERED)

    told, heard, _ = await forked(tmp_path, flow)
    assert told.code == 0
    assert hears(heard, ANSWERED)


@undisturbed
async def test_the_late_answer_of_the_other_is_acknowledged_and_ended(tmp_path: Path) -> None:
    async def flow(one: Fork, two: Fork) -> None:
        await one.ring()
        await two.ring()
        one.take()
        await one.sip.gets("ACK")
        # It has picked up before the CANCEL reached it.
        two.take()
        await two.sip.gets("ACK")
        await two.sip.gets("BYE")
        assert one.sip.of("BYE") == [], "the call goes on with the first"
        await one.talk(ANSWERED)

    told, heard, _ = await forked(tmp_path, flow, seconds=2.5)
    assert told.code == 0
    assert told.found["verdict"]["ended_by"] == "time"
    assert hears(heard, ANSWERED)


@undisturbed
async def test_one_is_busy_and_the_other_answers(tmp_path: Path) -> None:
    async def flow(one: Fork, two: Fork) -> None:
        await one.ring()
        await two.ring()
        one.sip.answer(one.invite, "486 Busy Here")
        two.take()
        await two.sip.gets("ACK")
        await two.talk(ANSWERED)

    told, heard, _ = await forked(tmp_path, flow)
    assert told.code == 0
    assert hears(heard, ANSWERED)


@undisturbed
async def test_both_refuse_and_the_better_word_is_told(tmp_path: Path) -> None:
    async def flow(one: Fork, two: Fork) -> None:
        await one.ring()
        await two.ring()
        one.sip.answer(one.invite, "486 Busy Here")
        two.sip.answer(two.invite, "603 Decline")

    told, _, _ = await forked(tmp_path, flow)
    assert told.code == 1
    assert told.slug == "declined", "RFC 3261 16.7: a 6xx goes before a 4xx"
