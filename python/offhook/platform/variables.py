"""A call's variables as headers of an INVITE, bounded.

What is told of a call comes from outside in part: the caller's headers, the number that was dialled, what a program
wants passed on. Each value is one line of a checked header or is left out, and said to be.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from offhook.errors import LocalProtocolError, OffhookError
from offhook.platform.profile import VARIABLE_PREFIX, Platform
from offhook.sip.outgoing import check_header

MAX_VARIABLES = 24
"""Headers that an INVITE has of ours, the fixed two included."""

MAX_TOTAL = 4096
"""Bytes of their names and values: the INVITE still has to go into a few packets."""

_FIELD = re.compile(r"\{([^{}]*)\}")
_PLAIN_FIELDS = frozenset({"from", "to", "call_id", "trunk", "route"})


class TemplateError(OffhookError):
    """A text names a field that there is not. The message says which."""

    code = "template_invalid"


@dataclass(frozen=True, slots=True)
class Told:
    """What a platform may be told of a call. Of a caller who is withheld `from_number` is empty.

    `headers` are those of the caller's INVITE that route or trunk pass on, `data` what the call's placer has for the
    agent. `direction` is seen from here: inbound came from a trunk to the agent.
    """

    call_id: str
    from_number: str
    to_number: str
    trunk: str = ""
    route: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    direction: Literal["inbound", "outbound"] = "inbound"


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers for an INVITE, and what had to be left out: a name and why."""

    fields: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...] = ()


def check_template(text: str) -> None:
    """Let a text pass whose `{fields}` there are, else raise `TemplateError`.

    Fields are `{from}`, `{to}`, `{call_id}`, `{trunk}`, `{route}`, `{header.NAME}` and `{data.NAME}`.
    """
    for name in _FIELD.findall(text):
        kind, dot, rest = name.partition(".")
        if name not in _PLAIN_FIELDS and not (dot and rest and kind in ("header", "data")):
            raise TemplateError(
                f"there is no field {{{name}}}",
                hint="known: {from}, {to}, {call_id}, {trunk}, {route}, {header.NAME} and {data.NAME}",
            )
    if "{" in _FIELD.sub("", text) or "}" in _FIELD.sub("", text):
        raise TemplateError("a brace has no partner", hint="a field is written {to}")


def fill(text: str, told: Told) -> str:
    """The text with its fields filled in; a header or datum that the call does not have is empty."""
    headers = {name.lower(): value for name, value in told.headers.items()}
    plain = {
        "from": told.from_number,
        "to": told.to_number,
        "call_id": told.call_id,
        "trunk": told.trunk,
        "route": told.route,
    }

    def one(match: re.Match[str]) -> str:
        kind, dot, rest = match[1].partition(".")
        if not dot:
            return plain[kind]
        return headers.get(rest.lower(), "") if kind == "header" else told.data.get(rest, "")

    return _FIELD.sub(one, text)


def variables_of(told: Told, wanted: Mapping[str, str]) -> dict[str, str]:
    """A call's variables by name: the caller's X- headers, over them the placer's data, over those what is `wanted`.

    Of the headers the name is what follows `X-`. `wanted` are texts with fields; what comes out empty is left away.
    """
    prefix = VARIABLE_PREFIX.lower()
    found = {name[len(prefix) :]: value for name, value in told.headers.items() if name.lower().startswith(prefix)}
    for name, value in (*told.data.items(), *((name, fill(text, told)) for name, text in wanted.items())):
        for known in [known for known in found if known.lower() == name.lower()]:
            del found[known]
        found[name] = value
    return {name: value for name, value in found.items() if value.strip()}


def to_headers(
    platform: Platform, told: Told, wanted: Mapping[str, str], extra: Iterable[tuple[str, str]] = ()
) -> Headers:
    """What the INVITE tells the platform: `extra` and our call id and the caller first, which nothing can displace."""
    fixed = [*extra, (platform.call_id_header, told.call_id), (platform.caller_header, told.from_number)]
    fields: list[tuple[str, str]] = []
    left_out: list[tuple[str, str]] = []
    total, taken = 0, set[str]()
    named = [(VARIABLE_PREFIX + name, value) for name, value in variables_of(told, wanted).items()]
    for name, value in (*fixed, *named):
        if name.lower() in taken or not value:
            continue
        try:
            checked = check_header(name, value)
        except LocalProtocolError as error:
            left_out.append((name[:64], str(error)))
            continue
        size = len(checked[0]) + len(checked[1].encode()) + 2
        if size > platform.longest_line:
            left_out.append((name, f"its line is longer than {platform.longest_line} bytes"))
        elif len(fields) == MAX_VARIABLES or total + size > MAX_TOTAL:
            left_out.append((name, f"more than {MAX_VARIABLES} variables or {MAX_TOTAL} bytes"))
        else:
            fields.append(checked)
            taken.add(name.lower())
            total += size
    return Headers(tuple(fields), tuple(left_out[:MAX_VARIABLES]))
