"""When what nobody has acknowledged is sent again: RFC 3261 13.3.1.4 and RFC 3262 section 3."""

from offhook.sip.timers import TimerValues


class Repetition:
    """After T1, then after twice as long each time, at most `longest` seconds apart, until 64*T1 have passed."""

    __slots__ = ("_deadline", "_interval", "_longest", "_repeat_at")

    def __init__(self, timers: TimerValues, now: float, *, longest: float | None = None) -> None:
        self._longest = longest
        self._interval = timers.t1
        self._repeat_at = now + timers.t1
        self._deadline = now + timers.transaction

    def next_timeout(self) -> float:
        """When to ask again."""
        return min(self._repeat_at, self._deadline)

    def is_over(self, now: float) -> bool:
        """Whether it has been long enough."""
        return now >= self._deadline

    def is_due(self, now: float) -> bool:
        """Whether it is to be sent again now; the next time is set."""
        if now < self._repeat_at:
            return False
        self._interval *= 2
        if self._longest is not None:
            self._interval = min(self._interval, self._longest)
        self._repeat_at += self._interval
        return True
