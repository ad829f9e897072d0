"""A call that somebody wants placed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from offhook.call.joined.joining import Joining
from offhook.call.out.detect import DetectWish
from offhook.call.transfers.begun import Begun
from offhook.route.destination_uri import DestinationUri

RING_TIMEOUT = 60.0
"""Seconds that a called party has to answer, unless the wish says otherwise."""

LONGEST_RINGING = 300.0


@dataclass(frozen=True, slots=True)
class Wish:
    """A call that somebody wants placed.

    `to` is a number as it is written in the trunk's country, or E.164. Without `trunk` the first that may call it is
    taken, without `caller_id` the trunk's first. `ring_timeout` and `max_duration` are seconds, the latter at most the
    trunk's. `early_media` lets the agent hear what the network plays before the answer. `headers` go into the INVITE,
    `data` to the agent. With `private` the one called does not learn the number.
    `key` is the API key that it was asked with, None for the owner of this machine.
    `joined` is the call that it is placed for and will be joined to, which takes the place of an agent.
    `detect` says whether it is told who answers, and what is done then; None that nobody listens.
    `begun` is what the call goes on for, if the other side of another call referred us to `to`, which is allowed then.
    """

    to: str
    agent: DestinationUri
    trunk: str | None = None
    caller_id: str | None = None
    ring_timeout: float = RING_TIMEOUT
    max_duration: float | None = None
    early_media: bool = False
    record: bool = False
    private: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    begun: Begun | None = None
    joined: Joining | None = None
    detect: DetectWish | None = None
