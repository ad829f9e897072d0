"""Whom a call out may reach besides the numbers of the world: extensions, and the user names of SIP.

They mean something to one phone system alone, so a trunk has to list them: `201`, `2*`, `alice`, `agent_*`. A pattern
that begins with `*` stands for telephone numbers and never for these, or every list made for numbers would admit them.
"""

import re
from collections.abc import Sequence

from offhook.route.number import is_valid, read_number
from offhook.route.pattern import Pattern

LONGEST_EXTENSION = 7
"""Digits that an extension may have which a pattern with `*` lists; a longer one has to be listed as it stands."""

MAX_NAME = 64
"""Characters of a name, digits of an extension included."""

# Letters, digits and marks that no phone system gives a meaning and that are never escaped. No `*` and `#`: service
# codes (*72 forwards the calls of whoever dials it) are nobody to call.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_LETTERS_FIRST = re.compile(r"[A-Za-z._-]+[0-9._-]*")
_NO_DIGITS = re.compile(r"[^0-9]")
_LONGEST_SHORT = 6


def is_name(text: str) -> bool:
    """Say whether this can be an extension or a user name: ASCII letters, digits, `_`, `.` and `-`, 64 at most."""
    return _NAME.fullmatch(text) is not None


def is_short_name(text: str) -> bool:
    """Say whether it is a name, and no number that lacks its country: more than seven digits and nothing else."""
    return is_name(text) and not (text.isdigit() and len(text) > LONGEST_EXTENSION)


def lists_name(patterns: Sequence[Pattern], name: str) -> bool:
    """Say whether one of these means a name: as it stands, or by a beginning of its own.

    Digits alone are an extension up to seven of them. What has more could be a number of any country, so `1*` does not
    admit it.
    """
    return any(
        pattern.text[:1] not in ("*", "+", "") and pattern.matches(name) and (pattern.exact or is_short_name(name))
        for pattern in patterns
    )


def digits_of(name: str) -> str:
    """What of a name a switch may dial, for a look at its readings: the name where it begins with a digit, else digits.

    `bot911` may reach 911. An identifier such as `call_8f1c90a2…` may not: more digits than a short number has, between
    letters, are no number to anybody.
    """
    if name[:1].isdigit():
        return name
    digits = _NO_DIGITS.sub("", name)
    return digits if len(digits) <= _LONGEST_SHORT or _LETTERS_FIRST.fullmatch(name) is not None else ""


def read_own(text: str, country: str | None = None) -> str:
    """Read what our calls show of themselves: a number as E.164, an extension or a user name as it stands.

    What is as short as an extension is a number only where its country's plan has it: `100` is none of Germany's, where
    numbers may have any length.
    """
    number = read_number(text, country).e164
    if number is None or (is_short_name(text) and not is_valid(number)):
        return text.strip()
    return number
