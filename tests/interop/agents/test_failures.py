"""Agents that are not there, say no, say nothing, or say too much: bounded, named in the record, and taken over."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tests.support.agent import AgentCall, agent_on, refusal
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.tone import lasting
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

pytestmark = pytest.mark.interop

PORT = ports(2)
BARE, SAVED, TWILIO, TWILIO_AS_OURS = "+14155550120", "+14155550121", "+14155550122", "+14155550123"
LATE, SILENT = "+14155550124", "+14155550125"
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "bare"
to = "{BARE}"
destination = "ws://127.0.0.1:{PORT}/agent?key=k3y"

[[route]]
name = "saved"
to = "{SAVED}"
destination = "ws://127.0.0.1:{PORT}/agent"
fallback = [{{ to = "echo:" }}]

[[route]]
name = "twilio"
to = "{TWILIO}"
destination = "twilio+ws://127.0.0.1:{PORT}/ws"

[[route]]
name = "twilio-as-ours"
to = "{TWILIO_AS_OURS}"
destination = "ws://127.0.0.1:{PORT}/ws"

[[route]]
name = "late"
to = "{LATE}"
destination = "ws://127.0.0.1:{PORT}/agent"
ring_timeout = 0.8
fallback = [{{ on = ["late"], to = "echo:" }}]

[[route]]
name = "silent"
to = "{SILENT}"
destination = "agent:silent"

[[agent]]
name = "silent"
kind = "offhook"
url = "ws://127.0.0.1:{PORT}/agent"
connect_timeout = 0.5
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("failures"), TOML) as running:
        yield running


async def is_saved(call: PhoneCall) -> None:
    """The fallback has the caller: what is said comes back."""
    await call.answered()
    call.say(lasting(600))
    await call.hears(600, frames=10)
    call.hang_up()


async def ready(bot: AgentCall) -> None:
    await bot.text("ringing")
    await bot.say(type="ready", audio={"encoding": "pcm16", "rate": 48000})


@pytest.mark.parametrize(
    ("status", "body", "said", "hint"),
    [
        (401, "who are you", "who are you", "token"),
        (404, "no such bot", "no such bot", "path"),
        (200, "<html><body>hello</body></html>", "HTTP 200: hello.", "no WebSocket"),
        (503, "too many calls", "too many calls", "overloaded"),
    ],
)
async def test_a_refused_upgrade_is_told_with_its_status_and_words(
    gateway: Gateway, status: int, body: str, said: str, hint: str
) -> None:
    async with agent_on(PORT, "offhook", answer=refusal(status, body)), PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, BARE)
        final = await call.final()
        assert final.status == 480
        assert 'text="agent_refused"' in final.headers["reason"]
        saved = phone.dial(gateway.udp, SAVED)
        await is_saved(saved)
    record = gateway.record(call.call_id)
    assert (record["end_reason"], record["fault"], record["sip_status"]) == ("agent_refused", "agent", 480)
    assert f"HTTP {status}" in record["end_detail"]
    assert said in record["end_detail"]
    assert hint in record["end_detail"]
    assert "k3y" not in json.dumps(record), "a key in a URL is not for the record"


async def test_nobody_listens(gateway: Gateway) -> None:
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, BARE)
        assert (await call.final()).status == 480
        saved = phone.dial(gateway.udp, SAVED)
        await is_saved(saved)
    record = gateway.record(call.call_id)
    assert (record["end_reason"], record["fault"]) == ("agent_unreachable", "agent")
    assert "refused" in record["end_detail"]


async def test_an_agent_that_never_answers_the_upgrade_has_its_own_limit(gateway: Gateway) -> None:
    async with mute_server(), PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, SILENT)
        final = await call.final()
        assert final.status == 480
        assert 0.4 < final.at - call.dialled_at < 15
    record = gateway.record(call.call_id)
    assert record["end_reason"] == "agent_unreachable"
    assert "upgrade" in record["end_detail"]


async def test_an_agent_that_does_not_get_ready_is_late(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, LATE)
        bot = await agent.call()
        assert (await bot.text("ringing"))["ready_within_ms"] == 800
        answer = await call.answered()
        assert 0.7 < answer.at - call.dialled_at < 15
        assert (await bot.text("end"))["reason"] == "agent_late"
        await is_saved(call)
    explained = gateway.explained(call.call_id)
    assert explained["call"]["destination"] == "echo:"
    assert any("failed (late)" in entry.get("note", "") for entry in explained["timeline"]["entries"])


async def test_a_twilio_bot_that_is_dialled_as_ours_is_told_what_to_write(gateway: Gateway) -> None:
    async with agent_on(PORT, "twilio"), PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, TWILIO_AS_OURS)
        assert (await call.final()).status == 480
    record = gateway.record(call.call_id)
    assert (record["end_reason"], record["fault"]) == ("wrong_dialect", "operator")
    assert f"twilio+ws://127.0.0.1:{PORT}/ws" in record["end_detail"]


async def test_our_own_agent_that_is_dialled_as_twilio_is_told_so_too(gateway: Gateway) -> None:
    async with agent_on(PORT, "twilio") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, TWILIO)
        bot = await agent.call()
        await bot.text("start")
        await bot.socket.send('{"type": "ready"}')
        await call.hung_up()
    record = gateway.record(call.call_id)
    assert record["end_reason"] == "wrong_dialect"
    assert "'offhook'" in record["end_detail"]


async def test_garbage_is_counted_and_then_closed(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, BARE)
        bot = await agent.call()
        await ready(bot)
        await call.answered()
        await bot.socket.send("this is no JSON")
        assert (await bot.text("error"))["code"] == "not_json"
        with suppress(ConnectionClosed):
            for number in range(30):
                await bot.socket.send(f'{{"type": {number}}}')
        code, why = await bot.over()
        assert code in (1003, 1007, 1008), why
        await call.hung_up()
    record = gateway.record(call.call_id)
    assert (record["end_reason"], record["fault"]) == ("agent_protocol_error", "agent")
    assert record["wire"]["received_garbage"] > 20


async def test_a_message_without_end_is_refused(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, SAVED)
        bot = await agent.call()
        await ready(bot)
        await call.answered()
        with suppress(ConnectionClosed):
            await bot.socket.send(b"\0" * (2 << 20))
        assert (await bot.over())[0] == 1009
        await is_saved(call)
    assert gateway.record(call.call_id)["destination"] == "echo:"


async def test_broken_frames_are_a_protocol_error(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, BARE)
        bot = await agent.call()
        await ready(bot)
        await call.answered()
        # A server must not mask, and the reserved bits are nobody's.
        bot.socket.transport.write(b"\xf1\x85\x00\x00\x00\x00hello")
        assert (await bot.over())[0] == 1002
        await call.hung_up()
    assert gateway.record(call.call_id)["end_reason"] == "agent_protocol_error"


async def test_floods_of_audio_and_of_messages_end_the_agent_not_the_caller(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        for message in (b"\0" * 65_536, '{"type": "mark", "name": "m"}'):
            call = phone.dial(gateway.udp, SAVED)
            bot = await agent.call()
            await ready(bot)
            await call.answered()
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(flood(bot, message), 60)
            assert (await bot.over())[0] == 1008, "and it is told why"
            await is_saved(call)
            explained = gateway.explained(call.call_id)
            assert "flood" in loss(explained)
            assert explained["call"]["media"]["sent_packets"] > 0


async def test_an_agent_that_does_not_read_is_given_up_and_the_caller_kept(gateway: Gateway) -> None:
    async with slow_agent() as accepted, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, SAVED)
        await accepted.wait()
        await call.answered()
        # Its buffers fill, the oldest audio is dropped, and after ten seconds of that the fallback takes the caller.
        call.say(lasting(600))
        await call.hears(600, frames=10, within=60)
        assert call.is_up
        call.hang_up()
    explained = gateway.explained(call.call_id)
    assert "too_slow" in loss(explained)
    assert explained["call"]["wire"]["sent_dropped_messages"] > 100


async def flood(bot: AgentCall, message: str | bytes) -> None:
    while True:
        await bot.socket.send(message)
        # A send that does not block gives nobody else a turn, the reader of the gateway's close neither.
        await asyncio.sleep(0)


def loss(explained: dict[str, Any]) -> str:
    """The timeline's word on how the agent was lost."""
    notes = (str(entry.get("note", "")) for entry in explained["timeline"]["entries"])
    return next(note for note in notes if "failed (lost)" in note)


@asynccontextmanager
async def mute_server() -> AsyncIterator[None]:
    """A server that takes connections and says nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", PORT)
    try:
        yield
    finally:
        server.close()


@asynccontextmanager
async def slow_agent() -> AsyncIterator[asyncio.Event]:
    """An agent that takes the call and then never reads again, with a small socket buffer so that it shows soon."""
    accepted = asyncio.Event()
    held: list[Any] = []

    def look(connection: ServerConnection, request: Request) -> None:
        held.append(connection)

    async with agent_on(PORT, "offhook", answer=look, buffer=4096) as agent:

        async def take() -> None:
            bot = await agent.call()
            await ready(bot)
            bot.socket.transport.pause_reading()
            accepted.set()

        task = asyncio.create_task(take())
        try:
            yield accepted
        finally:
            task.cancel()
            for connection in held:
                connection.transport.abort()
