"""Whether a trunk lets a number or a URI be dialled: by its rules alone, whoever asks and however often.

A number must be listed. Emergency and premium numbers must be configured besides, in every reading of what is dialled:
no pattern means them by accident.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from offhook.route.dial_string import readings
from offhook.route.number_kind import NumberKind, kind_of
from offhook.route.pattern import Pattern
from offhook.route.quoting import printable
from offhook.route.trunk import Trunk

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class NotDialled:
    """Why something is not dialled: `rule` is a slug of a closed list, `why` a sentence, `hint` what to change."""

    rule: str
    why: str
    hint: str


def judge_target(name: str, dialled: str, trunk: Trunk, patterns: Sequence[Pattern], setting: str) -> NotDialled | None:
    """Judge what calls of `trunk` may be connected to; None if nothing stands against it.

    `name` is compared with `patterns`, which stand in `setting`: E.164, an extension, or a URI such as
    `sip:desk@example.com`. `dialled` is the text that the other side will read as a number, empty where there is none.
    """
    shown, where = printable(name), f"trunk '{trunk.name}'"
    if not any(pattern.matches(name) for pattern in patterns):
        listed = ", ".join(str(pattern) for pattern in patterns[:_SHOWN]) or "nothing"
        return NotDialled(
            "dial_not_listed",
            f"calls of {where} may not go to {shown}",
            f"`{setting}` of {where} allows {listed}: add the number, or its prefix and *, if it is wanted",
        )
    for number in readings(dialled, trunk.country):
        as_read = "" if number == name else f", which may be dialled as {printable(number)}"
        match kind_of(number, trunk.country):
            case NumberKind.EMERGENCY if not _names(trunk.emergency_to, number):
                return NotDialled(
                    "dial_emergency",
                    f"{shown}{as_read} reaches an emergency service",
                    f'write emergency_to = ["{number.removeprefix("+")}"] into {where} if its calls may go there',
                )
            case NumberKind.PREMIUM if not _names(trunk.premium_to, number):
                return NotDialled(
                    "dial_premium",
                    f"{shown}{as_read} may cost many times what other numbers do",
                    f'write premium_to = ["{number}"] into {where}, or its prefix and *, if its calls may go there',
                )
    return None


def _names(patterns: Sequence[Pattern], number: str) -> bool:
    return any(pattern.matches(number) or pattern.matches(number.removeprefix("+")) for pattern in patterns)
