"""The INVITE usage of a dialog, as callee and as caller: RFC 3261 sections 9 and 13 to 15."""

from dataclasses import replace

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip import dialog as dialogs
from offhook.sip import in_dialog, refreshing
from offhook.sip.calling import Calling
from offhook.sip.causes import DIALOG_LOST, GIVEN_UP, NO_ACK, OUR_FAULT, UNUSABLE, with_reason
from offhook.sip.client_request import ClientRequest, Done
from offhook.sip.dialog import Dialog
from offhook.sip.digest import Credentials
from offhook.sip.effects import Target
from offhook.sip.events import (
    AckMissing,
    Acknowledged,
    ByeReceived,
    Cancelled,
    Failed,
    FailureCause,
    HungUp,
    Replied,
)
from offhook.sip.forking import Branches
from offhook.sip.message import Request, Response
from offhook.sip.provisionals import NO_PRACK_REASON
from offhook.sip.questions import Question
from offhook.sip.reinvite import Change
from offhook.sip.renegotiation import EARLY
from offhook.sip.session_core import HeaderList, SessionCore
from offhook.sip.session_parts import SessionParts
from offhook.sip.session_state import ESTABLISHED, OVER, UNANSWERED, Input, State
from offhook.sip.timers import earliest
from offhook.sip.transaction.invite_server import InviteServerTransaction
from offhook.sip.transaction.layer import AnyServerTransaction
from offhook.sip.tries import Tries
from offhook.sip.uri import SipUri
from offhook.sip.within import HANDLERS


