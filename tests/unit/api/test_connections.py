"""Who holds connections of the HTTP server, or sends without end: cut off, told, and in nobody's way."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from uvicorn.server import ServerState

from offhook.api.body import body_of
from offhook.api.connections import RULE, HttpBounds, HttpConnection, HttpConnections
from offhook.api.upgrade import upgrade_protocol

pytestmark = pytest.mark.unit

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
BOUNDS = HttpBounds(connections=6, unfinished=3)


class Wire(asyncio.Transport):
    """A transport that notes what is written. `unread` is what the peer has left there."""

    def __init__(self, source: str) -> None:
        super().__init__({"peername": (source, 40_000), "sockname": ("192.0.2.1", 8080)})
        self.sent = b""
        self.unread = 0
        self.is_cut_off = self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.is_closed or self.is_cut_off

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_cut_off = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"hello {len(await body_of(request, 1 << 20) or b'')}")


class Server:
    def __init__(self, bounds: HttpBounds = BOUNDS) -> None:
        self.now = 100.0
        self.refused: list[str] = []
        self.connections = HttpConnections(self._told, now=lambda: self.now, bounds=bounds)
        app = Starlette(routes=[Route("/", hello, methods=["GET", "POST"])])
        ws = cast(type[asyncio.Protocol], upgrade_protocol({}))
        self._config = uvicorn.Config(app, log_config=None, lifespan="off", http="httptools", ws=ws)
        self._config.load()
        self._state = ServerState()

    def _told(self, source: str, rule: str, why: str) -> None:
        assert rule == RULE
        self.refused.append(f"{source}: {why.removeprefix('an HTTP connection was cut off: ')}")

    def connect(self, source: str = "192.0.2.7") -> tuple[Wire, Callable[[bytes | None], None]]:
        """A connection, and what sends on it; None breaks it off."""
        wire = Wire(source)
        settings: dict[str, Any] = {"config": self._config, "server_state": self._state, "app_state": {}}
        connection: HttpConnection = self.connections.protocol(**settings)
        connection.connection_made(wire)

        def send(data: bytes | None) -> None:
            if data is None:
                connection.connection_lost(ConnectionResetError())
            elif not wire.is_closing():
                connection.data_received(data)

        return wire, send

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds
        self.connections.sweep()


async def answered(wire: Wire) -> bytes:
    for _ in range(20):
        await asyncio.sleep(0)
    return wire.sent


@pytest.mark.parametrize("said", [HEAD, b"GET /", b"\r\n", b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\nabc"])
async def test_half_a_request_is_not_waited_for_however_it_drips(said: bytes) -> None:
    server = Server()
    wire, send = server.connect()
    send(said)
    for _ in range(20):
        server.pass_seconds(1)
        assert not wire.is_cut_off
        send(b"\r\n" if said == b"\r\n" else b"a" if said != HEAD else b"A: b\r\n")
    server.pass_seconds(1)
    assert wire.is_cut_off
    assert server.refused == ["192.0.2.7: a request was not whole after 20 s"]


async def test_one_that_never_says_a_word_is_closed_and_makes_no_noise() -> None:
    server = Server()
    wire, _ = server.connect()
    server.pass_seconds(21)
    assert wire.is_cut_off
    assert (server.refused, len(server.connections)) == ([], 0)


async def test_among_many_half_requests_a_whole_one_is_answered() -> None:
    server = Server()
    slow = []
    for _ in range(5):
        wire, send = server.connect("192.0.2.66")
        send(HEAD)
        slow.append(wire)
    wire, send = server.connect()
    send(HEAD + b"\r\n")
    assert b"hello 0" in await answered(wire)
    assert [other.is_cut_off for other in slow] == [True, True, True, False, False]
    assert len(server.refused) == 3
    assert all("192.0.2.66: 3 others had no whole request" in told for told in server.refused)


async def test_there_are_never_more_connections_than_the_bound() -> None:
    server = Server()
    for _ in range(6):
        wire, send = server.connect()
        send(HEAD + b"\r\n")
        await answered(wire)
    wire, _ = server.connect()
    assert wire.is_cut_off
    assert server.refused == ["192.0.2.7: 6 connections are open, as many as there may be"]
    assert len(server.connections) == 6


@pytest.mark.parametrize(
    "endless",
    [
        HEAD + b"A: " + b"a" * 40_000,
        HEAD + b"A: b\r\n" * 8_000,
        b"GET /" + b"a" * 40_000,
        HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nA: " + b"a" * 40_000,
    ],
)
async def test_a_head_without_end_is_refused(endless: bytes) -> None:
    server = Server()
    wire, send = server.connect()
    for start in range(0, len(endless), 1_000):
        send(endless[start : start + 1_000])
    assert wire.is_cut_off
    assert wire.sent.startswith(b"HTTP/1.1 431 ")
    assert server.refused == ["192.0.2.7: the head of a request had more than 32768 bytes"]


async def test_a_body_without_end_is_cut_off_and_one_that_is_read_here_is_not() -> None:
    server = Server()
    wire, send = server.connect()
    send(HEAD.replace(b"GET", b"POST") + b"Content-Length: 262144\r\n\r\n" + b"a" * 262_144)
    assert b"hello 262144" in await answered(wire)
    send(HEAD.replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(600):
        send(b"1;" + b"x" * 1_000 + b"\r\na\r\n")
    assert wire.is_cut_off
    assert server.refused == ["192.0.2.7: a request had more than 524288 bytes"]


async def test_an_answer_that_nobody_reads_does_not_lie_there_for_ever() -> None:
    server = Server()
    wire, send = server.connect()
    send(HEAD + b"\r\n")
    await answered(wire)
    wire.unread = 1
    server.pass_seconds(1)
    server.pass_seconds(30)
    assert not wire.is_cut_off
    server.pass_seconds(1)
    assert wire.is_cut_off
    assert len(server.connections) == 0


async def test_many_requests_one_after_the_other_are_each_within_the_bounds() -> None:
    server = Server()
    wire, send = server.connect()
    for number in range(100):
        send(HEAD + b"A: " + b"a" * 20_000 + b"\r\n\r\n")
        assert (await answered(wire)).count(b"hello") == number + 1
        server.pass_seconds(15)
    assert server.refused == []


async def test_a_connection_that_became_a_websocket_is_somebody_elses() -> None:
    server = Server()
    wire, send = server.connect()
    send(HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert len(server.connections) == 0
    assert wire.sent.startswith(b"HTTP/1.1 404 ")


async def test_who_goes_away_in_the_middle_of_a_body_is_no_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    wire, send = server.connect()
    send(HEAD.replace(b"GET", b"POST") + b"Content-Length: 100\r\n\r\nabc")
    assert await answered(wire) == b""
    send(None)
    assert await answered(wire) == b""
    assert [record.getMessage() for record in caplog.records] == []
    assert len(server.connections) == 0
