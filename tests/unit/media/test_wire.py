"""A wire as its agent sees it: servers of the `websockets` package, in both dialects, ws and wss."""

import asyncio
import base64
import contextlib
import http
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trustme
from tests.support.gateway import ports
from tests.support.rtp_peer import FRAME
from tests.unit.media.conftest import Call, in_order, until
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.utils import accept_key

from offhook._media import EngineConfig, MediaError, WireConfig
from offhook.destination.dialect.offhook import OFFHOOK
from offhook.destination.dialect.twilio import TWILIO
from offhook.media.plane import MediaPlane
from offhook.media.wire import Connected, Failed, Refused

pytestmark = pytest.mark.unit

STREAM = {"stream_sid": "MZ" + "0" * 32}
TONE = bytes([0x10]) * FRAME
TONE_PCM16 = struct.pack("<h", 8000) * 320  # 20 ms at 16 kHz

Talk = Callable[[ServerConnection], Awaitable[None]]


@contextlib.asynccontextmanager
async def agent(talk: Talk, **options: object) -> AsyncIterator[str]:
    """An agent's server; its URL."""
    async with serve(talk, "127.0.0.1", 0, **options) as server:  # type: ignore[arg-type]
        host, port = next(iter(server.sockets)).getsockname()[:2]
        yield f"{'wss' if options.get('ssl') else 'ws'}://{host}:{port}/media?x=1"


async def listen(agent: ServerConnection) -> None:
    """Read until the end."""
    try:
        async for _ in agent:
            pass
    except ConnectionClosed:
        pass


