"""Headers that an agent sets in the gateway's SIP messages: a dictionary whose changes are sent at once."""

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Literal

Place = Literal["all", "answer", "bye"]
"""Which of our messages a header goes into."""

PLACES: tuple[Place, ...] = ("all", "answer", "bye")

MAX_HEADERS = 16
"""Headers of one dictionary."""

MAX_VALUE = 2048
"""Bytes of a value."""

_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}")


class CallHeaders(MutableMapping[str, str]):
    """Header names, without regard to case, to values. What is set or deleted counts from then on.

    Raises `ValueError` for a name that the route's `agent_headers` doesn't allow, for a value that is empty, holds a
    line end or control character or is longer than 2048 bytes, and for more than 16 headers. The gateway has the last
    word: what is its own (`Contact`, `Via` and such) it refuses, which is logged and in the call's timeline.
    """

    def __init__(
        self, place: Place, allowed: tuple[str, ...], send: Callable[[Mapping[str, str | None], Place], None]
    ) -> None:
        self._place = place
        self._allowed = allowed
        self._send = send
        self._set: dict[str, tuple[str, str]] = {}

    def __setitem__(self, name: str, value: str) -> None:
        value = self._checked(name, value)
        if name.lower() not in self._set and len(self._set) >= MAX_HEADERS:
            raise ValueError(f"more than {MAX_HEADERS} headers")
        self._set[name.lower()] = (name, value)
        self._send({name: value}, self._place)

    def __getitem__(self, name: str) -> str:
        return self._set[name.lower()][1]

    def __delitem__(self, name: str) -> None:
        del self._set[name.lower()]
        self._send({name: None}, self._place)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._set.values())

    def __len__(self) -> int:
        return len(self._set)

    def __repr__(self) -> str:
        return f"<headers for {self._place}: {dict(self)}>"

    def _checked(self, name: str, value: str) -> str:
        if not isinstance(value, str):
            raise TypeError(f"the value of {name} is no text")
        if _TOKEN.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no header name of at most 64 characters")
        if not any(_fits(pattern, name) for pattern in self._allowed):
            known = ", ".join(self._allowed) or "none"
            raise ValueError(f"{name} is not among the headers that the route lets agents set ({known}): agent_headers")
        value = value.strip()
        if not value:
            raise ValueError(f"the value of {name} is empty: delete the header instead")
        if any(character < " " or character == "\x7f" for character in value):
            raise ValueError(f"the value of {name} holds a line end or control character")
        if len(value.encode(errors="replace")) > MAX_VALUE:
            raise ValueError(f"the value of {name} is longer than {MAX_VALUE} bytes")
        return value


def user_to_user(data: str | bytes, purpose: str, content: str) -> str:
    """The value of a User-to-User header (RFC 7433)."""
    octets = data.encode() if isinstance(data, str) else data
    named = (("purpose", purpose), ("content", content), ("encoding", "hex"))
    for name, value in named:
        if value and _TOKEN.fullmatch(value) is None:
            raise ValueError(f"{value!r} is no {name}: letters, digits and - . ! % * _ + ` ' ~")
    return (octets.hex() or '""') + "".join(f";{name}={value}" for name, value in named if value)


def _fits(pattern: str, name: str) -> bool:
    pattern, name = pattern.lower(), name.lower()
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
