"""A browser on the talk page, without the browser: what its scripts say and hear, over the same HTTP and WebSocket."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from offhook.agent.protocol import Kind, pack, pack_control, unpack
from offhook.talk.words import SUBPROTOCOL, TICKET

from .gateway import Gateway

LIMIT = 30.0
FRAME = 640
"""Bytes of 20 ms at 16 kHz."""

_LINK = re.compile(r"(http://\S+/talk)#([A-Za-z0-9_-]+)")


def link_of(gateway: Gateway) -> tuple[str, str]:
    """The page and the token, as the gateway has printed them."""
    found = _LINK.search(gateway.said())
    assert found, gateway.said()
    return found[1], found[2]


def asked(
    gateway: Gateway, body: dict[str, Any] | None = None, *, token: str | None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """What the gateway answers to a request of the page: status and JSON."""
    request = urllib.request.Request(
        f"{gateway.http}/v1/talk",
        data=None if body is None else json.dumps(body).encode(),
        headers={**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})},
    )
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@dataclass
class Talker:
    """One call of the page."""

    socket: ClientConnection
    news: list[dict[str, Any]] = field(default_factory=list)
    sound: bytearray = field(default_factory=bytearray)
    number: int | None = None
    close_code: int | None = None

    def __post_init__(self) -> None:
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def call(cls, gateway: Gateway, choice: str = "", line: str = "wideband") -> "Talker":
        """Place a call, by default to what is called first."""
        _, token = link_of(gateway)
        if not choice:
            _, told = await asyncio.to_thread(asked, gateway, token=token)
            choice = told["choices"][0]["id"]
        status, answer = await asyncio.to_thread(asked, gateway, {"choice": choice, "line": line}, token=token)
        assert status == 201, answer
        return cls(await dial(gateway, answer["ticket"]))

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for message in self.socket:
                if isinstance(message, str):
                    self.news.append(json.loads(message))
                else:
                    self._take(message)
                self._changed.set()
        self.close_code = self.socket.close_code
        self._changed.set()

    def _take(self, message: bytes) -> None:
        for record in unpack(message):
            self.number = record.call
            if record.kind == Kind.AUDIO:
                self.sound += record.payload
            elif record.kind == Kind.CONTROL:
                self.news.append(json.loads(record.payload))

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The news of one kind."""
        return [news for news in self.news if news["type"] == kind]

    async def hears(self, kind: str, count: int = 1) -> dict[str, Any]:
        """Wait for so many news of one kind, and give the last."""
        await self.until(lambda: len(self.told(kind)) >= count, f"{kind} does not come")
        return self.told(kind)[count - 1]

    async def until(self, condition: Any, what: str) -> None:
        """Wait until something is true."""
        try:
            async with asyncio.timeout(LIMIT):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{what}: {self.news}, {len(self.sound)} bytes of sound") from None

    async def speak(self, pcm: bytes) -> None:
        """Say PCM16 of 16 kHz, as a microphone would: 20 ms at a time."""
        loop, number = asyncio.get_running_loop(), self.number
        assert number is not None, "the call's first record names it"
        at = loop.time()
        for begin in range(0, len(pcm), FRAME):
            with suppress(ConnectionClosed):
                await self.socket.send(pack(Kind.AUDIO, number, pcm[begin : begin + FRAME]))
            at += 0.02
            await asyncio.sleep(at - loop.time())

    async def press(self, digits: str) -> None:
        """Press keys."""
        assert self.number is not None, "the call's first record names it"
        await self.socket.send(pack_control(self.number, {"type": "dtmf", "digits": digits}))

    async def hang_up(self) -> None:
        """Press the button again."""
        await self.socket.send(json.dumps({"type": "hang_up"}))

    async def close(self) -> None:
        """Close the page."""
        await self.socket.close()
        await self._reading


async def dial(gateway: Gateway, ticket: str, *, origin: str | None = None) -> ClientConnection:
    """Open the page's WebSocket."""
    return await connect(
        gateway.http.replace("http:", "ws:") + "/v1/talk",
        subprotocols=[Subprotocol(SUBPROTOCOL), Subprotocol(TICKET + ticket)],
        origin=None if origin is None else Origin(origin),
        compression=None,
        proxy=None,
    )
