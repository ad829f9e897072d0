"""What the other side of a call says in headers of its own once it was called: a platform's variables, a carrier's ids.

    X-Outcome: booked      of its answer or refusal, of a REFER, of a BYE      ──►   Outcome = booked

They are claims of whoever sent them, kept for the record and decided by nobody. Which headers count is as with those
of an INVITE: `pass_headers` of the route or trunk.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.platform.profile import VARIABLE_PREFIX
from offhook.platform.variables import MAX_VARIABLES
from offhook.report.timeline import SECRET_WORDS
from offhook.route.pattern import names_fit
from offhook.sip.message import Request, Response
from offhook.sip.outgoing import check_header, is_ours
from offhook.sip.uri import SipUri

MAX_TOTAL = 8192
"""Characters of all names and values of one call."""

LONGEST = 1024
"""Characters of a value; what is longer is cut."""

MASKED = "***"
"""What is kept of a value that is a secret by its name."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one message says: variables by name, and the headers that are none, with why."""

    values: Mapping[str, str]
    left_out: tuple[tuple[str, str], ...] = ()


class Variables:
    """The variables of one call. A later value takes the place of an earlier one, whatever the case of its name."""

    __slots__ = ("_said",)

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    @property
    def values(self) -> dict[str, str]:
        """All of them, by the names as they were first written."""
        return dict(self._said)

    def take(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """Keep what was said; returns the names for which there was no room."""
        dropped = []
        for name, value in values.items():
            known = next((one for one in self._said if one.lower() == name.lower()), name)
            rest = sum(len(one) + len(said) for one, said in self._said.items() if one != known)
            is_full = known not in self._said and len(self._said) == MAX_VARIABLES
            if is_full or rest + len(known) + len(value) > MAX_TOTAL:
                dropped.append(name)
            else:
                self._said[known] = value
        return tuple(dropped)


def said_in(message: Request | Response, patterns: tuple[str, ...]) -> Said:
    """The variables of a message: its headers that fit `patterns`, named by what follows `X-`, the first of a name.

    Of a REFER those count, too, that its Refer-To wants in the INVITE. A value with a line end in it is none, and of
    one that is a secret by its name nothing is kept.
    """
    values: dict[str, str] = {}
    left_out: list[tuple[str, str]] = []
    taken: set[str] = set()
    for name, value in (*message.headers, *_wanted_by(message)):
        if len(taken) == MAX_VARIABLES:
            break
        if name.lower() in taken or is_ours(name) or not value.strip() or not names_fit(patterns, name):
            continue
        taken.add(name.lower())
        try:
            known, checked = check_header(name, value[:LONGEST])
        except LocalProtocolError as error:
            left_out.append((name[:64], str(error)))
            continue
        variable = known[len(VARIABLE_PREFIX) :] if known.lower().startswith(VARIABLE_PREFIX.lower()) else known
        if variable:
            values[variable] = MASKED if any(word in variable.lower() for word in SECRET_WORDS) else checked
    return Said(values, tuple(left_out))


def _wanted_by(message: Request | Response) -> tuple[tuple[str, str], ...]:
    if not isinstance(message, Request) or message.method != "REFER":
        return ()
    try:
        target = message.refer_to
    except RemoteProtocolError:
        return ()
    return target.uri.headers if target is not None and isinstance(target.uri, SipUri) else ()
