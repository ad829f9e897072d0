"""The agent's side of a call: who is asked, made ready, joined to the caller, lost, and who follows.

It decides nothing of the call: what comes of an agent is posted to the call, which says what is to be done.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from offhook.call.event import CallEvent, FromDestination, Prepared
from offhook.call.history import History
from offhook.call.leg import CallerLeg
from offhook.call.services import CallServices, MakeDestination
from offhook.call.timers import Timers
from offhook.destination.base import Destination
from offhook.destination.dialect.facts import AgentFacts, EndCause, HandedOver
from offhook.errors import DestinationError
from offhook.report.setup import SetUp
from offhook.report.timeline import Timeline
from offhook.route.destination_uri import DestinationUri, DialUri
from offhook.route.table import FallbackCause, Route
from offhook.sip.outgoing import NOTHING

_log = structlog.get_logger("offhook.call")

_AFTER_RINGING = 12.0


class Engagement:
    """One agent and one call: from the moment it is asked to its goodbye."""

    __slots__ = ("_preparing", "destination", "has_spoken", "is_joined", "is_ready", "uri")

    def __init__(self, uri: DestinationUri, destination: Destination, preparing: asyncio.Task[None]) -> None:
        self.uri = uri
        self.destination = destination
        self.is_ready = False
        """Whether it has taken the call."""
        self.has_spoken = False
        """Whether its first sound is here."""
        self.is_joined = False
        """Whether caller and agent hear each other; on hold they count as joined, too."""
        self._preparing = preparing

    def join(self) -> None:
        """Join it to the caller, once it is ready."""
        self.is_joined = True
        self.destination.begin()

    def let_go(self, reason: str, causes: Sequence[EndCause] = ()) -> None:
        """Have done with it, ready or not; nothing that it says from now on counts. May be repeated."""
        self._preparing.cancel()
        self.destination.close(reason, causes)


class AgentSide:
    """The agents of one call, of which it has one at a time. `chosen` hears the URI of each as it is asked.

    `Prepared` and `FromDestination` are posted of every engagement; `serves` says whether it is the one that counts.
    """

    __slots__ = (
        "_chosen",
        "_facts",
        "_fallbacks",
        "_leg",
        "_make",
        "_post",
        "_post_fault",
        "_ready_within",
        "_services",
        "_set_up",
        "_timeline",
        "_timers",
        "current",
        "history",
        "replaced",
        "uri",
        "wire_stats",
    )

    def __init__(
        self,
        facts: AgentFacts,
        leg: CallerLeg,
        route: Route | None,
        timeline: Timeline,
        set_up: SetUp,
        services: CallServices,
        timers: Timers,
        *,
        post: Callable[[CallEvent], None],
        post_fault: Callable[[Exception], None],
        make: MakeDestination,
        chosen: Callable[[str], None],
    ) -> None:
        self.current: Engagement | None = None
        self.uri = route.destination if route is not None else None
        """Where the call goes on, or went on last."""
        self.replaced = ""
        """Who was lost last and who took the call instead, for the record."""
        self.wire_stats: dict[str, int] = {}
        """The counters of the last agent that had a connection."""
        self.history = History()
        """What was said so far; whoever is asked in a call that is in progress is told."""
        self._fallbacks = list(route.fallback) if route is not None else []
        self._ready_within = route.ring_timeout if route is not None else 0.0
        self._facts, self._leg = facts, leg
        self._timeline, self._set_up, self._services, self._timers = timeline, set_up, services, timers
        self._post, self._post_fault, self._make, self._chosen = post, post_fault, make, chosen

    @property
    def destination(self) -> Destination | None:
        """The agent that the call goes on to, joined or not."""
        return self.current.destination if self.current is not None else None

    @property
    def joined(self) -> Destination | None:
        """The agent that the caller speaks with."""
        return self.current.destination if self.current is not None and self.current.is_joined else None

    @property
    def is_ready(self) -> bool:
        """Whether an agent has taken the call."""
        return self.current is not None and self.current.is_ready

    @property
    def has_spoken(self) -> bool:
        """Whether the first sound of the agent is here."""
        return self.current is not None and self.current.has_spoken

    def serves(self, destination: Destination) -> bool:
        """Whether it is this one that the call goes on to."""
        return destination is self.destination

    def engage(self, uri: DestinationUri, handed_over: HandedOver | None = None) -> None:
        """The call goes on to `uri`: ask it, with the route's ringing time for itself. Nobody else is engaged."""
        assert self.current is None, "one at a time"
        self.take(self.ask(uri, handed_over=handed_over))
        # Who is called rings so long, and says then that nobody has answered.
        slack = _AFTER_RINGING if isinstance(uri, DialUri) else 0.0
        self._timers.arm("ring_timeout", self._ready_within + slack)

    def ask(
        self,
        uri: DestinationUri,
        *,
        handed_over: HandedOver | None = None,
        ready_within: float | None = None,
        make: MakeDestination | None = None,
    ) -> Engagement:
        """Ask an agent, who is not the call's: `Prepared` says what came of it; then `take` it or let it go.

        `ready_within` seconds is the time that it is told, by default the route's. `make` makes what no URI says.
        """
        destination = (make or self._make)(
            uri,
            lambda who, event: self._post(FromDestination(who, event)),
            ready_within=ready_within or self._ready_within,
        )
        # What is said before `ready` is heard early in a call that still rings alone.
        early_media = self._facts.early_media and handed_over is None
        facts = replace(self._facts, history=self.history.lines, handed_over=handed_over, early_media=early_media)
        preparing = asyncio.get_running_loop().create_task(
            self._prepare(destination, facts), name=f"prepare {self._facts.call_id}"
        )
        self._timeline.add("agent", self._services.now(), note=f"preparing {destination.uri}")
        return Engagement(uri, destination, preparing)

    def take(self, engagement: Engagement) -> None:
        """From here on it is the call's agent. The one before has been let go."""
        self._be(engagement)
        self._set_up.reach("agent_dialled", self._services.now())

    def replace(self, engagement: Engagement) -> None:
        """From here on it is the agent of a call in progress, and ready. The one before has been let go."""
        self._be(engagement)
        engagement.is_ready = True

    def _be(self, engagement: Engagement) -> None:
        self.current, self.uri = engagement, engagement.uri
        self.history.another_agent()
        # What the agent before wanted said of the call is not this one's.
        self._leg.session.letterhead.outgoing = NOTHING
        self._chosen(engagement.destination.uri)

    def ready(self) -> None:
        """The one that was engaged has taken the call."""
        assert self.current is not None, "engaged"
        self.current.is_ready = True
        self._set_up.reach("agent_ready", self._services.now())
        self._timeline.add("agent", self._services.now(), note=f"{self.current.destination.uri} is ready")

    def spoke(self, at: float) -> None:
        """The first sound of the one that was engaged is here."""
        assert self.current is not None, "engaged"
        self.current.has_spoken = True
        self._set_up.reach("agent_audio_received", at)
        self._timeline.add("agent", at, note="first agent audio received")

    def rerouted(self, facts: AgentFacts) -> None:
        """The call goes by another trunk: whoever is engaged is told at its start, whoever follows from the first."""
        self._facts = facts
        if self.destination is not None:
            self.destination.rerouted(facts)

    def lost(self, error: DestinationError, cause: FallbackCause, causes: Sequence[EndCause]) -> DestinationUri | None:
        """The one that was engaged has failed: let it go. Returns who is to be engaged instead, if anybody is."""
        self._set_up.agent_gone(self._services.now())
        failed, detail = self.let_go(error.code, causes), described(error)
        self._timeline.add("agent", self._services.now(), note=f"{failed} failed ({cause.value}): {detail}")
        following = self._next_fallback(cause) if error.retryable else None
        if following is not None:
            # The caller hardly notices; whoever runs the agent has to.
            self.replaced = f"{failed} failed ({error.code}), {following.redacted} took the call"
            _log.warning(
                "agent.failed",
                call_id=self._facts.call_id,
                reason=error.code,
                detail=detail,
                fallback=following.redacted,
            )
        return following

    def let_go(self, reason: str, causes: Sequence[EndCause] = ()) -> str:
        """Have done with the one that is engaged, if one is. Returns its URI without credentials, or nothing."""
        self._timers.disarm("ring_timeout")
        gone, self.current = self.current, None
        if gone is None:
            return ""
        gone.let_go(reason, causes)
        # A fallback without a connection leaves those of the agent before it.
        self.wire_stats = dict(gone.destination.stats()) or self.wire_stats
        return gone.destination.uri

    async def _prepare(self, destination: Destination, facts: AgentFacts) -> None:
        try:
            await destination.prepare(self._leg.rtp, facts)
        except DestinationError as error:
            self._post(Prepared(destination, error))
        except Exception as error:
            self._post_fault(error)
        else:
            self._post(Prepared(destination, None))

    def _next_fallback(self, cause: FallbackCause) -> DestinationUri | None:
        """The first fallback in file order that takes this cause. Each serves once: failures can't go in circles."""
        for fallback in self._fallbacks:
            if cause in fallback.on:
                self._fallbacks.remove(fallback)
                return fallback.to
        return None


def described(error: DestinationError) -> str:
    """What is wrong with an agent and what to do about it, for the record."""
    return f"{error}. {error.hint}" if error.hint else str(error)
