"""The session timer of one session (RFC 4028): who refreshes, when, and when a session that nobody refreshes ends."""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from offhook.errors import RemoteProtocolError
from offhook.sip.headers.session_expires import SessionExpires, parse_min_se
from offhook.sip.message import Request, Response
from offhook.sip.session_core import HeaderList
from offhook.sip.steps import Steps
from offhook.sip.timers import earliest

LEAST_INTERVAL: Final = 90
"""RFC 4028 5: no interval may be shorter, in seconds."""

MAX_RAISES: Final = 3
"""How often in a row a 422 makes us ask for a longer interval."""

MAX_TRIES: Final = 4
"""How often a refresh is tried before the session ends for it."""

REFRESHING: Final = ("INVITE", "UPDATE")
"""Requests that refresh a session."""

_END_MARGIN = 32.0
# A refresh that is due while a session can't send one looks again after so many seconds.
_POSTPONED = 2.0
# What nobody has answered by then (64*T1, and a little) has been given up, by its transaction or for something newer.
_ANSWERED_BY = 35.0
# An UPDATE refused with one of these may be taken later; any other refusal means that it has to be a re-INVITE.
_LATER = (491, 503)
_LONGEST_WHY = 200

TimerSetting = Literal["off", "accept"] | int
"""`off`: not spoken. `accept`: what the peer asks for is kept. A number: so many seconds are asked for."""


class State(Enum):
    """Whose turn it is. An open refresh of ours keeps in mind who had to send it."""

    OFF = "off"
    OURS = "ours to refresh"
    THEIRS = "the peer's to refresh"
    ASKING = "our refresh is on its way"
    REFUSED = "our refresh was refused"
    EXPIRED = "expired"


class Input(Enum):
    """What changes it. The 2xx of any INVITE, re-INVITE or UPDATE, from either side, agrees anew."""

    WE_REFRESH = "2xx: we refresh"
    PEER_REFRESHES = "2xx: the peer refreshes"
    NOBODY_REFRESHES = "2xx without a timer"
    DUE = "time to refresh"
    REFUSAL = "our refresh was refused"
    DEADLINE = "the interval less a third, or less 32 s, has passed"


_RUNNING = (State.OURS, State.THEIRS, State.ASKING, State.REFUSED)

TRANSITIONS: dict[tuple[State, Input], State] = {
    **{(state, Input.WE_REFRESH): State.OURS for state in (State.OFF, *_RUNNING)},
    **{(state, Input.PEER_REFRESHES): State.THEIRS for state in (State.OFF, *_RUNNING)},
    **{(state, Input.NOBODY_REFRESHES): State.OFF for state in _RUNNING},
    (State.OURS, Input.DUE): State.ASKING,
    # The peer's own is late: one of ours may still save the session.
    (State.THEIRS, Input.DUE): State.ASKING,
    (State.REFUSED, Input.DUE): State.ASKING,
    (State.ASKING, Input.DUE): State.ASKING,
    (State.ASKING, Input.REFUSAL): State.REFUSED,
    **{(state, Input.DEADLINE): State.EXPIRED for state in _RUNNING},
}


class Action(Enum):
    """What the session has to do now."""

    REFRESH = "refresh"
    EXPIRE = "expire"


@dataclass(frozen=True, slots=True)
class TimerPolicy:
    """What we want with one peer. `minimum` is the shortest interval that we agree to, in seconds."""

    setting: TimerSetting = "accept"
    minimum: int = LEAST_INTERVAL

    @property
    def is_on(self) -> bool:
        """Whether session timers are spoken at all."""
        return self.setting != "off"

    @property
    def wanted(self) -> int | None:
        """The interval that we ask for by ourselves."""
        return self.setting if isinstance(self.setting, int) else None

    def objection(self, request: Request) -> HeaderList | None:
        """The headers of the 422 to an interval that is too small for us (9); None to go on.

        A peer that does not know timers can't do better: a proxy has asked for it. It is accepted, and prolonged.
        """
        wish = _wish(request)
        if not self.is_on or wish is None or wish.seconds >= self.minimum or not _knows(request):
            return None
        return (("Min-SE", str(self.minimum)),)


