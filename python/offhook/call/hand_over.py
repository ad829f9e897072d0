"""A call is handed over to another agent: the one that has it asks, and keeps it unless the other takes it.

    asked ── ready ──► last words ── played ──► the other agent has the call
      └─────────────────┴── refused, late, lost: the agent has it as before

While the other one gets ready, and until what was said last has been played, the caller is with the agent as ever. What
would end the call for that agent waits for the outcome; what the caller's side does never waits. What the agent says
once the other one has the call counts no more, even where it was said before it could know.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from offhook.call.agent_side import AgentSide, Engagement, described
from offhook.call.leg import CallerLeg
from offhook.call.services import CallServices
from offhook.call.state import CallState
from offhook.call.timers import Timers
from offhook.destination.base import (
    AgentAudio,
    AgentConnected,
    AgentHungUp,
    AgentLost,
    AgentNote,
    Destination,
    DestinationEvent,
    HandOverAsked,
    HandOverEnd,
    HandOverResult,
)
from offhook.destination.dialect.facts import HandedOver
from offhook.destination.workers import NobodyConnected
from offhook.errors import DestinationError
from offhook.observe.printable import printable
from offhook.report.timeline import Timeline
from offhook.route.destination_uri import (
    DestinationUri,
    DestinationUriError,
    DialUri,
    OtherUri,
    WireUri,
    parse_destination,
    redact_query,
)
from offhook.route.table import Route

MAX_ATTEMPTS = 20
"""Hand-overs that one call may try, so that two agents can't pass it to and fro for ever."""

LAST_WORDS = 30.0
"""Seconds of what was said last that are played at most, once the other agent is ready; the rest is cut off."""

_MOST_EVENTS = 256
_LONGEST_SHOWN = 80
_OUTCOMES: Mapping[str, HandOverEnd] = {
    "limit_agent_calls": "no_capacity",
    "no_worker": "no_capacity",
    "agent_rejected": "refused",
    "agent_late": "timed_out",
}


@dataclass(slots=True)
class _Attempt:
    to: str
    by: str
    since: float
    result: HandOverResult | None = None
    over_at: float | None = None

    def summary(self) -> dict[str, int | str | None]:
        return {
            "to": self.to,
            "by": self.by,
            "outcome": self.result.outcome if self.result is not None else None,
            "reason": self.result.reason if self.result is not None else "",
            "duration_ms": round(1000 * (self.over_at - self.since)) if self.over_at is not None else None,
        }


@dataclass(slots=True)
class _Other:
    """The agent that is to take the call, and what it has said that only counts when it has it."""

    engagement: Engagement
    is_ready: bool = False
    said: list[DestinationEvent] = field(default_factory=list)


