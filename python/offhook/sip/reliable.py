"""Provisional responses that are sure to arrive: RFC 3262, sections 3 (callee) and 4 (caller)."""

from collections import deque
from dataclasses import replace
from enum import Enum

from offhook.sip.headers.rack import RAck
from offhook.sip.message import Response
from offhook.sip.repetition import Repetition
from offhook.sip.steps import Steps
from offhook.sip.timers import TimerValues

OPTION_TAG = "100rel"
"""What Supported and Require call this extension."""

MAX_WAITING = 4
"""Reliable responses that may wait for the PRACK of the one before them."""

HIGHEST_FIRST_RSEQ = 2**31 - 1
"""The first RSeq of an INVITE is a random number from 1 to this."""


class State(Enum):
    """Where the reliable responses to one INVITE are."""

    IDLE = "none is unacknowledged"
    WAITING = "one waits for its PRACK, and is repeated"
    MISSING = "64*T1 have passed without its PRACK"
    ENDED = "the final response has left"


class Input(Enum):
    """What moves them."""

    SEND = "1xx to be sent reliably"
    PRACK = "matching PRACK"
    DEADLINE = "64*T1"
    FINAL = "final response"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.IDLE, Input.SEND): State.WAITING,
    (State.IDLE, Input.FINAL): State.ENDED,
    (State.WAITING, Input.PRACK): State.IDLE,
    (State.WAITING, Input.DEADLINE): State.MISSING,
    (State.WAITING, Input.FINAL): State.ENDED,
    (State.MISSING, Input.FINAL): State.ENDED,
    # Section 3: nothing is repeated any more, and a PRACK that was under way is still answered.
    (State.ENDED, Input.PRACK): State.ENDED,
}


class ReliableProvisionals(Steps[State, Input]):
    """The callee's side: one unacknowledged response at a time, repeated after T1, 2*T1, 4*T1 … until 64*T1.

    Further ones wait for its PRACK in order. `send` and `next` give what has to leave now, `handle_timeout` what has to
    leave again.
    """

    TABLE = TRANSITIONS

    __slots__ = (
        "_cseq_number",
        "_open",
        "_rseq",
        "_timers",
        "_times",
        "_waiting",
    )

    def __init__(self, timers: TimerValues, cseq_number: int, first_rseq: int) -> None:
        self.state = State.IDLE
        self._timers = timers
        self._cseq_number = cseq_number
        self._rseq = first_rseq - 1
        self._open: Response | None = None
        self._waiting: deque[Response] = deque()
        self._times: Repetition | None = None

    @property
    def holds_final(self) -> bool:
        """Whether a session description has not been acknowledged: then no 2xx may leave (sections 3 and 5)."""
        unacknowledged = (self._open, *self._waiting)
        return self.state is not State.ENDED and any(r is not None and r.body for r in unacknowledged)

    @property
    def is_unacknowledged(self) -> bool:
        """Whether a PRACK may still come."""
        return self._open is not None

    @property
    def is_full(self) -> bool:
        """Whether no further response can wait."""
        return len(self._waiting) >= MAX_WAITING

    def send(self, response: Response, now: float) -> Response | None:
        """Take a 101-199 response; it is returned as it leaves, None if it has to wait. Not to be asked when full."""
        self._waiting.append(response)
        return self.next(now)

    def next(self, now: float) -> Response | None:
        """The response that waits longest, as it leaves now, if none before it is unacknowledged."""
        if not self._waiting or not self._step(Input.SEND):
            return None
        self._rseq += 1
        response = self._waiting.popleft()
        headers = response.headers.adding("Require", OPTION_TAG).adding("RSeq", str(self._rseq))
        self._open = replace(response, headers=headers)
        # No T2 here: section 3 doubles without a cap.
        self._times = Repetition(self._timers, now)
        return self._open

    def awaits(self, rack: RAck | None) -> bool:
        """Whether a PRACK with this RAck acknowledges the response that is out."""
        return self._open is not None and rack == RAck(self._rseq, self._cseq_number, "INVITE")

    def acknowledge(self, rack: RAck | None) -> Response | None:
        """The response that a PRACK acknowledges; None if it matches nothing, which is a 481."""
        response = self._open
        if not self.awaits(rack) or not self._step(Input.PRACK):
            return None
        self._open = None
        return response

    def end(self) -> None:
        """The final response leaves: what waits is dropped, what is out is repeated no more."""
        self._step(Input.FINAL)
        self._waiting.clear()

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`."""
        return self._times.next_timeout() if self._times is not None and self.state is State.WAITING else None

    def handle_timeout(self, now: float) -> Response | None:
        """What is to be sent again; the state says when the PRACK counts as missing."""
        if self._times is None or self.state is not State.WAITING:
            return None
        if self._times.is_over(now):
            self._step(Input.DEADLINE)
            return None
        return self._open if self._times.is_due(now) else None


class Order(Enum):
    """What a reliable response is to the caller (section 4)."""

    NEXT = "to be taken and acknowledged"
    REPEATED = "known: its PRACK is on its way"
    GAP = "one before it is missing: neither taken nor acknowledged, since it will be repeated"


class ProvisionalOrder:
    """The caller's side, one of these an early dialog: which responses come in turn."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: int | None = None

    def take(self, rseq: int) -> Order:
        """Put a received RSeq in order; the first one that is seen counts as the first."""
        if self._last is not None and rseq != self._last + 1:
            return Order.REPEATED if rseq <= self._last else Order.GAP
        self._last = rseq
        return Order.NEXT


def is_reliable(response: Response) -> bool:
    """Whether a received response asks for a PRACK: 101-199 with Require: 100rel, an RSeq and a To tag."""
    return (
        100 < response.status < 200
        and OPTION_TAG in response.require
        and response.rseq is not None
        and response.to.tag is not None
    )
