"""What re-INVITEs change within a session, both ways, and the ACKs that are waited for: RFC 3261 13.3.1.4 and 14."""

from typing import TYPE_CHECKING

from offhook.sip import in_dialog
from offhook.sip.accepted import AcceptedInvite
from offhook.sip.accepted import State as AcceptedState
from offhook.sip.events import FailureCause, ReinviteAnswered, Reinvited, ReinviteRefused
from offhook.sip.message import Response
from offhook.sip.reinvite import OutboundReinvite
from offhook.sip.session_core import SDP, HeaderList
from offhook.sip.session_state import UNANSWERED, State
from offhook.sip.transaction.invite_server import InviteServerTransaction

if TYPE_CHECKING:
    from offhook.sip.invite import InviteSession


class Renegotiation:
    """The peer's open re-INVITE, ours, our 2xx that wait for their ACK, and the ACK that we owe.

    The session is handed in and not kept: what is over has to be freed at once, not when the collector looks.
    """

    __slots__ = ("_accepted", "_give_up_at", "_incoming", "_outgoing", "owed")

    def __init__(self) -> None:
        self.owed: int | None = None
        """The number of the INVITE of ours whose 2xx brought an offer: its ACK has to bring our answer."""
        self._accepted: dict[int, AcceptedInvite] = {}
        self._incoming: InviteServerTransaction | None = None
        self._outgoing = OutboundReinvite()
        self._give_up_at: float | None = None

    # ------------------------------------------------------------------ our 2xx and their ACKs

    def accepted(
        self, session: "InviteSession", transaction: InviteServerTransaction, response: Response, now: float
    ) -> None:
        """A 2xx of ours leaves: it is repeated until its ACK comes."""
        self._accepted[transaction.request.cseq.number] = AcceptedInvite(
            transaction, response, session.core.timers, now, carries_offer=transaction.request.sdp is None
        )

    def acknowledged(self, number: int) -> bool:
        """An ACK came; False for repetitions and strangers' numbers."""
        accepted = self._accepted.pop(number, None)
        return accepted is not None and accepted.acknowledge()

    def release(self, session: "InviteSession", now: float) -> None:
        """The 2xx brought an offer that nobody answers; it is acknowledged all the same, lest it be repeated."""
        if self.owed is not None:
            in_dialog.send_ack(session, self.owed, b"", now)
            self.owed = None

    @property
    def _offer_pending(self) -> bool:
        """Whether an offer of ours waits for its answer in an ACK."""
        return self.owed is not None or any(a.carries_offer for a in self._accepted.values())

    # ------------------------------------------------------------------ the peer's re-INVITE

    def receive(self, session: "InviteSession", transaction: InviteServerTransaction, now: float) -> None:
        """A re-INVITE: told, or refused at once where another offer is open."""
        request = transaction.request
        if self._incoming is not None or session.state in UNANSWERED:
            # RFC 3261 14.2: the earlier INVITE has no final response yet.
            in_dialog.answer(session, transaction, 500, now, (("Retry-After", str(int(session.core.between(0, 10)))),))
        elif session.state is State.CLOSING:
            in_dialog.answer(session, transaction, 481, now)
        elif self._outgoing.is_open or self._offer_pending:
            in_dialog.answer(session, transaction, 491, now)
        elif session.dialog is not None:
            session.dialog.refresh_target(request)
            session.path.see(transaction.source)
            self._incoming = transaction
            session.core.tell(Reinvited(session, request))

    def answer(self, session: "InviteSession", sdp: bytes, headers: HeaderList, now: float) -> bool:
        """Accept it."""
        transaction, self._incoming = self._incoming, None
        if transaction is None:
            return False
        headers = (*session.core.session_headers(session.peer), *headers)
        response = in_dialog.response(session, transaction.request, 200, headers, sdp)
        self.accepted(session, transaction, response, now)
        transaction.respond(response, now)
        session.core.pump(transaction, now)
        session.core.arm(session)
        return True

    def reject(self, session: "InviteSession", status: int, headers: HeaderList = (), *, now: float) -> bool:
        """Refuse it; False if none is open."""
        transaction, self._incoming = self._incoming, None
        if transaction is None:
            return False
        in_dialog.answer(session, transaction, status, now, headers)
        self.try_ours(session, now)
        return True

    def cancelled(self, session: "InviteSession", transaction: InviteServerTransaction, now: float) -> bool:
        """The peer's CANCEL; False if it is not for the open re-INVITE."""
        return transaction is self._incoming and self.reject(session, 487, now=now)

    # ------------------------------------------------------------------ ours

    def want(self, session: "InviteSession", sdp: bytes | None, headers: HeaderList, now: float) -> None:
        """Offer a change (None: ask for the peer's offer) as soon as it can leave."""
        self._outgoing.want(sdp, headers)
        self.try_ours(session, now)

    def try_ours(self, session: "InviteSession", now: float) -> None:
        """Send what is wanted, if nothing stands in its way."""
        waiting = self._outgoing.waiting
        if waiting is None or session.state is not State.CONFIRMED or self._incoming is not None:
            return
        if self._accepted or self.owed is not None:
            # One offer at a time (RFC 3264 4): the ACK that is awaited, or owed, comes first.
            return
        sdp, headers = waiting
        assert session.dialog is not None, "a confirmed session has its dialog"
        content = (("Content-Type", SDP),) if sdp else ()
        headers = (*session.core.session_headers(session.peer), *headers, *content)
        request = session.dialog.request("INVITE", headers, sdp or b"")
        client = in_dialog.client(session, session.dialog, request, lambda *final: self._on_final(session, *final))
        self._outgoing.sent(client)
        client.begin(now)

    def _on_final(
        self, session: "InviteSession", response: Response | None, cause: FailureCause | None, now: float
    ) -> None:
        is_success = response is not None and response.is_success
        if response is not None and is_success and session.acks.repeat(session.remote_tag or "", response.cseq.number):
            return
        reinvite = self._outgoing.settled()
        if reinvite is None:
            return
        if session.is_over or session.dialog is None:
            if response is not None and response.is_success and session.dialog is not None:
                in_dialog.send_ack(session, response.cseq.number, b"", now)
            return
        if response is None or response.status in (408, 481):
            # RFC 3261 12.2.1.2 and 14.1: the dialog is lost.
            self._outgoing.forget()
            session.core.tell(ReinviteRefused(session, response))
            session.lost(cause or FailureCause.DIALOG_GONE, reinvite.why, now)
        elif response.is_success:
            self._outgoing.forget()
            session.dialog.refresh_target(response)
            if reinvite.request.body:
                in_dialog.send_ack(session, response.cseq.number, b"", now, reinvite.request)
            else:
                self.owed = response.cseq.number
            session.core.tell(ReinviteAnswered(session, response))
        elif response.status == 491:
            self._outgoing.collided(now, is_owner=session.is_caller, between=session.core.between)
            session.core.arm(session)
        else:
            self._outgoing.forget()
            session.core.tell(ReinviteRefused(session, response))

    # ------------------------------------------------------------------ time, and the end

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        times = [accepted.next_timeout() for accepted in self._accepted.values()]
        return min(
            (at for at in (*times, self._outgoing.next_timeout(), self._give_up_at) if at is not None), default=None
        )

    def handle_timeout(self, session: "InviteSession", now: float) -> None:
        """Repeat what nobody has acknowledged, send ours again after a collision."""
        for number, accepted in list(self._accepted.items()):
            if accepted.handle_timeout(now):
                accepted.transaction.respond(accepted.response, now)
                session.core.pump(accepted.transaction, now)
            elif accepted.state is AcceptedState.MISSING:
                del self._accepted[number]
                session.ack_missing(now)
        if self._give_up_at is not None and now >= self._give_up_at:
            self._give_up_at = None
            self._outgoing.abandon(now)
        if self._outgoing.handle_timeout(now):
            self.try_ours(session, now)

    def fail(self, session: "InviteSession", now: float) -> None:
        """A fault of ours: nothing is wanted any more, and the peer's change gets 500."""
        self._outgoing.forget()
        self.reject(session, 500, now=now)

    def end(self, session: "InviteSession", now: float) -> None:
        """The session is over."""
        self._outgoing.forget()
        if self._outgoing.is_open:
            # With a provisional response it waits without a timer of its own, and who has ended need not answer it.
            self._give_up_at = now + session.core.timers.transaction
        self._accepted.clear()
        # RFC 3261 15.1.2: what still waits for an answer gets 487.
        self.reject(session, 487, now=now)

    def drop(self, now: float) -> None:
        """Forget all of it as it stands."""
        self._incoming = None
        reinvite = self._outgoing.settled()
        if reinvite is not None:
            reinvite.abandon(now)
