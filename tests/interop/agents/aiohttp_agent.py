"""An agent on aiohttp, whose WebSocket code is a third one: it answers, says back what it hears, hangs up on `#`."""

import sys

from aiohttp import WSMsgType, web


async def call(request: web.Request) -> web.WebSocketResponse:
    """One call."""
    socket = web.WebSocketResponse(protocols=("offhook.v1",))
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
            continue
        match message.json():
            case {"type": "ringing"}:
                await socket.send_json({"type": "ready", "audio": {"encoding": "pcmu", "rate": 8000}})
            case {"type": "dtmf", "digit": "#"}:
                await socket.send_json({"type": "hangup"})
    print("over", socket.close_code, flush=True)
    return socket


app = web.Application()
app.add_routes([web.get("/agent", call)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
