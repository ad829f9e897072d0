"""A worker, written from the protocol's page with the `websockets` package: a stranger to SDK and gateway alike."""

import asyncio
import json
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PROTOCOL = "offhook.worker.v1"
TOKEN = "a-worker-s-token-of-the-tests"
AUDIO, CONTROL, CREDIT, CLOSE = 1, 2, 3, 4
_HEADER = struct.Struct(">III")
_LIMIT = 30.0


def record(kind: int, call: int, payload: bytes = b"", position: int = 0) -> bytes:
    """One record."""
    return _HEADER.pack(kind << 24 | len(payload), call, position) + payload


def records(message: bytes) -> list[tuple[int, int, int, bytes]]:
    """The records of a message: kind, call, position, payload."""
    found, at = [], 0
    while at < len(message):
        word, call, position = _HEADER.unpack_from(message, at)
        at += _HEADER.size
        length = word & 0xFF_FFFF
        assert at + length <= len(message), "a record is not cut"
        found.append((word >> 24, call, position, message[at : at + length]))
        at += length
    return found


@dataclass(eq=False)
class WorkerCall:
    """One call that the gateway has given to the worker. Everything of it is kept."""

    worker: "Worker"
    socket: ClientConnection
    number: int
    messages: list[dict[str, Any]] = field(default_factory=list)
    audio: list[tuple[int, bytes]] = field(default_factory=list)
    """Position in milliseconds, and sound."""
    closed: tuple[int, str] | None = None

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one type."""
        return [message for message in self.messages if message["type"] == kind]

    async def text(self, kind: str, count: int = 1, within: float = _LIMIT) -> dict[str, Any]:
        """Wait for the `count`th message of this type."""
        await self.worker.until(lambda: len(self.of(kind)) >= count, within, f"{kind} number {count}")
        return self.of(kind)[count - 1]

    async def over(self, within: float = _LIMIT) -> tuple[int, str]:
        """Wait until the gateway has closed it."""
        await self.worker.until(lambda: self.closed is not None, within, "CLOSE")
        assert self.closed is not None, "waited for"
        return self.closed

    async def say(self, **message: Any) -> None:
        """Send a control message."""
        await self.socket.send(record(CONTROL, self.number, json.dumps(message).encode()))

    async def take(self) -> None:
        """Take it in the line's own format, so that frames can be counted."""
        await self.text("ringing")
        await self.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
        await self.text("start")

    async def play(self, sound: bytes) -> None:
        """Send audio, all at once."""
        await self.socket.send(record(AUDIO, self.number, sound))

    async def grant(self, total_ms: int) -> None:
        """Take caller audio up to so much in all."""
        await self.socket.send(record(CREDIT, self.number, position=total_ms))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it."""
        await self.socket.send(record(CLOSE, self.number, struct.pack(">H", code) + reason.encode()))


class Worker:
    """A worker that is connected to a gateway. Calls come into `calls`, or to `serve` if that is given."""

    def __init__(
        self, url: str, hello: dict[str, Any], token: str, serve: Callable[[WorkerCall], Awaitable[None]] | None
    ) -> None:
        self.url = url
        self.hello = hello
        self.token = token
        self.welcome: dict[str, Any] = {}
        self.told: list[dict[str, Any]] = []
        self.calls: dict[tuple[int, int], WorkerCall] = {}
        self.sockets: dict[int, ClientConnection] = {}
        self._serve = serve
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open all connections."""
        first = await self.dial()
        await first.send(json.dumps(self.hello))
        self.welcome = json.loads(await first.recv())
        assert (self.welcome["type"], self.welcome["connection"]) == ("welcome", 0), self.welcome
        self._attend(0, first)
        for number in range(1, self.welcome["connections"]):
            await self.join(number)

    async def join(self, number: int) -> None:
        """Open another connection."""
        socket = await self.dial(f"?session={self.welcome['session']}&connection={number}")
        welcome = json.loads(await socket.recv())
        assert welcome == self.welcome | {"connection": number}
        self._attend(number, socket)

    async def dial(self, query: str = "") -> ClientConnection:
        """A WebSocket to the gateway."""
        return await connect(
            self.url + query,
            subprotocols=[Subprotocol(PROTOCOL)],
            additional_headers={"Authorization": f"Bearer {self.token}"},
            compression=None,
            ping_interval=None,
            max_queue=None,
        )

    async def next_call(self, count: int = 1, within: float = _LIMIT) -> WorkerCall:
        """Wait for the `count`th call."""
        await self.until(lambda: len(self.calls) >= count, within, f"call number {count}")
        return list(self.calls.values())[count - 1]

    async def until(self, condition: Callable[[], bool], within: float = _LIMIT, what: str = "it") -> None:
        """Wait until a condition on what came is true."""
        try:
            async with asyncio.timeout(within):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            seen = {number: (call.messages, len(call.audio), call.closed) for number, call in self.calls.items()}
            raise AssertionError(f"{what} did not come within {within} s; calls: {seen}") from None

    async def tell(self, **message: Any) -> None:
        """Send a message about the worker itself."""
        await self.sockets[0].send(json.dumps(message))

    def kill(self) -> None:
        """Its process dies: the connections break without a word."""
        for socket in self.sockets.values():
            socket.transport.abort()

    async def close(self) -> None:
        """Close the connections."""
        for socket in self.sockets.values():
            await socket.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _attend(self, number: int, socket: ClientConnection) -> None:
        self.sockets[number] = socket
        self._begin(self._read(number, socket))

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, number: int, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                if isinstance(message, str):
                    self.told.append(json.loads(message))
                else:
                    for found in records(message):
                        await self._take(number, socket, *found)
                self._changed.set()
        except ConnectionClosed:
            pass
        self._changed.set()

    async def _take(
        self, connection: int, socket: ClientConnection, kind: int, number: int, position: int, payload: bytes
    ) -> None:
        call = self.calls.get((connection, number))
        if call is None:
            assert kind == CONTROL, "a call begins with ringing"
            call = self.calls[connection, number] = WorkerCall(self, socket, number)
            if self._serve is not None:
                self._begin(self._served(call))
        if kind == AUDIO:
            call.audio.append((position, payload))
        elif kind == CONTROL:
            call.messages.append(json.loads(payload))
        elif kind == CLOSE:
            (code,) = struct.unpack_from(">H", payload) if payload else (1005,)
            call.closed = code, payload[2:].decode()
            await socket.send(record(CLOSE, number, payload))

    async def _served(self, call: WorkerCall) -> None:
        assert self._serve is not None, "asked before"
        await self._serve(call)


