"""What was seen of one examined call: facts with their times, to be judged when all calls are over."""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from offhook.destination.dialect.facts import clean
from offhook.examine.audio import Format
from offhook.examine.playout import Playout
from offhook.examine.socket import Reached

MOST_KEPT = 20_000
"""Arrivals and marks that are kept of one call."""

SceneName = Literal["talk", "interrupt", "together", "short", "again"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One audio message: when it came, its length in seconds, and the fingerprint of its sound if it is audible."""

    at: float
    seconds: float
    fingerprint: int | None


@dataclass(slots=True)
class Mark:
    """One mark that the agent asked for; `back_at` is when it was told, `dropped` that a clear did it."""

    name: str
    asked_at: float
    nothing_before: bool
    back_at: float | None = None
    dropped: bool = False


@dataclass(slots=True)
class Garbage:
    """Messages that make no sense, of one kind: how many, and what the first was."""

    count: int
    what: str


@dataclass(frozen=True, slots=True)
class AgentEnd:
    """The agent ended the call: by its protocol's message or by its close frame (`code`), or it broke off (1006)."""

    at: float
    code: int
    reason: str
    by_message: bool = False

    @property
    def in_good_order(self) -> bool:
        """Whether the gateway takes it for a hang-up; all else is an agent that was lost."""
        return self.by_message or self.code in (1000, 1005)

    def __str__(self) -> str:
        said = f" ({self.reason})" if self.reason else ""
        if self.by_message:
            return f"its hang-up message{said}"
        return "the connection broke" if self.code == 1006 else f"close code {self.code}{said}"


@dataclass(slots=True)
class CallLog:
    """One call. Times are those of the loop's clock; what never happened is None."""

    scene: SceneName
    label: str
    dialect: str
    format: Format
    playout: Playout
    stream_sid: str = ""

    dialled_at: float = 0.0
    reached: Reached | None = None
    unreached: str = ""
    connected_at: float | None = None
    ready_at: float | None = None
    rejected: str = ""
    answered_at: float | None = None
    hung_up_at: float | None = None
    vanished_at: float | None = None
    agent_end: AgentEnd | None = None
    cut: str = ""
    """Why the gateway ends such a call: `flood`, `garbage` or `too_slow`."""
    close_came_at: float | None = None
    close_code: int | None = None
    ended_at: float | None = None

    early: list[str] = field(default_factory=list)
    """Kinds of messages that came before their time."""
    arrivals: deque[Arrival] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    audio_messages: int = 0
    audio_seconds: float = 0.0
    marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    clears: list[float] = field(default_factory=list)
    garbage: dict[str, Garbage] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    foreign: str = ""
    without_stream: int = 0
    other_streams: dict[str, int] = field(default_factory=dict)
    wav_headers: int = 0
    late_messages: int = 0
    """Messages that came more than a moment after the call was over."""

    speeches: list[tuple[float, float]] = field(default_factory=list)
    """From when to when the caller spoke."""
    keys: list[float] = field(default_factory=list)
    interrupted_at: float | None = None
    ahead_then: float = 0.0
    gateway_cleared_at: float | None = None
    named_utterances: bool = False
    """Whether what the gateway dropped was an utterance that the agent had named, and left to it."""
    stale_seconds: float = 0.0
    """Audio that still came of utterances that had been cut off."""
    frames_sent: int = 0
    frames_unread: int = 0
    lateness: float = 0.0
    """How late a frame of ours left at worst: what this machine did, not the agent."""

    @staticmethod
    def count(counts: dict[str, int], what: str) -> None:
        """One more of `what`; a hundred different ones are kept."""
        what = clean(what)[:64]
        if what in counts or len(counts) < 100:
            counts[what] = counts.get(what, 0) + 1

    @property
    def first_audio_at(self) -> float | None:
        """When the first audio message came."""
        return self.arrivals[0].at if self.arrivals else None

    def first_sound(self, since: float = 0.0) -> float | None:
        """When the caller first heard something from then on."""
        sounds = self.playout.sounds(since)
        return sounds[0] if sounds else None

    @property
    def is_answered(self) -> bool:
        """Whether the call got as far as a conversation."""
        return self.answered_at is not None