class HandOvers:
    """The hand-overs of one call, one at a time. What it is told comes from the call, in order."""

    __slots__ = ("_after", "_agent", "_attempts", "_leg", "_other", "_route", "_services", "_timeline", "_timers")

    def __init__(
        self,
        agent: AgentSide,
        leg: CallerLeg,
        route: Route | None,
        timeline: Timeline,
        services: CallServices,
        timers: Timers,
    ) -> None:
        self._agent, self._leg, self._route = agent, leg, route
        self._timeline, self._services, self._timers = timeline, services, timers
        self._attempts: list[_Attempt] = []
        self._other: _Other | None = None
        self._after: Callable[[], None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether one has no outcome yet."""
        return self._other is not None

    @property
    def is_ready(self) -> bool:
        """Whether the other agent is ready, and only what was said last is still to be played."""
        return self._other is not None and self._other.is_ready

    def serves(self, destination: Destination) -> bool:
        """Whether this is the one that is to take the call, which is not the call's agent yet."""
        return self._other is not None and self._other.engagement.destination is destination

    def defers(self, action: Callable[[], None]) -> bool:
        """Whether `action`, which would end the call for its agent, has to wait. The first to come is kept."""
        if self.is_open and self._after is None:
            self._after = action
        return self.is_open

    def deferred(self) -> Callable[[], None] | None:
        """What has waited for the end of the last one, once."""
        action, self._after = self._after, None
        return action

    def ask(self, asked: HandOverAsked, state: CallState, *, is_transferring: bool) -> HandOverResult | None:
        """Begin one in a call that is in this state. A result where it can't even be tried."""
        self._attempts.append(
            _Attempt(redact_query(printable(asked.to[:_LONGEST_SHOWN])), self._agent_uri, self._services.now())
        )
        if (why := self._why_not_now(state, is_transferring)) is not None:
            return self._over(HandOverResult("refused", *why))
        target = self._read(asked.to)
        if isinstance(target, HandOverResult):
            return self._over(target)
        self._attempts[-1].to = target.redacted
        within = asked.timeout or self._ready_within
        try:
            engagement = self._agent.ask(
                target, handed_over=HandedOver(self._agent_uri, asked.note), ready_within=within
            )
        except DestinationError as error:
            return self._over(_result_of(error))
        self._note(f"the agent hands the call over to {target.redacted}")
        self._other = _Other(engagement)
        self._timers.arm("hand_over", within)
        return None

    def prepared(self, error: DestinationError | None) -> HandOverResult | None:
        """The other agent is ready, or does not take the call."""
        assert self._other is not None, "served"
        if error is not None:
            return self._failed(_result_of(error))
        self._other.is_ready = True
        self._note(f"{self._other.engagement.destination.uri} is ready; what was said last is played first")
        self._timers.disarm("hand_over")
        self._timers.arm("last_words", LAST_WORDS)
        self._leg.rtp.drain()
        return None

    def told(self, event: DestinationEvent) -> HandOverResult | None:
        """The other agent says something before it has the call."""
        assert self._other is not None, "served"
        match event:
            case AgentConnected(at, address, intervals):
                self._timeline.add("agent", at, note=f"connected to {address}", **intervals)
            case AgentNote(what, fields):
                self._timeline.add("agent", self._services.now(), note=what, **dict(fields))
            case AgentAudio():
                self._other.engagement.has_spoken = True
            case AgentLost(error):
                return self._failed(_result_of(error))
            case AgentHungUp(detail):
                return self._failed(HandOverResult("refused", detail))
            case _ if len(self._other.said) < _MOST_EVENTS:
                self._other.said.append(event)
            case _:
                pass
        return None

    def too_late(self) -> HandOverResult | None:
        """The other agent has had its time."""
        if self._other is None or self._other.is_ready:
            return None
        waited = self._services.now() - self._attempts[-1].since
        return self._failed(HandOverResult("timed_out", f"waited {waited:g} s for it to be ready"))

    def complete(self) -> list[DestinationEvent]:
        """The other agent has the call from here on: it is to be joined. Gives what it has said meanwhile."""
        assert self._other is not None, "ready"
        other, self._other, self._after = self._other, None, None
        self._timers.disarm("last_words")
        result, before = self._over(HandOverResult("handed_over")), self._agent.destination
        # Whatever the agent has said since its last words is not heard behind the other one's.
        self._leg.rtp.connect(None)
        self._leg.rtp.clear()
        if before is not None:
            before.handed_over(result)
        self._agent.let_go("handed_over")
        self._agent.replace(other.engagement)
        return other.said

    def call_ended(self, reason: str) -> None:
        """The call is over, perhaps with one under way: the agent that waits for it is told."""
        self._after = None
        if not self.is_open:
            return
        result = self._failed(HandOverResult("caller_gone", "the call ended while it was being tried"), reason)
        if self._agent.destination is not None:
            self._agent.destination.handed_over(result)

    def summary(self) -> Mapping[str, object]:
        """What the record of the call says: the last one, and `earlier` ones if there were any. Empty without any."""
        if not self._attempts:
            return {}
        *earlier, last = (attempt.summary() for attempt in self._attempts)
        return last | ({"earlier": earlier} if earlier else {})

    def _failed(self, result: HandOverResult, reason: str = "refused") -> HandOverResult:
        assert self._other is not None, "open"
        other, self._other = self._other, None
        self._timers.disarm("hand_over")
        self._timers.disarm("last_words")
        other.engagement.let_go(reason)
        return self._over(result)

    def _why_not_now(self, state: CallState, is_transferring: bool) -> tuple[str, str] | None:
        if len(self._attempts) > MAX_ATTEMPTS:
            self._attempts.pop(-2)
            return f"the call has tried {MAX_ATTEMPTS} hand-overs already", ""
        if state is CallState.DRAINING:
            return "the agent has ended the call", ""
        if state is not CallState.ANSWERED:
            return "the call is not answered", "hand it over once it is"
        if is_transferring:
            return "a transfer is being tried", "wait for what becomes of it"
        return None

    def _read(self, text: str) -> DestinationUri | HandOverResult:
        try:
            uri = parse_destination(text)
        except DestinationUriError as error:
            return HandOverResult("not_allowed", printable(str(error)), error.hint)
        if isinstance(uri, DialUri | OtherUri):
            hint = "people are reached by a transfer"
            scheme = text.partition(":")[0].lower()
            return HandOverResult("not_allowed", f"calls are handed over to agents, and {scheme}: is none", hint)
        return uri if self._may(uri) else self._forbidden(uri)

    def _may(self, uri: DestinationUri) -> bool:
        allowed = self._route.hand_over_to if self._route is not None else ()
        # A star must not let an agent that was talked into it have the gateway dial anybody.
        return any(pattern.matches(str(uri)) and (pattern.exact or not isinstance(uri, WireUri)) for pattern in allowed)

    def _forbidden(self, uri: DestinationUri) -> HandOverResult:
        assert self._route is not None, "a call without a route is refused"
        allowed = [redact_query(pattern.text) for pattern in islice(self._route.hand_over_to, 5)]
        where = f"`hand_over_to` of route '{self._route.name}'"
        hint = f"{where} allows {', '.join(allowed)}" if allowed else f'write hand_over_to = ["{uri.redacted}"] there'
        return HandOverResult(
            "not_allowed", f"calls of route '{self._route.name}' may not be handed over to {uri.redacted}", hint
        )

    @property
    def _agent_uri(self) -> str:
        return self._agent.destination.uri if self._agent.destination is not None else ""

    @property
    def _ready_within(self) -> float:
        assert self._route is not None, "a call without a route is refused"
        return self._route.ring_timeout

    def _over(self, result: HandOverResult) -> HandOverResult:
        attempt = self._attempts[-1]
        attempt.result, attempt.over_at = result, self._services.now()
        why = f" ({result.reason})" if result.reason else ""
        self._note(f"the hand-over to {attempt.to}: {result.outcome.replace('_', ' ')}{why}")
        return result

    def _note(self, what: str) -> None:
        self._timeline.add("agent", self._services.now(), note=what)


def _result_of(error: DestinationError) -> HandOverResult:
    outcome = "unreachable" if isinstance(error, NobodyConnected) else _OUTCOMES.get(error.code, "unreachable")
    return HandOverResult(outcome, described(error))
