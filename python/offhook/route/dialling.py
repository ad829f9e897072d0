"""Whether a trunk lets a number, a name or a URI be dialled: by its rules alone, whoever asks and however often.

It must be listed. Emergency and premium numbers must be configured besides, in every reading of what is dialled:
no pattern means them by accident.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from offhook.route.called_name import digits_of, is_name, lists_name
from offhook.route.dial_string import readings
from offhook.route.number import read_number, written
from offhook.route.number_kind import NumberKind, kind_of
from offhook.route.pattern import ANY, Pattern
from offhook.route.quoting import printable
from offhook.route.trunk import Trunk

_SHOWN = 5
_LISTED = (ANY,)


@dataclass(frozen=True, slots=True)
class NotDialled:
    """Why something is not dialled: `rule` is a slug of a closed list, `why` a sentence, `hint` what to change."""

    rule: str
    why: str
    hint: str


def judge_called(text: str, trunk: Trunk, *, listed: bool = False) -> str | NotDialled:
    """Whom a call out by `trunk` reaches when somebody wants `text` called, or what stands against it.

    What `dial_to` lists as an extension or a user name is called as it stands. All else has to be a number, as it is
    written in the trunk's country, and is E.164 then. A `tel:` before it is left out; of URIs nothing else is read.
    `listed` says that the configuration lists it in another place: what it may never be is looked for all the same.
    """
    text = text.strip().removeprefix("tel:")
    if is_name(text) and (listed or lists_name(trunk.dial_to, text)):
        # No list is asked again: `*` stands for all that is listed, which this is.
        return judge_target(text, digits_of(text), trunk, _LISTED, "dial_to") or text
    number = read_number(text, trunk.country).e164
    if number is None and is_name(text):
        return NotDialled(
            "dial_not_listed",
            f"calls of trunk '{trunk.name}' may not go to {text}",
            f'an extension or a user name has to be listed: write dial_to = ["{text}"], or its beginning and *, into '
            f"trunk '{trunk.name}', if it is wanted",
        )
    if number is None:
        return NotDialled(
            "dial_no_number",
            f"'{printable(text)}' is no telephone number" + (f" in {trunk.country}" if trunk.country else ""),
            "write it with + and the country's code, such as +14155550100",
        )
    # What leaves may be read otherwise than what we mean by it.
    for dialled in (number, written(number, trunk.number_format, trunk.country)):
        against = judge_target(number, dialled, trunk, _LISTED if listed else trunk.dial_to, "dial_to")
        if against is not None:
            return against
    return number


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
