"""The INVITE usage of a dialog, as callee and as caller: RFC 3261 sections 9 and 13 to 15."""

from offhook.errors import LocalProtocolError
from offhook.sip import dialog as dialogs
from offhook.sip.accepted import AcceptedInvite
from offhook.sip.accepted import State as AcceptedState
from offhook.sip.client_request import ClientRequest, Done
from offhook.sip.dialog import Dialog
from offhook.sip.digest import Credentials
from offhook.sip.effects import Address, Target
from offhook.sip.events import (
    AckMissing,
    Acknowledged,
    Answered,
    ByeReceived,
    Cancelled,
    Failed,
    FailureCause,
    HungUp,
    InfoReceived,
    Provisional,
    Refused,
    ReinviteAnswered,
    Reinvited,
    ReinviteRefused,
)
from offhook.sip.message import Request, Response
from offhook.sip.peer_path import PeerPath, wants_sips
from offhook.sip.reinvite import OutboundReinvite
from offhook.sip.sent_acks import SentAcks, credentials_of
from offhook.sip.session_core import SDP, HeaderList, SessionCore
from offhook.sip.session_state import ESTABLISHED, OVER, TRANSITIONS, UNANSWERED, Input, State
from offhook.sip.transaction.invite_server import InviteServerTransaction
from offhook.sip.transaction.layer import AnyServerTransaction
from offhook.sip.transaction.server import ServerTransaction
from offhook.sip.uri import SipUri

MAX_FORKS = 24
"""Early dialogs that one INVITE of ours may make; further forks are told without one."""

MAX_OPEN_INFOS = 8
"""INFO requests that may wait for `answer_info`; further ones get 503."""

PROVISIONAL_INTERVAL = 60.0
"""RFC 3261 13.3.1.1: a 1xx is sent again every minute, lest proxies give up."""

NO_ACK_REASON: HeaderList = (("Reason", 'SIP;cause=408;text="ACK never came"'),)
"""RFC 3326: what the BYE after a missing ACK says."""


