"""The REFERs of one session and the NOTIFYs about them: RFC 3515, RFC 6665, RFC 4488.

The subscription that a REFER makes shares the session's dialog and outlives the session (RFC 5057 5.5): while one does,
the dialog stays known for some seconds, so that the peer's last NOTIFY is answered, and believed.
"""

from typing import TYPE_CHECKING

from offhook.sip import in_dialog
from offhook.sip.client_request import ClientRequest
from offhook.sip.events import FailureCause, ReferLate, ReferOver, ReferProgress
from offhook.sip.headers.event import Event
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.headers.subscription_state import SubscriptionState
from offhook.sip.message import Request, Response
from offhook.sip.refer import OutboundRefer
from offhook.sip.session_core import HeaderList
from offhook.sip.session_state import ESTABLISHED
from offhook.sip.sipfrag import SIPFRAG, is_readable_type, read_fragment
from offhook.sip.timers import earliest
from offhook.sip.transaction.layer import AnyServerTransaction

if TYPE_CHECKING:
    from offhook.sip.invite import InviteSession

MAX_KEPT = 4
"""REFERs of a session whose subscriptions are kept; the oldest is given up for a further one."""

LINGER = 4.0
"""Seconds that the dialog of a session that is over stays known for what is still to be reported."""

ALLOW_EVENTS: HeaderList = (("Allow-Events", "refer"),)


