"""An agent whose workers dialled us: one of them is asked, and if it does not take the call, the next."""

from collections.abc import Sequence

from offhook._media import CallConfig
from offhook.destination.base import (
    AgentNote,
    Destination,
    DestinationEvent,
    DestinationListener,
)
from offhook.destination.conversation import Conversation, WorkerConversation
from offhook.destination.dialect.facts import AgentFacts, EndCause
from offhook.destination.passing_on import PassingOn
from offhook.destination.wire import AgentSpec, Seat, WireDestination, nobody
from offhook.destination.workers import Place, Workers
from offhook.errors import DestinationError
from offhook.media.leg import RtpLeg
from offhook.media.plane import MediaPlane
from offhook.media.wire import Wire

# A call's timeline has room for so many by name.
_MOST_NAMED = 8

_NEXT_MAY_TAKE_IT = frozenset({"no_worker", "agent_lost", "agent_unreachable", "agent_too_slow"})


class WorkerDestination(PassingOn):
    """One call at one of an agent's workers."""

    def __init__(
        self,
        uri: str,
        spec: AgentSpec,
        media: MediaPlane,
        workers: Workers,
        listener: DestinationListener,
        *,
        node: str,
        ready_within: float,
        seat: Seat,
    ) -> None:
        self._uri = uri
        self._spec = spec
        self._media = media
        self._workers = workers
        self._listener = listener
        self._node = node
        self._ready_within = ready_within
        self._seat = seat
        self._passed_over: set[str] = set()
        self._closed = False

    @property
    def uri(self) -> str:
        return self._uri

    async def prepare(self, leg: RtpLeg, facts: AgentFacts) -> None:
        self._seat.take()
        tried: set[str] = set()
        last: DestinationError | None = None
        while True:
            try:
                attempt = self._ask_next(leg, tried)
            except DestinationError as none_left:
                # What the last one said tells more than that there is no other.
                raise last or none_left from None
            tried.add(attempt.place.worker.session)
            try:
                await attempt.prepare(leg, facts)
            except DestinationError as error:
                attempt.close("no_worker")
                if error.code not in _NEXT_MAY_TAKE_IT:
                    raise
                self._workers.events["passed_on"] += 1
                self._tell(attempt, AgentNote(f"worker {attempt.title} did not take the call", {"why": str(error)}))
                last = error
            else:
                attempt.place.took_call()
                return

    def _ask_next(self, leg: RtpLeg, tried: set[str]) -> "_Attempt":
        self._tell_who_is_passed_over(leg.thread, tried)
        place = self._workers.choose(self._spec.name, leg.thread, tried, lambda error: attempt.give_up(error))
        attempt = self._inner = _Attempt(
            self._uri,
            self._spec,
            self._media,
            self._tell,
            node=self._node,
            ready_within=self._ready_within,
            place=place,
        )
        self._tell(attempt, AgentNote(f"worker {attempt.title} is asked", {"calls": place.worker.calls}))
        return attempt

    def _tell_who_is_passed_over(self, thread: int, tried: set[str]) -> None:
        """Those that can't be asked at all, each once; who was asked in vain has been told of."""
        unable = [
            (worker, why)
            for worker, why in self._workers.unable(self._spec.name, thread)
            if worker.session not in tried | self._passed_over
        ]
        for worker, why in unable[: max(0, _MOST_NAMED - len(self._passed_over))]:
            self._listener(self, AgentNote(f"worker {worker.title} was passed over", {"why": why}))
        self._passed_over |= {worker.session for worker, _ in unable}

    def close(self, reason: str, causes: Sequence[EndCause] = ()) -> None:
        if self._closed:
            return
        self._closed = True
        if self._inner is not None:
            self._inner.close(reason, causes)
            self._workers.events["dropped_audio_ms"] += self.stats().get("sent_dropped_us", 0) // 1000
        self._seat.give_back()
        self._listener = nobody

    def _tell(self, attempt: Destination, event: DestinationEvent) -> None:
        if attempt is self._inner:
            self._listener(self, event)


class _Attempt(WireDestination):
    """One worker that is asked. Its place is its seat: given back when it is over here."""

    def __init__(
        self,
        uri: str,
        spec: AgentSpec,
        media: MediaPlane,
        listener: DestinationListener,
        *,
        node: str,
        ready_within: float,
        place: Place,
    ) -> None:
        super().__init__(uri, spec, media, listener, node=node, ready_within=ready_within, seat=_TakenSeat(place))
        self.place = place
        self.title = place.worker.title

    def give_up(self, error: DestinationError) -> None:
        """It does not answer: let the call go on without it."""
        self._fail(error)

    def _converse(self, facts: AgentFacts) -> Conversation:
        return WorkerConversation(facts, self._format, self._ready_within_ms)

    def _open(self, conversation: Conversation, leg: RtpLeg) -> Wire:
        mux = self.place.connection.mux
        assert mux is not None, "a worker that is chosen is connected"
        config = CallConfig(
            conversation.description.to_json(),
            format=conversation.format,
            credit_ms=self.place.worker.hello.credit_ms,
        )
        return self._media.open_call(config, mux=mux, leg=leg, on_event=self._take, on_error=self._failed)

    def _pass_on(self, reason: str) -> None:
        said = f": {reason}" if reason else ""
        self._lose("no_worker", f"worker {self.title} declined the call{said}")


class _TakenSeat:
    """The place that a worker was chosen with."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def take(self) -> None:
        """It was taken when the worker was chosen."""

    def give_back(self) -> None:
        self._place.give_back()


def _is_a_destination(worker: WorkerDestination) -> Destination:
    return worker
