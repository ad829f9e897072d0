"""One agent connection: how its ends become reasons, and what is said to it and when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from tests.support.clock import in_virtual_time
from tests.support.media import FakeEngine, FakeWire

from offhook._media import EngineConfig
from offhook.destination.base import (
    AgentAudio,
    AgentConnected,
    AgentHungUp,
    AgentLeaves,
    AgentLost,
    AgentNote,
    CallerAudio,
    Destination,
    DestinationEvent,
)
from offhook.destination.dialect.facts import AgentFacts
from offhook.destination.wire import AgentSpec, WireDestination
from offhook.errors import DestinationError
from offhook.ids import CallId
from offhook.media.leg import RtpLeg
from offhook.media.plane import MediaPlane

pytestmark = pytest.mark.unit

FACTS = AgentFacts(CallId("call"), "+14155550199", "+14155550100")


@dataclass
class Dialled:
    """A destination whose wire has been opened."""

    engine: FakeEngine
    destination: WireDestination
    leg: RtpLeg
    preparing: "asyncio.Task[None]"
    told: list[DestinationEvent] = field(default_factory=list)

    @property
    def wire(self) -> FakeWire:
        return self.engine.wires[-1]

    async def settle(self) -> None:
        await asyncio.sleep(0.01)

    async def error(self) -> DestinationError:
        """Why it can't be made ready."""
        with pytest.raises(DestinationError) as found:
            await asyncio.wait_for(self.preparing, 1)
        return found.value

    async def begin(self) -> None:
        self.wire.accept()
        if self.wire.config.subprotocols:
            self.wire.says(type="ready")
        await asyncio.wait_for(self.preparing, 1)
        self.destination.begin()
        self.told.clear()

    def of(self, kind: type) -> list[DestinationEvent]:
        return [event for event in self.told if type(event) is kind]


@asynccontextmanager
async def dialled(dialect: str = "twilio", url: str = "wss://bot.example/m?token=1") -> AsyncIterator[Dialled]:
    engine = FakeEngine()
    async with MediaPlane(EngineConfig(), engine=engine) as plane:
        leg = plane.open_leg(on_event=lambda event: None, on_error=lambda error: None)
        told: list[DestinationEvent] = []

        def listen(who: Destination, event: DestinationEvent) -> None:
            told.append(event)

        spec = AgentSpec("", dialect, url)
        destination = WireDestination("the agent", spec, plane, listen, node="edge", ready_within=20)
        preparing = asyncio.create_task(destination.prepare(leg, FACTS))
        await asyncio.sleep(0)
        yield Dialled(engine, destination, leg, preparing, told)
        preparing.cancel()
        await asyncio.gather(preparing, return_exceptions=True)
        assert plane.callback_errors == 0
    engine.dispose()


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "token"), (403, "token"), (404, "path"), (200, "no WebSocket"), (502, "not running"), (418, "")],
)
@in_virtual_time
async def test_an_http_status_is_a_refusal_with_a_hint(status: int, hint: str) -> None:
    async with dialled() as agent:
        agent.wire.refuse(status, "no\n")
        error = await agent.error()
        assert error.code == "agent_refused"
        assert f"HTTP {status}: no" in str(error)
        assert hint in error.hint


@pytest.mark.parametrize(
    ("code", "slug"), [("dns", "agent_unreachable"), ("tcp", "agent_unreachable"), ("tls", "agent_unreachable"),
                       ("timeout", "agent_unreachable"), ("upgrade", "agent_refused")],
)  # fmt: skip
@in_virtual_time
async def test_a_dial_that_fails_names_its_step(code: str, slug: str) -> None:
    async with dialled() as agent:
        agent.wire.fail(code, "what went wrong")
        error = await agent.error()
        assert (error.code, error.retryable) == (slug, True)
        assert "what went wrong" in str(error)


@in_virtual_time
async def test_an_agent_without_our_subprotocol_is_told_what_to_write_without_its_token() -> None:
    async with dialled("offhook") as agent:
        assert agent.wire.config.subprotocols == ["offhook.v1"]
        agent.wire.fail("upgrade", "it chose no subprotocol")
        error = await agent.error()
        assert error.code == "wrong_dialect"
        assert "twilio+wss://bot.example/m?…" in error.hint


@in_virtual_time
async def test_an_agent_that_shows_another_dialect_is_told_at_once() -> None:
    async with dialled("twilio") as agent:
        await agent.begin()
        agent.wire.tells("protocol_error", code="wrong_dialect", text="offhook")
        await agent.settle()
        [lost] = agent.of(AgentLost)
        assert isinstance(lost, AgentLost)
        assert lost.error.code == "wrong_dialect"
        assert "wss://bot.example/m?…" in lost.error.hint


@in_virtual_time
async def test_how_the_dial_went_is_told_with_its_steps() -> None:
    async with dialled() as agent:
        agent.wire.accept()
        await agent.preparing
        [connected] = agent.of(AgentConnected)
        assert isinstance(connected, AgentConnected)
        assert connected.intervals == {"dns_ms": 1.0, "tcp_ms": 2.0, "tls_ms": 3.0, "upgrade_ms": 4.0}
        assert connected.address == "198.51.100.7 port 443"


