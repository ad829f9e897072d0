"""The gateway's end of `offhook.worker.v1`, written from its page with `websockets`: what an SDK must get along with.

It plays what it is sent in real time, `speed` times as fast, answers marks and clears, and keeps to the credit that it
is given. It has no phone: a test is the caller.
"""

import asyncio
import json
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

AUDIO, CONTROL, CREDIT, CLOSE = 1, 2, 3, 4
RATE = 16_000
_HEADER = struct.Struct(">III")
_LIMIT = 30.0


def record(kind: int, call: int, payload: bytes = b"", position: int = 0) -> bytes:
    """One record."""
    return _HEADER.pack(kind << 24 | len(payload), call, position) + payload


@dataclass
class FakeCall:
    """One call. What the worker says is kept in `messages`, and played at its time."""

    wire: "FakeConnection"
    number: int
    speed: float
    messages: list[dict[str, Any]] = field(default_factory=list)
    sound: bytearray = field(default_factory=bytearray)
    credit_ms: int = 0
    close: tuple[int, str] | None = None
    cleared: list[dict[str, Any]] = field(default_factory=list)
    """What was said of each clear."""

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._sent_ms = 0
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._played_until = self._since = self._loop.time()
        self._marks: list[tuple[str, asyncio.TimerHandle]] = []
        self._over = False

    # -- what the test does

    async def text(self, kind: str, count: int = 1, within: float = _LIMIT) -> dict[str, Any]:
        """The `count`th message of this kind."""
        await self.wire.gateway.until(lambda: len(self.of(kind)) >= count, within, f"{kind} in {self.messages}")
        return self.of(kind)[count - 1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of this kind so far."""
        return [message for message in self.messages if message["type"] == kind]

    def say(self, **message: Any) -> None:
        """Send a message of offhook.v1."""
        self.wire.send(record(CONTROL, self.number, json.dumps(message).encode()))

    def start(self) -> None:
        """The call is answered."""
        self.say(type="start", audio=self.of("ready")[0]["audio"])
        self._played_until = self._since = self._loop.time()

    def hears(self, pcm: bytes) -> None:
        """The caller's sound, as far as there is credit; what has none is dropped."""
        for at in range(0, len(pcm), RATE // 25):
            if self._sent_ms + 20 <= self.credit_ms:
                self.wire.send(record(AUDIO, self.number, pcm[at : at + RATE // 25], self._sent_ms))
                self._sent_ms += 20

    def skip(self, ms: int) -> None:
        """Sound that was dropped on its way."""
        self._sent_ms += ms
        self.credit_ms += ms

    def press(self, digits: str) -> None:
        """The caller presses keys."""
        for digit in digits:
            self.say(type="dtmf", digit=digit, duration_ms=100, at_ms=self._sent_ms)

    def cut(self, by: str = "caller", **more: Any) -> None:
        """The gateway itself cuts off what is played, as its policy has it."""
        cleared = self._drop()
        self.say(**cleared)
        self.say(type="interrupted", by=by, at_ms=self._sent_ms, since_ms=self._sent_ms, **more)

    def hang_up(self, reason: str = "caller_hung_up") -> None:
        """The call ends."""
        if not self._over:
            self._over = True
            self.say(type="end", reason=reason, text=reason)
            self.wire.send(record(CLOSE, self.number, struct.pack(">H", 1000) + reason.encode()))

    # -- what the worker says

    def take(self, kind: int, position: int, payload: bytes) -> None:
        """A record of this call."""
        if kind == AUDIO:
            self.sound += payload
            now = self._loop.time()
            self._played_until = max(self._played_until, now) + len(payload) / 2 / RATE / self.speed
        elif kind == CREDIT:
            self.credit_ms = max(self.credit_ms, position)
        elif kind == CLOSE:
            self.close = struct.unpack_from(">H", payload)[0], payload[2:].decode()
            self.hang_up("agent_lost" if self.close[0] != 1000 else "agent_hung_up")
        elif kind == CONTROL:
            message = json.loads(payload)
            self.messages.append(message)
            self._obey(message)

    def _obey(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "mark", "name": name}:
                timer = self._loop.call_at(self._played_until, self._mark, name)
                self._marks.append((name, timer))
            case {"type": "clear"}:
                self.say(**self._drop())
            case {"type": "hangup", "now": True} | {"type": "reject"} | {"type": "decline"}:
                self.hang_up("agent_" + message["type"])
            case {"type": "hangup"}:
                self._loop.call_at(self._played_until, self.hang_up, "agent_hung_up")

    def _mark(self, name: str) -> None:
        self._marks = [mark for mark in self._marks if mark[0] != name]
        self.say(type="mark", name=name)

    def _drop(self) -> dict[str, Any]:
        now = self._loop.time()
        dropped = max(0.0, self._played_until - now)
        marks = [name for name, timer in self._marks if timer.cancel() is None]
        self._marks.clear()
        played, self._played_until, self._since = self._played_ms(now), now, now
        self._sounded_ms = len(self.sound) * 500 // RATE
        self.cleared.append(
            {"type": "cleared", "played_ms": played, "dropped_ms": round(dropped * 1000), "marks": marks}
        )
        return self.cleared[-1]

    _sounded_ms = 0

    def _played_ms(self, now: float) -> int:
        sent = len(self.sound) * 500 / RATE - self._sounded_ms
        return max(0, round(sent - max(0.0, self._played_until - now) * 1000 * self.speed))


class FakeConnection:
    """One WebSocket of a worker."""

    def __init__(self, gateway: "FakeGateway", socket: ServerConnection, number: int) -> None:
        self.gateway = gateway
        self.socket = socket
        self.number = number
        self.calls: dict[int, FakeCall] = {}
        self.texts: list[dict[str, Any]] = []

    def send(self, data: bytes | str) -> None:
        """Send without waiting."""
        task = asyncio.ensure_future(self._send(data))
        self.gateway.tasks.add(task)
        task.add_done_callback(self.gateway.tasks.discard)

    async def _send(self, data: bytes | str) -> None:
        with suppress(ConnectionClosed):
            await self.socket.send(data)

    def ring(self, **facts: Any) -> FakeCall:
        """A call comes."""
        number = len(self.calls) + 1
        call = self.calls[number] = FakeCall(self, number, self.gateway.speed, credit_ms=self.gateway.credit_ms)
        ringing = {
            "type": "ringing",
            "call_id": f"call-{self.number}-{number}",
            "from_number": "+14155550100",
            "to_number": "+14155550123",
            "display_name": "Ada",
            "trunk": "acme",
            "route": "front",
            "sip_call_id": "1@x",
            "headers": {"X-Account": "77"},
            "audio": {"encoding": "pcm16", "rate": RATE, "frame_ms": 20},
            "formats": [{"encoding": "pcm16", "rate": rate} for rate in (8000, 16000, 24000, 48000)],
            "ready_within_ms": 20_000,
        }
        call.say(**ringing | facts)
        return call

    def take(self, message: str | bytes) -> None:
        """What the worker says on this connection."""
        if isinstance(message, str):
            self.texts.append(json.loads(message))
            return
        at = 0
        while at < len(message):
            first, number, position = _HEADER.unpack_from(message, at)
            begin = at + _HEADER.size
            at = begin + (first & 0xFFFFFF)
            assert at <= len(message), "records are never cut"
            if number in self.calls:
                self.calls[number].take(first >> 24, position, message[begin:at])


class FakeGateway:
    """The server. `sessions` are the `hello`s that came; `wires` the connections that are open, by their number."""

    def __init__(self, *, token: str, agents: set[str], connections: int, speed: float) -> None:
        self.token = token
        self.agents = agents
        self.connections = connections
        self.speed = speed
        self.sessions: list[dict[str, Any]] = []
        self.wires: dict[int, FakeConnection] = {}
        self.tasks: set[asyncio.Future[None]] = set()
        self.requests: list[Request] = []
        self.port = 0
        self._session = 0
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        """What a worker is told."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def credit_ms(self) -> int:
        """What the worker's `hello` gives to each call."""
        return int(self.sessions[-1].get("credit_ms", 1 << 30))

    async def until(self, condition: Callable[[], Any], within: float = _LIMIT, what: str = "it") -> None:
        """Wait for something that a worker does."""
        try:
            async with asyncio.timeout(within):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"no {what} in {within} s") from None

    async def ready(self) -> None:
        """Wait for a worker with all its connections."""
        await self.until(lambda: len(self.wires) == self.connections, what="worker")

    def look(self, _: ServerConnection, request: Request) -> Response | None:
        """Refuse what is no worker of ours."""
        self.requests.append(request)
        query = parse_qs(urlsplit(request.path).query)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _refused(HTTPStatus.UNAUTHORIZED, "wrong_token", "that token is none of ours")
        if "session" in query and (query["session"] != [str(self._session)] or not self.wires):
            return _refused(HTTPStatus.NOT_FOUND, "no_session", "begin anew")
        return None

    async def serve(self, socket: ServerConnection) -> None:
        """One connection."""
        query = parse_qs(urlsplit(socket.request.path if socket.request else "").query)
        number = int(query.get("connection", ["0"])[0])
        if "session" not in query:
            hello = json.loads(await socket.recv())
            assert hello["type"] == "hello", hello
            if hello["name"] not in self.agents:
                await socket.close(4003, f"there is no agent {hello['name']}")
                return
            self.sessions.append(hello)
            self._session += 1
        wire = self.wires[number] = FakeConnection(self, socket, number)
        welcome = {"type": "welcome", "gateway": "edge", "version": "0", "session": str(self._session)}
        await socket.send(json.dumps(welcome | {"connection": number, "connections": self.connections}))
        self._changed.set()
        try:
            async for message in socket:
                wire.take(message)
                self._changed.set()
        except ConnectionClosed:
            pass
        finally:
            if self.wires.get(number) is wire:
                del self.wires[number]
            self._changed.set()


def _refused(status: HTTPStatus, code: str, message: str) -> Response:
    body = json.dumps({"code": code, "message": message, "hint": "", "field": None}).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})
    return Response(status, status.phrase, headers, body)


@asynccontextmanager
async def fake_gateway(
    *,
    token: str = "secret",
    agents: set[str] | None = None,
    connections: int = 1,
    speed: float = 1.0,
    port: int = 0,
) -> AsyncIterator[FakeGateway]:
    """A gateway that knows these agents, on a port of 127.0.0.1."""
    gateway = FakeGateway(token=token, agents=agents or {"front"}, connections=connections, speed=speed)
    async with serve(
        gateway.serve,
        "127.0.0.1",
        port,
        process_request=gateway.look,
        subprotocols=[Subprotocol("offhook.worker.v1")],
        compression=None,
        ping_interval=0.5,
        ping_timeout=20,
        close_timeout=1,
    ) as server:
        gateway.port = next(iter(server.sockets)).getsockname()[1]
        yield gateway
