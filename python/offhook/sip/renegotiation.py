"""What re-INVITE and UPDATE change within a session, both ways, and the ACKs that are waited for.

RFC 3261 sections 13.3.1.4 and 14, RFC 3311 section 5, RFC 6141. Whether an offer may come or go is asked of the dialog
(`OfferAnswer`); here is which request carries it.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from offhook.sip import in_dialog, refreshing
from offhook.sip.accepted import AcceptedInvite
from offhook.sip.accepted import State as AcceptedState
from offhook.sip.answered_early import EarlyAnswer
from offhook.sip.dialog import Dialog, new_target
from offhook.sip.dialog import State as DialogState
from offhook.sip.events import FailureCause, ReinviteAnswered, Reinvited, ReinviteRefused
from offhook.sip.message import Request, Response
from offhook.sip.offer_answer import State as OfferState
from offhook.sip.questions import Question
from offhook.sip.reinvite import Change, OutboundChange, wait_after
from offhook.sip.reinvite import State as ChangeState
from offhook.sip.session_core import SDP, HeaderList
from offhook.sip.session_state import UNANSWERED, State
from offhook.sip.timers import earliest
from offhook.sip.transaction.invite_server import InviteServerTransaction
from offhook.sip.transaction.layer import AnyServerTransaction

if TYPE_CHECKING:
    from offhook.sip.invite import InviteSession

EARLY = (State.RINGING, State.PROCEEDING)
"""Where an UPDATE may change what reliable provisional responses have agreed on (RFC 3311 5.1)."""


MAX_UNACKNOWLEDGED = 4
"""2xx of ours in one session that may wait for their ACK; until one is here a further re-INVITE gets 500."""

PATIENCE = 60.0
"""Seconds that a re-INVITE of ours may be without a final response after a 1xx: a human may be asked. Then CANCEL."""


class Renegotiation:
    """The peer's open change, ours, our 2xx that wait for their ACK, and the ACK that we owe.

    The session is handed in and not kept: what is over has to be freed at once, not when the collector looks.
    """

    __slots__ = ("_accepted", "_give_up_at", "_incoming", "_outgoing", "_sent", "owed")

    def __init__(self) -> None:
        self.owed: int | None = None
        """The number of the INVITE of ours whose 2xx brought an offer: its ACK has to bring our answer."""
        self._accepted: dict[int, AcceptedInvite] = {}
        self._incoming: tuple[AnyServerTransaction, Dialog] | None = None
        self._outgoing = OutboundChange()
        self._give_up_at: float | None = None
        self._sent: Request | None = None

    # ------------------------------------------------------------------ our 2xx and their ACKs

    def accepted(
        self,
        session: "InviteSession",
        transaction: InviteServerTransaction,
        response: Response,
        now: float,
        *,
        carries_offer: bool,
    ) -> None:
        """A 2xx of ours leaves: it is repeated until its ACK comes."""
        # One without SDP follows a PRACK that has answered our offer.
        carries_offer = transaction.request.sdp is None and bool(response.body)
        self._accepted[transaction.request.cseq.number] = AcceptedInvite(
            transaction, response, session.core.timers, now, carries_offer=carries_offer
        )

    def acknowledged(self, dialog: Dialog, number: int, sdp: bytes) -> AcceptedInvite | None:
        """An ACK came, with an answer or nothing: to which 2xx; None for repetitions and strangers' numbers."""
        accepted = self._accepted.pop(number, None)
        if accepted is None or not accepted.acknowledge():
            return None
        if accepted.carries_offer:
            _ = dialog.offers.answered() if sdp else dialog.offers.withdraw()
        return accepted

    def answer_owed(self, session: "InviteSession", sdp: bytes, now: float) -> None:
        """Send the ACK that is owed; empty where nobody answers the offer, lest its 2xx be repeated for ever."""
        number, self.owed = self.owed, None
        if number is None or session.dialog is None:
            return
        offers = session.dialog.offers
        _ = offers.answer(sdp) if sdp else offers.withdraw()
        self._acknowledge(session, number, sdp, now)

    def _acknowledge(self, session: "InviteSession", number: int, sdp: bytes, now: float) -> None:
        """Send the ACK to a 2xx, with the credentials of its INVITE (RFC 3261 22.1)."""
        in_dialog.send_ack(session, number, sdp, now, self._sent)

    @property
    def is_idle(self) -> bool:
        """Whether no change is open, wanted or to be acknowledged, on either side."""
        ours = self._outgoing.state is ChangeState.NONE and self.owed is None and not self._accepted
        return ours and self.open_of_peer is None

    # ------------------------------------------------------------------ the peer's change

    def receive_invite(self, session: "InviteSession", transaction: InviteServerTransaction, now: float) -> None:
        """A re-INVITE: told, or refused at once where another change is open (RFC 3261 14.2)."""
        dialog = session.dialog_of(transaction.request)
        is_open = self.open_of_peer is not None or session.state in UNANSWERED
        if is_open or dialog.offers.state is OfferState.THEIRS or len(self._accepted) >= MAX_UNACKNOWLEDGED:
            self._come_again(session, transaction, now)
        elif session.state is State.CLOSING:
            in_dialog.answer(session, transaction, 481, now)
        elif self._asks_by_invite or dialog.state is DialogState.EARLY or dialog.offers.state is OfferState.OURS:
            # An INVITE of ours is in progress, perhaps the first one; or an offer of ours is.
            in_dialog.answer(session, transaction, 491, now)
        elif not refreshing.objected(session, transaction, now):
            self._take(session, transaction, dialog)

    def receive_update(self, session: "InviteSession", transaction: AnyServerTransaction, now: float) -> None:
        """An UPDATE: without an offer it is a refresh, answered at once; with one as a re-INVITE (RFC 3311 5.2)."""
        request = transaction.request
        dialog = session.dialog_of(request)
        incoming = self.open_of_peer
        is_offer = request.sdp is not None
        if session.state is State.CLOSING:
            in_dialog.answer(session, transaction, 481, now)
        elif incoming is not None and (is_offer or incoming.method == "UPDATE"):
            self._come_again(session, transaction, now)
        elif refreshing.objected(session, transaction, now):
            return
        elif not is_offer:
            self._see(session, transaction)
            dialog.refresh_target(request)
            in_dialog.answer(session, transaction, 200, now, session.accept_headers(request, now))
        elif dialog.offers.state is OfferState.OURS or self._asks_by_invite:
            in_dialog.answer(session, transaction, 491, now)
        elif not dialog.offers.may_offer:
            # The offer of the INVITE itself, or ours in its stead, is still to be made or answered.
            self._come_again(session, transaction, now)
        else:
            self._take(session, transaction, dialog)

    def answer(self, session: "InviteSession", sdp: bytes, headers: HeaderList, now: float) -> bool:
        """Accept it, with our answer or (re-INVITE without one) our offer; False if none is open."""
        if self.open_of_peer is None or self._incoming is None:
            return False
        incoming, self._incoming = self._incoming, None
        transaction, dialog = incoming
        request = transaction.request
        # RFC 6141 4.7: what is accepted moves the target, what is refused doesn't.
        dialog.refresh_target(request)
        carries_offer = not dialog.offers.answer(sdp) and dialog.offers.offer(sdp)
        headers = (*session.accept_headers(request, now), *headers)
        response = in_dialog.answer(session, transaction, 200, now, headers, sdp)
        if isinstance(transaction, InviteServerTransaction):
            self.accepted(session, transaction, response, now, carries_offer=carries_offer)
        else:
            self.try_ours(session, now)
        session.core.arm(session)
        return True

    def reject(self, session: "InviteSession", status: int, headers: HeaderList = (), *, now: float) -> bool:
        """Refuse it: all stays as it was. False if none is open."""
        if self.open_of_peer is None or self._incoming is None:
            return False
        incoming, self._incoming = self._incoming, None
        transaction, dialog = incoming
        dialog.offers.withdraw()
        in_dialog.answer(session, transaction, status, now, headers)
        self.try_ours(session, now)
        return True

    def cancelled(self, session: "InviteSession", transaction: InviteServerTransaction, now: float) -> bool:
        """The peer's CANCEL; False if it is not for the open re-INVITE."""
        is_ours = self._incoming is not None and transaction is self._incoming[0]
        return is_ours and self.reject(session, 487, now=now)

    def _take(self, session: "InviteSession", transaction: AnyServerTransaction, dialog: Dialog) -> None:
        request = transaction.request
        self._see(session, transaction)
        if request.sdp is not None:
            dialog.offers.offered()
        self._incoming = transaction, dialog
        session.core.tell(Reinvited(session, request))

    def _see(self, session: "InviteSession", transaction: AnyServerTransaction) -> None:
        # A Contact that means nothing is the peer's error (400) before anything has changed.
        new_target(transaction.request)
        if session.state is State.PROCEEDING:
            # Where one fork is seen says nothing of the others.
            return
        session.learn(transaction.request)
        session.path.see(transaction.source)

    def _come_again(self, session: "InviteSession", transaction: AnyServerTransaction, now: float) -> None:
        retry = (("Retry-After", str(int(session.core.between(0, 10)))),)
        in_dialog.answer(session, transaction, 500, now, retry)

    @property
    def open_of_peer(self) -> Request | None:
        """The peer's request that waits for its answer; an UPDATE for no longer than 64*T1."""
        if self._incoming is None:
            return None
        transaction, dialog = self._incoming
        if transaction.terminated:
            dialog.offers.withdraw()
            self._incoming = None
            return None
        return transaction.request

    @property
    def _asks_by_invite(self) -> bool:
        """Whether a re-INVITE of ours is on its way, with an offer or for one."""
        return self._outgoing.open is not None and self._outgoing.open.method == "INVITE"

    # ------------------------------------------------------------------ ours

    def want(self, session: "InviteSession", change: Change, now: float) -> None:
        """Offer a change as soon as it can leave."""
        self._outgoing.want(replace(change, dialog=session.dialog))
        self.try_ours(session, now)

    def fork_gone(self, session: "InviteSession", dialog: Dialog, now: float) -> None:
        """An early dialog is no more: what is open in it must not stand in the way of the others."""
        if self._outgoing.drop(dialog):
            session.core.tell(ReinviteRefused(session, None))
        if self._incoming is not None and self._incoming[1] is dialog:
            self.reject(session, 481, now=now)

    def forget(self) -> bool:
        """Take back what is wanted and has not left; True if there was such."""
        return self._outgoing.forget()

    def try_ours(self, session: "InviteSession", now: float) -> None:
        """Send what is wanted, if nothing stands in its way: one offer at a time, and one INVITE (RFC 3264 4)."""
        change = self._outgoing.waiting
        dialog = (change.dialog or session.dialog) if change is not None else None
        if change is None or dialog is None or self.open_of_peer is not None:
            return
        if change.sdp is not None and not dialog.offers.may_offer:
            return
        if session.state is State.CONFIRMED:
            # The ACK that is awaited, or owed, comes first.
            if self._accepted or self.owed is not None or dialog.offers.state is not OfferState.IDLE:
                return
        elif change.method == "INVITE" or session.state not in EARLY:
            return
        self._send(session, dialog, change, now)

    def _send(self, session: "InviteSession", dialog: Dialog, change: Change, now: float) -> None:
        if change.is_refresh:
            # While it waited, an offer of the peer may have been answered.
            change = replace(change, sdp=dialog.offers.local)
        content = (("Content-Type", SDP),) if change.sdp else ()
        headers = (*session.refresh_headers(), *change.headers, *content)
        if change.sdp:
            dialog.offers.offer(change.sdp)

        if change.method == "UPDATE":

            def update_done(response: Response | None, cause: FailureCause | None, at: float) -> None:
                if self._outgoing.open is sent:
                    self._on_final(session, dialog, response, cause, "", at)

            sent = self._outgoing.sent(None)
            question = Question("UPDATE", headers, change.sdp or b"", update_done, dialog)
            if not session.questions.ask(session, question, now):
                self._refused(session, dialog, None, now)
            return

        early = EarlyAnswer()

        def done(response: Response | None, cause: FailureCause | None, at: float) -> None:
            self._sent = client.sent_request
            self._on_final(session, dialog, response and early.complete(response), cause, client.why, at)

        def progress(response: Response, at: float) -> None:
            rack = early.take(response, offered=bool(change.sdp)) if not session.is_over else None
            if rack is not None:
                in_dialog.send_prack(session, dialog, rack, b"", at)

        request = dialog.request("INVITE", headers, change.sdp or b"")
        client = in_dialog.client(session, dialog, request, done, progress)
        self._outgoing.sent(client)
        self._give_up_at = now + PATIENCE
        client.begin(now)
        session.core.arm(session)

    def _on_final(
        self,
        session: "InviteSession",
        dialog: Dialog,
        response: Response | None,
        cause: FailureCause | None,
        why: str,
        now: float,
    ) -> None:
        change = self._outgoing.open
        if response is not None and response.is_success and response.cseq.method == "INVITE":
            if session.acks.repeat(dialog.remote_tag, response.cseq.number):
                return
            if (change is None and self.owed != response.cseq.number) or session.is_over:
                self._acknowledge(session, response.cseq.number, b"", now)
        self._give_up_at = None
        if change is None or session.is_over:
            self._outgoing.settled()
            return
        if response is not None and response.is_success:
            self._succeeded(session, dialog, change, response, now)
        elif response is None or response.status in refreshing.GONE:
            self._refused(session, dialog, response, now)
            if change.is_refresh:
                refreshing.lost(session, response, cause, why, now)
            elif session.state not in EARLY:
                # RFC 3261 12.2.1.2 and 14.1: the dialog is lost. An early one is its INVITE's to end.
                said = why if response is None else f"{response.status} to our {response.cseq.method}"
                session.lost(cause or FailureCause.DIALOG_GONE, said, now)
        elif response.status in (405, 501) and change.method == "UPDATE" and session.state is State.CONFIRMED:
            # It is in the peer's Allow or there is none, and isn't known to it all the same.
            dialog.offers.withdraw()
            self._outgoing.again(replace(change, method="INVITE"))
        elif response.status == 422 and session.timer.raised(response):
            dialog.offers.withdraw()
            self._outgoing.again(change)
        else:
            wait = wait_after(
                response.status, response.retry_after, is_owner=session.is_caller, between=session.core.between
            )
            if wait is not None and self._outgoing.collided(now, wait):
                dialog.offers.withdraw()
                session.core.arm(session)
            else:
                self._refused(session, dialog, response, now)
        self.try_ours(session, now)

    def _succeeded(
        self, session: "InviteSession", dialog: Dialog, change: Change, response: Response, now: float
    ) -> None:
        self._outgoing.settled()
        session.learn(response)
        refreshing.answered(session, response, now)
        dialog.refresh_target(response)
        sdp = response.sdp
        if change.sdp:
            _ = dialog.offers.answered() if sdp else dialog.offers.withdraw()
        elif sdp:
            dialog.offers.offered()
        if change.method == "INVITE":
            if change.sdp or not sdp:
                self._acknowledge(session, response.cseq.number, b"", now)
            else:
                self.owed = response.cseq.number
        if sdp or not change.is_refresh:
            session.core.tell(ReinviteAnswered(session, response, change.is_refresh))

    def _refused(self, session: "InviteSession", dialog: Dialog, response: Response | None, now: float) -> None:
        change = self._outgoing.settled()
        if change is not None and change.sdp:
            dialog.offers.withdraw()
        if change is None or not change.is_refresh:
            session.core.tell(ReinviteRefused(session, response))
        elif response is not None and response.status not in refreshing.GONE:
            session.timer.refused(response, now)

    # ------------------------------------------------------------------ time, and the end

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        times = [accepted.next_timeout() for accepted in self._accepted.values()] if self._accepted else ()
        return earliest(self._outgoing.next_timeout(), self._give_up_at, *times)

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
            if not session.is_over and self._outgoing.cancel(now):
                self._give_up_at = now + session.core.timers.transaction
            else:
                self._outgoing.abandon(now)
        if self._outgoing.handle_timeout(now):
            self.try_ours(session, now)

    def fail(self, session: "InviteSession", now: float) -> None:
        """A fault of ours: nothing is wanted any more, and the peer's change gets 500."""
        self._outgoing.forget()
        self.reject(session, 500, now=now)

    def end(self, session: "InviteSession", now: float) -> None:
        """The session is over."""
        # The peer's BYE may come while its offer is thought about: its 2xx wants an ACK all the same.
        self.answer_owed(session, b"", now)
        self._outgoing.forget()
        if self._asks_by_invite:
            # With a provisional response it waits without a timer of its own, and who has ended need not answer it.
            self._give_up_at = now + session.core.timers.transaction
        self._accepted.clear()
        # RFC 3261 15.1.2: what still waits for an answer gets 487.
        self.reject(session, 487, now=now)

    def drop(self, session: "InviteSession", now: float) -> None:
        """Forget all of it as it stands."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            in_dialog.abandon(session, incoming[0], now)
        self._outgoing.forget()
        self._outgoing.abandon(now)
        self._outgoing.settled()
