"""The HTTP server on a port of its own: what it is for is a socket, so its tests have one."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from offhook.api.server import HttpServer
from offhook.errors import TransportError

pytestmark = pytest.mark.unit


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


APP = Starlette(routes=[Route("/", hello)])


async def ask(address: tuple[str, int]) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_it_serves_until_it_is_closed_and_names_no_software() -> None:
    server = HttpServer(APP, "127.0.0.1", 0)
    await server.start()
    answer = await ask(server.address)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"hello")
    assert b"uvicorn" not in answer.lower()
    address = server.address
    await server.close()
    with pytest.raises(ConnectionRefusedError):
        await ask(address)


async def test_a_taken_port_is_one_plain_line_with_what_to_do() -> None:
    first = HttpServer(APP, "127.0.0.1", 0)
    await first.start()
    try:
        with pytest.raises(TransportError, match=r"HTTP can't listen on 127\.0\.0\.1:\d+") as found:
            HttpServer(APP, "127.0.0.1", first.address[1])
        assert "[http] listen" in found.value.hint
    finally:
        await first.close()


async def test_an_address_of_another_machine_is_not_called_a_taken_port() -> None:
    with pytest.raises(TransportError) as found:
        HttpServer(APP, "203.0.113.9", 8080)
    assert "address of this machine" in found.value.hint


async def test_one_that_never_started_closes() -> None:
    await HttpServer(APP, "127.0.0.1", 0).close()
