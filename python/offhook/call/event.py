"""What is posted to a call's inbox."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from offhook._media import MediaEvent
from offhook.call.end_reason import EndReason
from offhook.call.out.outcome import Outcome
from offhook.destination.base import Destination, DestinationEvent
from offhook.destination.dialect.facts import EndCause
from offhook.errors import DestinationError
from offhook.ids import CallId
from offhook.sip import events as sip

Timer: TypeAlias = Literal[
    "ring_timeout",
    "max_duration",
    "drain_limit",
    "far_end_buffer",
    "back_from_transfer",
    "budget",
    "hand_over",
    "last_words",
    "referred",
    "message",
    "holders_music",
]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The destination is ready (`error` is None) or has failed."""

    destination: Destination
    error: DestinationError | None


@dataclass(frozen=True, slots=True)
class TimeUp:
    """A timer of the call ran out."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class HangUp:
    """The gateway wants the call to end. `causes` are what the other side of a call that is joined to it gave."""

    reason: EndReason
    detail: str
    causes: tuple[EndCause, ...] = ()


@dataclass(frozen=True, slots=True)
class FromLeg:
    """An event of the caller's RTP leg."""

    event: MediaEvent


@dataclass(frozen=True, slots=True)
class FromRecording:
    """An event of the call's recording."""

    event: MediaEvent


@dataclass(frozen=True, slots=True)
class FromDestination:
    """An event of a destination, which may be one that the call has given up meanwhile."""

    destination: Destination
    event: DestinationEvent


@dataclass(frozen=True, slots=True)
class Fault:
    """A bug of ours on the way of an event to this call."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Referring:
    """The call out that the other side's REFER asked for has come further: it is placed, rings, or has its outcome."""

    call_id: CallId
    outcome: Outcome | None
    rang: bool = False


CallEvent = (
    sip.SessionEvent | FromLeg | FromRecording | Prepared | TimeUp | HangUp | FromDestination | Fault | Referring
)
"""To be matched whole."""
