"""What somebody who follows a call is told of it while it goes on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from offhook.call.end_reason import EndReason
from offhook.destination.base import AgentTranscript


@dataclass(frozen=True, slots=True)
class CallerSpeech:
    """The caller began to speak, or has stopped, `at` monotonic seconds: when that sound came, not when it was sure."""

    started: bool
    at: float


@dataclass(frozen=True, slots=True)
class AgentChosen:
    """The call goes to this destination now: the route's, or a fallback of it. `uri` is without credentials."""

    uri: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over; `detail` is the record's."""

    reason: EndReason
    detail: str


CallNews: TypeAlias = AgentTranscript | CallerSpeech | AgentChosen | CallEnded
"""To be matched whole."""

Follower: TypeAlias = Callable[[CallNews], None]
"""Called on the event loop, in the middle of the call's own work: it must not wait. What it raises is logged."""
