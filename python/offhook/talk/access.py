"""Who may use the talk page: whoever has the token of its link, from a page of ours, and one ticket for each call."""

import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus

from offhook.api.failures import FAILURES, Failures
from offhook.api.guard import OnRefused
from offhook.api.upgrade import Declined
from offhook.talk.choices import Choice

TICKET_SECONDS = 20.0
"""How long a ticket waits for its connection."""

MAX_TICKETS = 64
"""Tickets that wait at one time; of more the oldest is forgotten."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to one call, given to a page that had the token."""

    choice: Choice
    codecs: tuple[str, ...]
    until: float


class Access:
    """Judges who asks. `origins` are those of pages besides our own; `now` is monotonic seconds."""

    def __init__(self, token: str, origins: Sequence[str], *, now: Callable[[], float], refused: OnRefused) -> None:
        self._digest = sha256(token.encode()).digest()
        self._origins = frozenset(origin.lower() for origin in origins)
        self._now = now
        self._refused = refused
        self._failures = Failures()
        self._tickets: dict[bytes, Ticket] = {}

    def judge(self, source: str, token: str | None, origin: str | None, host: str | None) -> Declined | None:
        """What stands against a request of the page, if anything does."""
        if (strange := self.strange_origin(source, origin, host)) is not None:
            return strange
        wait = self._failures.wait(source, self._now())
        if wait > 0:
            seconds = str(int(wait) + 1)
            return Declined(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_failures",
                f"{FAILURES} wrong tokens came from {source} within a minute",
                f"try again in {seconds} s, with the link that `offhook run` has printed",
                headers={"Retry-After": seconds},
            )
        asked = sha256((token or "").encode("utf-8", "surrogateescape")).digest()
        # Digests are of one length, so that comparing them tells nothing of the token.
        if token and hmac.compare_digest(asked, self._digest):
            return None
        if token:
            # Who has none guesses nothing: else a picture on any page, with our address, could lock its reader out.
            self._failures.add(source, self._now())
        how = "with a wrong" if token else "without a"
        self._refused(source, "talk_token", f"somebody came to the talk page {how} token")
        return Declined(
            HTTPStatus.UNAUTHORIZED,
            "wrong_token",
            "the token is not that of this run" if token else "the token is missing",
            "open the link that `offhook run` has printed; each start makes a new one unless talk.token is set",
            "Authorization",
            {"WWW-Authenticate": "Bearer"},
        )

    def strange_origin(self, source: str, origin: str | None, host: str | None) -> Declined | None:
        """What stands against the page that a browser asks from: it has to be ours."""
        if origin is None or self._is_ours(origin.lower(), (host or "").lower()):
            return None
        shown = origin[:100]
        self._refused(source, "talk_origin", f"a page of {shown} asked for a call")
        return Declined(
            HTTPStatus.FORBIDDEN,
            "strange_origin",
            f"this page comes from {shown}, not from {host or 'this gateway'}",
            "let the proxy in front pass the Host header on, or add this origin to talk.origins",
            "Origin",
        )

    def _is_ours(self, origin: str, host: str) -> bool:
        if origin in self._origins:
            return True
        # An origin is a scheme and an authority (RFC 6454 section 6.2): no more is read of it, whatever it holds.
        scheme, _, authority = origin.partition("://")
        return scheme in ("http", "https") and bool(host) and authority == host

    def give_ticket(self, choice: Choice, codecs: tuple[str, ...]) -> str:
        """A ticket for one call."""
        now = self._now()
        self._tickets = {key: ticket for key, ticket in self._tickets.items() if ticket.until > now}
        while len(self._tickets) >= MAX_TICKETS:
            del self._tickets[next(iter(self._tickets))]
        name = secrets.token_urlsafe(24)
        self._tickets[sha256(name.encode()).digest()] = Ticket(choice, codecs, now + TICKET_SECONDS)
        return name

    def take_ticket(self, name: str) -> Ticket | None:
        """What a ticket is for; it is good once."""
        ticket = self._tickets.pop(sha256(name.encode("utf-8", "surrogateescape")).digest(), None)
        return ticket if ticket is not None and ticket.until > self._now() else None
