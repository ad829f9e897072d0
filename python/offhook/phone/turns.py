"""Whose turn it is to speak: the phone says its sentence, listens, and says it again when the far end is done."""

from typing import Literal

Repeat = Literal["once", "in_turn", "on_and_on"]
"""How often the phone plays its sound: once; again whenever it is its turn; or without a break, as a tone."""

QUIET_SECONDS = 2.0
"""So long the far end is silent when it is done: sentences lie closer together."""

PATIENCE_SECONDS = 8.0
"""So long an answer is waited for: an agent has to notice our end, think and begin to speak."""

_OVERLAP_SECONDS = 0.5


class Turns:
    """When the phone speaks again. All times are monotonic seconds."""

    def __init__(self) -> None:
        self._said_at = float("-inf")
        self._heard_at = float("-inf")

    def said(self, at: float) -> None:
        """Our sound has left to its end."""
        self._said_at = at

    def heard(self, at: float) -> None:
        """The far end makes a sound."""
        self._heard_at = max(self._heard_at, at)

    def due(self) -> float:
        """When to speak again, as it looks now; it moves on while the far end speaks.

        Who speaks when we end, or after that, is heard out. Who was silent by then, after a greeting for instance, is
        given time for an answer.
        """
        if self._heard_at < self._said_at - _OVERLAP_SECONDS:
            return self._said_at + PATIENCE_SECONDS
        return max(self._heard_at, self._said_at) + QUIET_SECONDS
