"""How long the caller waited for each answer: from the end of what was said to the first sound of what came back."""

LONGEST = 60.0
"""Seconds after which a sound is no answer any more."""


class Turns:
    """Pairs the ends of the caller's speech with the beginnings of the agent's. Times are monotonic seconds.

    They are when the sound came, and may be told in any order: voice activity is sure of an end only a while later.
    """

    def __init__(self) -> None:
        self._ended_at: float | None = None
        self._answered_at: float | None = None

    def caller(self, started: bool, at: float) -> float | None:
        """The caller began to speak, or has stopped; the seconds that the answer took, if it has come already."""
        self._ended_at = None if started else at
        return None if started else self._pair()

    def agent(self, at: float) -> float | None:
        """The agent began to speak; the seconds that it took, if this is an answer."""
        self._answered_at = at
        return self._pair()

    def _pair(self) -> float | None:
        if self._ended_at is None or self._answered_at is None or self._answered_at < self._ended_at:
            return None
        waited = self._answered_at - self._ended_at
        self._ended_at = self._answered_at = None
        return waited if waited <= LONGEST else None
