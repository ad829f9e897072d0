"""A worker: keeps connections to a gateway open and serves the calls that come on them."""

import asyncio
import json
import logging
import os
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from offhook.agent.agent import Agent
from offhook.agent.connection import Connection
from offhook.agent.errors import AgentError
from offhook.agent.protocol import MESSAGE_LIMIT, PATH, SUBPROTOCOL, number, parse, words
from offhook.agent.session import Session
from offhook.agent.wire_line import CREDIT_MS, WireLine
from offhook.errors import RemoteProtocolError

_log = logging.getLogger("offhook.agent")

_WELCOME = 10.0
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 10.0
_MOST_CONNECTIONS = 256
# What no second try would change.
_FOR_GOOD = {"wrong_token", "wrong_subprotocol", "bad_upgrade", "wrong_name", "bad_hello", "no_gateway"}
_NO_SESSION = "no_session"
_CLOSE_CODES = {4000: "bad_hello", 4003: "wrong_name"}


class Backoff:
    """How long to wait before the next try: longer each time, up to 10 s, and half of it by chance."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._pause = _FIRST_PAUSE

    def next(self) -> float:
        """Seconds until the next try."""
        pause, self._pause = self._pause, min(_LONGEST_PAUSE, self._pause * 2)
        return pause / 2 + self._chance() * pause / 2

    def reset(self) -> None:
        """It worked."""
        self._pause = _FIRST_PAUSE


class Refused(AgentError):
    """The gateway doesn't want this worker, or this connection of it. `code` is the gateway's."""

    code = "worker_refused"


class _SessionOver(Exception):
    """All connections of a session are gone."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where the gateway is, and the token that it wants. Raises `AgentError` for what can't be dialled."""

    url: str
    token: str

    @classmethod
    def of(cls, url: str, token: str) -> "Gateway":
        """The gateway behind an address such as `ws://127.0.0.1:8080` or `https://gateway.example`."""
        parts = urlsplit(url)
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        if scheme not in ("ws", "wss") or not parts.hostname:
            raise AgentError(f"{url!r} is no address of a gateway", hint="write it as ws://HOST:8080 or wss://HOST")
        path = parts.path if parts.path.strip("/") else PATH
        return cls(urlunsplit((scheme, parts.netloc, path, "", "")), token)

    def at(self, **query: object) -> str:
        """The address with a query."""
        return f"{self.url}?{urlencode(query)}" if query else self.url


