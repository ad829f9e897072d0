"""Who spoke when in a call, as a picture and as lines."""

import math
from dataclasses import dataclass
from typing import Literal

_WIDTH = 96
_STEPS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_LINES = 60

Who = Literal["agent", "caller"]


@dataclass(slots=True)
class Span:
    """Somebody spoke from `start` to `end`, in seconds since the beginning. `end` None: still does."""

    who: Who
    start: float
    end: float | None
    text: str


class Timeline:
    """What happened in a call; all times are seconds of the call."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.notes: list[tuple[float, str]] = []

    def note(self, at: float, what: str) -> None:
        """Something happened."""
        self.notes.append((at, what))

    def draw(self, now: float) -> str:
        """All of it up to `now`."""
        if not self.spans and not self.notes:
            return "nothing has happened"
        step = next((step for step in _STEPS if now / step <= _WIDTH), _STEPS[-1])
        width = min(_WIDTH, _steps_to(now, step))
        picture = [f"{who:>6} {self._bar(who, width, step, now)}" for who in ("agent", "caller")]
        told = [(span.start, self._line(span)) for span in self.spans]
        told += [(at, f"{at:8.2f} s         {what}") for at, what in self.notes]
        lines = [line for _, line in sorted(told, key=lambda line: line[0])]
        if len(lines) > _LINES:
            lines = [f"         … {len(lines) - _LINES} lines before", *lines[-_LINES:]]
        return "\n".join([*picture, f"       one character is {step:g} s", *lines, f"{now:8.2f} s         now"])

    def _bar(self, who: Who, width: int, step: float, now: float) -> str:
        bar = ["·"] * width
        for span in self.spans:
            if span.who == who:
                end = now if span.end is None else span.end
                for at in range(int(round(span.start / step, 6)), min(width, _steps_to(end, step))):
                    bar[at] = "█"
        return "".join(bar)

    @staticmethod
    def _line(span: Span) -> str:
        end = "  …   " if span.end is None else f"{span.end:6.2f}"
        return f"{span.start:8.2f} – {end} {span.who:>6}: {span.text or '(not understood)'}"


def _steps_to(seconds: float, step: float) -> int:
    """Steps that reach to there, without the dust of division."""
    return math.ceil(round(seconds / step, 6))