class InviteSession:
    """One INVITE and the session it sets up. A verb that comes too late returns False and does nothing.

    Made by `UserAgent` for an INVITE received and by `UserAgent.invite`. Every event about it is told through `Tell`.
    """

    __slots__ = (
        "_accepted",
        "_acks",
        "_bye_headers",
        "_bye_request",
        "_cancel_deadline",
        "_core",
        "_credentials",
        "_early",
        "_expires_at",
        "_infos",
        "_invite",
        "_last_provisional",
        "_number",
        "_open_reinvite",
        "_path",
        "_provisional_at",
        "_reinvite",
        "_unacknowledged",
        "context",
        "dialog",
        "fault",
        "local_tag",
        "peer",
        "request",
        "response",
        "state",
        "transaction",
    )

    def __init__(self, core: SessionCore, request: Request, *, local_tag: str, peer: object, state: State) -> None:
        self._core = core
        self.request = request
        """The INVITE: the peer's as received, or ours as it was last sent."""
        self.response: Response | None = None
        """Caller: the last response told. Callee: the last one sent."""
        self.local_tag = local_tag
        self.peer = peer
        """What the screen admitted the peer as; None for a call of ours unless given."""
        self.state = state
        self.context: object = None
        """Free for the layer above."""
        self.fault: Exception | None = None
        """The fault of ours that ended it, if one did."""
        self.transaction: InviteServerTransaction | None = None
        self.dialog: Dialog | None = None
        self._path = PeerPath(peer)
        self._credentials: Credentials | None = None
        self._accepted: dict[int, AcceptedInvite] = {}
        self._open_reinvite: InviteServerTransaction | None = None
        self._infos: list[ServerTransaction] = []
        self._last_provisional: Response | None = None
        self._provisional_at: float | None = None
        self._expires_at: float | None = None
        self._invite: ClientRequest | None = None
        self._number = request.cseq.number
        self._early: dict[str, Dialog] = {}
        self._acks = SentAcks()
        self._unacknowledged: int | None = None
        self._cancel_deadline: float | None = None
        self._bye_headers: HeaderList = ()
        self._reinvite = OutboundReinvite()
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
        self._path.see(transaction.source)
        self.dialog = Dialog.uas(request, self.local_tag, first_cseq=int(core.between(1, 2**15)))
        core.bind(self, self.dialog.id)
        expires = request.headers.get("Expires")
        if expires is not None and expires.isascii() and expires.isdigit() and len(expires) < 10:
            self._expires_at = now + int(expires)
        return self

    @classmethod
    def calling(
        cls,
        core: SessionCore,
        request: Request,
        next_hop: SipUri,
        *,
        credentials: Credentials | None,
        peer: object,
        fixed: Target | None,
        now: float,
    ) -> "InviteSession":
        """The caller's side: `request` is an INVITE without Via and Contact, sent at once."""
        self = cls(core, request, local_tag=request.from_.tag or "", peer=peer, state=State.CALLING)
        self._credentials = credentials
        self._invite = ClientRequest(
            core,
            request,
            next_hop,
            self._on_final,
            progress=self._on_provisional,
            fixed=fixed,
            credentials=credentials,
            number=self._next_number,
            owner=self,
        )
        self._invite.begin(now)
        return self

    # ------------------------------------------------------------------ what is known of it

    @property
    def sip_call_id(self) -> str:
        """The Call-ID."""
        return self.request.call_id

    @property
    def remote_tag(self) -> str | None:
        """The peer's tag, None while an INVITE of ours has no answer."""
        return (self.dialog.remote_tag or None) if self.dialog is not None else None

    @property
    def is_caller(self) -> bool:
        """Whether the INVITE was ours."""
        return self._invite is not None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or its BYE is on its way."""
        return self.state in OVER

    @property
    def remote_address(self) -> Address | None:
        """Where the peer's signalling was last seen: it is the address that may send media, too."""
        return self._path.target.remote if self._path.target is not None else None

    @property
    def flow(self) -> int | None:
        """The connection or listener by which the peer was last seen."""
        return self._path.target.flow if self._path.target is not None else None

    # ------------------------------------------------------------------ the callee's verbs

    def ring(self, status: int = 180, sdp: bytes | None = None, headers: HeaderList = (), *, now: float) -> bool:
        """Send a 101-199 response, sent again every minute until the final one (13.3.1.1)."""
        if not 100 < status < 200:
            raise LocalProtocolError(f"{status} is no provisional response to ring with")
        if not self._step(Input.RING):
            return False
        response = self._response(status, headers, sdp)
        self._last_provisional = response
        self._provisional_at = now + PROVISIONAL_INTERVAL
        self._respond(response, now)
        return True

    def answer(self, sdp: bytes, headers: HeaderList = (), *, now: float) -> bool:
        """Send 200 with our answer, or our offer where the INVITE came without one. It is repeated until ACK."""
        if not self._step(Input.ANSWER):
            return False
        response = self._response(200, (*self._core.session_headers(), *headers), sdp)
        self._provisional_at = self._expires_at = None
        assert self.dialog is not None, "a received INVITE has its dialog"
        self.dialog.step(dialogs.Input.SUCCESS)
        assert self.transaction is not None, "a received INVITE has its transaction"
        self._accepted[self.request.cseq.number] = AcceptedInvite(
            self.transaction, response, self._core.timers, now, carries_offer=self.request.sdp is None
        )
        self._respond(response, now)
        self._core.judged(self, None, now)
        return True

    def reject(self, status: int, reason: str | None = None, headers: HeaderList = (), *, now: float) -> bool:
        """Refuse the INVITE with a 300-699 response; a retry of it gets the same verdict for 32 s."""
        if not 300 <= status < 700:
            raise LocalProtocolError(f"{status} does not refuse an INVITE")
        if not self._step(Input.REJECT):
            return False
        self._refuse(self._response(status, headers, reason=reason), now)
        return True

    # ------------------------------------------------------------------ the caller's verbs

    def acknowledge(self, sdp: bytes, *, now: float) -> bool:
        """Send the ACK with our answer to the offer in the 2xx (of an INVITE, or re-INVITE, without one)."""
        number = self._unacknowledged
        if number is None or self.state is State.TERMINATED:
            return False
        self._unacknowledged = None
        if self.state is State.UNACKNOWLEDGED:
            self._step(Input.ACKNOWLEDGE)
        self._send_ack(number, sdp, now)
        self._try_reinvite(now)
        return True

    # ------------------------------------------------------------------ both sides' verbs

    def hang_up(self, headers: HeaderList = (), *, now: float) -> bool:
        """End it as its state asks: CANCEL, BYE, BYE once the ACK is here, or 487 to an INVITE without an answer."""
        before = self.state
        if not self._step(Input.HANG_UP):
            return False
        if before in UNANSWERED:
            self._refuse(self._response(487, headers), now)
        elif before in (State.CALLING, State.PROCEEDING):
            assert self._invite is not None, "the caller has its INVITE"
            self._cancel_deadline = now + self._core.timers.transaction
            self._bye_headers = headers
            self._invite.cancel(headers, now)
            self._core.arm(self)
        elif before is State.ACCEPTED:
            self._bye_headers = headers
        else:
            if self._unacknowledged is not None:
                # The 2xx brought an offer that nobody answered; it is acknowledged all the same, then ended.
                self._send_ack(self._unacknowledged, b"", now)
                self._unacknowledged = None
            self._bye(headers, now)
        return True

    def reinvite(self, sdp: bytes | None, headers: HeaderList = (), *, now: float) -> bool:
        """Offer a change of the media session (None: ask for the peer's offer).

        It waits while another INVITE is open and comes again by itself after a 491. False when the session is not up.
        """
        if self.state not in ESTABLISHED:
            return False
        self._reinvite.want(sdp, headers)
        self._try_reinvite(now)
        return True

    def answer_reinvite(self, sdp: bytes, headers: HeaderList = (), *, now: float) -> bool:
        """Accept the peer's re-INVITE with our answer, or with our offer where it brought none."""
        transaction, self._open_reinvite = self._open_reinvite, None
        if transaction is None:
            return False
        response = self._response(200, (*self._core.session_headers(), *headers), sdp, request=transaction.request)
        self._accepted[transaction.request.cseq.number] = AcceptedInvite(
            transaction, response, self._core.timers, now, carries_offer=transaction.request.sdp is None
        )
        transaction.respond(response, now)
        self._core.pump(transaction, now)
        self._core.arm(self)
        return True

    def reject_reinvite(self, status: int, headers: HeaderList = (), *, now: float) -> bool:
        """Refuse the peer's re-INVITE: the session goes on as it was."""
        transaction, self._open_reinvite = self._open_reinvite, None
        if transaction is None:
            return False
        transaction.respond(self._response(status, headers, request=transaction.request), now)
        self._core.pump(transaction, now)
        self._try_reinvite(now)
        return True

    def answer_info(self, status: int = 200, headers: HeaderList = (), *, now: float) -> bool:
        """Answer the oldest INFO that waits."""
        transaction = self._oldest_info()
        if transaction is None:
            return False
        self._answer(transaction, status, now, headers)
        return True

    def _oldest_info(self) -> ServerTransaction | None:
        """The oldest INFO that still waits; what nobody answered within 64*T1 is waited for no longer."""
        while self._infos:
            transaction = self._infos.pop(0)
            if not transaction.terminated:
                return transaction
        return None

    # ------------------------------------------------------------------ time

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        times = [
            at
            for at in (self._provisional_at, self._expires_at, self._cancel_deadline, self._reinvite.next_timeout())
            if at is not None
        ]
        times += [at for accepted in self._accepted.values() if (at := accepted.next_timeout()) is not None]
        return min(times) if times else None

    def handle_timeout(self, now: float) -> None:
        """Repeat what wants repeating, give up what is too late."""
        for number, accepted in list(self._accepted.items()):
            if accepted.handle_timeout(now):
                accepted.transaction.respond(accepted.response, now)
                self._core.pump(accepted.transaction, now)
            elif accepted.state is AcceptedState.MISSING:
                del self._accepted[number]
                self._on_ack_missing(now)
        if self._provisional_at is not None and now >= self._provisional_at:
            assert self._last_provisional is not None, "set together"
            self._provisional_at = now + PROVISIONAL_INTERVAL
            self._respond(self._last_provisional, now)
        if self._expires_at is not None and now >= self._expires_at:
            self._expires_at = None
            if self._step(Input.CANCEL):
                self._refuse(self._response(487), now)
                self._core.tell(Cancelled(self, self.request))
        if self._cancel_deadline is not None and now >= self._cancel_deadline:
            self._cancel_deadline = None
            if self._invite is not None and self.state is State.CANCELLING:
                self._invite.abandon(now)
            if self.is_over:
                self._reinvite.abandon(now)
        if self._reinvite.handle_timeout(now):
            self._try_reinvite(now)

    # ------------------------------------------------------------------ what the peer says

    def receive(self, transaction: AnyServerTransaction, now: float) -> None:
        """A request within the dialog, of the right peer."""
        request = transaction.request
        assert self.dialog is not None, "it was found by its dialog"
        status = self.dialog.accept(request)
        if status:
            self._answer(transaction, status, now)
            return
        if self.state is State.TERMINATED or (self.state is State.ENDING and request.method != "BYE"):
            self._answer(transaction, 481, now)
            return
        match request.method:
            case "INVITE":
                assert isinstance(transaction, InviteServerTransaction), "made for an INVITE"
                self._on_reinvite(transaction, now)
            case "BYE":
                self._on_bye(transaction, now)
            case "INFO":
                assert isinstance(transaction, ServerTransaction), "made for an INFO"
                if len(self._infos) >= MAX_OPEN_INFOS:
                    self._answer(transaction, 503, now, (("Retry-After", "1"),))
                    return
                self._infos.append(transaction)
                self._core.tell(InfoReceived(self, request))
            case "OPTIONS":
                self._answer(transaction, 200, now, self._core.session_headers())
            case _:
                self._answer(transaction, 405, now, self._core.session_headers())

    def on_ack(self, request: Request, now: float) -> None:
        """The ACK to a 2xx of ours; repetitions and strangers' numbers do nothing."""
        number = request.cseq.number
        accepted = self._accepted.pop(number, None)
        if accepted is None:
            return
        accepted.acknowledge()
        before = self.state
        self._step(Input.ACK)
        self._core.arm(self)
        if before is State.CLOSING:
            self._bye(self._bye_headers, now)
        elif before is not State.TERMINATED:
            self._core.tell(Acknowledged(self, request.sdp or b""))
            self._try_reinvite(now)

    def on_cancel(self, cancel: Request, transaction: InviteServerTransaction, now: float) -> None:
        """The peer's CANCEL of its INVITE or re-INVITE; it comes too late once the final response has left (9.2)."""
        if transaction is self._open_reinvite:
            self.reject_reinvite(487, now=now)
        elif transaction is self.transaction and self._step(Input.CANCEL):
            self._refuse(self._response(487), now)
            self._core.tell(Cancelled(self, cancel))

    def fail(self, now: float) -> None:
        """End it after a fault of ours, whatever state it is in: 500, CANCEL or BYE."""
        if self.state in UNANSWERED:
            self._step(Input.REJECT)
            self._refuse(self._response(500), now)
        elif self.state not in OVER:
            self._reinvite.forget()
            if self._open_reinvite is not None:
                self.reject_reinvite(500, now=now)
            self.hang_up(now=now)

    def drop(self, now: float) -> None:
        """Forget it as it stands, without a word: for a session that can't be ended in any better way."""
        self.state = State.TERMINATED
        self._infos.clear()
        self._open_reinvite = None
        reinvite = self._reinvite.settled()
        if reinvite is not None:
            reinvite.abandon(now)
        self._end(now)

    # ------------------------------------------------------------------ callee

    def _on_reinvite(self, transaction: InviteServerTransaction, now: float) -> None:
        request = transaction.request
        if self._open_reinvite is not None or self.state in UNANSWERED:
            # RFC 3261 14.2: the earlier INVITE has no final response yet.
            self._answer(transaction, 500, now, (("Retry-After", str(int(self._core.between(0, 10)))),))
        elif self.state is State.CLOSING:
            self._answer(transaction, 481, now)
        elif self._reinvite.is_open or self._offer_pending:
            self._answer(transaction, 491, now)
        elif self.dialog is not None:
            self.dialog.refresh_target(request)
            self._path.see(transaction.source)
            self._open_reinvite = transaction
            self._core.tell(Reinvited(self, request))

    def _on_bye(self, transaction: AnyServerTransaction, now: float) -> None:
        if self.state in (State.CALLING, State.PROCEEDING, State.CANCELLING):
            # RFC 3261 15: a callee ends an early dialog by refusing, never by BYE.
            self._answer(transaction, 481, now)
            return
        before = self.state
        self._answer(transaction, 200, now)
        self._step(Input.BYE)
        if before in UNANSWERED:
            # RFC 3261 15.1.2: the INVITE that still waits gets 487.
            self._refuse(self._response(487), now)
        self._end(now)
        if before is State.ENDING:
            # Both hung up at once; our own BYE tells the end.
            return
        self._core.tell(ByeReceived(self, transaction.request))

    def _on_ack_missing(self, now: float) -> None:
        headers = self._bye_headers if self.state is State.CLOSING else NO_ACK_REASON
        if not self._step(Input.ACK_MISSING):
            return
        self._bye(headers, now)
        self._core.tell(AckMissing(self))

    def _refuse(self, response: Response, now: float) -> None:
        self._respond(response, now)
        self._core.judged(self, response, now)
        self._end(now)

    def _respond(self, response: Response, now: float) -> None:
        assert self.transaction is not None, "the callee's side has its transaction"
        self.response = response
        self.transaction.respond(response, now)
        self._core.pump(self.transaction, now)
        self._core.arm(self)

    def _answer(self, transaction: AnyServerTransaction, status: int, now: float, headers: HeaderList = ()) -> None:
        transaction.respond(self._response(status, headers, request=transaction.request), now)
        self._core.pump(transaction, now)

    def _response(
        self,
        status: int,
        headers: HeaderList = (),
        sdp: bytes | None = None,
        *,
        reason: str | None = None,
        request: Request | None = None,
    ) -> Response:
        request = self.request if request is None else request
        extra = list(headers)
        target = self._path.target
        if request.method == "INVITE" and 100 < status < 300 and target is not None:
            contact = self._core.contact(self._core.local_address(target), secure=wants_sips(self.request))
            extra.insert(0, ("Contact", contact))
        extra += self._core.server_header()
        return request.response(
            status,
            reason,
            to_tag=self.local_tag,
            headers=extra,
            body=sdp or b"",
            content_type=SDP if sdp else None,
        )

    # ------------------------------------------------------------------ caller

    def _next_number(self) -> int:
        """The CSeq number of the INVITE with credentials: the one after the challenged."""
        self._number += 1
        return self._number

    def _on_provisional(self, response: Response, now: float) -> None:
        if not self._step(Input.PROVISIONAL) or response.status == 100:
            return
        self._learn_request()
        self.response = response
        tag = response.to.tag
        if tag is not None and tag not in self._early and len(self._early) < MAX_FORKS:
            self._early[tag] = early = Dialog.uac(self.request, response)
            self._core.bind(self, early.id)
        if self.state is not State.CANCELLING:
            self.dialog = self._early.get(tag or "")
            self._core.tell(Provisional(self, response))

    def _on_final(self, response: Response | None, cause: FailureCause | None, now: float) -> None:
        self._learn_request()
        if response is not None and response.is_success:
            self._on_success(response, now)
            return
        if not self._step(Input.FAILURE):
            return
        self._cancel_deadline = None
        self._end(now)
        if response is not None:
            self.response = response
            self._core.tell(Refused(self, response))
        else:
            assert cause is not None, "no response has a cause"
            self._core.tell(Failed(self, cause, self._invite.why if self._invite is not None else ""))

    def _on_success(self, response: Response, now: float) -> None:
        tag = response.to.tag or ""
        number = response.cseq.number
        if self._acks.repeat(tag, number):
            return
        if self.dialog is not None and self.dialog.state is not dialogs.State.EARLY:
            if tag == self.dialog.remote_tag:
                # Repeated while the layer above still owes the ACK's answer.
                return
            self._drop_fork(response, now)
            return
        assert self._invite is not None, "the caller has its INVITE"
        offered = self._invite.request.sdp is not None
        for early_tag, early in self._early.items():
            if early_tag != tag:
                self._core.unbind(early.id)
        dialog = self._early.get(tag)
        if dialog is None:
            dialog = Dialog.uac(self.request, response)
            self._core.bind(self, dialog.id)
        else:
            dialog.confirm(self.request, response)
        self._early.clear()
        self.dialog = dialog
        self.response = response
        self._cancel_deadline = None
        before = self.state
        if not self._step(Input.SUCCESS if offered else Input.SUCCESS_WITH_OFFER):
            # Given up (CANCEL without an end in 64*T1), and answered after all.
            self._drop_fork(response, now)
            return
        if offered or before is State.CANCELLING:
            self._send_ack(number, b"", now)
        else:
            self._unacknowledged = number
        if before is State.CANCELLING:
            self._bye(self._bye_headers, now)
        else:
            self._core.tell(Answered(self, response))

    def _drop_fork(self, response: Response, now: float) -> None:
        """A 2xx that nobody waits for: RFC 3261 13.2.2.4 asks for ACK, then BYE."""
        if self._acks.is_full:
            return
        stray, number = Dialog.uac(self.request, response), response.cseq.number
        ack = stray.request("ACK", credentials_of(self.request), cseq=number)
        self._acks.keep(stray.remote_tag, number, self._send(stray, ack, now))
        self._send(stray, stray.request("BYE", self._core.user_agent_header()), now)

    def _learn_request(self) -> None:
        """Take the INVITE as it last left: with Via and Contact, and perhaps with credentials and another number."""
        if self._invite is not None and self._invite.target is not None:
            self.request = self._invite.sent_request
            self._path.target = self._invite.target

    # ------------------------------------------------------------------ both sides

    @property
    def _offer_pending(self) -> bool:
        """Whether an offer of ours waits for its answer in an ACK."""
        return self._unacknowledged is not None or any(a.carries_offer for a in self._accepted.values())

    def _try_reinvite(self, now: float) -> None:
        waiting = self._reinvite.waiting
        if waiting is None or self.state is not State.CONFIRMED or self._open_reinvite is not None:
            return
        if self._accepted or self._unacknowledged is not None:
            # One offer at a time (RFC 3264 4): the ACK that is awaited, or owed, comes first.
            return
        sdp, headers = waiting
        assert self.dialog is not None, "a confirmed session has its dialog"
        content = (("Content-Type", SDP),) if sdp else ()
        request = self.dialog.request("INVITE", (*self._core.session_headers(), *headers, *content), sdp or b"")
        client = self._client(self.dialog, request, self._on_reinvite_final)
        self._reinvite.sent(client)
        client.begin(now)

    def _on_reinvite_final(self, response: Response | None, cause: FailureCause | None, now: float) -> None:
        is_success = response is not None and response.is_success
        if response is not None and is_success and self._acks.repeat(self.remote_tag or "", response.cseq.number):
            return
        reinvite = self._reinvite.settled()
        if reinvite is None:
            return
        if self.is_over or self.dialog is None:
            if response is not None and response.is_success and self.dialog is not None:
                self._send_ack(response.cseq.number, b"", now)
            return
        if response is None or response.status in (408, 481):
            # RFC 3261 12.2.1.2 and 14.1: the dialog is lost.
            self._reinvite.forget()
            self._core.tell(ReinviteRefused(self, response))
            self._core.tell(Failed(self, cause or FailureCause.DIALOG_GONE, reinvite.why))
            self.hang_up(now=now)
        elif response.is_success:
            self._reinvite.forget()
            self.dialog.refresh_target(response)
            if reinvite.request.body:
                self._send_ack(response.cseq.number, b"", now, reinvite.request)
            else:
                self._unacknowledged = response.cseq.number
            self._core.tell(ReinviteAnswered(self, response))
        elif response.status == 491:
            self._reinvite.collided(now, is_owner=self.is_caller, between=self._core.between)
            self._core.arm(self)
        else:
            self._reinvite.forget()
            self._core.tell(ReinviteRefused(self, response))

    def _send_ack(self, number: int, sdp: bytes, now: float, invite: Request | None = None) -> None:
        assert self.dialog is not None, "only a dialog's 2xx is acknowledged"
        content = (("Content-Type", SDP),) if sdp else ()
        credentials = credentials_of(invite or (self.request if self.is_caller else None))
        request = self.dialog.request("ACK", (*credentials, *content), sdp, cseq=number)
        self._acks.keep(self.dialog.remote_tag, number, self._send(self.dialog, request, now))

    def _bye(self, headers: HeaderList, now: float) -> None:
        assert self.dialog is not None, "only a dialog can be ended by BYE"
        if self._open_reinvite is not None:
            self.reject_reinvite(487, now=now)
        request = self.dialog.request("BYE", (*headers, *self._core.user_agent_header()))
        self._bye_request = self._client(self.dialog, request, self._on_bye_done)
        self._bye_request.begin(now)
        self._core.arm(self)

    def _on_bye_done(self, response: Response | None, cause: FailureCause | None, now: float) -> None:
        bye, self._bye_request = self._bye_request, None
        self._step(Input.BYE_DONE)
        self._end(now)
        self._core.tell(HungUp(self, response, bye.why if bye is not None and response is None else ""))

    def _send(self, dialog: Dialog, request: Request, now: float, done: Done | None = None) -> ClientRequest:
        client = self._client(dialog, request, done or _ignore)
        client.begin(now)
        return client

    def _client(self, dialog: Dialog, request: Request, done: Done) -> ClientRequest:
        secure = self._path.over_tls and (wants_sips(self.request) or self._path.tls_only)
        next_hop = self._path.hop(dialog.next_hop)
        return ClientRequest(
            self._core,
            request,
            next_hop,
            done,
            fixed=self._path.fixed(next_hop, secure=secure, speaks_tls=self._core.speaks_tls),
            listener=self._path.target,
            credentials=self._credentials,
            number=dialog.next_number,
            owner=self,
            secure=secure,
            names=self._path.names,
        )

    def _end(self, now: float) -> None:
        """Forget what can no longer happen. ACKs stay: a late 2xx of a fork wants one."""
        self._provisional_at = self._expires_at = self._cancel_deadline = None
        self._reinvite.forget()
        if self._reinvite.is_open:
            # With a provisional response it waits without a timer of its own, and who has ended need not answer it.
            self._cancel_deadline = now + self._core.timers.transaction
        self._accepted.clear()
        while (info := self._oldest_info()) is not None:
            self._answer(info, 481, now)
        if self._open_reinvite is not None:
            # RFC 3261 15.1.2: what still waits for an answer gets 487.
            self.reject_reinvite(487, now=now)
        if self.dialog is not None:
            self.dialog.step(dialogs.Input.END)
            self._core.unbind(self.dialog.id)
        for early in self._early.values():
            self._core.unbind(early.id)
        self._core.arm(self)

    def _step(self, step: Input) -> bool:
        after = TRANSITIONS.get((self.state, step))
        if after is None:
            return False
        self.state = after
        return True


def _ignore(response: Response | None, cause: FailureCause | None, now: float) -> None:
    """Nobody waits for the outcome."""