@pytest.mark.parametrize(("status", "good"), [(1000, True), (1005, True), (1001, False), (1006, False), (1011, False)])
@in_virtual_time
async def test_how_the_agent_closes_says_whether_it_has_ended_or_was_lost(status: int, good: bool) -> None:
    async with dialled() as agent:
        await agent.begin()
        agent.wire.ends(status, "bye")
        await agent.settle()
        [event] = agent.told
        if good:
            assert isinstance(event, AgentHungUp)
            assert event.drain
        else:
            assert isinstance(event, AgentLost)
            assert event.error.code == "agent_lost"
            assert f"closed with {status}: bye" in str(event.error)


@pytest.mark.parametrize(
    ("code", "slug"),
    [("flood", "agent_flood"), ("too_slow", "agent_too_slow"), ("protocol_error", "agent_protocol_error"),
     ("silent", "agent_lost"), ("internal_error", "internal_error")],
)  # fmt: skip
@in_virtual_time
async def test_a_close_of_the_media_core_has_its_reason(code: str, slug: str) -> None:
    async with dialled() as agent:
        await agent.begin()
        agent.wire.ends(1008, "too much", code=code)
        await agent.settle()
        [event] = agent.told
        assert isinstance(event, AgentLost)
        assert event.error.code == slug


@in_virtual_time
async def test_a_close_before_the_answer_is_no_goodbye() -> None:
    async with dialled("offhook") as agent:
        agent.wire.accept()
        agent.wire.ends(1000)
        error = await agent.error()
        assert error.code == "agent_lost"
        assert "before the call was answered" in str(error)


@in_virtual_time
async def test_ready_with_audio_that_nobody_speaks_is_an_error_of_the_agent() -> None:
    async with dialled("offhook") as agent:
        agent.wire.accept()
        agent.wire.says(type="ready", audio={"encoding": "opus", "rate": 48000})
        error = await agent.error()
        assert error.code == "agent_protocol_error"
        assert "opus" in str(error)


@in_virtual_time
async def test_a_rejection_carries_its_status_and_takes_no_fallback() -> None:
    async with dialled("offhook") as agent:
        agent.wire.accept()
        agent.wire.says(type="reject", status=480, reason="closed today")
        error = await agent.error()
        assert (error.code, error.sip_status, error.retryable) == ("agent_rejected", 480, False)


@in_virtual_time
async def test_a_hang_up_waits_for_what_was_said_or_with_now_for_nothing() -> None:
    async with dialled("offhook") as agent:
        await agent.begin()
        agent.wire.says(type="hangup")
        await agent.settle()
        agent.wire.says(type="hangup", now=True, reason="enough")
        await agent.settle()
        assert agent.told == [AgentLeaves(""), AgentHungUp("enough", drain=False)]


@in_virtual_time
async def test_an_unknown_message_is_noted_a_wrong_one_answered_and_a_thousand_bounded() -> None:
    async with dialled("offhook") as agent:
        await agent.begin()
        agent.wire.says(type="sing")
        agent.wire.says(type="reject", status=200)
        await agent.settle()
        assert len(agent.of(AgentNote)) == 2
        assert agent.wire.said[-1]["type"] == "error"
        for _ in range(1000):
            agent.wire.says(type="sing")
        await agent.settle()
        assert len(agent.of(AgentNote)) == 20


@in_virtual_time
async def test_first_audio_of_both_ways_is_told() -> None:
    async with dialled() as agent:
        await agent.begin()
        agent.wire.speaks(1)
        agent.wire.hears()
        await agent.settle()
        assert [type(event) for event in agent.told] == [AgentAudio, CallerAudio]


@in_virtual_time
async def test_twilio_is_told_in_its_order_and_numbered() -> None:
    async with dialled() as agent:
        await agent.begin()
        agent.destination.digits_masked("masked")
        agent.destination.close("caller_hung_up")
        assert agent.wire.said_types == ["connected", "start", "stop"]
        assert agent.wire.numbered == [False, True, True]
        assert agent.wire.close_asked == (1000, "caller_hung_up")


@in_virtual_time
async def test_a_twilio_bot_that_was_never_started_is_not_stopped() -> None:
    async with dialled() as agent:
        agent.wire.accept()
        await agent.preparing
        agent.destination.close("caller_cancelled")
        assert agent.wire.said == []
        assert agent.wire.close_asked == (1000, "caller_cancelled")


@in_virtual_time
async def test_it_closes_once_and_hears_nothing_afterwards() -> None:
    async with dialled("offhook") as agent:
        await agent.begin()
        agent.destination.close("gateway_shutdown")
        agent.destination.close("gateway_shutdown")
        assert agent.wire.said_types == ["ringing", "start", "end"]
        assert agent.wire.close_asked == (1001, "gateway_shutdown")
        await agent.settle()
        assert agent.told == []
        assert agent.destination.stats()["sent_messages"] == 3, "readable afterwards"


@in_virtual_time
async def test_one_that_was_never_dialled_closes() -> None:
    engine = FakeEngine()
    plane = MediaPlane(EngineConfig(), engine=engine)
    destination = WireDestination(
        "the agent", AgentSpec("", "twilio", "ws://x/"), plane, lambda who, event: None, node="edge", ready_within=20
    )
    destination.close("caller_cancelled")
    assert destination.stats() == {}
    engine.dispose()
