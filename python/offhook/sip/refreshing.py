"""What a session does for its timer: what it says of it, the refreshes that it sends, its end (RFC 4028)."""

from typing import TYPE_CHECKING

from offhook.sip import in_dialog
from offhook.sip.causes import why
from offhook.sip.events import FailureCause, SessionExpired, SessionTimed
from offhook.sip.message import Request, Response
from offhook.sip.reinvite import Change
from offhook.sip.session_core import HeaderList
from offhook.sip.session_state import ESTABLISHED, State
from offhook.sip.session_timer import Action
from offhook.sip.transaction.layer import AnyServerTransaction

if TYPE_CHECKING:
    from offhook.sip.invite import InviteSession

EXPIRED: HeaderList = why(408, "session timer expired", q850=102)
"""RFC 3326: what the BYE of a session says that nobody has refreshed."""

GONE = (408, 481)
"""To a request within the dialog: the peer no longer knows it (RFC 3261 12.2.1.2)."""


def objected(session: "InviteSession", transaction: AnyServerTransaction, now: float) -> bool:
    """Refuse a re-INVITE or UPDATE whose interval is too small (9); False to go on with it."""
    headers = session.timer.objection(transaction.request)
    if headers is not None:
        in_dialog.answer(session, transaction, 422, now, headers)
    return headers is not None


def accepted(session: "InviteSession", request: Request, now: float) -> HeaderList:
    """What our 2xx to an INVITE, re-INVITE or UPDATE says of the timer; with it the interval begins anew."""
    if session.state not in ESTABLISHED:
        # An UPDATE before the answer: there is no session yet to be kept alive.
        return ()
    was_on = session.timer.is_on
    agreed = session.timer.accept(request, now)
    _tell(session, request.method, was_on=was_on, ours=False)
    return agreed


def answered(session: "InviteSession", response: Response, now: float) -> None:
    """A 2xx to an INVITE, re-INVITE or UPDATE of ours: with it the interval begins anew."""
    if session.state not in ESTABLISHED:
        return
    was_on = session.timer.is_on
    session.timer.answered(response, now)
    _tell(session, response.cseq.method, was_on=was_on, ours=True)


def handle_timeout(session: "InviteSession", now: float) -> None:
    """Refresh it, or end it, when it is time to."""
    ready = session.state is State.CONFIRMED and session.renegotiation.is_idle
    match session.timer.handle_timeout(now, ready=ready):
        case Action.REFRESH:
            _refresh(session, now)
        case Action.EXPIRE:
            expire(session, session.timer.why, now)
        case None:
            pass


def lost(
    session: "InviteSession", response: Response | None, cause: FailureCause | None, detail: str, now: float
) -> None:
    """To our refresh the peer said that it no longer knows the session, or nothing at all: it is over (10)."""
    was_sent = cause not in (FailureCause.TRANSPORT, FailureCause.UNRESOLVED)
    if response is None and session.timer.unanswered(now, was_sent=was_sent):
        return
    if response is not None:
        said = f"the peer answered our refresh with {response.status} {response.reason}"
    else:
        said = f"our refresh was not answered: {detail or (cause or FailureCause.TIMEOUT).value}"
    expire(session, said, now)


def expire(session: "InviteSession", detail: str, now: float) -> None:
    """End it with a BYE that says why."""
    session.core.tell(SessionExpired(session, detail))
    session.hang_up(EXPIRED, now=now)


def _refresh(session: "InviteSession", now: float) -> None:
    """By UPDATE without an offer where the peer takes it, else by a re-INVITE that changes nothing (7.4)."""
    assert session.dialog is not None, "what is confirmed has its dialog"
    if session.timer.no_update or "UPDATE" not in (session.allows or ()):
        same = Change("INVITE", session.dialog.offers.local, (), is_refresh=True)
        session.renegotiation.want(session, same, now)
        return

    def done(response: Response | None, cause: FailureCause | None, at: float) -> None:
        if session.is_over:
            return
        if response is None or response.status in GONE:
            lost(session, response, cause, "", at)
        elif response.is_success:
            session.learn(response)
            answered(session, response, at)
            if session.dialog is not None:
                session.dialog.refresh_target(response)
        else:
            session.timer.refused(response, at)
        session.core.arm(session)

    session.ask("UPDATE", session.refresh_headers(), done=done, now=now)


def _tell(session: "InviteSession", method: str, *, was_on: bool, ours: bool) -> None:
    timer = session.timer
    if was_on or timer.is_on:
        session.core.tell(SessionTimed(session, method, ours, timer.interval, timer.by_us))
