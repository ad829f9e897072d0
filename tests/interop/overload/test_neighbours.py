"""One call's trouble stays its own: others' sound has no gap over 40 ms, by the kernel's time at their sockets.

`make test` runs it with small counts, `make prove` (OFFHOOK_PROVE=1) with the whole ones.
"""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.interop.overload import trouble
from tests.interop.sipp.scenario import Player, Scenario
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.tone import tone
from tests.support.undisturbed import Stillness

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
LONGEST_GAP = 0.040
STRANGER = "127.0.0.99"

MEASURED = 8 if PROVE else 3
SECONDS = 20.0 if PROVE else 4.0
AT_ONCE = 100 if PROVE else 25
AGENT_CALLS = 10 if PROVE else 3
FLOOD = 5_000
MEDIA_PORTS = 400

_TOML = """
[limits]
max_cps = 10000

[[trunk]]
name = "phones"
allow = ["127.0.0.1"]

[[route]]
name = "victim"
to = "victim"
destination = "twilio+ws://127.0.0.1:{agent}/"

[[route]]
name = "echo"
destination = "echo:"
"""


@asynccontextmanager
async def talking(gateway: Gateway, to: str, count: int) -> AsyncIterator[list[PhoneCall]]:
    """So many calls that are up and talk."""
    async with PlainPhone.open() as phone:
        calls = [phone.dial(gateway.udp, to) for _ in range(count)]
        for call in calls:
            await call.answered()
            call.say(frame for _ in range(60) for frame in tone(440, 1))
        yield calls


def gaps(calls: list[PhoneCall], since: float) -> list[tuple[float, str]]:
    """(seconds, where) of the longest time between two packets of each call, from `since` (UTC seconds) on."""
    found = []
    for call in calls:
        packets = [packet for packet in call.packets if packet.at >= since]
        assert len(packets) > 40, f"{len(packets)} packets"
        pairs = itertools.pairwise(packets)
        gap, at, marker = max((b.at - a.at, b.at, b.marker) for a, b in pairs)
        found.append((gap, f"{gap * 1000:.1f} ms at {at - since:.3f} s{' (marker)' if marker else ''}"))
    return found


async def measure(calls: list[PhoneCall], under_way: asyncio.Event | None = None) -> None:
    """No gap over 40 ms for a while. A machine that had no time for timers or for us says nothing: once more.

    The calls are said back, so of what we say late there is a gap in what we hear.
    """
    for _ in range(3):
        with trouble.control() as (late, runs), Stillness() as still:
            await begun(runs)
            since = time.time()
            if under_way is not None:
                under_way.set()
            await asyncio.sleep(SECONDS)
            found = gaps(calls, since)
            if max(gap for gap, _ in found) <= LONGEST_GAP:
                return
            if late.value < LONGEST_GAP - 0.02 and not still.has_disturbed:
                break
    where = ", ".join(where for _, where in found)
    raise AssertionError(f"gaps of {where}; timers were {late.value * 1000:.1f} and {still.worst * 1000:.1f} ms late")


@pytest.fixture(scope="module")
def agent_port() -> int:
    return ports(1)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, agent_port: int) -> Iterator[Gateway]:
    first = ports(MEDIA_PORTS)
    media = f'ports = "{first}-{first + MEDIA_PORTS - 1}"'
    with running_gateway(tmp_path_factory.mktemp("gateway"), _TOML.format(agent=agent_port), media=media) as gateway:
        yield gateway


async def begun(flag: trouble.Event) -> None:
    assert await asyncio.to_thread(flag.wait, 20), "it does not start"


async def test_while_an_agent_is_killed(gateway: Gateway, agent_port: int) -> None:
    flag = trouble.event()
    with trouble.process(trouble.agent, agent_port, True, flag) as agent:
        await begun(flag)
        async with talking(gateway, "echo", MEASURED) as others, talking(gateway, "victim", AGENT_CALLS) as victims:
            measuring = asyncio.create_task(measure(others, under_way := asyncio.Event()))
            await under_way.wait()
            agent.kill()
            for call in victims:
                await call.hung_up()
            await measuring
            ids = [call.call_id for call in victims]
    reasons = {call["sip_call_id"]: call["end_reason"] for call in gateway.calls()}
    assert {reasons[call_id] for call_id in ids} == {"agent_lost"}


async def test_while_agents_read_nothing(gateway: Gateway, agent_port: int) -> None:
    flag = trouble.event()
    with trouble.process(trouble.agent, agent_port, False, flag):
        await begun(flag)
        async with talking(gateway, "echo", MEASURED) as others, talking(gateway, "victim", AGENT_CALLS):
            await measure(others)


async def test_while_a_stranger_floods_signalling(gateway: Gateway) -> None:
    flag = trouble.event()
    invite = (
        f"INVITE sip:echo@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {STRANGER}:5060;branch=z9hG4bKflood\r\n"
        f"From: <sip:x@{STRANGER}>;tag=x\r\nTo: <sip:echo@127.0.0.1>\r\nCall-ID: flood\r\nCSeq: 1 INVITE\r\n"
        "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    async with talking(gateway, "echo", MEASURED) as others:
        with trouble.process(trouble.flood, [gateway.udp], FLOOD, STRANGER, invite.encode(), flag):
            await begun(flag)
            await measure(others)
            # A known caller is still served at once.
            async with talking(gateway, "echo", 1) as (late,):
                assert late.heard[0].at - late.dialled_at < 3.0
    assert not [call for call in gateway.calls() if call["sip_call_id"] == "flood"]


async def test_while_a_stranger_floods_the_media_ports(gateway: Gateway) -> None:
    flag = trouble.event()
    async with talking(gateway, "echo", MEASURED) as others:
        targets = [call.rtp.target for call in others]
        packet = b"\x80\x00\x00\x01\x00\x00\x00\xa0\xde\xad\xbe\xef" + b"\x55" * 160
        with trouble.process(trouble.flood, targets, FLOOD, STRANGER, packet, flag):
            await begun(flag)
            await measure(others)
        for call in others:
            assert not [packet for packet in call.packets if packet.payload == b"\x55" * 160], "a stranger is heard"


async def test_while_many_calls_come_at_once(gateway: Gateway, tmp_path: Path) -> None:
    sipp = Player(tmp_path, gateway.udp)
    async with talking(gateway, "echo", MEASURED) as others:
        measuring = asyncio.create_task(measure(others, under_way := asyncio.Event()))
        await under_way.wait()
        flow = Scenario("at-once").set_up().pause(1500).tear_down()
        played = await asyncio.to_thread(sipp.play, flow, calls=AT_ONCE, rate=1000)
        await measuring
    assert len(played.call_ids) == AT_ONCE
