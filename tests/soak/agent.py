"""An agent of the `offhook.v1` protocol whose character is in the path: `python agent.py PORT`.

`/echo` gives back what it hears, `/late` first takes 0.5 to 3 s, `/leave` closes normally after a second, `/die` breaks
the connection, `/refuse` answers 503, `/deaf` reads nothing, `/rude` talks nonsense and more than anybody can hear.
`/hold` holds its caller for half a second, `/hold-on` to the end, `/transfer` hands it over.
"""

import asyncio
import json
import random
import sys
from contextlib import suppress
from http import HTTPStatus

from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

READY = json.dumps({"type": "ready", "audio": {"encoding": "pcmu", "rate": 8000}})


def refuse(connection: ServerConnection, request: Request) -> Response | None:
    """Answer an upgrade: with 503 where the path says so."""
    if request.path == "/refuse":
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "not today\n")
    return None


async def answer(socket: ServerConnection) -> None:
    """One call."""
    assert socket.request is not None, "upgraded"
    character = socket.request.path.removeprefix("/")
    with suppress(ConnectionClosed):
        if character == "late":
            await asyncio.sleep(random.uniform(0.5, 3))
        await socket.send(READY)
        match character:
            case "leave":
                await talk(socket, random.uniform(0.7, 1.3))
                return
            case "die":
                await talk(socket, random.uniform(0.2, 2))
                socket.transport.abort()
            case "deaf":
                await asyncio.sleep(30)
            case "rude":
                await be_rude(socket)
            case "hold" | "hold-on" | "transfer":
                await change(socket, character)
        await echo(socket)


async def change(socket: ServerConnection, character: str) -> None:
    """Hold or transfer the caller, once it is there."""
    async for message in socket:
        if isinstance(message, str) and json.loads(message)["type"] == "start":
            break
    if character == "transfer":
        await socket.send(json.dumps({"type": "transfer", "target": "tel:+14155550142", "timeout_ms": 1500}))
        return
    await talk(socket, 0.2)
    await socket.send('{"type":"hold"}')
    if character == "hold":
        await talk(socket, 0.5)
        await socket.send('{"type":"resume"}')


async def talk(socket: ServerConnection, seconds: float) -> None:
    """Echo for so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await echo(socket)


async def echo(socket: ServerConnection) -> None:
    """Give back what is heard, with a mark now and then, and a clear for a key."""
    count = 0
    async for message in socket:
        if isinstance(message, bytes):
            await socket.send(message)
            count += 1
            if count % 25 == 0:
                await socket.send(json.dumps({"type": "mark", "name": f"m{count}"}))
        elif json.loads(message)["type"] == "dtmf":
            await socket.send('{"type":"clear"}')


async def be_rude(socket: ServerConnection) -> None:
    """Nonsense, then a flood."""
    for nonsense in ("{", "[]", '{"type":"mark"}', '{"type":"dtmf","digits":"x"}'):
        await socket.send(nonsense)
    for _ in range(200):
        await socket.send(bytes(8_000))


async def main() -> None:
    """Serve until killed."""
    async with serve(
        answer, "127.0.0.1", int(sys.argv[1]), subprotocols=["offhook.v1"], process_request=refuse, compression=None
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
