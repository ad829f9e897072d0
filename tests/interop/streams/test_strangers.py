"""Who is no part of a call hears nothing of it and is never heard, whatever he knows; no call is aimed at others.

A third host sprays every media port before, at and after the start, with the payload type, SSRC and sequence numbers of
the caller, and says goodbye in the caller's name by RTCP.
"""

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from tests.support.agent import agent_on
from tests.support.gateway import Gateway
from tests.support.hosts import Capture, Host, Internet
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.tone import decode, purest, share, tone
from tests.support.undisturbed import undisturbed

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

GATEWAY = "198.51.100.1"
CALLER = "198.51.100.30"
STRANGER = "198.51.100.66"
SIP = (GATEWAY, 5060)
PORTS = range(30_000, 30_012)
AGENT = 9000
OWN, FOREIGN = 440, 2500
SECONDS = 3.0

TOML = """
[[trunk]]
name = "phones"
allow = ["{caller}"]
nat = {nat}

[[route]]
name = "echo"
to = "echo"
destination = "echo:"

[[route]]
name = "agent"
destination = "twilio+ws://127.0.0.1:{agent}/"
"""


@dataclass
class Scene:
    """A gateway, a caller and a stranger, each a host of its own at one switch."""

    gateway: Gateway
    public: Host
    caller: Host
    stranger: Host


@pytest.fixture(scope="module", params=[False, True], ids=["fixed", "nat"])
def at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """With a trunk whose media comes from where SDP says, and with one that is behind NAT."""
    with Internet() as internet:
        public = internet.host("gateway", f"{GATEWAY}/24")
        caller = internet.host("caller", f"{CALLER}/24")
        stranger = internet.host("stranger", f"{STRANGER}/24")
        gateway = Gateway(
            tmp_path_factory.mktemp("gateway"),
            TOML.format(caller=CALLER, nat=str(request.param).lower(), agent=AGENT),
            sip=f'listen = ["udp://{GATEWAY}:5060"]',
            media=f'listen = "{GATEWAY}"\nports = "{PORTS[0]}-{PORTS[-1]}"',
        )
        with public:
            gateway.start()
        try:
            yield Scene(gateway, public, caller, stranger)
        finally:
            gateway.stop()
        assert "Traceback" not in gateway.said(), gateway.said()


@asynccontextmanager
async def spray(at: Scene) -> AsyncIterator[None]:
    """The stranger at work, as long as this is open; in the end not one datagram of the gateway has come to it."""
    with at.stranger:
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.bind((STRANGER, 0))
    with own, Capture(at.stranger) as capture:
        spraying = asyncio.create_task(_spray(own))
        try:
            yield
        finally:
            spraying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await spraying
        assert not [packet for packet in capture.packets() if packet.target[0] == STRANGER]


async def _spray(own: socket.socket) -> None:
    """Every 20 ms a packet as the caller's to each port, as RTP and as RTCP, whatever the port is for."""
    frames, ssrc = tone(FOREIGN, 1), 0x1234
    goodbye = struct.pack("!BBHI", 0x81, 203, 1, ssrc)
    report = struct.pack("!BBH6I", 0x80, 200, 6, ssrc, 0, 0, 0, 0, 0)
    for number in itertools.count():
        # From where a caller of these tests begins, and from where it may be by now.
        for sequence in (1000 + number, 1000 + number // 2):
            head = struct.pack("!BBHII", 0x80, 0, sequence & 0xFFFF, 50_000 + (sequence - 1000) * 160, ssrc)
            for port in PORTS:
                own.sendto(head + frames[number % 50], (GATEWAY, port))
        for port in PORTS:
            own.sendto((report + goodbye)[: number % 40] if number % 2 else report + goodbye, (GATEWAY, port))
        await asyncio.sleep(0.02)


def has(foreign: float, sound: bytes) -> bool:
    """Whether a tone is in µ-law at any place, by its share of a tenth of a second's power."""
    samples = decode(sound)
    return any(share(samples[at : at + 800], foreign) > 0.02 for at in range(0, len(samples) - 800, 800))


def heard_of(call: PhoneCall) -> bytes:
    """All that the caller got."""
    return b"".join(packet.payload for packet in call.packets if packet.payload_type == 0)


@undisturbed
async def test_a_stranger_hears_nothing_and_is_not_heard_by_the_agent(at: Scene) -> None:
    async with (
        agent_on(AGENT, "twilio", on=at.public) as agent,
        PlainPhone.open(CALLER, at.caller) as phone,
        spray(at),
    ):
        await asyncio.sleep(1.0)
        call = phone.dial(SIP)
        bot = await agent.call()
        await call.answered()
        call.say(tone(OWN, SECONDS + 1))
        await bot.text("start")
        await bot.play(tone(700, SECONDS))
        heard = await bot.hears(round(8000 * SECONDS))
        await call.hears(700, frames=round(50 * SECONDS * 0.9))
        assert call.is_up, "a goodbye in the caller's name ended the call"
        call.hang_up()
        await bot.over()
        # The stranger goes on for a while when it is over.
        await asyncio.sleep(0.5)
    assert purest(decode(heard[-16_000:]), OWN) > 0.92
    assert not has(FOREIGN, heard)
    assert not has(FOREIGN, heard_of(call))
    record = at.gateway.record(call.call_id)
    assert record["end_reason"] == "caller_hung_up"
    media = record["media"]
    assert media["received_wrong_source"] > 50, "the stranger was at work"
    assert media["rtcp_refused"] > 20
    assert media["rtcp_byes"] == 0
    assert media["received_ssrc_changes"] == media["received_source_changes"] == 0
    assert media["received_lost"] == 0, "its sequence numbers count for nothing"


@undisturbed
async def test_a_stranger_is_not_heard_by_the_next_caller(at: Scene) -> None:
    async with PlainPhone.open(CALLER, at.caller) as phone, spray(at):
        for _ in range(len(PORTS) // 2 - 1):
            call = phone.dial(SIP, "echo")
            await call.answered()
            call.say(tone(OWN, 2.0))
            await call.hears(OWN, frames=15)
            assert not has(FOREIGN, heard_of(call))
            call.hang_up()


VICTIMS = {
    "unspecified": "0.0.0.0",
    "loopback": "127.0.0.1",
    "link-local": "169.254.169.254",
    "multicast": "224.0.0.1",
    "broadcast": "255.255.255.255",
    "the gateway itself": GATEWAY,
    "a name": "victim.example",
}


@undisturbed
async def test_sound_is_not_aimed_at_others(at: Scene) -> None:
    aimed: dict[str, set[tuple[str, int]]] = {}
    async with PlainPhone.open(CALLER, at.caller) as phone:
        for victim, address in VICTIMS.items():
            with (
                Capture(at.public, outgoing=True) as outside,
                Capture(at.public, "lo", outgoing=True) as inside,
            ):
                call = phone.dial(SIP, "echo", announce=(address, PORTS[0]), talk=False)
                final = await call.final()
                await asyncio.sleep(0.3)
                if final.status == 200:
                    # One who talks from elsewhere may be answered there, behind NAT; the others never.
                    call.start_talking()
                    await asyncio.sleep(0.3)
                    call.hang_up()
                sent = {packet.target for packet in outside.packets() + inside.packets()}
            aimed[victim] = {target for target in sent if target[0] != CALLER}
    assert not any(aimed.values()), aimed
