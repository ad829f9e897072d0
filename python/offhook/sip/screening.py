"""What the screen may say about a request before anything is made for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from offhook.sip.effects import Source
from offhook.sip.message import Request

if TYPE_CHECKING:
    from offhook.sip.digest import Challenger


@dataclass(frozen=True, slots=True)
class Admit:
    """The request is of this peer. `peer` travels to the events; its `nat` forces answers to the source port.

    `user` is who has proven to send it by digest, if anybody had to.
    """

    peer: object
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """No answer at all: a stranger learns nothing. `reason` is what is counted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """A final response without a transaction behind it."""

    status: int
    reason_phrase: str | None = None
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Challenge:
    """Digest decides (RFC 3261 22.2): 401, or the screen is asked again with the user who is now known."""

    challenger: "Challenger"
    lookup: Callable[[str], str | None]
    """A user's password, None for an unknown user."""
    failed: Callable[[str], None] | None = None
    """Told of credentials that prove nothing, with the slug of `Rejected`; the peer only gets another 401."""


Verdict: TypeAlias = Admit | Drop | Refuse | Challenge

Screen: TypeAlias = Callable[[Request, Source, str | None], Verdict]
"""(request, source, authenticated user or None) to a verdict."""
