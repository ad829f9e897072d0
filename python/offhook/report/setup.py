"""How long each step of a call's set-up took, and how much of it was ours."""

from typing import Literal

Milestone = Literal[
    "invite",
    "trying",
    "routed",
    "ringing",
    "agent_dialled",
    "agent_connected",
    "agent_ready",
    "answered",
    "acknowledged",
    "agent_audio_received",
    "agent_audio_sent",
    "caller_audio_sent",
    "dialled",
    "alerted",
    "picked_up",
]

INTERVALS: dict[str, tuple[Milestone, Milestone, str]] = {
    "trying": ("invite", "trying", "INVITE received → 100 Trying sent"),
    "routing": ("invite", "routed", "INVITE received → destination chosen"),
    "ringing": ("invite", "ringing", "INVITE received → 180 Ringing sent"),
    "agent_dial": ("agent_dialled", "agent_connected", "agent dialled → agent connected"),
    "agent_ready": ("agent_connected", "agent_ready", "agent connected → agent ready"),
    "answer": ("invite", "answered", "INVITE received → 200 OK sent"),
    "ack": ("answered", "acknowledged", "200 OK sent → ACK received"),
    "agent_audio": ("answered", "agent_audio_received", "200 OK sent → first audio from the agent"),
    "greeting": ("answered", "agent_audio_sent", "200 OK sent → first agent audio sent to the caller"),
    "caller_audio": ("answered", "caller_audio_sent", "200 OK sent → first caller audio sent to the agent"),
    "alerting": ("dialled", "alerted", "INVITE sent → ringing received"),
    "pick_up": ("dialled", "picked_up", "INVITE sent → 200 OK received"),
    "first_word": ("picked_up", "agent_audio_sent", "200 OK received → first agent audio sent"),
    "first_hearing": (
        "picked_up",
        "caller_audio_sent",
        "200 OK received → first audio of the called party to the agent",
    ),
}
"""Name of each interval: from which milestone to which, and in words. `own` (our share of `answer`) comes with them."""

OWN_IN_WORDS = "of that, the gateway’s own share"
# The media threads may be quicker with a packet than the loop with its note of the 200 that set them going.
_THREADS_APART = 0.05
_AGENTS = ("agent_dialled", "agent_connected", "agent_ready")


class SetUp:
    """Takes the milestones of one call (`at` in monotonic seconds) and gives the intervals between them."""

    def __init__(self, invite_at: float) -> None:
        self._at: dict[str, float] = {"invite": invite_at}
        self._agent_waits: list[tuple[float, float]] = []
        self._waiting_since: float | None = None

    def reach(self, milestone: Milestone, at: float) -> None:
        """Note that a milestone was reached. The first time counts, for those of the agent the last attempt."""
        if milestone == "agent_dialled":
            self._end_wait(at)
            self._waiting_since = at
            for name in _AGENTS:
                self._at.pop(name, None)
        elif milestone == "agent_ready":
            self._end_wait(at)
        self._at.setdefault(milestone, at)

    def agent_gone(self, at: float) -> None:
        """Note that the agent being waited for will not come."""
        self._end_wait(at)

    def await_agent(self, at: float) -> None:
        """Note that a ready agent is waited for: the call is answered at its first audio."""
        self._end_wait(at)
        self._waiting_since = at

    def agent_came(self, at: float) -> None:
        """Note that the wait of `await_agent` is over."""
        self._end_wait(at)

    def intervals(self) -> dict[str, float]:
        """Milliseconds by name, for those whose two ends were reached."""
        found = {
            name: max(0.0, _ms(self._at[begin], self._at[end]))
            for name, (begin, end, _) in INTERVALS.items()
            if begin in self._at
            and end in self._at
            and (self._at[end] >= self._at[begin] or self._at[begin] - self._at[end] < _THREADS_APART)
        }
        if "answered" in self._at:
            found["own"] = round(max(0.0, found["answer"] - self._waited_until(self._at["answered"])), 3)
        return found

    def _end_wait(self, at: float) -> None:
        if self._waiting_since is not None:
            self._agent_waits.append((self._waiting_since, at))
            self._waiting_since = None

    def _waited_until(self, limit: float) -> float:
        waits = [*self._agent_waits]
        if self._waiting_since is not None:
            waits.append((self._waiting_since, limit))
        return sum(_ms(begin, min(end, limit)) for begin, end in waits if begin < limit)


def _ms(begin: float, end: float) -> float:
    return round((end - begin) * 1000, 3)
