"""The SDK's worker against a gateway of the test's own, over real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.fake_gateway import RATE, FakeCall, FakeGateway, fake_gateway
from tests.support.gateway import ports
from tests.support.speech_engines import ToldEars, ToneVoice, sine

from offhook.agent import Agent, Call, Said, Turn
from offhook.agent.watchdog import Watchdog
from offhook.agent.worker import Gateway, Refused, Worker

pytestmark = pytest.mark.interop


@asynccontextmanager
async def working(agent: Agent, gateway: FakeGateway) -> AsyncIterator[Worker]:
    """A worker of the agent, connected; stopped at the end."""
    worker = Worker(agent, Gateway.of(gateway.url, gateway.token), chance=lambda: 0.0)
    running = asyncio.create_task(worker.run())
    try:
        await gateway.ready()
        yield worker
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_a_worker_says_who_it_is_and_opens_a_connection_for_each_thread() -> None:
    agent = Agent("front", greeting="Hello.", tts=ToneVoice(), max_calls=7)
    async with fake_gateway(connections=3) as gateway, working(agent, gateway):
        hello = gateway.sessions[0]
        assert (hello["name"], hello["max_calls"], hello["credit_ms"]) == ("front", 7, 1000)
        assert hello["software"].startswith("offhook ")
        assert sorted(gateway.wires) == [0, 1, 2]
        assert {request.headers["Sec-WebSocket-Protocol"] for request in gateway.requests} == {"offhook.worker.v1"}
        assert gateway.requests[0].path == "/v1/worker"


def kinds(call: FakeCall) -> list[str]:
    """What the agent has said to the gateway, but for what it tells of in words."""
    return [message["type"] for message in call.messages if message["type"] != "transcript"]


async def test_a_whole_call() -> None:
    ears = ToldEars()
    agent = Agent("front", greeting="Hello, how can I help?", stt=ears, tts=ToneVoice())
    over: list[Call] = []
    said: list[Said] = []

    @agent.on_ringing
    async def ringing(call: Call) -> None:
        call.data["account"] = call.headers["X-Account"]

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        said.append(await call.say(f"You said: {turn.text}"))
        await call.hang_up("all is said")

    @agent.on_hangup
    async def on_hangup(call: Call) -> None:
        over.append(call)

    async with fake_gateway(speed=4) as gateway, working(agent, gateway) as worker:
        call = gateway.wires[0].ring()
        assert await call.text("ready") == {"type": "ready", "audio": {"encoding": "pcm16", "rate": RATE}}
        call.start()
        assert (await call.text("mark"))["name"] == "u1", "the greeting is all sent"
        assert bytes(call.sound) == sine(RATE, 1000)
        await asyncio.sleep(0.4)
        call.say(type="speech_started", since_ms=0, at_ms=100)
        call.hears(bytes(RATE))
        await gateway.until(lambda: len(ears.listening[0].sound) == RATE, what="sound")
        ears.starts()
        ears.stops("hello")
        call.say(type="speech_ended", since_ms=300, at_ms=600)
        assert (await call.text("hangup")) == {"type": "hangup", "now": False, "reason": "all is said"}
        await gateway.until(lambda: call.close is not None, what="close")
        assert call.close == (1000, "")
        await worker.idle()
        assert said == [Said("You said: hello", False, 600)]
        assert over[0].end_reason == "agent_hung_up"
        assert over[0].data == {"account": "77"}
        assert (over[0].from_number, over[0].to_number, over[0].id) == ("+14155550100", "+14155550123", "call-0-1")
        assert kinds(call) == ["ready", "mark", "mark", "hangup"]


async def test_an_interruption_by_the_gateway_says_what_was_heard() -> None:
    agent = Agent("front", tts=ToneVoice(), barge_in="clear")
    said: list[Said] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        said.append(await call.say("One two three four. Five six seven eight nine ten."))
        said.append(await call.say("And more."))

    async with fake_gateway() as gateway, working(agent, gateway):
        call = gateway.wires[0].ring(barge_in="duck-then-decide")
        await call.text("ready")
        call.start()
        await call.text("utterance_end")
        assert call.of("utterance") == [
            {
                "type": "utterance",
                "id": "u1",
                "text": "One two three four.",
                "word_ends_ms": [200, 400, 600, 800],
                "barge_in": "clear",
            },
            {
                "type": "utterance",
                "id": "u1",
                "text": "Five six seven eight nine ten.",
                "word_ends_ms": [200, 400, 600, 800, 1000, 1200],
                "barge_in": "clear",
            },
        ]
        call.cut(utterance="u1", played_ms=1240, dropped_ms=760, text_heard="", unheard=[])
        assert (await call.text("utterance", 3))["id"] == "u2"
        await call.text("hangup")
        assert said == [Said("One two three four. Five six", True, 1240), Said("And more.", False, 400)]
        assert kinds(call)[1:] == [
            *["utterance", "utterance", "utterance_end", "mark", "utterance_end"],
            *["utterance", "utterance_end", "mark", "hangup"],
        ]


async def test_where_the_gateway_does_not_judge_the_agent_clears() -> None:
    agent = Agent("front", tts=ToneVoice())
    said: list[Said] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        said.append(await call.say("One."))
        said.append(await call.say(" ".join(["word"] * 30)))

    async with fake_gateway() as gateway, working(agent, gateway):
        call = gateway.wires[0].ring()
        await call.text("ready")
        call.start()
        await call.text("mark", 2)
        await asyncio.sleep(0.5)
        call.say(type="speech_started", since_ms=0, at_ms=100)
        await call.text("clear")
        await call.text("hangup")
        assert said[0] == Said("One.", False, 200)
        assert said[1].interrupted
        assert said[1].played_ms == call.cleared[0]["played_ms"] - 200 >= 450, "without what was said before it"
        assert len(said[1].heard.split()) == pytest.approx(said[1].played_ms / 200, abs=1)


async def test_credit_is_given_as_sound_is_heard_and_a_gap_is_silence() -> None:
    ears = ToldEars()
    agent = Agent("front", stt=ears, tts=ToneVoice())

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None: ...

    async with fake_gateway() as gateway, working(agent, gateway):
        call = gateway.wires[0].ring()
        await call.text("ready")
        call.start()
        assert call.credit_ms == 1000
        call.hears(sine(RATE, 1000))
        await gateway.until(lambda: call.credit_ms == 2000, what="credit")
        call.skip(100)
        call.hears(sine(RATE, 200))
        await gateway.until(lambda: call.credit_ms >= 2200, what="credit")
        heard = bytes(ears.listening[0].sound)
        assert heard == sine(RATE, 1000) + bytes(RATE // 5) + sine(RATE, 200)


async def test_more_calls_than_it_takes_are_declined_and_rejected_ones_are_rejected() -> None:
    agent = Agent("front", tts=ToneVoice(), max_calls=1)

    @agent.on_ringing
    async def ringing(call: Call) -> None:
        if call.from_number == "+1999":
            await call.reject(486, "not now")

    @agent.on_call
    async def on_call(call: Call) -> None:
        await call.wait_until_over()

    async with fake_gateway() as gateway, working(agent, gateway) as worker:
        refused = gateway.wires[0].ring(from_number="+1999")
        assert await refused.text("reject") == {"type": "reject", "reason": "not now", "status": 486}
        await worker.idle()
        first = gateway.wires[0].ring()
        await first.text("ready")
        second = gateway.wires[0].ring()
        assert (await second.text("decline"))["reason"] == "this worker has 1 calls"
        first.hang_up()
        await worker.idle()
        third = gateway.wires[0].ring()
        await third.text("ready")


async def test_a_handler_that_fails_gives_its_call_to_the_fallback_and_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = Agent("front", tts=ToneVoice(), apology=None)

    @agent.on_dtmf
    async def on_dtmf(call: Call, digit: str) -> None:
        raise ZeroDivisionError(digit)

    @agent.on_call
    async def on_call(call: Call) -> None:
        await call.wait_until_over()

    async with fake_gateway() as gateway, working(agent, gateway) as worker:
        calls = [gateway.wires[0].ring() for _ in range(3)]
        for call in calls:
            await call.text("ready")
            call.start()
        calls[1].press("5")
        await gateway.until(lambda: calls[1].close, what="close")
        assert calls[1].close == (1011, "the agent failed")
        assert [call.close for call in calls] == [None, (1011, "the agent failed"), None]
        async with asyncio.timeout(30):
            while worker.calls != 2:  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0.01)
    assert "ZeroDivisionError: 5" in caplog.text


async def test_a_lost_connection_is_opened_again_and_a_lost_gateway_greeted_again() -> None:
    agent = Agent("front", tts=ToneVoice())
    ended: list[str | None] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        await call.wait_until_over()

    @agent.on_hangup
    async def on_hangup(call: Call) -> None:
        ended.append(call.end_reason)

    async with fake_gateway(connections=2) as gateway, working(agent, gateway) as worker:
        call = gateway.wires[1].ring()
        await call.text("ready")
        call.start()
        gateway.wires[1].socket.transport.abort()
        await gateway.until(lambda: 1 not in gateway.wires)
        await gateway.until(lambda: 1 in gateway.wires, what="connection 1")
        async with asyncio.timeout(30):
            while not ended:  # noqa: ASYNC110  a list tells nobody
                await asyncio.sleep(0.01)
        assert ended == ["connection_lost"]
        assert len(gateway.sessions) == 1
        for wire in list(gateway.wires.values()):
            wire.socket.transport.abort()
        await gateway.until(lambda: len(gateway.sessions) == 2, what="hello")
        await gateway.ready()
        assert worker.calls == 0


async def test_the_gateway_may_come_later_than_the_worker() -> None:
    agent = Agent("front", tts=ToneVoice())
    port = ports(1)
    worker = Worker(agent, Gateway.of(f"http://127.0.0.1:{port}", "secret"), chance=lambda: 0.0)
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.2)
    async with fake_gateway(port=port) as gateway:
        await gateway.ready()
        running.cancel()
        await asyncio.wait({running})


@pytest.mark.parametrize(
    ("token", "name", "code"), [("wrong", "front", "wrong_token"), ("secret", "nobody", "wrong_name")]
)
async def test_what_no_second_try_would_change_is_said_at_once(token: str, name: str, code: str) -> None:
    async with fake_gateway() as gateway:
        worker = Worker(Agent(name, tts=ToneVoice()), Gateway.of(gateway.url, token))
        with pytest.raises(Refused) as refused:
            await worker.run()
        assert refused.value.code == code
        assert refused.value.hint


async def test_draining_takes_no_new_calls_and_ends_with_the_last_one() -> None:
    agent = Agent("front", tts=ToneVoice())

    @agent.on_call
    async def on_call(call: Call) -> None:
        await call.wait_until_over()

    async with fake_gateway() as gateway:
        worker = Worker(agent, Gateway.of(gateway.url, gateway.token))
        running = asyncio.create_task(worker.run())
        await gateway.ready()
        call = gateway.wires[0].ring()
        await call.text("ready")
        call.start()
        worker.drain()
        await gateway.until(lambda: {"type": "drain"} in gateway.wires[0].texts, what="drain")
        late = gateway.wires[0].ring()
        await late.text("decline")
        await asyncio.sleep(0.05)
        assert not running.done()
        wire = gateway.wires[0]
        call.hang_up()
        await asyncio.wait_for(running, 30)
        await gateway.until(lambda: wire.socket.protocol.close_code == 1000, what="close")


async def test_stopping_hangs_up_on_its_calls() -> None:
    agent = Agent("front", tts=ToneVoice())

    begun = asyncio.Event()

    @agent.on_call
    async def on_call(call: Call) -> None:
        begun.set()
        await call.wait_until_over()

    async with fake_gateway() as gateway:
        async with working(agent, gateway):
            call = gateway.wires[0].ring()
            await call.text("ready")
            call.start()
            await asyncio.wait_for(begun.wait(), 30)
        await gateway.until(lambda: call.of("hangup"), what="hangup")
        assert call.of("hangup") == [{"type": "hangup", "now": True}]


async def test_a_handler_that_blocks_is_named_and_the_gateway_is_not_given_up() -> None:
    agent = Agent("front", tts=ToneVoice())
    blocked: list[tuple[float, str, str]] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        time.sleep(0.8)  # noqa: ASYNC251  what a user does
        await call.say("Back again.")

    async with fake_gateway() as gateway:
        with Watchdog(lambda *what: blocked.append(what)):
            async with working(agent, gateway):
                call = gateway.wires[0].ring()
                await call.text("ready")
                call.start()
                await call.text("hangup")
        assert len(gateway.sessions) == 1
    # A machine that stands still may block it, too.
    [(seconds, where, _)] = [what for what in blocked if "time.sleep(0.8)" in what[2]]
    assert seconds > 0.7
    assert "on_call" in where


async def test_garbage_of_a_gateway_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    agent = Agent("front", tts=ToneVoice())

    @agent.on_call
    async def on_call(call: Call) -> None:
        await call.wait_until_over()

    async with fake_gateway() as gateway, working(agent, gateway):
        wire = gateway.wires[0]
        call = wire.ring()
        await call.text("ready")
        for message in (
            b"\x02",
            b"\x02\x00\xff\xff" + bytes(8),
            b"\x63" + bytes(11),
            "{",
            "[]",
            '{"type": "?"}',
        ):
            wire.send(message)
        call.say(type="nonsense")
        call.say(type="speech_started", since_ms="x")
        again = wire.ring()
        await again.text("ready")
        assert len(gateway.sessions) == 1
    assert "can't be understood" in caplog.text