class SessionTimer(Steps[State, Input]):
    """Reads what both sides say of the timer, says what we say, and tells when to refresh and when to give up.

    Times are seconds on the clock of `now`. Without an agreement it does nothing.
    """

    TABLE = TRANSITIONS

    __slots__ = (
        "_due_at",
        "_ends_at",
        "_min_se",
        "_policy",
        "_raises",
        "_refusal",
        "_tries",
        "by_us",
        "interval",
        "no_update",
        "refreshes",
        "why",
    )

    def __init__(self, policy: TimerPolicy) -> None:
        self.state = State.OFF
        self.interval: int | None = None
        """Seconds that were agreed on; None while there is no timer."""
        self.by_us = False
        """Whether we are the one to refresh."""
        self.refreshes = 0
        """How often the interval began anew."""
        self.no_update = False
        """Whether the peer has refused an UPDATE in a way that says it had better be a re-INVITE."""
        self._policy = policy
        self._min_se = 0
        self._raises = self._tries = 0
        self.why = ""
        """Why it has expired, in words."""
        self._refusal = ""
        self._due_at: float | None = None
        self._ends_at: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether an interval runs."""
        return self.state in _RUNNING

    # ------------------------------------------------------------------ the peer asks, we answer

    def objection(self, request: Request) -> HeaderList | None:
        """The headers of the 422 to a re-INVITE or UPDATE; None to go on."""
        return self._policy.objection(request)

    def accept(self, request: Request, now: float) -> HeaderList:
        """Agree to an INVITE, re-INVITE or UPDATE of the peer: what our 2xx says of the timer (9)."""
        if not self._policy.is_on:
            return ()
        wish, knows, wanted, least = _wish(request), _knows(request), self._policy.wanted, _min_se(request)
        self._min_se = max(self._min_se, least)
        if wish is not None:
            seconds = max(wish.seconds, self._policy.minimum)
            if wanted is not None:
                seconds = min(seconds, max(wanted, least, self._policy.minimum))
            # Table 2. Who is not named stays who it was; at first it is who has asked.
            stays = wish.refresher is None and self.is_on and self.by_us
            by_us = not knows or wish.refresher == "uas" or stays
        elif wanted is not None or self.by_us or (self.is_on and knows):
            seconds = max(self.interval or wanted or 0, least)
            by_us = self.by_us or not knows or not self.is_on
        else:
            self._stop()
            return ()
        self._begin(seconds, now, by_us=by_us, binding=knows)
        agreed = ("Session-Expires", str(SessionExpires(seconds, "uas" if by_us else "uac")))
        return (agreed, ("Require", "timer")) if knows else (agreed,)

    # ------------------------------------------------------------------ we ask, the peer answers

    def ask(self) -> HeaderList:
        """What an INVITE, re-INVITE or UPDATE of ours says of the timer (7.1 and 7.4)."""
        if not self._policy.is_on:
            return ()
        least = (("Min-SE", str(self._min_se)),) if self._min_se else ()
        if self.is_on:
            assert self.interval is not None, "it runs"
            wish = SessionExpires(self._asked, "uac" if self.by_us else "uas")
        elif self._policy.wanted is not None:
            wish = SessionExpires(self._asked)
        else:
            return least
        return (("Session-Expires", str(wish)), *least)

    def answered(self, response: Response, now: float) -> None:
        """A 2xx to an INVITE, re-INVITE or UPDATE of ours (7.2)."""
        if not self._policy.is_on:
            return
        wish, wanted = _wish(response), self._policy.wanted
        if wish is not None:
            # Who leaves the refresher out means whoever asked. A tiny interval must not make us a flood.
            seconds = max(wish.seconds, self._policy.minimum // 9, 1)
            self._begin(seconds, now, by_us=wish.refresher != "uas", binding=True)
        elif self.by_us or wanted is not None:
            # The peer keeps no timer (any more). Carriers that say nothing may still end what is not refreshed.
            self._begin(self.interval or wanted or 0, now, by_us=True, binding=False)
        else:
            self._stop()

    def raised(self, response: Response) -> bool:
        """Take a 422 to a request of ours (7.3): whether to ask again at once, for as much as it wants."""
        least = _min_se(response)
        if not self._policy.is_on or least <= self._asked or self._raises >= MAX_RAISES:
            return False
        self._raises += 1
        self._min_se = least
        return True

    def unanswered(self, now: float, *, was_sent: bool) -> bool:
        """Our refresh got no answer at all (10). False if that is the end of the session.

        It is where it was ours to send, and left. Where it only helped the peer out, the peer's own may come until the
        deadline; where the network did not take it, one of ours may.
        """
        if (self.by_us and was_sent) or not self._step(Input.REFUSAL):
            return False
        self._again("got no answer" if was_sent else "found no way to the peer", now)
        return True

    def refused(self, response: Response, now: float) -> None:
        """Our refresh got no 2xx, and the peer still knows the session (10): it is tried otherwise, or later."""
        if not self._step(Input.REFUSAL):
            return
        at_once, after = False, None
        if response.status == 422 and self.raised(response):
            at_once = True
        elif response.cseq.method == "UPDATE" and response.status not in _LATER and response.retry_after is None:
            self.no_update = True
            at_once = True
        else:
            after = response.retry_after
        self._again(f"got {response.status} {response.reason}"[:_LONGEST_WHY], now, at_once=at_once, after=after)

    # ------------------------------------------------------------------ time

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        return earliest(self._due_at, self._ends_at)

    def handle_timeout(self, now: float, *, ready: bool) -> Action | None:
        """What is to be done, if anything. `ready`: whether the session could send a refresh now."""
        if self._ends_at is not None and now >= self._ends_at:
            self.why = self._missed()
            self._step(Input.DEADLINE)
            self._due_at = self._ends_at = None
            return Action.EXPIRE
        if self._due_at is None or now < self._due_at:
            return None
        if not ready:
            self._due_at = now + _POSTPONED
            return None
        self._step(Input.DUE)
        self._due_at = now + _ANSWERED_BY
        return Action.REFRESH

    def end(self) -> None:
        """The session is over; what was agreed on last stays readable."""
        self._step(Input.NOBODY_REFRESHES)
        self._due_at = self._ends_at = None

    # ------------------------------------------------------------------ within

    @property
    def _asked(self) -> int:
        """The interval that a request of ours asks for (7.4)."""
        return max(self.interval or self._policy.wanted or 0, self._min_se, self._policy.minimum)

    def _begin(self, seconds: int, now: float, *, by_us: bool, binding: bool) -> None:
        """Count the interval anew. `binding`: the peer keeps the timer, too, so that the session ends with it."""
        self.refreshes += self.is_on
        if not self._step(Input.WE_REFRESH if by_us else Input.PEER_REFRESHES):
            return
        self.interval, self.by_us = seconds, by_us
        self._tries = self._raises = 0
        self._refusal = ""
        half, end = seconds / 2, seconds - min(_END_MARGIN, seconds / 3)
        self._due_at = now + (half if by_us else (half + end) / 2)
        self._ends_at = now + end if binding else None

    def _again(self, refusal: str, now: float, *, at_once: bool = False, after: int | None = None) -> None:
        """Try again: at once, after what the peer asks for, or after half of the time that is left."""
        assert self.interval is not None, "it runs"
        self._refusal = refusal
        self._tries += 1
        if self._ends_at is not None and self._tries >= MAX_TRIES:
            self._due_at = None
            return
        left = self._ends_at - now if self._ends_at is not None else self.interval
        wait = left / 2 if after is None else min(left / 2, max(1.0, after))
        self._due_at = now if at_once else now + wait

    def _stop(self) -> None:
        self._step(Input.NOBODY_REFRESHES)
        self.interval, self.by_us = None, False
        self._due_at = self._ends_at = None

    def _missed(self) -> str:
        missed = f"no refresh within the {self.interval} s agreed"
        if self.state is State.REFUSED and self._refusal:
            return f"{missed}: ours {self._refusal}"
        if self.state is State.ASKING:
            return f"{missed}: {'' if self.by_us else 'none of the peer came, and '}ours was not answered"
        return f"{missed}: none of the peer came" if self.state is State.THEIRS else f"{missed}: ours could not leave"


def _wish(message: Request | Response) -> SessionExpires | None:
    """What a message says in Session-Expires; one that can't be read is none."""
    value = message.headers.get("Session-Expires")
    if value is None:
        return None
    try:
        return SessionExpires.parse(value)
    except RemoteProtocolError:
        return None


def _min_se(message: Request | Response) -> int:
    """What a message says in Min-SE; 0 where there is none, or none that can be read."""
    value = message.headers.get("Min-SE")
    try:
        return parse_min_se(value) if value is not None else 0
    except RemoteProtocolError:
        return 0


def _knows(request: Request) -> bool:
    """Whether the peer knows timers: it says so, or names who is to refresh, which no proxy does in its place."""
    wish = _wish(request)
    return "timer" in (*request.supported, *request.require) or (wish is not None and wish.refresher is not None)
