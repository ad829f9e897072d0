"""What a call out has behind it, where it goes on for one whose other side referred us to somebody else."""

from dataclasses import dataclass
from typing import Any

from offhook.destination.dialect.facts import HandedOver, SaidLine
from offhook.route.pattern import Pattern


@dataclass(frozen=True, slots=True)
class Begun:
    """What was said before, what the agent is told, and to whom it may hand the call over as it could before.

    `account` is for the record: the `call_id` before, who `referred`, where `to`. `steps` counts the calls before.
    """

    history: tuple[SaidLine, ...]
    handed_over: HandedOver
    hand_over_to: tuple[Pattern, ...]
    account: dict[str, Any]
    steps: int
