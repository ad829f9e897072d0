"""The workers that are connected: who they are, how much each takes, and which one gets the next call."""

import itertools
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import structlog

from offhook._media import MediaEvent
from offhook.destination.dialect import worker as protocol
from offhook.errors import DestinationError
from offhook.media.mux import Mux

_log = structlog.get_logger("offhook.workers")

BAD_HELLO = 4000
WRONG_NAME = 4003
NO_HELLO = 4008
"""The close codes of the first connection that are ours alone."""

_LONG_AGO = 0


class NobodyConnected(DestinationError):
    """No worker of the agent is connected at all (`no_worker`)."""


class Place:
    """One call's place at one worker. Given back once, when the call is over there."""

    def __init__(self, worker: "Worker", connection: "Connection", lost: Callable[[DestinationError], None]) -> None:
        self.worker = worker
        self.connection = connection
        self._lost = lost
        self._given_back = False
        worker.places.add(self)

    def took_call(self) -> None:
        """The worker has taken the call: from here on a stall is no reason to ask another."""
        self._lost = _nobody

    def worker_stalled(self) -> None:
        """Nothing comes of the worker: a call that it has not taken goes to another."""
        self._lost(DestinationError(f"worker {self.worker.title} stalled before it took the call", code="no_worker"))

    def give_back(self) -> None:
        """Leave the place to the next call. May be repeated."""
        if not self._given_back:
            self._given_back = True
            self.worker.places.discard(self)


def _nobody(_: DestinationError) -> None:
    """Nobody waits any more."""


