"""An agent's side of a call, written with the `websockets` package: a stranger to the gateway's own WebSocket code."""

import asyncio
import base64
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from .hosts import Host

OFFHOOK = "offhook.v1"
_LIMIT = 30.0

Dialect = Literal["twilio", "offhook"]


@dataclass(frozen=True, slots=True)
class Message:
    """A text message from the gateway; `at` is monotonic seconds, `audio_before` the bytes of audio that came first."""

    at: float
    audio_before: int
    body: dict[str, Any]


@dataclass
class AgentCall:
    """One connection from the gateway. Everything that comes is read at once and kept."""

    socket: ServerConnection
    dialect: Dialect
    messages: list[Message] = field(default_factory=list)
    audio: bytearray = field(default_factory=bytearray)
    first_audio_at: float | None = None

    def __post_init__(self) -> None:
        self._changed = asyncio.Event()
        self.closed = asyncio.Event()

    # -- what came

    async def text(self, kind: str, count: int = 1, within: float = _LIMIT) -> dict[str, Any]:
        """Wait for a message of this kind (`event` or `type`), the `count`th one."""
        return (await self.message(kind, count, within)).body

    async def message(self, kind: str, count: int = 1, within: float = _LIMIT) -> Message:
        """The same with its time."""
        await self.until(lambda: len(self.of(kind)) >= count, within, f"{kind} number {count}")
        return self.of(kind)[count - 1]

    def of(self, kind: str) -> list[Message]:
        """The messages of this kind so far."""
        name = "event" if self.dialect == "twilio" else "type"
        return [message for message in self.messages if message.body.get(name) == kind]

    def kinds(self) -> list[str]:
        """The kinds of all messages but audio, in order."""
        name = "event" if self.dialect == "twilio" else "type"
        kinds = [str(message.body.get(name)) for message in self.messages]
        return [kind for kind in kinds if kind != "media"]

    async def hears(self, size: int, within: float = _LIMIT) -> bytes:
        """Wait for that many bytes of the caller's audio, and give all there is."""
        await self.until(lambda: len(self.audio) >= size, within, f"{size} bytes of audio")
        return bytes(self.audio)

    async def until(self, condition: Callable[[], bool], within: float = _LIMIT, what: str = "it") -> None:
        """Wait for a condition on what came."""
        try:
            async with asyncio.timeout(within):
                while not condition():
                    assert not self.closed.is_set(), f"closed while waiting for {what}: {self.seen()}"
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"no {what} in {within} s: {self.seen()}") from None

    async def over(self, within: float = _LIMIT) -> tuple[int | None, str]:
        """Wait for the connection to close, and give the code and reason that the gateway sent, if any."""
        async with asyncio.timeout(within):
            await self.closed.wait()
        frame = self.socket.protocol.close_rcvd
        return (frame.code, frame.reason) if frame is not None else (None, "")

    def seen(self) -> str:
        """What came, for a failure."""
        return f"{self.kinds()}, {len(self.audio)} bytes of audio, closed: {self.closed.is_set()}"

    # -- what the agent says

    async def say(self, **message: Any) -> None:
        """Send a JSON message; a Twilio bot's carries the stream's id."""
        if self.dialect == "twilio":
            message |= {"streamSid": self.stream_sid}
        await self.socket.send(json.dumps(message))

    async def play(self, frames: Sequence[bytes], together: int = 50) -> None:
        """Send frames of µ-law, a second in one message, as fast as they go.

        What comes in many messages may run dry in between, where this process stands still.
        """
        for at in range(0, len(frames), together):
            sound = b"".join(frames[at : at + together])
            if self.dialect == "twilio":
                await self.say(event="media", media={"payload": base64.b64encode(sound).decode()})
            else:
                await self.socket.send(sound)

    async def mark(self, name: str) -> None:
        """Ask to be told when what was sent so far has been played."""
        if self.dialect == "twilio":
            await self.say(event="mark", mark={"name": name})
        else:
            await self.say(type="mark", name=name)

    async def clear(self) -> None:
        """Drop what has not been played."""
        await self.say(**({"event": "clear"} if self.dialect == "twilio" else {"type": "clear"}))

    @property
    def stream_sid(self) -> str:
        """The id that a Twilio bot puts into all that it says."""
        return str(self.of("start")[0].body["streamSid"])

    # -- reading

    async def read(self) -> None:
        """Keep what comes until the connection closes."""
        try:
            async for raw in self.socket:
                self._keep(raw)
                self._changed.set()
        except ConnectionClosed:
            pass
        finally:
            self.closed.set()
            self._changed.set()

    def _keep(self, raw: str | bytes) -> None:
        now = time.monotonic()
        if isinstance(raw, bytes):
            self._heard(raw, now)
            return
        body = json.loads(raw)
        self.messages.append(Message(now, len(self.audio), body))
        if body.get("event") == "media":
            self._heard(base64.b64decode(body["media"]["payload"]), now)

    def _heard(self, sound: bytes, now: float) -> None:
        if self.first_audio_at is None:
            self.first_audio_at = now
        self.audio += sound


class Agent:
    """An agent's server. `await agent.call()` gives the gateway's next connection."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.requests: list[Request] = []
        self._calls: asyncio.Queue[AgentCall] = asyncio.Queue()

    async def call(self, within: float = _LIMIT) -> AgentCall:
        """Wait for the next connection."""
        async with asyncio.timeout(within):
            return await self._calls.get()

    async def serve(self, socket: ServerConnection) -> None:
        """One connection."""
        call = AgentCall(socket, self.dialect)
        self._calls.put_nowait(call)
        await call.read()


Answer = Callable[[ServerConnection, Request], Response | None]


@asynccontextmanager
async def agent_on(
    port: int,
    dialect: Dialect,
    *,
    answer: Answer | None = None,
    context: ssl.SSLContext | None = None,
    buffer: int | None = None,
    on: Host | None = None,
) -> AsyncIterator[Agent]:
    """An agent that listens on a port of 127.0.0.1, of this machine or of a host of its own.

    `answer` may refuse the upgrade with a response of its own; `buffer` bytes is what its sockets hold unread.
    """
    agent = Agent(dialect)
    listener = await _listening(port, on)
    if buffer is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)

    def look(connection: ServerConnection, request: Request) -> Response | None:
        agent.requests.append(request)
        return answer(connection, request) if answer is not None else None

    async with serve(
        agent.serve,
        sock=listener,
        process_request=look,
        subprotocols=[Subprotocol(OFFHOOK)] if dialect == "offhook" else None,
        ssl=context,
        compression=None,
        ping_interval=None,
        close_timeout=1,
    ):
        yield agent


async def _listening(port: int, on: Host | None) -> socket.socket:
    """Whoever had the port until now may be about to leave it."""
    deadline = time.monotonic() + _LIMIT
    while True:
        try:
            with on if on is not None else nullcontext():
                return socket.create_server(("127.0.0.1", port))
        except OSError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)


def refusal(status: int, body: str) -> Answer:
    """An answer to the upgrade that is no upgrade."""
    return lambda connection, request: connection.respond(HTTPStatus(status), body)
