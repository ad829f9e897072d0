"""Our registration with a registrar: asked for, refreshed, tried again after a refusal, given back (RFC 3261 10.2).

Pure: time and chance are handed in, requests and their answers go by the driver (`call/registered/registrations.py`).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.message import Response
from offhook.sip.readable import readable
from offhook.sip.registration_problem import Problem, problem_of

LONGEST = 86_400
"""Seconds that we ask for at most, whatever a registrar says it wants (423)."""

_SOONEST = 5.0
# RFC 5626 section 4.5: the first wait and the longest where nobody could be reached.
_BASE, _MOST = 30.0, 1800.0
# A refusal that stands until somebody changes a setting: seldom, since carriers block who asks again and again.
_REFUSED_BASE, _REFUSED_MOST = 300.0, 3600.0
_DOUBLINGS = 12
_LONGEST_RETRY_AFTER = 21_600
_TOO_BRIEF_IN_A_ROW = 2
_LONGEST_ROUTE = 8


class Chance(Protocol):
    """The part of `random.Random` that is needed."""

    def uniform(self, a: float, b: float, /) -> float:
        """A number from `a` to `b`."""


class State(Enum):
    """Where the registration is."""

    WAITING = "waiting"
    """For its first time, or to try again after a failure."""
    REGISTERING = "registering"
    REGISTERED = "registered"
    REFRESHING = "refreshing"
    PARTING = "parting"
    """The gateway stops, and the answer to the last REGISTER comes before the goodbye (RFC 3261 10.2)."""
    LEAVING = "leaving"
    OVER = "over"


class Input(Enum):
    """What moves it on."""

    DUE = "its time has come"
    GRANTED = "2xx"
    TOO_BRIEF = "423"
    REFUSED = "any other answer, or none"
    LOST = "the connection to the registrar is gone"
    LEAVE = "the gateway stops"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.WAITING, Input.DUE): State.REGISTERING,
    (State.WAITING, Input.LEAVE): State.OVER,
    (State.REGISTERING, Input.GRANTED): State.REGISTERED,
    (State.REGISTERING, Input.TOO_BRIEF): State.REGISTERING,
    (State.REGISTERING, Input.REFUSED): State.WAITING,
    (State.REGISTERING, Input.LEAVE): State.PARTING,
    (State.REGISTERED, Input.DUE): State.REFRESHING,
    (State.REGISTERED, Input.LOST): State.REFRESHING,
    (State.REGISTERED, Input.LEAVE): State.LEAVING,
    (State.REFRESHING, Input.GRANTED): State.REGISTERED,
    (State.REFRESHING, Input.TOO_BRIEF): State.REFRESHING,
    (State.REFRESHING, Input.REFUSED): State.WAITING,
    (State.REFRESHING, Input.LEAVE): State.PARTING,
    (State.PARTING, Input.GRANTED): State.LEAVING,
    (State.PARTING, Input.REFUSED): State.OVER,
    (State.LEAVING, Input.GRANTED): State.OVER,
    (State.LEAVING, Input.TOO_BRIEF): State.OVER,
    (State.LEAVING, Input.REFUSED): State.OVER,
}


@dataclass(frozen=True, slots=True)
class Register:
    """Send a REGISTER that asks for so many seconds; 0 takes our contact out. Its answer is for `answered`."""

    expires: int


class Registration:
    """One address of record of ours at one registrar, under one Contact whose user part is `contact_user`.

    `expires` is what we ask for in seconds, `start_at` when it is asked for first.
    """

    __slots__ = (
        "_attempts",
        "_due",
        "_effects",
        "_expires",
        "_rng",
        "_too_brief",
        "contact_user",
        "granted",
        "has_login",
        "number",
        "problem",
        "registered_at",
        "seen_as",
        "service_route",
        "state",
        "until",
    )  # fmt: skip

    def __init__(self, contact_user: str, *, expires: int, start_at: float, rng: Chance) -> None:
        self.contact_user = contact_user
        self.state = State.WAITING
        self.number = 0
        """The CSeq number of the last REGISTER; it only grows (RFC 3261 10.2)."""
        self.granted = 0
        """Seconds that the registrar has granted last."""
        self.until = 0.0
        """When the binding ends unless it is refreshed; 0 without one."""
        self.registered_at: float | None = None
        """Since when there has been a binding without a gap."""
        self.service_route: tuple[str, ...] = ()
        """The way that our calls have to take (RFC 3608)."""
        self.seen_as: tuple[str, int | None] | None = None
        """The address that the registrar has seen us under (RFC 3581), where it says so."""
        self.problem: Problem | None = None
        """What stood against the last attempt; None if nothing did."""
        self._expires = expires
        self._due: float | None = start_at
        self._attempts = 0
        self._too_brief = 0
        self._rng = rng
        self._effects: list[Register] = []

    # ------------------------------------------------------------------ the five ends

    def answered(self, response: Response | None, cause: str, now: float) -> None:
        """The final answer to the last REGISTER; None with the `cause` in words where there was none."""
        if self.state not in (State.REGISTERING, State.REFRESHING, State.PARTING, State.LEAVING):
            return
        if response is not None:
            self._learn(response)
        if self.state is State.PARTING:
            self._part(is_granted=response is not None and response.is_success, now=now)
        elif response is not None and response.is_success:
            self._granted(response, now)
        elif response is not None and response.status == 423 and self._ask_for_longer(response):
            self._step(Input.TOO_BRIEF)
            self._send()
        else:
            self._refused(problem_of(response, cause), now)

    def flow_lost(self, now: float) -> None:
        """The connection by which the registrar reaches us is gone: it is told the new one (RFC 5626 section 4.4)."""
        if self.state is State.REGISTERED:
            self._step(Input.LOST)
            self._send()

    def leave(self, now: float) -> None:
        """The gateway stops: take our contact out, if it may be in, once no other answer is waited for."""
        if (self.state, Input.LEAVE) not in TRANSITIONS:
            return
        self._step(Input.LEAVE)
        self._due = None
        self._expires = 0
        self._say_goodbye(now)

    def handle_timeout(self, now: float) -> None:
        """Send what is due."""
        if self._due is None or now < self._due:
            return
        self._due = None
        if (self.state, Input.DUE) in TRANSITIONS:
            self._step(Input.DUE)
            self._send()

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due; None while an answer is waited for."""
        return self._due

    def drain(self) -> list[Register]:
        """What is to be sent now."""
        effects, self._effects = self._effects, []
        return effects

    # ------------------------------------------------------------------ what it knows

    def is_registered(self, now: float) -> bool:
        """Whether the registrar has our contact, as far as it has told."""
        return now < self.until

    def next_number(self) -> int:
        """The CSeq number for the next REGISTER, one with credentials included."""
        self.number += 1
        return self.number

    # ------------------------------------------------------------------ actions

    def _send(self) -> None:
        self._effects.append(Register(self._expires))

    def _say_goodbye(self, now: float) -> None:
        if self.state is State.OVER and self.is_registered(now):
            # The last refresh failed, and the binding lives on.
            self.state = State.LEAVING
        if self.state is State.LEAVING:
            self._send()

    def _part(self, *, is_granted: bool, now: float) -> None:
        """The answer that was waited for has come, or never will."""
        self._step(Input.GRANTED if is_granted else Input.REFUSED)
        self._say_goodbye(now)

    def _learn(self, response: Response) -> None:
        """The address that the answer came back to, as the registrar saw it."""
        via = response.vias[0] if response.vias else None
        if via is None:
            return
        host, port = via.params.get("received"), via.params.get("rport")
        if host:
            self.seen_as = (host, _digits(port))

    def _granted(self, response: Response, now: float) -> None:
        if self.state is State.LEAVING:
            self.until = 0.0
            self._step(Input.GRANTED)
            return
        granted = self._seconds_in(response)
        if granted <= 0:
            # It took the request and keeps no binding: to ask again at once would go on for ever.
            self._refused(Problem.nothing_granted(), now)
            return
        if not self.is_registered(now):
            self.registered_at = now
        self._step(Input.GRANTED)
        self.granted, self.until = granted, now + granted
        self.service_route = tuple(
            str(route) for route in readable(response.headers, "Service-Route", NameAddr.parse, _LONGEST_ROUTE)
        )
        self.problem = None
        self._attempts = self._too_brief = 0
        # Somewhere in the second half, and early enough for one REGISTER that is lost: not all trunks at once.
        self._due = now + granted * self._rng.uniform(0.5, 0.8)

    def _seconds_in(self, response: Response) -> int:
        """What was granted: of our own contact among all that the 2xx lists, else its Expires, else as asked."""
        contacts = readable(response.headers, "Contact", NameAddr.parse)
        ours = [contact for contact in contacts if getattr(contact.uri, "user", None) == self.contact_user]
        for said in (*(contact.params.get("expires") for contact in ours), response.headers.get("Expires")):
            seconds = _digits(said)
            if seconds is not None:
                return min(seconds, LONGEST)
        return self._expires

    def _ask_for_longer(self, response: Response) -> bool:
        """423: the interval is too brief. False if it says nothing that we could go by."""
        least = _digits(response.headers.get("Min-Expires"))
        if least is None or self._too_brief >= _TOO_BRIEF_IN_A_ROW or not self._expires < least <= LONGEST:
            return False
        self._too_brief += 1
        self._expires = least
        return True

    def _refused(self, problem: Problem, now: float) -> None:
        was_leaving = self.state is State.LEAVING
        self._step(Input.REFUSED)
        self.problem = problem
        if was_leaving:
            return
        base, most = (_REFUSED_BASE, _REFUSED_MOST) if problem.is_lasting else (_BASE, _MOST)
        wait = min(base * 2.0 ** min(self._attempts, _DOUBLINGS), most) * self._rng.uniform(0.5, 1.0)
        self._attempts += 1
        if self.is_registered(now) and not problem.is_lasting:
            # A refresh that failed: there is time left to try again before anybody notices.
            wait = min(wait, max(_SOONEST, (self.until - now) / 2))
        if problem.retry_after is not None:
            wait = max(wait, float(min(problem.retry_after, _LONGEST_RETRY_AFTER)))
        self._due = now + wait

    def _step(self, step: Input) -> None:
        after = TRANSITIONS.get((self.state, step))
        assert after is not None, f"{step} can't happen in {self.state}"
        self.state = after


def _digits(text: str | None) -> int | None:
    """A whole number of seconds, or a port; None if it is none."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
