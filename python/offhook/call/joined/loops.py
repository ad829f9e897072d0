"""Whether a call that is to go on has gone on from here before: what comes back is refused, not sent round again.

A system in between may count hops anew, and leave out what it doesn't know. So there are three marks: the hops
(Max-Forwards) while they are passed on; the Session-ID (RFC 7989) where it is; and at last the numbers themselves,
since calls that ring at once from the same caller to the same number are hardly more than a few.
"""

from collections import Counter
from typing import TypeVar

Key = TypeVar("Key")

MAX_STEPS = 5
"""How often one session (RFC 7989) may go on from here, each time to somebody else."""

MAX_ALIKE = 5
"""Calls of one caller to one number that may ring at the same target at once."""

_NOBODY = frozenset({"", "anonymous"})


class Loops:
    """The calls that go on from here, as long as each of them does."""

    def __init__(self) -> None:
        self._sessions: Counter[str] = Counter()
        self._steps: Counter[tuple[str, str]] = Counter()
        self._ringing: Counter[tuple[str, str, str]] = Counter()

    def __len__(self) -> int:
        return self._sessions.total()

    def enter(self, session_uuid: str, caller: str, dialled: str, target: str) -> "Step | str":
        """Note that a call goes on to `target`, or say in words why it must not."""
        if self._steps[session_uuid, target]:
            return f"this very call goes on to {target} already: it came back to us"
        if self._sessions[session_uuid] >= MAX_STEPS:
            return f"this very call has gone on from here {MAX_STEPS} times already"
        if caller not in _NOBODY and self._ringing[caller, dialled, target] >= MAX_ALIKE:
            return f"{MAX_ALIKE} calls of this caller to this number ring at {target} already: they go in a circle"
        return Step(self, session_uuid, (caller, dialled, target))

    def _count(self, step: "Step", by: int) -> None:
        session, target = step.session_uuid, step.numbers[2]
        _add(self._sessions, session, by)
        _add(self._steps, (session, target), by)

    def _ring(self, step: "Step", by: int) -> None:
        _add(self._ringing, step.numbers, by)


class Step:
    """One call that goes on. `answered` and `over` may be repeated."""

    __slots__ = ("_is_over", "_loops", "_rings", "numbers", "session_uuid")

    def __init__(self, loops: Loops, session_uuid: str, numbers: tuple[str, str, str]) -> None:
        self._loops, self.session_uuid, self.numbers = loops, session_uuid, numbers
        self._rings, self._is_over = True, False
        loops._count(self, 1)
        loops._ring(self, 1)

    def answered(self) -> None:
        """Somebody has taken it: a circle never gets so far."""
        if self._rings:
            self._rings = False
            self._loops._ring(self, -1)

    def over(self) -> None:
        """It goes on no more."""
        self.answered()
        if not self._is_over:
            self._is_over = True
            self._loops._count(self, -1)


def _add(counter: Counter[Key], key: Key, by: int) -> None:
    counter[key] += by
    if not counter[key]:
        del counter[key]
