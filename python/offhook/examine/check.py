"""One thing that was looked at, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Literal, TypeAlias

CheckName = Literal[
    "reached", "ready", "readable", "before_start", "stays", "speaks", "in_time", "rate", "pace", "answers",
    "interruption", "marks", "digits", "hang_up", "together", "again",
]  # fmt: skip


Figure: TypeAlias = float | int | str | bool | None
Figures: TypeAlias = dict[str, Figure]


class Outcome(IntEnum):
    """How a check came out; the higher, the worse."""

    NOT_JUDGED = 0
    GOOD = 1
    NOTE = 2
    WARNING = 3
    FAULT = 4


TITLES: Mapping[CheckName, str] = {
    "reached": "can be reached",
    "ready": "takes the call",
    "readable": "its messages can be read",
    "before_start": "waits for the start",
    "stays": "stays on the line",
    "speaks": "is heard",
    "in_time": "greets in time",
    "rate": "speaks at the right rate",
    "pace": "sends sound evenly",
    "answers": "answers the caller",
    "interruption": "can be interrupted",
    "marks": "uses marks rightly",
    "digits": "bears a key",
    "hang_up": "lets go of the call",
    "together": "keeps calls apart",
    "again": "takes call after call",
}
"""What each check is about, in the order in which they are shown."""

CAUSES: Mapping[CheckName, tuple[CheckName, ...]] = {
    "before_start": ("ready",),
    "readable": ("ready",),
    "stays": ("ready", "readable", "pace"),
    "speaks": ("ready", "readable", "stays", "pace"),
    "in_time": ("ready", "readable", "stays", "pace", "speaks"),
    "rate": ("ready", "readable", "stays", "speaks"),
    "pace": ("ready", "readable", "rate"),
    "answers": ("ready", "readable", "stays", "speaks", "pace", "marks"),
    "interruption": ("ready", "readable", "stays", "speaks", "pace", "marks"),
    "marks": ("ready", "stays", "speaks", "rate", "pace"),
    "digits": ("ready", "readable", "stays", "pace"),
    "hang_up": ("ready", "readable", "stays", "pace"),
    "together": ("ready", "readable", "stays", "pace", "speaks", "in_time", "hang_up"),
    "again": ("ready", "readable", "stays", "pace", "speaks", "in_time", "hang_up"),
}
"""Check -> those whose fault explains what is found here, so that one mistake is told once."""


@dataclass(frozen=True, slots=True)
class Check:
    """`found` is what was seen, with figures; `advice` what to change, empty where there is nothing to."""

    name: CheckName
    outcome: Outcome
    found: str
    advice: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it is about."""
        return TITLES[self.name]


def explained(checks: list[Check]) -> list[Check]:
    """The checks, with those set aside that the fault of another explains."""
    faults = {check.name for check in checks if check.outcome is Outcome.FAULT}
    return [_set_aside(check, faults) for check in checks]


def _set_aside(check: Check, faults: set[CheckName]) -> Check:
    cause = next((name for name in CAUSES.get(check.name, ()) if name in faults), None)
    if cause is None or check.outcome < Outcome.NOTE:
        return check
    found = f"not judged, since it does not pass “{TITLES[cause]}”"
    return replace(check, outcome=Outcome.NOT_JUDGED, found=found, advice="")
