"""Headers that an agent wants in our messages: checked one by one, bounded together, kept until they leave."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from offhook.errors import LocalProtocolError
from offhook.route.pattern import names_fit
from offhook.sip.outgoing import Outgoing, check_header

Place: TypeAlias = Literal["all", "answer", "bye"]
"""Where a header goes: into all of our messages, the final answer to the INVITE alone, or the BYE alone."""

PLACES: tuple[Place, ...] = ("all", "answer", "bye")

MAX_HEADERS = 16
"""Headers of an agent in one message."""

MAX_TOTAL = 4096
"""Bytes of their names and values: a message still has to go into a few datagrams."""


class AgentHeaders:
    """The headers that one call's agent has set so far. `allowed` are patterns of names, as the route has them."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = allowed
        self._placed: dict[Place, dict[str, tuple[str, str]]] = {place: {} for place in PLACES}

    def check(self, name: str, value: str) -> tuple[str, str]:
        """Let a header pass that this agent may set, its name as it is known; else raise LocalProtocolError."""
        name, value = check_header(name, value)
        if not names_fit(self._allowed, name):
            known = ", ".join(self._allowed) or "none"
            raise LocalProtocolError(f"{name} is not among the headers that the agent may set ({known})")
        return name, value

    def set(self, headers: Mapping[str, str | None], place: Place) -> None:
        """Set headers, or take back those of None; all of them or, with LocalProtocolError, none."""
        before = self._placed[place]
        placed = dict(before)
        for name, value in headers.items():
            if value is None:
                placed.pop(name.lower(), None)
            else:
                placed[name.lower()] = self.check(name, value)
        self._placed[place] = placed
        for sent in (self.outgoing.answer, self.outgoing.bye):
            size = sum(len(name) + len(value.encode()) for name, value in sent)
            if len(sent) > MAX_HEADERS or size > MAX_TOTAL:
                self._placed[place] = before
                much = f"{MAX_HEADERS} headers" if len(sent) > MAX_HEADERS else f"{MAX_TOTAL} bytes of headers"
                raise LocalProtocolError(f"more than {much}")

    @property
    def outgoing(self) -> Outgoing:
        """As a SIP session takes them: what is set for one place goes before what is set for all."""
        everywhere = self._placed["all"]
        answer, bye = ({**everywhere, **self._placed[place]} for place in ("answer", "bye"))
        return Outgoing(tuple(answer.values()), tuple(bye.values()), tuple(everywhere.values()))
