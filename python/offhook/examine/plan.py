"""What an examination is made of: whom to call, with which voice, and how long to wait for what."""

from dataclasses import dataclass, field

from offhook.phone.sound import Samples
from offhook.route.destination_uri import WireUri


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the examined calls wait, and from when on an agent is late. All are seconds."""

    connect: float = 10.0
    """To reach the agent, all steps of it together."""
    ringing: float = 0.3
    """Between the upgrade and `start` where the dialect has no `ready`: the phone rings meanwhile."""
    ready: float = 20.0
    """What the gateway gives an agent to get ready (`ring_timeout` of a route)."""
    greeting: float = 4.0
    """A caller who hears nothing for so long speaks first."""
    listening: float = 6.0
    """A caller who is talked to for so long speaks, whether it is the caller's turn or not."""
    pause: float = 0.8
    """Silence of so long means that the agent has finished."""
    answer: float = 8.0
    """How long a caller waits for an answer."""
    closing: float = 2.0
    """How long the gateway waits for the agent's close frame."""

    slow_greeting: float = 1.5
    late_greeting: float = 3.0
    """From `start` to the first sound: from here on a caller wonders, and says hello into the silence."""
    slow_answer: float = 4.0
    slow_ready: float = 3.0
    speaking_over: float = 1.5
    """An agent that is still heard so long after the caller began to speak talks over the caller."""
    letting_go: float = 0.6
    """From the gateway's `cleared` to the last sound of what was cleared."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One examination.

    `voice` is what the caller says, PCM16 at 8 kHz. `headers`, `origin`, `tls_verify` and `tls_ca` are as in an
    `[[agent]]`. `encoding` and `sample_rate` are what the dialect `offhook` offers. `short_calls` is how many calls are
    hung up on at once. `barge_in`: whether the agent is meant to fall silent when the caller speaks.
    """

    uri: WireUri
    voice: Samples
    headers: tuple[tuple[str, str], ...] = ()
    origin: str | None = None
    tls_verify: bool = True
    tls_ca: str | None = None
    encoding: str = "pcm16"
    sample_rate: int = 16_000
    short_calls: int = 6
    barge_in: bool = True
    user_agent: str = "offhook"
    pace: Pace = field(default_factory=Pace)