@asynccontextmanager
async def worker_at(
    http: str,
    name: str = "desk",
    *,
    token: str = TOKEN,
    serve: Callable[[WorkerCall], Awaitable[None]] | None = None,
    **hello: Any,
) -> AsyncIterator[Worker]:
    """A worker of the gateway at this base URL, connected until the end. `hello` says more than its name."""
    said = {"type": "hello", "name": name, "max_calls": 10, **hello}
    worker = Worker(http.replace("http://", "ws://") + "/v1/worker", said, token, serve)
    try:
        await worker.open()
        yield worker
    finally:
        await worker.close()


class WorkerThread:
    """A worker with an event loop of its own, which can be blocked without blocking the test."""

    def __init__(self, http: str, serve: Callable[[WorkerCall], Awaitable[None]], **hello: Any) -> None:
        self._arguments = (http, serve, hello)
        self._loop = asyncio.new_event_loop()
        self._open = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.worker: Worker | None = None

    def __enter__(self) -> "WorkerThread":
        self._thread.start()
        assert self._open.wait(_LIMIT), "the worker did not connect"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_LIMIT)

    def block(self, seconds: float) -> None:
        """Block its loop, as slow work in the wrong place does, from now on."""
        begun = threading.Event()

        def work() -> None:
            begun.set()
            time.sleep(seconds)

        self._loop.call_soon_threadsafe(work)
        assert begun.wait(_LIMIT), "its loop is blocked already"

    @property
    def call_count(self) -> int:
        """How many calls it was given so far."""
        return len(self.worker.calls) if self.worker is not None else 0

    def _run(self) -> None:
        self._loop.run_until_complete(self._live())
        self._loop.close()

    async def _live(self) -> None:
        http, serve, hello = self._arguments
        async with worker_at(http, serve=serve, **hello) as self.worker:
            self._open.set()
            await self._stop.wait()
