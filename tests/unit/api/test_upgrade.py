"""Requests for a WebSocket: read, judged, and answered as RFC 6455 has it, over a socket of their own."""

import asyncio
import json
import os
import socket
from http import HTTPStatus

import pytest
from starlette.applications import Starlette

from offhook.api.server import HttpServer
from offhook.api.upgrade import Accepted, Declined, UpgradeRequest, acceptance, read_request, refusal

pytestmark = pytest.mark.unit

REQUEST = (
    "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: {version}\r\nAuthorization: Bearer  s3cret \r\n"
    "Sec-WebSocket-Protocol: one, two\r\n\r\n"
)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.rfc(6455, "4.2.2")
def test_the_key_of_section_1_3_has_the_answer_of_the_rfc() -> None:
    head = acceptance(KEY, "one").decode()
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
    assert "Sec-WebSocket-Protocol: one\r\n" in head
    assert head.endswith("\r\n\r\n")


def test_a_request_is_read() -> None:
    request = read_request(REQUEST.format(target="/a?b=c%20d&e", key=KEY, version=13).encode(), "192.0.2.1")
    assert (request.path, request.query, request.source) == ("/a", {"b": "c d"}, "192.0.2.1")
    assert (request.subprotocols, request.bearer) == (("one", "two"), "s3cret")
    assert read_request(b"", "").path == "/"
    for odd in ("//[", "http://[/w", "//[/v1/worker", "*"):
        assert read_request(REQUEST.format(target=odd, key=KEY, version=13).encode(), "").path in ("", "*")
    assert read_request(b"GET /?" + b"a=1&" * 100 + b" HTTP/1.1\r\n\r\n", "").query == {}
    assert UpgradeRequest("/", {}, {"authorization": "Basic x"}, "").bearer is None


def test_a_refusal_is_json_of_the_four_fields() -> None:
    head, _, body = refusal(
        Declined(HTTPStatus.UNAUTHORIZED, "wrong_token", "no", "yes", "Authorization", {"WWW-Authenticate": "Bearer"})
    ).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"WWW-Authenticate: Bearer" in head
    assert json.loads(body) == {"code": "wrong_token", "message": "no", "hint": "yes", "field": "Authorization"}


async def ask(address: tuple[str, int], target: str, *, key: str = KEY, version: int = 13) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(REQUEST.format(target=target, key=key, version=version).encode())
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_connection_is_handed_over_with_its_answer_and_lives_on() -> None:
    taken: list[socket.socket] = []

    def take(fd: int, answer: bytes) -> None:
        own = socket.socket(fileno=os.dup(fd))
        own.setblocking(True)
        own.sendall(answer + b"and more")
        taken.append(own)

    server = HttpServer(Starlette(), "127.0.0.1", 0, {"/w": lambda request: Accepted("one", take)})
    await server.start()
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(REQUEST.format(target="/w", key=KEY, version=13).encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert head.startswith(b"HTTP/1.1 101 ")
    assert await reader.readexactly(8) == b"and more"
    # The server that it came by has closed its own end, and the connection is open all the same.
    await server.close()
    writer.write(b"hello")
    await asyncio.sleep(0.05)
    assert taken[0].recv(16) == b"hello"
    taken[0].close()
    assert await reader.read() == b""
    writer.close()


async def test_what_is_no_proper_upgrade_is_refused_before_anybody_is_asked() -> None:
    def never(request: UpgradeRequest) -> Accepted | Declined:
        raise AssertionError("not asked")

    server = HttpServer(Starlette(), "127.0.0.1", 0, {"/w": never})
    await server.start()
    assert (await ask(server.address, "/elsewhere")).startswith(b"HTTP/1.1 404 ")
    assert (await ask(server.address, "/w", version=8)).startswith(b"HTTP/1.1 426 ")
    assert (await ask(server.address, "/w", key="AAAA")).startswith(b"HTTP/1.1 400 ")
    await server.close()


async def test_a_connection_that_nobody_could_take_is_closed() -> None:
    def fail(fd: int, answer: bytes) -> None:
        raise OSError("no room")

    server = HttpServer(Starlette(), "127.0.0.1", 0, {"/w": lambda request: Accepted("one", fail)})
    await server.start()
    with pytest.raises(ConnectionError):
        raise_if_empty(await ask(server.address, "/w"))
    await server.close()


def raise_if_empty(answer: bytes) -> None:
    """A close without a word may be an end of file or a reset, by what was still unread."""
    if not answer:
        raise ConnectionResetError
