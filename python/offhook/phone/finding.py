"""What became known of one call of the test phone."""

from dataclasses import dataclass, field
from typing import Literal

from offhook.phone.echo import Echo
from offhook.phone.outcome import Outcome
from offhook.phone.plan import Plan
from offhook.phone.recording import Recording
from offhook.report.timeline import Timeline
from offhook.sdp.terms import NegotiatedAudio

Milestone = Literal["invite", "trying", "ringing", "early_media", "answered", "first_packet", "first_sound", "ended"]
Tone = Literal["plain", "good", "bad"]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened, `at` seconds after the INVITE."""

    at: float
    text: str
    tone: Tone = "plain"


@dataclass(slots=True)
class Finding:
    """All that is known of a call once it is over. Milestones are monotonic seconds."""

    plan: Plan
    outcome: Outcome
    timeline: Timeline
    milestones: dict[Milestone, float] = field(default_factory=dict)
    stats: dict[str, int] = field(default_factory=dict)
    audio: NegotiatedAudio | None = None
    recording: Recording | None = None
    echo: Echo | None = None
    heard_frames: int = 0
    heard_db: float = -100.0
    digits_heard: str = ""
    digits_sent: str = ""
    transport: str = ""
    local_signalling: str = ""
    remote_signalling: str = ""
    local_media: str = ""
    heard_from: str = ""
    unreachable_media: bool = False
    sip_call_id: str = ""
    device: str = ""

    def since(self, first: Milestone, then: Milestone) -> float | None:
        """Milliseconds between two milestones; None if one was not reached, or in another order."""
        if first not in self.milestones or then not in self.milestones:
            return None
        passed = round((self.milestones[then] - self.milestones[first]) * 1000, 2)
        return passed if passed >= 0 else None