class Connection:
    """One connection of a worker: its number is that of the media thread that serves it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.mux: Mux | None = None
        self.stalled = False


@dataclass(eq=False, slots=True)
class Worker:
    """One worker, by what its `hello` said. `session` names it in further connections, and is a secret.

    `connected_at` is monotonic seconds.
    """

    hello: protocol.Hello
    session: str
    names: frozenset[str]
    max_calls: int
    ready: int | None
    connected_at: float
    connections: dict[int, Connection] = field(default_factory=dict)
    places: set[Place] = field(default_factory=set)
    draining: bool = False
    chosen_at: int = _LONG_AGO

    @property
    def name(self) -> str:
        """The agent that it serves."""
        return self.hello.name

    @property
    def calls(self) -> int:
        """Calls that it has, those that it has been asked to take included."""
        return len(self.places)

    @property
    def stalled(self) -> bool:
        """Nothing has come on one of its connections for too long; they are of one process, so it is stalled whole."""
        return any(connection.stalled for connection in self.connections.values())

    @property
    def source(self) -> str:
        """The address that it dials from."""
        return next(iter(self.connections.values())).source

    @property
    def title(self) -> str:
        """What it is called in logs and records."""
        return self.hello.instance or self.source


class Workers:
    """All workers of this gateway. Their number is bounded by that of their connections.

    `threads` is how many connections each has to open, `gateway` and `version` are what they are told.
    """

    def __init__(self, *, threads: int, gateway: str, version: str) -> None:
        self.threads = threads
        self.events: Counter[str] = Counter()
        """What happened so far, by name: `connected`, `disconnected`, `stalled`, `recovered`, `declined`, …"""
        self._gateway = gateway
        self._version = version
        self._sessions: dict[str, Worker] = {}
        self._turn = itertools.count(_LONG_AGO + 1)
        self._draining = ""

    # -- the workers

    def __iter__(self) -> Iterator[Worker]:
        return iter(tuple(self._sessions.values()))

    def session(self, session: str) -> Worker | None:
        """The worker of that session."""
        return self._sessions.get(session)

    def introduce(self, hello: protocol.Hello, names: frozenset[str], connection: Connection, now: float) -> Worker:
        """A worker has said `hello` on its first connection, number 0; `names` are the agents that its token is for."""
        assert connection.mux is not None, "it said so on a connection"
        worker = Worker(hello, secrets.token_urlsafe(24), names, hello.max_calls, hello.ready, now)
        self._sessions[worker.session] = worker
        self.join(worker, 0, connection)
        self.events["connected"] += 1
        _log.info(
            "worker.connected",
            agent=worker.name,
            worker=worker.title,
            source=connection.source,
            software=hello.software,
            max_calls=worker.max_calls,
            labels=dict(hello.labels),
        )
        return worker

    def join(self, worker: Worker, number: int, connection: Connection) -> None:
        """Another connection of the worker is open."""
        assert connection.mux is not None, "it is open"
        worker.connections[number] = connection
        connection.mux.send_text(
            protocol.welcome(
                gateway=self._gateway,
                version=self._version,
                session=worker.session,
                connection=number,
                connections=self.threads,
            )
        )
        if self._draining:
            connection.mux.send_text(protocol.drain(self._draining))

    def part(self, worker: Worker, number: int, connection: Connection, why: str) -> None:
        """A connection is over; with its last one the worker is gone."""
        if worker.connections.get(number) is connection:
            was_called = worker.title
            del worker.connections[number]
            if worker.connections:
                _log.warning("worker.connection_lost", agent=worker.name, worker=was_called, connection=number, why=why)
            elif self._sessions.pop(worker.session, None) is not None:
                self.events["disconnected"] += 1
                told = _log.warning if worker.places else _log.info
                told(
                    "worker.disconnected",
                    agent=worker.name,
                    worker=was_called,
                    source=connection.source,
                    calls=worker.calls,
                    why=why,
                )

    def take(self, worker: Worker, connection: Connection, event: MediaEvent) -> None:
        """Something came on one of its connections, other than its end."""
        match event.kind:
            case "stalled" | "recovered":
                self._stalled(worker, connection, event.kind == "stalled")
            case "text":
                self._hear(worker, connection, event.text or "")
            case "protocol_error":
                self.events["garbage"] += 1
                _log.warning("worker.garbage", agent=worker.name, worker=worker.title, why=event.text)
            case _:
                pass

    def _stalled(self, worker: Worker, connection: Connection, stalled: bool) -> None:
        before = worker.stalled
        connection.stalled = stalled
        if stalled and not before:
            self.events["stalled"] += 1
            _log.warning("worker.stalled", agent=worker.name, worker=worker.title, calls=worker.calls)
            for place in tuple(worker.places):
                place.worker_stalled()
        elif before and not worker.stalled:
            self.events["recovered"] += 1
            _log.info("worker.recovered", agent=worker.name, worker=worker.title, calls=worker.calls)

    def _hear(self, worker: Worker, connection: Connection, text: str) -> None:
        match protocol.parse(text):
            case protocol.Status(max_calls, ready):
                worker.max_calls = max_calls if max_calls is not None else worker.max_calls
                worker.ready = ready if ready is not None else worker.ready
            case protocol.Drain():
                if not worker.draining:
                    worker.draining = True
                    self.events["draining"] += 1
                    _log.info("worker.draining", agent=worker.name, worker=worker.title, calls=worker.calls)
            case protocol.Invalid(_, code, message):
                self._object(connection, code, message)
            case protocol.Hello():
                self._object(connection, "bad_field", "hello is said once")
            case protocol.Unknown():
                pass

    def _object(self, connection: Connection, code: str, message: str) -> None:
        self.events["garbage"] += 1
        if connection.mux is not None:
            connection.mux.send_text(protocol.error(code, message))

    # -- their calls

    def choose(self, agent: str, thread: int, tried: set[str], lost: Callable[[DestinationError], None]) -> Place:
        """A place at the least loaded worker of `agent` that is none of the sessions in `tried`.

        `lost` is called when the worker stalls before `took_call`. Raises `DestinationError` (`no_worker`).
        """
        able = [worker for worker in self._of(agent) if worker.session not in tried and self._may_take(worker, thread)]
        if not able:
            kind = DestinationError if self._of(agent) else NobodyConnected
            raise kind(self._why_none(agent, thread, tried), code="no_worker")
        worker = min(able, key=_load)
        worker.chosen_at = next(self._turn)
        return Place(worker, worker.connections[thread], lost)

    def unable(self, agent: str, thread: int) -> list[tuple[Worker, str]]:
        """The workers of `agent` that can't be asked now, and why not."""
        found = [(worker, self._obstacle(worker, thread)) for worker in self._of(agent)]
        return [(worker, why) for worker, why in found if why]

    def take_calls_of(self, agent: str) -> bool:
        """Whether a call of `agent` would be taken, whichever media thread it is on."""
        workers = self._of(agent)
        return all(any(self._may_take(worker, thread) for worker in workers) for thread in range(self.threads))

    def drain(self, reason: str) -> None:
        """The gateway takes no new calls: tell all workers."""
        self._draining = reason
        for worker in self:
            for connection in worker.connections.values():
                if connection.mux is not None:
                    connection.mux.send_text(protocol.drain(reason))

    def _of(self, agent: str) -> list[Worker]:
        return [worker for worker in self._sessions.values() if worker.name == agent]

    def _may_take(self, worker: Worker, thread: int) -> bool:
        return not self._obstacle(worker, thread)

    def _obstacle(self, worker: Worker, thread: int) -> str:
        """Why it can't be asked to take a call; empty if it can."""
        if thread not in worker.connections:
            return "it is not connected for this call's media thread"
        if worker.draining:
            return "it is draining"
        if worker.stalled:
            return "it has stalled"
        full = worker.calls >= worker.max_calls
        return f"it is full: {worker.calls} of {worker.max_calls} calls" if full else ""

    def _why_none(self, agent: str, thread: int, tried: set[str]) -> str:
        workers = self._of(agent)
        if not workers:
            return f"no worker of '{agent}' is connected"
        counts = {
            "full": sum(worker.calls >= worker.max_calls for worker in workers),
            "stalled": sum(worker.stalled for worker in workers),
            "draining": sum(worker.draining for worker in workers),
            "asked in vain": sum(worker.session in tried for worker in workers),
            "not connected for this call's media thread": sum(thread not in worker.connections for worker in workers),
        }
        said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        one = len(workers) == 1
        return (
            f"{len(workers)} {'worker' if one else 'workers'} of '{agent}' {'is' if one else 'are'} connected: {said}"
        )

    # -- what metrics read

    def by_agent(self, of: Callable[[Worker], int]) -> Mapping[str, int]:
        """The sum of something over the workers of each agent."""
        sums: Counter[str] = Counter()
        for worker in self._sessions.values():
            sums[worker.name] += of(worker)
        return sums


def _load(worker: Worker) -> tuple[bool, float, int]:
    """What makes a worker the better choice the smaller it is: warm, then idle, then longest without a new call."""
    return worker.ready == 0, worker.calls / worker.max_calls, worker.chosen_at