async def read_json(agent: ServerConnection, into: list[dict[str, object]]) -> None:
    """Read until the end and keep the text messages."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            message = await agent.recv()
            if isinstance(message, str):
                into.append(json.loads(message))


def media(payload: bytes) -> str:
    return json.dumps(
        {"event": "media", "streamSid": STREAM["stream_sid"], "media": {"payload": base64.b64encode(payload).decode()}}
    )


def mark(name: str) -> str:
    return json.dumps({"event": "mark", "streamSid": STREAM["stream_sid"], "mark": {"name": name}})


# Both dialects, both ways


async def test_a_twilio_bot_and_a_caller_hear_each_other(call: Call) -> None:
    heard: list[dict[str, object]] = []

    async def bot(agent: ServerConnection) -> None:
        assert json.loads(await agent.recv()) == {"event": "connected"}
        for number in range(50):
            await agent.send(media(bytes([1 + number]) * FRAME))
        await agent.send(mark("greeting"))
        await read_json(agent, heard)

    async with agent(bot) as url:
        wire, events = call.dial(url, TWILIO.to_json(), values=STREAM)
        wire.send_text('{"event": "connected"}')
        wire.send_text('{"event": "start", "sequenceNumber": "{sequence}"}', numbered=True)
        outcome = await wire.connected()
        assert isinstance(outcome, Connected)
        assert outcome.address == ("127.0.0.1", int(url.split(":")[2].split("/")[0]))
        assert min(outcome.tcp_ms, outcome.upgrade_ms) > 0
        assert (outcome.dns_ms, outcome.tls_ms) == (0, 0)
        await events.wait("first_audio_received")
        call.leg.connect(wire)
        call.answer()
        await call.peer.talk([bytes([0x21 + number]) * FRAME for number in range(30)])
        await call.peer.until(lambda peer: len(peer.audio) >= 50)
        assert b"".join(call.peer.audio) == b"".join(bytes([1 + number]) * FRAME for number in range(50))
        played = await call.events.wait("mark")
        assert (played.name, played.played) == ("greeting", True)
        await events.wait("first_caller_audio_sent")
        await call.peer.key(7)
        await call.events.wait("digit")
        await until(lambda: "dtmf" in [m["event"] for m in heard])
        assert [m["event"] for m in heard].count("dtmf") == 1
        assert heard[0] == {"event": "start", "sequenceNumber": "1"}
        said = [m["media"] for m in heard if m["event"] == "media"]
        voice = b"".join(base64.b64decode(m["payload"]) for m in said)  # type: ignore[call-overload]
        assert in_order([bytes([0x21 + number]) * FRAME for number in range(30)], voice) >= 20
        numbers = [int(str(m["sequenceNumber"])) for m in heard]
        assert numbers == list(range(1, len(heard) + 1))
        assert [m["mark"] for m in heard if m["event"] == "mark"] == [{"name": "greeting"}]
        wire.close()
        closed = await events.wait("closed")
        assert (closed.status, closed.clean, closed.code) == (1000, True, "requested")
        stats = wire.stats()
        assert stats.received_marks == 1
        assert stats.sent_audio_us >= 600_000


async def test_an_offhook_agent_speaks_pcm16_and_hangs_up_after_its_words(call: Call) -> None:
    heard = bytearray()

    async def bot(agent: ServerConnection) -> None:
        assert agent.subprotocol == "offhook.v1"
        await agent.send('{"type": "ready"}')
        for _ in range(25):
            await agent.send(TONE_PCM16)
        await agent.send('{"type": "mark", "name": "bye"}')
        await agent.send('{"type": "hangup"}')
        async for message in agent:
            if isinstance(message, bytes):
                heard.extend(message)

    async with agent(bot, subprotocols=["offhook.v1"]) as url:
        wire, events = call.dial(url, OFFHOOK.to_json())
        call.leg.connect(wire)
        call.answer()
        await call.peer.talk([TONE] * 20)
        asked = await call.events.wait("hang_up_requested")
        assert call.events.kinds().index("mark") < call.events.kinds().index("hang_up_requested")
        sent = await call.events.wait("first_agent_audio_sent")
        assert asked.at - sent.at > 0.25, "after the last word, of half a second"
        assert [event.text for event in events.of("text")] == ['{"type": "ready"}', '{"type": "hangup"}']
        assert len(call.peer.audio) == 25
        samples = struct.unpack(f"<{len(heard) // 2}h", heard)
        assert max(samples) > 100 or min(samples) < -100
        outcome = await wire.connected()
        assert isinstance(outcome, Connected)
        assert outcome.subprotocol == "offhook.v1"


async def test_clear_drops_what_waits_and_says_what_was_heard(call: Call) -> None:
    replies: list[dict[str, object]] = []
    interrupt = asyncio.Event()

    async def bot(agent: ServerConnection) -> None:
        await agent.send(TONE_PCM16 * 500)
        await agent.send('{"type": "mark", "name": "never"}')
        await interrupt.wait()
        await agent.send('{"type": "clear"}')
        await read_json(agent, replies)

    async with agent(bot, subprotocols=["offhook.v1"]) as url:
        wire, _ = call.dial(url, OFFHOOK.to_json())
        call.leg.connect(wire)
        call.answer()
        call.peer.send(TONE)
        await call.peer.until(lambda peer: len(peer.audio) >= 20)
        interrupt.set()
        cleared = await call.events.wait("cleared")
        await until(lambda: bool(replies))
        assert cleared.played_ms == 20 * len(call.peer.audio), "exact"
        assert [(m.name, m.played) for m in call.events.of("mark")] == [("never", False)]
        counts = {"played_ms": cleared.played_ms, "dropped_ms": cleared.dropped_ms}
        assert replies == [{"type": "cleared", **counts, "marks": ["never"]}]


async def test_an_agent_keys_digits(call: Call) -> None:
    async def bot(agent: ServerConnection) -> None:
        await agent.send('{"type": "dtmf", "digits": "42"}')
        await listen(agent)

    async with agent(bot, subprotocols=["offhook.v1"]) as url:
        call.answer()
        wire, _ = call.dial(url, OFFHOOK.to_json())
        call.leg.connect(wire)
        await call.peer.until(lambda peer: len({p.timestamp for p in peer.packets if p.payload_type == 96}) == 2)
        keyed = [packet.payload[0] for packet in call.peer.packets if packet.payload_type == 96]
        assert list(dict.fromkeys(keyed)) == [4, 2]


# How it ends


async def test_after_a_normal_close_the_rest_is_played(call: Call) -> None:
    async def bot(agent: ServerConnection) -> None:
        for _ in range(40):
            await agent.send(media(TONE))
        await agent.close(1000, "done")

    async with agent(bot) as url:
        wire, events = call.dial(url, TWILIO.to_json(), values=STREAM)
        call.leg.connect(wire)
        call.answer()
        call.leg.release()
        closed = await events.wait("closed")
        assert (closed.status, closed.clean, closed.code, closed.text) == (1000, True, None, "done")
        await call.events.wait("drained")
        assert len(call.peer.audio) == 40


@pytest.mark.parametrize("how", ["abort", 1011])
async def test_a_lost_agent_is_told_and_another_takes_over(call: Call, how: str | int) -> None:
    async def dies(agent: ServerConnection) -> None:
        await agent.send(media(TONE * 100))
        if how == "abort":
            agent.transport.abort()
        else:
            await agent.close(int(how), "crashed")

    async def lives(agent: ServerConnection) -> None:
        await agent.send(media(b"\x55" * FRAME * 10))
        await listen(agent)

    async with agent(dies) as first, agent(lives) as second:
        wire, events = call.dial(first, TWILIO.to_json(), values=STREAM)
        call.leg.connect(wire)
        call.answer()
        call.leg.release()
        closed = await events.wait("closed")
        assert (closed.status, closed.clean) == ((1006, False) if how == "abort" else (1011, True))
        call.leg.clear()
        fallback, _ = call.dial(second, TWILIO.to_json(), values=STREAM)
        call.leg.connect(fallback)
        await call.peer.until(lambda peer: sum(frame == b"\x55" * FRAME for frame in peer.audio) == 10)
        assert "drained" not in call.events.kinds()


async def test_closing_the_leg_closes_its_wire(call: Call) -> None:
    ended: asyncio.Future[tuple[int | None, str | None]] = asyncio.get_running_loop().create_future()

    async def bot(agent: ServerConnection) -> None:
        await agent.wait_closed()
        ended.set_result((agent.close_code, agent.close_reason))

    async with agent(bot) as url:
        wire, _ = call.dial(url, TWILIO.to_json(), values=STREAM)
        await wire.connected()
        call.leg.close()
        async with asyncio.timeout(30):
            assert await ended == (1000, "")


# How it does not begin


async def test_a_refused_upgrade_tells_status_and_body(call: Call) -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        assert request.path == "/media?x=1"
        assert request.headers["Authorization"] == "Bearer t"
        return connection.respond(http.HTTPStatus.FORBIDDEN, "no seat left\n")

    async with agent(listen, process_request=refuse) as url:
        wire, events = call.dial(url, TWILIO.to_json(), values=STREAM, headers=[("Authorization", "Bearer t")])
        outcome = await wire.connected()
        assert isinstance(outcome, Refused)
        assert outcome.status == 403
        assert "no seat left" in outcome.body
        assert events.kinds() == ["refused"]


async def test_a_dead_port_is_told_at_once(call: Call) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    wire, _ = call.dial(f"ws://127.0.0.1:{port}/", TWILIO.to_json(), values=STREAM)
    outcome = await wire.connected()
    assert isinstance(outcome, Failed)
    assert outcome.code == "tcp"
    assert f"127.0.0.1:{port}" in outcome.detail


async def test_a_name_is_resolved_and_every_address_tried(call: Call) -> None:
    async with agent(listen) as url:
        # Where `localhost` is ::1 as well, nobody listens there.
        wire, _ = call.dial(url.replace("127.0.0.1", "localhost"), TWILIO.to_json(), values=STREAM)
        outcome = await wire.connected()
        assert isinstance(outcome, Connected)
        assert outcome.address[0] == "127.0.0.1"
        assert outcome.dns_ms > 0


async def test_a_name_that_does_not_exist_is_told(call: Call) -> None:
    wire, _ = call.dial("ws://nobody.invalid/", TWILIO.to_json(), values=STREAM, connect_timeout_ms=4000)
    outcome = await wire.connected()
    assert isinstance(outcome, Failed)
    assert outcome.code in {"dns", "timeout"}


async def test_a_server_that_never_answers_runs_into_the_limit(call: Call) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"ws://127.0.0.1:{mute.getsockname()[1]}/"
        wire, _ = call.dial(url, TWILIO.to_json(), values=STREAM, connect_timeout_ms=500)
        outcome = await wire.connected()
        assert outcome == Failed("timeout", "the WebSocket upgrade took too long")
        given_up, events = call.dial(url, TWILIO.to_json(), values=STREAM)
        given_up.close()
        failed = await events.wait("failed")
        assert failed.code == "cancelled"


async def test_wss_is_verified_against_the_trusted_roots(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, other = trustme.CA(), trustme.CA()
    trusted.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    outcomes = []
    for authority, name in ((trusted, "127.0.0.1"), (trusted, "elsewhere.example"), (other, "127.0.0.1")):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)

        async def bot(agent: ServerConnection) -> None:
            await agent.send(media(TONE * 50))
            await listen(agent)

        async with agent(bot, ssl=context) as url:
            wire, _ = call.dial(url, TWILIO.to_json(), values=STREAM)
            outcomes.append(await wire.connected())
            if isinstance(outcomes[-1], Connected):
                call.leg.connect(wire)
                call.answer()
                await call.peer.talk([TONE] * 10)
                await call.peer.until(lambda peer: len(peer.audio) == 50)
                assert wire.stats().sent_audio_us >= 200_000
                wire.close()
    good, wrong_name, wrong_root = outcomes
    assert isinstance(good, Connected)
    assert good.tls_ms > 0
    assert isinstance(wrong_name, Failed)
    assert isinstance(wrong_root, Failed)
    assert (wrong_name.code, wrong_root.code) == ("tls", "tls")


async def test_a_bad_url_header_or_description_is_named(call: Call) -> None:
    for code, url, dialect, changes in [
        ("bad_url", "http://bot.example/", TWILIO.to_json(), {"values": STREAM}),
        ("bad_config", "ws://bot.example/", "{}", {}),
        ("bad_config", "ws://bot.example/", TWILIO.to_json(), {}),
        ("bad_config", "ws://bot.example/", TWILIO.to_json(), {"values": STREAM, "headers": [("X", "a\r\nY: b")]}),
        ("bad_config", "ws://bot.example/", TWILIO.to_json(), {"values": STREAM, "format": "opus/48000"}),
    ]:
        with pytest.raises(MediaError) as error:
            call.dial(url, dialect, **changes)
        assert error.value.code == code, changes
    assert call.plane.stats().wires == 0


async def test_a_wire_stays_on_the_thread_of_its_leg(driver: str) -> None:
    first = ports(40)
    config = EngineConfig(port_min=first, port_max=first + 39, threads=2, quarantine_ms=0, max_legs=3)
    async with MediaPlane(config) as plane, agent(listen) as url:
        one, two = (plane.open_leg(on_event=print, on_error=print) for _ in range(2))
        three = plane.open_leg(on_event=print, on_error=print, beside=one)
        with pytest.raises(MediaError) as error:
            plane.open_leg(on_event=print, on_error=print)
        assert error.value.code == "too_many"
        wire_config = WireConfig(url, TWILIO.to_json(), values=STREAM)
        wire = plane.open_wire(wire_config, leg=one, on_event=lambda _: None, on_error=print)
        assert isinstance(await wire.connected(), Connected)
        with pytest.raises(MediaError) as error:
            two.connect(wire)
        assert (error.value.code, error.value.hint) == ("wrong_thread", "open the second leg beside the first")
        one.connect(wire)
        three.connect(wire)


# What an agent may do to us


async def test_garbage_is_told_and_then_ends_the_wire(call: Call) -> None:
    async def bot(agent: ServerConnection) -> None:
        try:
            for _ in range(100):
                await agent.send("{ not json")
        except ConnectionClosed:
            pass

    async with agent(bot) as url:
        wire, events = call.dial(url, TWILIO.to_json(), values=STREAM)
        closed = await events.wait("closed")
        assert (closed.status, closed.code) == (1007, "protocol_error")
        assert {event.code for event in events.of("protocol_error")} == {"not_json"}
        assert wire.stats().received_garbage == len(events.of("protocol_error")) + 1, "the last one ends it"


async def test_a_foreign_dialect_is_named(call: Call) -> None:
    async def bot(agent: ServerConnection) -> None:
        await agent.send('{"type": "ready"}')
        await listen(agent)

    async with agent(bot) as url:
        _, events = call.dial(url, TWILIO.to_json(), values=STREAM)
        told = await events.wait("protocol_error")
        assert (told.code, told.text) == ("wrong_dialect", "offhook")


async def test_a_flood_of_messages_ends_the_wire_and_python_is_not_buried(call: Call) -> None:
    async def bot(agent: ServerConnection) -> None:
        try:
            while True:
                await agent.send('{"event": "chatter", "text": "' + "x" * 1000 + '"}')
        except ConnectionClosed:
            pass

    async with agent(bot) as url:
        _, events = call.dial(url, TWILIO.to_json(), values=STREAM, text_limit=100_000)
        closed = await events.wait("closed", within=20)
        assert closed.code == "flood"


async def test_an_agent_that_does_not_read_loses_old_audio_and_harms_nobody(call: Call) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_key(key.decode())}",
            "Sec-WebSocket-Protocol: offhook.v1",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await gone.wait()
        writer.close()

    gone = asyncio.Event()
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(deaf, sock=small, limit=1024)
    try:
        url = f"ws://127.0.0.1:{small.getsockname()[1]}/"
        wire, _ = call.dial(url, OFFHOOK.to_json(), format="pcm16/48000", send_limit=8192)
        assert isinstance(await wire.connected(), Connected)
        call.leg.connect(wire)
        call.leg.echo(True)
        call.answer()
        await call.peer.talk([TONE] * 200)
        assert wire.stats().sent_dropped_messages > 0
        await call.peer.until(lambda peer: len(peer.audio) > 100)
    finally:
        gone.set()
        server.close()
        await server.wait_closed()
