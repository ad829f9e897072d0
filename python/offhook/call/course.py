"""The course of a call: where it stands, and what has happened to it so far, as its record tells."""

import contextlib
from collections.abc import Iterator

import structlog

from offhook._media import MediaEvent
from offhook.call.end_reason import EndReason
from offhook.call.media_note import media_note
from offhook.call.news import CallNews
from offhook.call.services import CallServices
from offhook.call.state import TRANSITIONS, CallInput, CallState
from offhook.destination.dialect.facts import AgentFacts, EndCause
from offhook.report.setup import SetUp
from offhook.report.timeline import Timeline
from offhook.route.table import Route
from offhook.route.trunk import Trunk

_log = structlog.get_logger("offhook.call")

_BUSY_RETRY_AFTER = 5


class Course:
    """What a call keeps of itself. It decides nothing; the call that it is the course of does."""

    __slots__ = (
        "_follower",
        "_services",
        "answered_at",
        "arrived_at",
        "causes",
        "end_detail",
        "ended_at",
        "facts",
        "heard_caller",
        "id",
        "rang_at",
        "reason",
        "reject_status",
        "retry_after",
        "route",
        "set_up",
        "state",
        "timeline",
        "trunk",
    )

    def __init__(
        self,
        facts: AgentFacts,
        trunk: Trunk,
        route: Route | None,
        timeline: Timeline,
        set_up: SetUp,
        services: CallServices,
        *,
        arrived_at: float,
    ) -> None:
        self.id = facts.call_id
        self.facts = facts
        self.trunk = trunk
        self.route = route
        self.timeline = timeline
        self.set_up = set_up
        self.state = CallState.ARRIVED
        self.reason: EndReason | None = None
        self.end_detail = ""
        self.causes: tuple[EndCause, ...] = ()
        """Why the caller's side ended the call, in its own words."""
        self.arrived_at = arrived_at
        self.rang_at: float | None = None
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.heard_caller = False
        """Whether any RTP of the caller was accepted."""
        self.reject_status: int | None = None
        """The SIP status that the agent asked for when it rejected the call."""
        self.retry_after = _BUSY_RETRY_AFTER
        """Seconds in Retry-After of a 503."""
        self._services = services
        self._follower = services.follower(facts)

    @property
    def _route(self) -> Route:
        assert self.route is not None, "a call without a route is refused before it asks for one"
        return self.route

    def _move(self, what: CallInput) -> None:
        following = TRANSITIONS.get((self.state, what))
        assert following is not None, f"a call that is {self.state.value} can't {what.value}"
        self.state = following
        self.timeline.add("state", self._services.now(), note=following.value)

    def _tell(self, news: CallNews) -> None:
        """Whoever follows the call must not harm it."""
        if self._follower is None:
            return
        with self._on_its_own():
            self._follower(news)

    @contextlib.contextmanager
    def _on_its_own(self) -> Iterator[None]:
        """A bug in one part must not keep the others from being told."""
        try:
            yield
        except Exception:
            _log.exception("call.part_failed", call_id=self.id)

    def _note_media(self, event: MediaEvent) -> None:
        what, figures = media_note(event)
        self.timeline.add("media", event.at, note=what, **figures)

    def _note(self, what: str) -> None:
        self.timeline.add("note", self._services.now(), note=what)
