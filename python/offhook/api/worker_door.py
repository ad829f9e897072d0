"""The door that workers come in by: `/v1/worker`. Tokens, sessions, and who is turned away."""

import asyncio
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from ipaddress import ip_address

import structlog

from offhook._media import MediaEvent
from offhook.api.failures import FAILURES, TokenFailures
from offhook.api.guard import OnRefused
from offhook.api.upgrade import Accepted, Declined, UpgradeRequest
from offhook.destination.dialect import worker as protocol
from offhook.destination.workers import BAD_HELLO, NO_HELLO, WRONG_NAME, Connection, Worker, Workers
from offhook.media.plane import MediaPlane

_log = structlog.get_logger("offhook.workers")

PATH = "/v1/worker"

HELLO_LIMIT = 5.0
"""Seconds that a worker has to say who it is."""

MAX_CONNECTIONS = 1024
MAX_UNKNOWN = 64
"""Connections in all, and of those that have not said `hello` yet."""


class Tokens:
    """Who may serve which agent. `by_agent` are the tokens of the agents of kind `worker`."""

    def __init__(self, by_agent: Mapping[str, str]) -> None:
        # Digests are of one length, so that comparing them tells nothing of the tokens.
        self._digests = [(sha256(token.encode()).digest(), agent) for agent, token in by_agent.items()]

    def agents(self, token: str) -> frozenset[str]:
        """The agents that the token is for; every token is looked at, whichever is right."""
        asked = sha256(token.encode("utf-8", "surrogateescape")).digest()
        right = [(hmac.compare_digest(digest, asked), agent) for digest, agent in self._digests]
        return frozenset(agent for is_right, agent in right if is_right)


@dataclass(frozen=True, slots=True)
class _Known:
    """A further connection of a worker that is known."""

    worker: Worker
    number: int


class WorkerDoor:
    """Judges who wants to be a worker and serves its connections until they end. `now` is monotonic seconds."""

    def __init__(
        self,
        workers: Workers,
        tokens: Tokens,
        media: MediaPlane,
        *,
        now: Callable[[], float],
        refused: OnRefused,
    ) -> None:
        self._workers = workers
        self._tokens = tokens
        self._media = media
        self._now = now
        self._refused = refused
        self._failures = TokenFailures()
        self._connections = 0
        self._unknown = 0
        self._draining = False

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return self._connections

    def drain(self) -> None:
        """Take nobody in any more."""
        self._draining = True

    def judge(self, request: UpgradeRequest) -> Accepted | Declined:
        """Decide about one request for `PATH`."""
        source = _source(request)
        if self._draining:
            return Declined(HTTPStatus.SERVICE_UNAVAILABLE, "draining", "the gateway is stopping")
        if protocol.SUBPROTOCOL not in request.subprotocols:
            offered = ", ".join(request.subprotocols)[:200] or "none"
            return Declined(
                HTTPStatus.BAD_REQUEST,
                "wrong_subprotocol",
                f"this gateway speaks {protocol.SUBPROTOCOL}; offered: {offered}",
                "use a version of the worker's SDK that speaks it",
                "Sec-WebSocket-Protocol",
            )
        wait = self._failures.wait(source, request.bearer or "", self._now())
        if wait > 0:
            seconds = str(int(wait) + 1)
            return Declined(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_failures",
                f"{FAILURES} wrong tokens like this one, or many in all, came from {source} within a minute",
                f"try again in {seconds} s, with the right one",
                headers={"Retry-After": seconds},
            )
        names = self._tokens.agents(request.bearer) if request.bearer else frozenset()
        if not names:
            return self._wrong_token(source, request.bearer)
        self._failures.right(source, request.bearer or "")
        if self._connections >= MAX_CONNECTIONS or self._unknown >= MAX_UNKNOWN:
            self._workers.events["refused"] += 1
            return Declined(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too_many_connections",
                f"{self._connections} connections of workers are open, {self._unknown} of them without a hello",
            )
        known = self._known(request, names)
        if isinstance(known, Declined):
            return known
        return Accepted(protocol.SUBPROTOCOL, lambda fd, answer: _Served(self, source, names, known).begin(fd, answer))

    def _wrong_token(self, source: str, token: str | None) -> Declined:
        self._workers.events["refused"] += 1
        self._failures.wrong(source, token or "", self._now())
        why = "a worker came with a wrong token" if token else "a worker came without a token"
        self._refused(source, "worker_token", why)
        return Declined(
            HTTPStatus.UNAUTHORIZED,
            "wrong_token",
            "the token is missing" if not token else "the token is not that of any agent of kind 'worker'",
            "send the token of the [[agent]] as Authorization: Bearer TOKEN",
            "Authorization",
            {"WWW-Authenticate": "Bearer"},
        )

    def _known(self, request: UpgradeRequest, names: frozenset[str]) -> _Known | Declined | None:
        session = request.query.get("session")
        if session is None:
            return None
        worker = self._workers.session(session)
        if worker is None or worker.name not in names:
            return Declined(
                HTTPStatus.NOT_FOUND, "no_session", "there is no such session", "begin anew with hello", "session"
            )
        text = request.query.get("connection", "")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else -1
        if not 0 <= number < self._workers.threads:
            message = f"connections are numbered 0 to {self._workers.threads - 1} here"
            return Declined(HTTPStatus.BAD_REQUEST, "bad_upgrade", message, about="connection")
        if number in worker.connections:
            return Declined(
                HTTPStatus.CONFLICT, "connection_taken", f"connection {number} is open already", about="connection"
            )
        return _Known(worker, number)

    def introduce(self, hello: protocol.Hello, names: frozenset[str], connection: Connection) -> Worker:
        """A connection has said whose it is."""
        return self._workers.introduce(hello, names, connection, self._now())

    def opened(self, known: bool) -> None:
        """A connection counts from here on."""
        self._connections += 1
        self._unknown += not known

    def became_known(self) -> None:
        """One of those without a name has one, or is over."""
        self._unknown -= 1

    def ended(self) -> None:
        """A connection is over."""
        self._connections -= 1

    @property
    def media(self) -> MediaPlane:
        """Where connections go."""
        return self._media

    @property
    def workers(self) -> Workers:
        """Who is connected."""
        return self._workers