class Referrals:
    """The REFERs that were sent, the latest last; one at a time may be open.

    The session is handed in and not kept: what is over has to be freed at once, not when the collector looks.
    """

    __slots__ = ("_clients", "_kept", "_newest", "_until")

    def __init__(self) -> None:
        self._kept: list[OutboundRefer] = []
        self._clients: dict[int, ClientRequest] = {}
        self._newest = 0
        self._until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the end of one is not known yet."""
        return bool(self._kept) and not self._kept[-1].is_over

    @property
    def lingers(self) -> bool:
        """Whether the dialog has to stay known although the session is over."""
        return self._until is not None

    # ------------------------------------------------------------------ ours

    def send(
        self,
        session: "InviteSession",
        refer_to: str,
        headers: HeaderList,
        *,
        timeout: float,
        silence: float | None,
        reports: bool,
        now: float,
    ) -> bool:
        """Send a REFER; False if there is no session, or one is open."""
        dialog = session.dialog
        if dialog is None or session.state not in ESTABLISHED or self.is_open:
            return False
        request = dialog.request("REFER", refer_headers(refer_to, dialog.local_uri, headers, reports=reports))
        number = request.cseq.number
        refer = OutboundRefer(number, timeout, now, silence)
        self._kept = [*self._kept, refer][-MAX_KEPT:]

        def done(response: Response | None, cause: FailureCause | None, at: float) -> None:
            sent = self._clients.pop(number, None)
            if sent is None:
                return
            was_open = not refer.is_over
            if response is not None:
                refer.subscription.renumbered(response.cseq.number)
                refer.answered(response, at)
                if was_open and response.is_success:
                    session.core.tell(ReferProgress(session, response.status, response.reason, is_report=False))
            elif cause is not None:
                refer.unanswered(cause, sent.why)
            self._settle(session, refer, was_open=was_open)

        client = in_dialog.client(session, dialog, request, done)
        self._clients[number] = client
        session.core.arm(session)
        client.begin(now)
        return True

    # ------------------------------------------------------------------ the peer's reports

    def is_overtaken(self, request: Request) -> bool:
        """Whether the peer's BYE has overtaken this NOTIFY: it is numbered before that, and after every other NOTIFY.

        RFC 3261 12.2.2 refuses it. But some phones number the last report first and send it last, and UDP may do so.
        """
        return self.lingers and request.method == "NOTIFY" and request.cseq.number > self._newest

    def notify(self, session: "InviteSession", transaction: AnyServerTransaction, now: float) -> None:
        """A NOTIFY within the dialog."""
        request = transaction.request
        self._newest = max(self._newest, request.cseq.number)
        value = request.headers.get("Event")
        event = Event.parse(value) if value else None
        if event is not None and event.package != "refer":
            in_dialog.answer(session, transaction, 489, now, ALLOW_EVENTS)
            return
        refer = self._meant(event)
        if refer is None:
            status, headers = (481, ()) if event is not None else (489, ALLOW_EVENTS)
            in_dialog.answer(session, transaction, status, now, headers)
            return
        fragment = read_fragment(request.body)
        readable = not request.body or is_readable_type(request.headers.get("Content-Type"))
        if not readable:
            fragment = None
        state = _state_of(request, fragment is not None and fragment.is_final)
        in_dialog.answer(session, transaction, 200 if readable else 415, now, () if readable else _WANTED)
        was_open, before = not refer.is_over, refer.last
        is_late = refer.notified(state, fragment, now)
        if fragment is not None and is_late:
            session.core.tell(ReferLate(session, fragment.status, fragment.reason))
        elif fragment is not None and was_open and not fragment.is_final and fragment != before:
            session.core.tell(ReferProgress(session, fragment.status, fragment.reason, is_report=True))
        self._settle(session, refer, was_open=was_open)

    def _meant(self, event: Event | None) -> OutboundRefer | None:
        """Whose NOTIFY it is. One without Event, or without its id, is about the REFER that is open, else the last."""
        for refer in self._kept:
            if (sent := self._clients.get(refer.number)) is not None:
                # It may have left again, with credentials and another number.
                refer.subscription.renumbered(sent.request.cseq.number)
        live = [refer for refer in reversed(self._kept) if not refer.subscription.is_over]
        if event is None:
            return next((refer for refer in live if not refer.is_over), None)
        return next((refer for refer in live if refer.subscription.is_meant(event)), None)

    # ------------------------------------------------------------------ the session's end, and time

    def left(self, session: "InviteSession", now: float) -> None:
        """The peer's BYE came."""
        if self.is_open:
            self._kept[-1].session_ended(now)

    def abandon(self, session: "InviteSession") -> None:
        """We end the session."""
        if self.is_open:
            self._kept[-1].abandon()
            self._settle(session, self._kept[-1], was_open=True)

    def session_over(self, session: "InviteSession", now: float) -> None:
        """The session has ended: the dialog stays known as long as something may still be reported, and no longer."""
        if any(not refer.subscription.is_over for refer in self._kept) or self.is_open:
            self._until = self._until or now + LINGER

    def drop(self) -> None:
        """Forget all as it stands."""
        self._kept.clear()
        self._clients.clear()
        self._until = None

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`."""
        if not self._kept:
            return self._until
        return earliest(self._until, *(refer.next_timeout() for refer in self._kept))

    def handle_timeout(self, session: "InviteSession", now: float) -> None:
        """Give up what is too late; the dialog of a session that is over is forgotten when nothing is awaited."""
        for refer in self._kept:
            was_open = not refer.is_over
            refer.handle_timeout(now)
            self._settle(session, refer, was_open=was_open)
        if self._until is not None and now >= self._until:
            self.drop()
            session.forget_dialog()

    def _settle(self, session: "InviteSession", refer: OutboundRefer, *, was_open: bool) -> None:
        if was_open and refer.outcome is not None:
            session.core.tell(ReferOver(session, refer.outcome))
        if self._until is not None and not self.is_open and all(kept.subscription.is_over for kept in self._kept):
            self.drop()
            session.forget_dialog()
        session.core.arm(session)


def refer_headers(refer_to: str, local_uri: str, headers: HeaderList, *, reports: bool) -> HeaderList:
    """What makes a REFER (RFC 3515 2.4.1): where to, by whom (RFC 3892), and whether reports are wanted (RFC 4488)."""
    uri = NameAddr.parse(local_uri).uri
    asked: HeaderList = () if reports else (("Refer-Sub", "false"), ("Supported", "norefersub"))
    return (("Refer-To", refer_to), ("Referred-By", f"<{uri}>"), *asked, *headers)


_WANTED: HeaderList = (("Accept", SIPFRAG),)


def _state_of(request: Request, is_final: bool) -> SubscriptionState:
    """Subscription-State; where a peer leaves it out, its report says whether more can follow."""
    value = request.headers.get("Subscription-State")
    if value:
        return SubscriptionState.parse(value)
    return SubscriptionState("terminated" if is_final else "active")