class Worker:
    """Serves one agent's calls. `run` returns after `drain` or `stop`; `chance` is where back-off gets its jitter."""

    def __init__(self, agent: Agent, gateway: Gateway, *, chance: Callable[[], float] = random.random) -> None:
        self.agent = agent
        self.is_connected = asyncio.Event()
        self._gateway = gateway
        self._chance = chance
        self._welcomed = False
        self._draining = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._calls: set[asyncio.Task[None]] = set()
        self._connections: dict[int, Connection] = {}

    @property
    def calls(self) -> int:
        """How many calls it serves now."""
        return len(self._calls)

    @property
    def is_draining(self) -> bool:
        """Whether it takes no new calls any more."""
        return self._draining.is_set()

    async def run(self) -> None:
        """Serve until told to stop. Raises `Refused` when the gateway doesn't want it from the beginning."""
        serving = asyncio.create_task(self._serve())
        draining = asyncio.create_task(self._drained())
        try:
            await asyncio.wait({serving, draining}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            calls = list(self._calls)
            for task in calls:
                task.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            for connection in list(self._connections.values()):
                await connection.close()
            for task in (draining, serving):
                task.cancel()
            await asyncio.gather(draining, serving, return_exceptions=True)
        if not serving.cancelled() and (error := serving.exception()) is not None:
            raise error

    async def idle(self) -> None:
        """Wait until it serves no call."""
        await self._idle.wait()

    def drain(self) -> None:
        """Take no new calls; `run` returns after the last one."""
        if not self._draining.is_set():
            _log.info("draining: %d calls go on", self.calls)
            self._draining.set()

    # -- for who stands between it and the gateway

    async def _way(self) -> dict[str, Any]:
        """How the WebSocket library gets to the gateway, beyond its address: one call of it for each connection."""
        return {}

    def _session_of(self, line: WireLine) -> Session:
        """What happens behind a call."""
        return Session(self.agent, line)

    def _line_of(self, call: int, ringing: dict[str, Any], write: Callable[[bytes], None]) -> WireLine:
        """What carries a call."""
        return WireLine(call, ringing, self.agent.rate, write)

    # -- connections

    async def _drained(self) -> None:
        await self._draining.wait()
        for connection in list(self._connections.values())[:1]:
            await connection.say(json.dumps({"type": "drain"}))
        await self._idle.wait()

    async def _serve(self) -> None:
        backoff = Backoff(self._chance)
        while not self._draining.is_set():
            try:
                await self._session(backoff)
                _log.warning("the gateway is gone; trying again")
            except Refused as error:
                if not self._welcomed and error.code in _FOR_GOOD:
                    raise
                _log.warning("the gateway refuses this worker: %s", error)
            except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed, RemoteProtocolError) as error:
                _log.warning("the gateway at %s can't be reached: %s", self._gateway.url, error or type(error).__name__)
            await asyncio.sleep(backoff.next())
        await self._idle.wait()

    async def _session(self, backoff: Backoff) -> None:
        """One session: from `hello` until the last of its connections is gone."""
        first = await self._open()
        hello = {
            "type": "hello",
            "name": self.agent.name,
            "max_calls": self.agent.max_calls,
            "credit_ms": CREDIT_MS,
            "instance": f"{socket.gethostname()}:{os.getpid()}"[:64],
            "software": f"offhook {_version()}"[:64],
        }
        try:
            await first.send(json.dumps(hello))
            welcome = await self._welcome(first)
        except BaseException:
            first.transport.abort()
            raise
        self._welcomed = True
        backoff.reset()
        session, count = words(welcome, "session"), number(welcome, "connections")
        _log.info(
            "agent %s takes calls of gateway %s, up to %d at once",
            self.agent.name, words(welcome, "gateway") or self._gateway.url, self.agent.max_calls,
        )  # fmt: skip
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep(session, 0, first))
                for further in range(1, min(count, _MOST_CONNECTIONS)):
                    tasks.create_task(self._keep(session, further, None))
        except* _SessionOver:
            pass
        finally:
            self.is_connected.clear()

    async def _keep(self, session: str, at: int, opened: ClientConnection | None) -> None:
        """Keep one connection of a session open."""
        backoff = Backoff(self._chance)
        while True:
            if opened is None:
                try:
                    opened = await self._open(session=session, connection=at)
                    await self._welcome(opened)
                except Refused as error:
                    if error.code == _NO_SESSION:
                        raise _SessionOver from error
                    _log.warning("connection %d is refused: %s", at, error)
                except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed, RemoteProtocolError) as error:
                    _log.warning("connection %d can't be opened: %s", at, error or type(error).__name__)
                    if opened is not None:
                        opened.transport.abort()
                        opened = None
            if opened is not None:
                backoff.reset()
                connection = self._connections[at] = Connection(opened, at, self._take, self._said)
                self.is_connected.set()
                if self._draining.is_set():
                    await connection.say(json.dumps({"type": "drain"}))
                await connection.run()
                self._connections.pop(at, None)
                if not self._draining.is_set():
                    _log.warning("connection %d to the gateway: %s", at, connection.why)
                opened = None
            if not self._connections:
                raise _SessionOver
            await asyncio.sleep(backoff.next())

    async def _open(self, **query: object) -> ClientConnection:
        headers = {"Authorization": f"Bearer {self._gateway.token}"} if self._gateway.token else {}
        try:
            opened = await connect(
                self._gateway.at(**query),
                additional_headers=headers,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                max_size=MESSAGE_LIMIT,
                # We look for signs of life ourselves: a loop that was blocked is no dead gateway.
                ping_interval=None,
                close_timeout=2,
                **await self._way(),
            )
        except InvalidStatus as error:
            raise _refusal(error) from error
        except InvalidURI as error:
            raise Refused(str(error), code="no_gateway") from error
        if opened.subprotocol != SUBPROTOCOL:
            opened.transport.abort()
            raise Refused(f"what answers at {self._gateway.url} is no gateway of offhook", code="no_gateway")
        return opened

    async def _welcome(self, opened: ClientConnection) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_WELCOME):
                while True:
                    message = await opened.recv()
                    if isinstance(message, str):
                        said = parse(message)
                        if said["type"] == "welcome":
                            return said
        except ConnectionClosed as error:
            code = _CLOSE_CODES.get(opened.protocol.close_code or 0)
            if code is None:
                raise
            hint = (
                f"it wants an [[agent]] of kind worker with the name {self.agent.name}" if code == "wrong_name" else ""
            )
            raise Refused(opened.protocol.close_reason or code, code=code, hint=hint) from error

    # -- calls

    def _said(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "drain":
                _log.info("the gateway sends no more calls: %s", words(message, "reason") or "it drains")
            case "error":
                _log.warning("the gateway did not take what was said: %s", words(message, "message"))

    def _take(self, connection: Connection, call: int, ringing: dict[str, Any]) -> WireLine:
        line = self._line_of(call, ringing, connection.write)
        if self._draining.is_set():
            line.decline("this worker is stopping")
        elif self.calls >= self.agent.max_calls:
            line.decline(f"this worker has {self.calls} calls")
        else:
            session = self._session_of(line)
            line.listener = session
            task = asyncio.create_task(self._serve_call(session, line), name=f"call {line.facts.call_id}")
            self._calls.add(task)
            self._idle.clear()
            task.add_done_callback(self._ended)
        return line

    async def _serve_call(self, session: Session, line: WireLine) -> None:
        try:
            await session.run()
        except Exception:
            _log.exception("call %s failed by a mistake of ours", line.facts.call_id)
            line.give_up("internal error")

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._calls.discard(task)
        if not self._calls:
            self._idle.set()


def _refusal(error: InvalidStatus) -> Refused:
    """What the gateway's JSON says, or the status where somebody else answers."""
    status, body = error.response.status_code, {}
    with suppress(ValueError, TypeError):
        body = json.loads(error.response.body or b"")
    if not isinstance(body, dict) or not isinstance(body.get("code"), str):
        return Refused(f"HTTP {status}, which is no answer of a gateway", code=f"http_{status}")
    code = body["code"]
    hint = words(body, "hint")
    if code == "wrong_token":
        hint = hint or "set OFFHOOK_TOKEN to one of the gateway's tokens for workers"
    return Refused(words(body, "message") or code, code=code, hint=hint)


def _version() -> str:
    try:
        return version("offhook")
    except PackageNotFoundError:
        return "0"
