"""What a call needs of the gateway around it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from offhook._media import Melody
from offhook.call.early_sounds import EarlySounds
from offhook.call.news import Follower
from offhook.call.out.dial_gate import DialGate
from offhook.call.out.placing import Placing
from offhook.destination.base import Destination, DestinationListener
from offhook.destination.dialect.facts import AgentFacts
from offhook.destination.platform_agent import Dial
from offhook.media.plane import MediaPlane
from offhook.recording.recorder import Recorder
from offhook.route.destination_uri import DestinationUri
from offhook.route.usage import Usage
from offhook.sip.effects import Source

if TYPE_CHECKING:
    from offhook.call.call import Call
    from offhook.call.parts import Parts

T = TypeVar("T")


class Perform(Protocol):
    """Runs one input of the SIP machines now and sends what comes of it."""

    def __call__(self, action: Callable[[float], T]) -> T: ...


class MakeDestination(Protocol):
    """Makes the destination of a URI for one call; `ready_within` seconds is the time that it has."""

    def __call__(self, uri: DestinationUri, listener: DestinationListener, *, ready_within: float) -> Destination: ...


class Directs(Protocol):
    """Makes destinations of all calls; `dial` is how one that is another call makes that."""

    def __call__(
        self, uri: DestinationUri, listener: DestinationListener, *, ready_within: float, dial: Dial
    ) -> Destination: ...


class MediaAddress(Protocol):
    """Says which of our addresses a peer is to send its RTP to; None where media is not spoken on that IP version.

    `source` is its signalling, `family` 4 or 6, `towards` the address in its SDP if there is one.
    """

    def __call__(self, source: Source, family: Literal[4, 6], towards: tuple[str, int] | None) -> str | None: ...


def nobody_follows(facts: AgentFacts) -> Follower | None:
    """No call has a follower."""
    return None


@dataclass(frozen=True, slots=True)
class CallServices:
    """What a call needs of the gateway. `now` is monotonic seconds. Without a `recorder` no call is recorded.

    `follower` says who is told of a call while it goes on, if anybody is; asked once, when the call arrives.
    `gate` counts what leaves, `placing` has calls placed for calls.
    `hold_music` is the music by the names that trunks and routes have for it; what it lacks is silence.
    """

    perform: Perform
    media: MediaPlane
    make_destination: Directs
    media_address: MediaAddress
    now: Callable[[], float]
    answered: Callable[["Call"], None]
    ended: Callable[["Parts"], None]
    recorder: Recorder | None = None
    follower: Callable[[AgentFacts], Follower | None] = nobody_follows
    gate: DialGate = field(default_factory=lambda: DialGate(Usage({}), wall=lambda at: round(at * 1000)))
    placing: Placing = field(default_factory=Placing)
    early_sounds: EarlySounds = field(default_factory=EarlySounds)
    hold_music: Mapping[str, Melody] = field(default_factory=dict)
