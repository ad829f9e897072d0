"""Callers behind NAT, in network namespaces: sound both ways though SDP names a private address, after a rebinding, and
while somebody else behind the same router, whose packets have the same source address, says to be the caller.

The router masquerades each stream by a port of its own choice, so nothing that SDP says is where the sound comes from.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.support.crowd import Crowd
from tests.support.gateway import Gateway
from tests.support.hosts import Capture, Host, Internet
from tests.support.plain_phone import PlainPhone
from tests.support.tone import decode, share, tone
from tests.support.undisturbed import undisturbed

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

GATEWAY = "198.51.100.1"
ROUTER = "198.51.100.20"
HOME = "192.168.7.10"
SIP = (GATEWAY, 5060)
PORTS = range(30_000, 30_016)
CALLERS = 6
# The old source has to be silent for two seconds before another is followed.
REBIND_LIMIT = 2.0 + 2.5

TOML = """
[limits]
max_cps = 1000

[[trunk]]
name = "phones"
allow = ["{router}"]
nat = {nat}

[[route]]
name = "echo"
destination = "echo:"
"""


@dataclass
class Scene:
    """A gateway in public, a phone in a private network behind a router."""

    gateway: Gateway
    public: Host
    router: Host
    home: Host


@pytest.fixture(scope="module", params=[True, False], ids=["nat", "unroutable"])
def at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """With `nat = true`, and without: a private address behind a public one can't be where the phone is."""
    with Internet() as internet:
        public = internet.host("gateway", f"{GATEWAY}/24")
        router = internet.host("router", f"{ROUTER}/24")
        home = internet.behind(router, "home", f"{HOME}/24", "192.168.7.1/24")
        router.masquerade()
        gateway = Gateway(
            tmp_path_factory.mktemp("gateway"),
            TOML.format(router=ROUTER, nat=str(request.param).lower()),
            sip=f'listen = ["udp://{GATEWAY}:5060"]',
            media=f'listen = "{GATEWAY}"\nports = "{PORTS[0]}-{PORTS[-1]}"',
        )
        with public:
            gateway.start()
        try:
            yield Scene(gateway, public, router, home)
        finally:
            gateway.stop()
        assert "Traceback" not in gateway.said(), gateway.said()


@undisturbed
async def test_sound_flows_both_ways(at: Scene) -> None:
    async with PlainPhone.open(HOME, at.home) as phone:
        call = phone.dial(SIP, "echo")
        with Capture(at.public) as capture:
            answer = await call.answered()
            assert answer.media[0] == GATEWAY
            call.say(tone(440, 3))
            await call.hears(440, frames=75)
            seen = {packet.source for packet in capture.packets() if packet.target == answer.media}
        assert len(seen) == 1, seen
        (source,) = seen
        assert source[0] == ROUTER
        assert source != (ROUTER, call.rtp.address[1]), "the router has changed the port"
        call.hang_up()
        await asyncio.sleep(0.3)
    assert at.gateway.record(call.call_id)["end_reason"] == "caller_hung_up"


@undisturbed
async def test_a_neighbour_behind_the_same_router_is_not_heard(at: Scene) -> None:
    with at.home:
        neighbour = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        neighbour.bind((HOME, 0))
    with neighbour:
        async with PlainPhone.open(HOME, at.home) as phone:
            call = phone.dial(SIP, "echo")
            answer = await call.answered()
            call.say(tone(440, 4))
            await call.hears(440, frames=25)
            before = len(call.packets)
            foreign = tone(2500, 1)
            for number in range(100):
                # It knows the stream of the caller, and where that is.
                for sequence, ssrc in ((1000 + 30 + number, 0x1234), (number, 0x4321)):
                    head = struct.pack("!BBHII", 0x80, 0, sequence, 50_000 + (sequence - 1000) * 160 & 0xFFFFFFFF, ssrc)
                    neighbour.sendto(head + foreign[number % 50], answer.media)
                await asyncio.sleep(0.02)
            heard = b"".join(packet.payload for packet in call.packets[before:] if packet.payload_type == 0)
            call.hang_up()
            await asyncio.sleep(0.3)
        neighbour.setblocking(False)
        with pytest.raises(BlockingIOError):
            neighbour.recv(2000)
    samples = decode(heard)
    assert len(samples) > 8000
    assert all(share(samples[at : at + 800], 2500) < 0.02 for at in range(0, len(samples) - 800, 800))
    media = at.gateway.record(call.call_id)["media"]
    assert media["received_wrong_source"] >= 150, "of 200"
    assert media["received_source_changes"] == media["received_ssrc_changes"] == 0


@undisturbed
async def test_the_call_comes_back_when_the_router_has_forgotten_it(at: Scene) -> None:
    async with PlainPhone.open(HOME, at.home) as phone:
        call = phone.dial(SIP, "echo")
        answer = await call.answered()
        call.say(tone(440, 10))
        with Capture(at.public) as capture:
            await call.hears(440, frames=50)
            at.router.forget_connections()
            forgotten = time.time()
            await asyncio.sleep(0.2)
            before = len(call.packets)
            found = await call.hears(440, frames=50, since=before)
            seen = {packet.source for packet in capture.packets() if packet.target == answer.media}
        assert len(seen) == 2, f"another port after it: {seen}"
        assert found[0].at - forgotten < REBIND_LIMIT, f"{found[0].at - forgotten:.1f} s without sound"
        call.hang_up()
        await asyncio.sleep(0.3)
    record = at.gateway.record(call.call_id)
    assert record["end_reason"] == "caller_hung_up"
    assert record["media"]["received_source_changes"] == 1


@undisturbed
def test_several_callers_behind_one_router(at: Scene) -> None:
    with at.home:
        crowd = Crowd(SIP, HOME)
    with crowd, at.home:
        callers = [crowd.caller(number) for number in range(CALLERS)]
        for caller in callers:
            crowd.dial(caller)
            crowd.run(0.01)
        crowd.until(lambda: crowd.all_up(callers), "all are answered")
        crowd.run(3.0)
        for caller in callers:
            assert caller.ears.own > 60, f"{caller.voice.hz} Hz: {caller.ears}"
            assert not caller.ears.foreign
            assert not caller.ears.stray
        crowd.hang_up(callers)
        crowd.until(lambda: all(caller.state == "over" for caller in callers), "all are over")
