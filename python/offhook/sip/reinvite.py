"""A change of the session that we want: waiting, on its way, or to come again (RFC 3261 14.1, RFC 3311 5.3)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from offhook.sip.client_request import ClientRequest
from offhook.sip.dialog import Dialog
from offhook.sip.session_core import HeaderList
from offhook.sip.steps import Steps

OWNER_WAITS = (2.1, 4.0)
OTHER_WAITS = (0.0, 2.0)
"""RFC 3261 14.1: seconds that who made the Call-ID waits after a 491, and who did not."""

MAX_RETRY_AFTER = 10.0
"""RFC 3261 14.2: a 500 names at most so many seconds."""

MAX_OVERLOAD = 32
"""RFC 3261 21.5.4: a 503 may ask for more seconds, and is obeyed; but such a change is wanted no longer by then."""

MAX_RETRIES = 8
"""How often one change is sent again before it counts as refused."""


class State(Enum):
    """Where it is."""

    NONE = "nothing is wanted"
    WAITING = "wanted, something stands in its way"
    OPEN = "on its way"
    BACKED_OFF = "collided, comes again"


class Input(Enum):
    """What moves it."""

    WANT = "a change is wanted"
    SEND = "it leaves"
    SETTLE = "final response"
    COLLIDE = "491, or 500 or 503 with Retry-After"
    AGAIN = "422, or 405: it has to be asked otherwise"
    DUE = "its time has come"
    FORGET = "wanted no longer"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.NONE, Input.WANT): State.WAITING,
    (State.WAITING, Input.WANT): State.WAITING,
    (State.WAITING, Input.SEND): State.OPEN,
    (State.WAITING, Input.FORGET): State.NONE,
    # A newer wish waits for the end of the one that is open.
    (State.OPEN, Input.WANT): State.OPEN,
    (State.OPEN, Input.FORGET): State.OPEN,
    (State.OPEN, Input.SETTLE): State.NONE,
    (State.OPEN, Input.COLLIDE): State.BACKED_OFF,
    (State.OPEN, Input.AGAIN): State.WAITING,
    (State.BACKED_OFF, Input.WANT): State.BACKED_OFF,
    (State.BACKED_OFF, Input.DUE): State.WAITING,
    (State.BACKED_OFF, Input.FORGET): State.NONE,
}


@dataclass(frozen=True, slots=True)
class Change:
    """What is wanted: an offer (None: ask for the peer's) by INVITE or UPDATE.

    `is_refresh`: the offer is what is in force. The layer above hears of an answer to it, and of no refusal.
    """

    method: str
    sdp: bytes | None
    headers: HeaderList
    is_refresh: bool = False
    dialog: Dialog | None = None
    """The dialog that it is for: that of a fork, while an INVITE of ours has no answer."""


class OutboundChange(Steps[State, Input]):
    """The one change that a session of ours may have open; a newer wish replaces one that still waits."""

    TABLE = TRANSITIONS

    __slots__ = ("_request", "_retries", "_retry_at", "_wanted", "open")

    def __init__(self) -> None:
        self.state = State.NONE
        self.open: Change | None = None
        """What is on its way."""
        self._wanted: Change | None = None
        self._request: ClientRequest | None = None
        self._retry_at: float | None = None
        self._retries = 0

    @property
    def is_open(self) -> bool:
        """Whether one is on its way."""
        return self.state is State.OPEN

    @property
    def waiting(self) -> Change | None:
        """One that could leave now."""
        return self._wanted if self.state is State.WAITING else None

    def want(self, change: Change) -> None:
        """Send this when it can be. A time to wait after a collision is waited for all the same."""
        self._step(Input.WANT)
        self._wanted = change

    def forget(self) -> bool:
        """What is wanted is so no longer; True if something was. One that is on its way stays."""
        was_wanted = self._wanted is not None
        self._wanted = self._retry_at = None
        self._step(Input.FORGET)
        return was_wanted

    def sent(self, request: ClientRequest | None) -> Change | None:
        """It leaves, and is `open`; `request` if there is one to be given up later."""
        self._step(Input.SEND)
        self.open, self._wanted = self._wanted, None
        self._request = request
        return self.open

    def settled(self) -> Change | None:
        """Its final response is here, or it is waited for no longer: what was sent, None if nothing was."""
        if self.state is not State.OPEN:
            return None
        self._step(Input.SETTLE)
        self._retries = 0
        change, self.open, self._request = self.open, None, None
        if self._wanted is not None:
            self._step(Input.WANT)
        return change

    def drop(self, dialog: Dialog) -> bool:
        """The dialog is no more: what was wanted or sent within it is waited for no longer. True if there was such."""
        was_wanted = self._wanted is not None and self._wanted.dialog is dialog and self.forget()
        is_open = self.open is not None and self.open.dialog is dialog
        return (is_open and self.settled() is not None) or was_wanted

    def again(self, change: Change) -> None:
        """It leaves again at once, as `change`, or what is wanted by then; by INVITE if that is how it is to leave."""
        self._step(Input.AGAIN)
        wanted = self._wanted or change
        self._wanted = replace(wanted, method="INVITE") if change.method == "INVITE" else wanted
        self.open = self._request = None

    def collided(self, now: float, wait: float) -> bool:
        """It comes again after so many seconds, or what is wanted by then; False after too many times."""
        if self.state is not State.OPEN or self._retries >= MAX_RETRIES:
            return False
        self._retries += 1
        self._step(Input.COLLIDE)
        self._wanted = self._wanted or self.open
        self.open = self._request = None
        self._retry_at = now + wait
        return True

    def next_timeout(self) -> float | None:
        """When it comes again."""
        return self._retry_at

    def handle_timeout(self, now: float) -> bool:
        """Whether its time to come again is here."""
        if self._retry_at is None or now < self._retry_at:
            return False
        self._retry_at = None
        self._step(Input.DUE)
        return True

    def cancel(self, now: float) -> bool:
        """CANCEL one that is on its way; False if it has been already, or there is none."""
        if self._request is None or self._request.cancelling:
            return False
        self._request.cancel((), now)
        return True

    def abandon(self, now: float) -> None:
        """Wait no longer for the answer to one that is on its way."""
        if self._request is not None:
            self._request.abandon(now)


def wait_after(
    status: int, retry_after: int | None, *, is_owner: bool, between: Callable[[float, float], float]
) -> float | None:
    """Seconds until a refused change comes again; None if it does not."""
    if status == 491:
        return between(*(OWNER_WAITS if is_owner else OTHER_WAITS))
    if status == 500 and retry_after is not None:
        return min(float(retry_after), MAX_RETRY_AFTER)
    if status == 503 and retry_after is not None and retry_after <= MAX_OVERLOAD:
        return float(retry_after)
    return None