class InviteSession(SessionParts):
    """One INVITE and the session it sets up. A verb that comes too late returns False and does nothing.

    Made by `UserAgent` for an INVITE received and by `UserAgent.invite`. Every event about it is told through `Tell`.
    """

    __slots__ = ("_bye_headers", "_bye_request", "_expires_at")

    def __init__(self, core: SessionCore, request: Request, *, local_tag: str, peer: object, state: State) -> None:
        super().__init__(core, request, local_tag=local_tag, peer=peer, state=state)
        self._expires_at: float | None = None
        self._bye_headers: HeaderList = ()
        self._bye_request: ClientRequest | None = None

    # ------------------------------------------------------------------ how it is made

    @classmethod
    def received(
        cls, core: SessionCore, transaction: InviteServerTransaction, peer: object, now: float
    ) -> "InviteSession":
        """The callee's side of an INVITE of an admitted peer. A Contact that is missing or double raises (400)."""
        request = transaction.request
        self = cls(core, request, local_tag=core.token(), peer=peer, state=State.RECEIVED)
        self.transaction = transaction
        self.path.see(transaction.source)
        self.learn(request)
        self.dialog = Dialog.uas(request, self.local_tag, first_cseq=int(core.between(1, 2**15)))
        core.bind(self, self.dialog.id)
        expires = request.headers.get("Expires")
        if expires is not None and expires.isascii() and expires.isdigit() and len(expires) < 10:
            self._expires_at = now + int(expires)
        return self

    @classmethod
    def call(
        cls,
        core: SessionCore,
        request: Request,
        next_hop: SipUri,
        *,
        credentials: Credentials | None,
        peer: object,
        fixed: Target | None,
        targets: tuple[Target, ...] = (),
        tries: Tries | None = None,
        branches: Branches | None = None,
    ) -> "InviteSession":
        """The caller's side: `request` is an INVITE without Via and Contact; `place` sends it."""
        self = cls(core, request, local_tag=request.from_.tag or "", peer=peer, state=State.CALLING)
        for name, value in self.timer.ask():
            request = replace(request, headers=request.headers.adding(name, value))
        self.request = request
        self.credentials = credentials
        self.calling = Calling(self, next_hop, fixed=fixed, targets=targets, tries=tries, branches=branches)
        return self

    # ------------------------------------------------------------------ the callee's verbs

    def ring(
        self,
        status: int = 180,
        sdp: bytes | None = None,
        headers: HeaderList = (),
        *,
        reliable: bool = False,
        now: float,
    ) -> bool:
        """Send a 101-199 response, sent again every minute until the final one (13.3.1.1).

        With `reliable` it is repeated until its PRACK where the caller supports that; where the caller demands it, it
        always is. One that is reliable waits for the PRACK of the one before.
        """
        if not 100 < status < 200:
            raise LocalProtocolError(f"{status} is no provisional response to ring with")
        if self.is_answer_held or not self.step(Input.RING):
            return False
        return self.provisionals.ring(self, status, sdp, headers, reliable=reliable, now=now)

    def answer_prack(self, sdp: bytes | None, *, now: float) -> bool:
        """Answer the offer in a PRACK; None leaves the media as it was."""
        return self.provisionals.answer(self, sdp, now)

    def answer(self, sdp: bytes, headers: HeaderList = (), *, now: float) -> bool:
        """Send 200 with our answer, or our offer where the INVITE came without one. It is repeated until ACK.

        It waits for a PRACK that SDP in a provisional response still lacks (`is_answer_held`), and leaves without SDP
        where that was answered, or changed, before.
        """
        if self.state not in UNANSWERED or self.is_answer_held:
            return False
        return self.provisionals.hold(sdp, headers) or self.accept(sdp, headers, now)

    def accept(self, sdp: bytes, headers: HeaderList, now: float) -> bool:
        """Send the 200 that nothing holds back any more."""
        if not self.step(Input.ANSWER):
            return False
        self.provisionals.final()
        said = self.provisionals.still_said(self, sdp)
        response = self.response_to_invite(200, (*self.accept_headers(self.request, now), *headers), said)
        self._expires_at = None
        assert self.dialog is not None, "a received INVITE has its dialog"
        self.dialog.step(dialogs.Input.SUCCESS)
        assert self.transaction is not None, "a received INVITE has its transaction"
        offers = self.dialog.offers
        carries_offer = not offers.is_agreed and not offers.answer(sdp) and offers.offer(sdp)
        self.renegotiation.accepted(self, self.transaction, response, now, carries_offer=carries_offer)
        self.respond(response, now)
        self.core.judged(self, None, now)
        return True

    def reject(self, status: int, reason: str | None = None, headers: HeaderList = (), *, now: float) -> bool:
        """Refuse the INVITE with a 300-699 response; a retry of it gets the same verdict for 32 s."""
        if not 300 <= status < 700:
            raise LocalProtocolError(f"{status} does not refuse an INVITE")
        if not self.step(Input.REJECT):
            return False
        self._refuse(self.response_to_invite(status, headers, reason=reason), now)
        return True

    # ------------------------------------------------------------------ the caller's verbs

    def place(self, *, now: float) -> bool:
        """Send the INVITE, once, with what the layer above wants in our requests; False if it was given up before."""
        if self.state is not State.CALLING:
            return False
        assert self.calling is not None, "the caller has its INVITE"
        said = tuple(self.request.headers)
        for name, value in self.letterhead.of_request("INVITE", said)[len(said) :]:
            self.request = replace(self.request, headers=self.request.headers.adding(name, value))
        self.calling.carry(self.request)
        self.calling.begin(now)
        return True

    def acknowledge(self, sdp: bytes, *, now: float) -> bool:
        """Send the ACK with our answer to the offer in the 2xx (of an INVITE, or re-INVITE, without one)."""
        if not self.owes_answer or self.state is State.TERMINATED:
            return False
        if self.state is State.UNACKNOWLEDGED:
            self.step(Input.ACKNOWLEDGE)
        self.renegotiation.answer_owed(self, sdp, now)
        self.renegotiation.try_ours(self, now)
        return True

    def answer_early(self, tag: str, sdp: bytes, *, now: float) -> bool:
        """Send the PRACK with our answer to the offer in a reliable 1xx of the fork with this To tag."""
        if self.state is not State.PROCEEDING or self.calling is None:
            return False
        return self.calling.answer_early(self, tag, sdp, now)

    # ------------------------------------------------------------------ both sides' verbs

    def hang_up(self, headers: HeaderList = (), *, now: float) -> bool:
        """End it as its state asks: CANCEL, BYE, BYE once the ACK is here, or 487 to an INVITE without an answer."""
        before = self.state
        if not self.step(Input.HANG_UP):
            return False
        if before in UNANSWERED:
            self._refuse(self.response_to_invite(487, headers), now)
        elif before in (State.CALLING, State.PROCEEDING):
            assert self.calling is not None, "the caller has its INVITE"
            headers = self._bye_headers = with_reason((*headers, *self.letterhead.outgoing.bye), GIVEN_UP)
            self.calling.cancel(self, headers, now)
        elif before is State.ACCEPTED:
            self._bye_headers = headers
        else:
            self.renegotiation.answer_owed(self, b"", now)
            self._bye(headers, now)
        return True

    def reinvite(self, sdp: bytes | None, headers: HeaderList = (), *, now: float) -> bool:
        """Offer a change of the media session (None: ask for the peer's offer).

        It waits while another offer or INVITE is open, and comes again by itself after a collision; a newer one
        replaces one that waits. `ReinviteAnswered` or `ReinviteRefused` tells its end. False when the session isn't up.
        """
        if self.state not in ESTABLISHED:
            return False
        self.renegotiation.want(self, Change("INVITE", sdp, headers), now)
        return True

    def update(self, sdp: bytes, headers: HeaderList = (), *, now: float) -> bool:
        """Offer a change by UPDATE: also before the answer, where both have agreed on something already (RFC 3311).

        In a session that is up a peer that doesn't know UPDATE gets a re-INVITE. Otherwise as `reinvite`.
        """
        knows = self.allows is None or "UPDATE" in self.allows
        if self.state not in ESTABLISHED and not (knows and self.state in EARLY):
            return False
        self.renegotiation.want(self, Change("UPDATE" if knows else "INVITE", sdp, headers), now)
        return True

    def forget_reinvite(self) -> bool:
        """Take back a change of ours that still waits; True if there was one. What has left is not called back."""
        return self.renegotiation.forget()

    def answer_reinvite(self, sdp: bytes, headers: HeaderList = (), *, now: float) -> bool:
        """Accept the peer's re-INVITE or UPDATE with our answer, or with our offer where it brought none."""
        return self.renegotiation.answer(self, sdp, headers, now)

    def reject_reinvite(self, status: int, headers: HeaderList = (), *, now: float) -> bool:
        """Refuse the peer's re-INVITE or UPDATE: the session goes on as it was."""
        return self.renegotiation.reject(self, status, headers, now=now)

    def answer_info(self, status: int = 200, headers: HeaderList = (), *, now: float) -> bool:
        """Answer the oldest INFO that waits."""
        return self.answer_request("INFO", status, headers, now=now)

    def answer_request(self, method: str, status: int, headers: HeaderList = (), *, now: float) -> bool:
        """Answer the oldest request of `method` that waits for it (`inquiries.asks`)."""
        return self.inquiries.answer(self, method, status, headers, now=now)

    def ask(
        self,
        method: str,
        headers: HeaderList = (),
        body: bytes = b"",
        *,
        token: object = None,
        done: Done | None = None,
        dialog: Dialog | None = None,
        now: float,
    ) -> bool:
        """Send a request within the dialog (or within an early one); not for INVITE, ACK, CANCEL and BYE.

        `Replied(session, method, token, ...)` tells its end, or `done` if given. Those of one method leave in order,
        each after the end of the one before. False if there is no dialog, or too many wait.
        """
        dialog = dialog or self.dialog
        if dialog is None or self.is_over or self.state in (State.RECEIVED, State.CANCELLING, State.CLOSING):
            return False

        def tell(response: Response | None, cause: FailureCause | None, now: float) -> None:
            self.core.tell(Replied(self, method, token, response, cause))

        return self.questions.ask(self, Question(method, headers, body, done or tell, dialog), now)

    def refer(
        self,
        refer_to: str,
        headers: HeaderList = (),
        *,
        timeout: float,
        silence: float | None = None,
        reports: bool = True,
        now: float,
    ) -> bool:
        """Ask the peer to call `refer_to` (a name-addr) in our place (RFC 3515), within `timeout` seconds.

        It is given up after `silence` seconds where no more than a `100` was reported.

        `ReferOver` tells its one end, `ReferProgress` what comes before. Without `reports` the peer is asked to send
        none (RFC 4488). False when the session is not up, or while another is open.
        """
        return self.referrals.send(self, refer_to, headers, timeout=timeout, silence=silence, reports=reports, now=now)

    def answer_refer(self, status: int, headers: HeaderList = (), *, now: float) -> bool:
        """Answer the peer's REFER that waits: 202, or why not. False if none waits."""
        return self.referred.answer(self, status, headers, now)

    def report_refer(self, status: int, reason: str, *, now: float) -> bool:
        """Report on the peer's REFER; a final status is the last. False if no report leaves."""
        return self.referred.report(self, status, reason, now)

    # ------------------------------------------------------------------ time

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        return earliest(
            self._expires_at,
            self.renegotiation.next_timeout(),
            self.provisionals.next_timeout(),
            self.timer.next_timeout(),
            self.referrals.next_timeout(),
            self.calling.next_timeout() if self.calling is not None else None,
        )

    def handle_timeout(self, now: float) -> None:
        """Repeat what wants repeating, give up what is too late."""
        self.renegotiation.handle_timeout(self, now)
        self.provisionals.handle_timeout(self, now)
        if self._expires_at is not None and now >= self._expires_at:
            self._expires_at = None
            if self.step(Input.CANCEL):
                self._refuse(self.response_to_invite(487), now)
                self.core.tell(Cancelled(self, self.request))
        if self.calling is not None:
            self.calling.handle_timeout(self, now)
        refreshing.handle_timeout(self, now)
        self.referrals.handle_timeout(self, now)

    # ------------------------------------------------------------------ what the peer says

    def receive(self, transaction: AnyServerTransaction, now: float) -> None:
        """A request within the dialog, of the right peer."""
        request = transaction.request
        status = self.dialog_of(request).accept(request)
        if status and not self.referrals.is_overtaken(request) and not self.provisionals.is_awaited(request):
            in_dialog.answer(self, transaction, status, now)
            return
        self.letterhead.hear(request)
        if (self.is_over or self.state is State.CLOSING) and not self._hears(request.method):
            in_dialog.answer(self, transaction, 481, now)
            return
        handler = HANDLERS.get(request.method)
        if handler is None:
            in_dialog.answer(self, transaction, 405, now, self.core.session_headers(self.peer))
        else:
            handler(self, transaction, now)

    def _hears(self, method: str) -> bool:
        """Whether a request of this method is still for a session that is over."""
        if method == "NOTIFY":
            # What a REFER of ours has set going is told about to the last (RFC 5057 5.5).
            return True
        if method == "BYE":
            return self.state in (State.ENDING, State.CLOSING)
        # RFC 3262 section 3: a PRACK that was under way when the INVITE was refused is still answered.
        return method == "PRACK" and self.provisionals.is_unacknowledged

    def on_ack(self, request: Request, now: float) -> None:
        """The ACK to a 2xx of ours; repetitions and strangers' numbers do nothing."""
        sdp = _sdp_of(request)
        accepted = self.renegotiation.acknowledged(self.dialog_of(request), request.cseq.number, sdp)
        if accepted is None:
            return
        before = self.state
        self.letterhead.hear(request)
        self.step(Input.ACK)
        self.core.arm(self)
        if before is State.CLOSING:
            self.bye(now)
        elif before is not State.TERMINATED:
            self.core.tell(Acknowledged(self, sdp, accepted.carries_offer))
            self.renegotiation.try_ours(self, now)

    def on_cancel(self, cancel: Request, transaction: InviteServerTransaction, now: float) -> None:
        """The peer's CANCEL of its INVITE or re-INVITE; it comes too late once the final response has left (9.2)."""
        if self.renegotiation.cancelled(self, transaction, now):
            return
        if transaction is self.transaction and self.step(Input.CANCEL):
            self._refuse(self.response_to_invite(487), now)
            self.core.tell(Cancelled(self, cancel))

    def fail(self, now: float) -> None:
        """End it after a fault of ours, whatever state it is in: 500, CANCEL or BYE."""
        if self.state in UNANSWERED:
            self.step(Input.REJECT)
            self._refuse(self.response_to_invite(500), now)
        elif self.state not in OVER:
            self.renegotiation.fail(self, now)
            self.hang_up(OUR_FAULT, now=now)

    def drop(self, now: float) -> None:
        """Forget it as it stands, without a word: for a session that can't be ended in any better way."""
        self.state = State.TERMINATED
        if self.transaction is not None:
            in_dialog.abandon(self, self.transaction, now)
            self.core.judged(self, None, now)
        if self.calling is not None:
            self.calling.abandon(now)
        self.inquiries.drop()
        self.provisionals.drop()
        self.referrals.drop()
        self.renegotiation.drop(self, now)
        self.end(now)

    # ------------------------------------------------------------------ callee

    def on_bye(self, transaction: AnyServerTransaction, now: float) -> None:
        if self.state in (State.CALLING, State.PROCEEDING, State.CANCELLING):
            # RFC 3261 15: a callee ends an early dialog by refusing, never by BYE.
            in_dialog.answer(self, transaction, 481, now)
            return
        before = self.state
        in_dialog.answer(self, transaction, 200, now)
        self.step(Input.BYE)
        if before in UNANSWERED:
            # RFC 3261 15.1.2: the INVITE that still waits gets 487.
            self._refuse(self.response_to_invite(487), now)
        self.referrals.left(self, now)
        self.referred.end(self, now)
        self.end(now)
        if before is State.ENDING:
            # Both hung up at once; our own BYE tells the end.
            return
        self.core.tell(ByeReceived(self, transaction.request))

    def ack_missing(self, now: float) -> None:
        """Nobody has acknowledged a 2xx of ours for 64*T1: it is over (13.3.1.4)."""
        headers = self._bye_headers if self.state is State.CLOSING else NO_ACK
        if not self.step(Input.ACK_MISSING):
            return
        self._bye(headers, now)
        self.core.tell(AckMissing(self))

    def prack_missing(self, now: float) -> None:
        """Nobody has acknowledged a reliable 1xx of ours for 64*T1: the INVITE is refused (RFC 3262 section 3)."""
        if self.step(Input.REJECT):
            self._refuse(self.response_to_invite(504, NO_PRACK_REASON), now)

    def lost(self, cause: FailureCause, why: str, now: float) -> None:
        """The peer no longer knows the dialog, can't be reached or understood: it is told, BYE is tried (12.2.1.2)."""
        self.core.tell(Failed(self, cause, why))
        self.hang_up(UNUSABLE if cause is FailureCause.UNUSABLE else DIALOG_LOST, now=now)

    def _refuse(self, response: Response, now: float) -> None:
        self.respond(response, now)
        self.core.judged(self, response, now)
        self.end(now)

    def respond(self, response: Response, now: float) -> None:
        """Send a response to the INVITE."""
        assert self.transaction is not None, "the callee's side has its transaction"
        self.response = response
        self.transaction.respond(response, now)
        self.core.pump(self.transaction, now)
        self.core.arm(self)

    def response_to_invite(
        self, status: int, headers: HeaderList = (), sdp: bytes | None = None, *, reason: str | None = None
    ) -> Response:
        """A response to the INVITE, as it leaves."""
        return in_dialog.response(self, self.request, status, headers, sdp, reason=reason)

    # ------------------------------------------------------------------ both sides

    def bye(self, now: float) -> None:
        """Send the BYE that `hang_up` had to hold back."""
        self._bye(self._bye_headers, now)

    def _bye(self, headers: HeaderList, now: float) -> None:
        assert self.dialog is not None, "only a dialog can be ended by BYE"
        self.renegotiation.reject(self, 487, now=now)
        self.referrals.abandon(self)
        self.referred.end(self, now)
        request = self.dialog.request("BYE", (*headers, *self.core.user_agent_header()))
        self._bye_request = in_dialog.client(self, self.dialog, request, self._on_bye_done)
        self._bye_request.begin(now)
        self.core.arm(self)

    def _on_bye_done(self, response: Response | None, cause: FailureCause | None, now: float) -> None:
        bye, self._bye_request = self._bye_request, None
        self.step(Input.BYE_DONE)
        self.end(now)
        self.core.tell(HungUp(self, response, bye.why if bye is not None and response is None else ""))

    def end(self, now: float) -> None:
        """Forget what can no longer happen. ACKs stay: a late 2xx of a fork wants one."""
        self._expires_at = None
        self.inquiries.end(self, now)
        self.questions.end()
        self.timer.end()
        self.renegotiation.end(self, now)
        self.referrals.session_over(self, now)
        if self.dialog is not None:
            self.dialog.step(dialogs.Input.END)
        if not self.provisionals.end(self, now) and not self.referrals.lingers:
            self.forget_dialog()
        if self.calling is not None:
            self.calling.end(self)
        self.core.arm(self)

    def forget_dialog(self) -> None:
        """No request within the dialog is for this session any more."""
        if self.dialog is not None:
            self.core.unbind(self.dialog.id)

    def accept_headers(self, request: Request, now: float) -> HeaderList:
        """What our 2xx to an INVITE, re-INVITE or UPDATE says of us; with it the session's interval begins anew."""
        return (*self.core.session_headers(self.peer), *refreshing.accepted(self, request, now))


def _sdp_of(ack: Request) -> bytes:
    """The answer in an ACK. What can't be read answers nothing, and can't be refused either."""
    try:
        return ack.sdp or b""
    except RemoteProtocolError:
        return b""
