"""Our signalling against sipp, as callee and as caller, over UDP and TCP."""

import asyncio
import contextlib
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.gateway import ports
from tests.support.messages import SDP
from tests.support.stack import Running, running

from offhook.sip.digest import Credentials
from offhook.sip.events import Answered, Event, HungUp, InfoReceived, InviteReceived, Refused, Reinvited
from offhook.sip.timers import TimerValues
from offhook.sip.uri import parse_uri
from offhook.sip.user_agent import UserAgentConfig
from offhook.transport.limits import TransportLimits

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent
TRANSPORTS = {"udp": "u1", "tcp": "t1"}


@contextlib.asynccontextmanager
async def sipp(*arguments: str) -> AsyncIterator["asyncio.subprocess.Process"]:
    """A sipp process; what it still does at the end of the block is ended."""
    assert shutil.which("sipp"), "sipp is missing: sudo apt-get install sip-tester"
    process = await asyncio.create_subprocess_exec(
        "sipp", *arguments, "-nostdin", "-i", "127.0.0.1",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def act(node: Running) -> None:
    """Answer by the user that was called."""

    def on_event(event: Event, now: float) -> None:
        match event:
            case InviteReceived(session, request):
                user = getattr(request.request_uri, "user", "")
                session.ring(now=now)
                if user == "busy":
                    session.reject(486, now=now)
                elif user == "brief":
                    session.answer(SDP, now=now)
                    session.hang_up(now=now)
                elif user != "ring":
                    session.answer(SDP, now=now)
            case Reinvited(session):
                session.answer_reinvite(SDP, now=now)
            case InfoReceived(session):
                session.answer_info(now=now)
            case Answered(session):
                session.hang_up(now=now)

    node.on_event = on_event


def node(**timers: float) -> "contextlib.AbstractAsyncContextManager[Running]":
    config = UserAgentConfig(timers=TimerValues(**timers))
    return running("udp://127.0.0.1:0", "tcp://127.0.0.1:0", limits=TransportLimits(), config=config)


async def finished(process: "asyncio.subprocess.Process", within: float = 25.0) -> int:
    async with asyncio.timeout(within):
        return await process.wait()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("calls", ["uac", "caller_cancels", "reinvite_and_info", "callee_hangs_up"])
async def test_sipp_calls_us(calls: str, transport: str) -> None:
    scenario = ["-sn", "uac"] if calls == "uac" else ["-sf", str(HERE / f"{calls}.xml")]
    service = "brief" if calls == "callee_hangs_up" else "bob"
    async with node() as us:
        act(us)
        options = [
            "-t",
            TRANSPORTS[transport],
            "-p",
            str(ports(1)),
            "-s",
            service,
            "-m",
            "30",
            "-r",
            "60",
            "-d",
            "50",
        ]
        async with sipp(*scenario, *options, f"127.0.0.1:{us.port(transport)}") as process:
            assert await finished(process) == 0
        await us.until(lambda: us.user_agent.open_dialogs == 0)
        assert len([event for event in us.events if isinstance(event, InviteReceived)]) == 30


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_sipp_never_acknowledges(transport: str) -> None:
    async with node(t1=0.05, t2=0.4) as us:
        act(us)
        options = ["-t", TRANSPORTS[transport], "-p", str(ports(1)), "-m", "3", "-r", "10", "-nr"]
        script = str(HERE / "ack_never_comes.xml")
        async with sipp("-sf", script, *options, f"127.0.0.1:{us.port(transport)}") as process:
            assert await finished(process) == 0
        kinds = Counter(type(event).__name__ for event in us.events)
        assert (kinds["AckMissing"], kinds["HungUp"]) == (3, 3)
        assert us.user_agent.open_dialogs == 0


@pytest.mark.timeout(120)
async def test_sipp_loses_every_sixth_message() -> None:
    async with node(t1=0.1) as us:
        act(us)
        options = ["-p", str(ports(1)), "-s", "bob", "-m", "40", "-r", "40", "-d", "200", "-lost", "16"]
        async with sipp("-sn", "uac", *options, f"127.0.0.1:{us.port('udp')}") as process:
            # What sipp loses it draws unseeded, and now and then that is all copies of one message (1: a call failed):
            # it repeats a request for half a minute (64 * T1) before it gives up, an INVITE and then a BYE.
            assert await finished(process, within=80) in (0, 1)
        assert us.user_agent.counters["absorbed_requests"] > 0
        assert us.user_agent.counters["session_faults"] == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_we_call_sipp(transport: str) -> None:
    port = ports(1)
    async with sipp("-sn", "uas", "-t", TRANSPORTS[transport], "-p", str(port), "-m", "20"), node() as us:
        act(us)
        await asyncio.sleep(0.5)
        uri = parse_uri(f"sip:bob@127.0.0.1:{port};transport={transport}")
        for _ in range(20):
            us.stack.perform(
                lambda now: us.user_agent.invite(uri, "<sip:us@127.0.0.1>", f"<{uri}>", SDP, now, peer=us.peer)
            )
        await us.until(
            lambda: len([e for e in us.events if isinstance(e, HungUp) and e.response is not None]) == 20, 10
        )


@pytest.mark.parametrize(("password", "ends"), [("schmo", HungUp), ("wrong", Refused)])
async def test_sipp_asks_for_credentials(password: str, ends: type) -> None:
    port = ports(1)
    script = str(HERE / "uas_challenges.xml")
    async with sipp("-sf", script, "-p", str(port), "-m", "1"), node() as us:
        act(us)
        await asyncio.sleep(0.5)
        uri = parse_uri(f"sip:bob@127.0.0.1:{port}")
        credentials = Credentials("joe", password, frozenset({"127.0.0.1"}))
        us.stack.perform(
            lambda now: us.user_agent.invite(
                uri, "<sip:us@127.0.0.1>", f"<{uri}>", SDP, now, peer=us.peer, credentials=credentials
            )
        )
        await us.told(ends, within=10)