class _Served:
    """One connection from its upgrade to its end."""

    def __init__(self, door: WorkerDoor, source: str, names: frozenset[str], known: _Known | None) -> None:
        self._door = door
        self._names = names
        self._number = known.number if known is not None else 0
        self._worker = known.worker if known is not None else None
        self._connection = Connection(source)
        self._patience: asyncio.TimerHandle | None = None

    def begin(self, fd: int, answer: bytes) -> None:
        """Give the connection to the media core."""
        door, connection, worker = self._door, self._connection, self._worker
        if worker is not None:
            gone = door.workers.session(worker.session) is not worker
            if gone or self._number in worker.connections:
                # Two asked for the same number in one moment, or the session ended in it: closed without a word.
                return
        connection.mux = door.media.open_mux(
            fd, answer, thread=self._number, on_event=self._take, on_error=self._failed
        )
        door.opened(known=worker is not None)
        if worker is not None:
            door.workers.join(worker, self._number, connection)
        else:
            self._patience = asyncio.get_running_loop().call_later(HELLO_LIMIT, self._too_late)

    def _take(self, event: MediaEvent) -> None:
        if event.kind == "closed":
            self._ended(event)
        elif self._worker is not None:
            self._door.workers.take(self._worker, self._connection, event)
        elif event.kind == "text":
            self._hello(event.text or "")

    def _hello(self, text: str) -> None:
        match protocol.parse(text):
            case protocol.Hello() as hello if hello.name in self._names:
                self._known()
                self._worker = self._door.introduce(hello, self._names, self._connection)
            case protocol.Hello(name=name):
                self._door.workers.events["refused"] += 1
                _log.warning("worker.refused", agent=name[:64], source=self._connection.source, why="wrong name")
                self._close(WRONG_NAME, f"the token is not for an agent '{name[:64]}' of kind 'worker'")
            case protocol.Invalid(_, _, message):
                self._close(BAD_HELLO, message)
            case _:
                self._close(BAD_HELLO, "the first message is hello")

    def _too_late(self) -> None:
        self._patience = None
        if self._worker is None:
            self._close(NO_HELLO, f"no hello within {HELLO_LIMIT:g} s")

    def _close(self, code: int, why: str) -> None:
        if self._connection.mux is not None:
            self._connection.mux.close(code, why)

    def _known(self) -> None:
        self._door.became_known()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _ended(self, event: MediaEvent) -> None:
        self._door.ended()
        if self._worker is None:
            self._known()
            return
        said = f": {event.text}" if event.text else ""
        by = f"by the gateway ({event.code}) " if event.code is not None else ""
        self._door.workers.part(self._worker, self._number, self._connection, f"closed {by}with {event.status}{said}")

    def _failed(self, error: Exception) -> None:
        """A bug of ours: this connection ends, the others go on."""
        self._close(1011, f"internal error: {type(error).__name__}")


def _source(request: UpgradeRequest) -> str:
    """Who asks: the peer, or whom a proxy on this machine says that it speaks for."""
    try:
        if ip_address(request.source).is_loopback:
            told = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
            return str(ip_address(told)) if told else request.source
    except ValueError:
        pass
    return request.source
