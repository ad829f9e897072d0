"""The user agent core: which message belongs to what, who may speak, and what a request outside any dialog gets."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from offhook.errors import RemoteProtocolError
from offhook.sip.client_request import ClientRequest
from offhook.sip.dialog_table import is_peer_of
from offhook.sip.digest import Credentials
from offhook.sip.doorkeeper import is_behind_nat
from offhook.sip.effects import (
    Effect,
    SendKeepAlive,
    SendResponse,
    Source,
    Target,
    Tell,
)
from offhook.sip.events import FailureCause, InviteReceived, OptionsAnswered, ReferReceived
from offhook.sip.forking import Branches
from offhook.sip.inspection import SDP, Objection, inspect
from offhook.sip.invite import InviteSession
from offhook.sip.merged import MERGED
from offhook.sip.message import Message, Request, Response
from offhook.sip.options import answer_options
from offhook.sip.out_of_dialog import Addressed, first_hop, request_outside
from offhook.sip.parser import MessageError, validate
from offhook.sip.registrar import Answer
from offhook.sip.salvage import salvaged
from offhook.sip.screening import Admit, Challenge, Drop, Refuse, Verdict
from offhook.sip.session_core import HeaderList
from offhook.sip.session_host import SessionHost
from offhook.sip.stateless import reply_to
from offhook.sip.transaction.invite_server import InviteServerTransaction
from offhook.sip.transaction.key import server_key
from offhook.sip.transaction.layer import AnyServerTransaction
from offhook.sip.transaction.server import ServerTransaction
from offhook.sip.tries import Tries
from offhook.sip.uri import SipUri, Uri
from offhook.sip.user_agent_config import UserAgentConfig

__all__ = ["Admit", "Challenge", "Credentials", "Drop", "Refuse", "UserAgent", "UserAgentConfig", "Verdict"]

Registered: TypeAlias = Callable[[Response | None, str, Target | None, float], None]
"""Hears how a REGISTER has ended: its final response, or why there was none, where it was sent last, and when."""

TakesRegistration: TypeAlias = Callable[[Request, Source, object, str, float], Answer]
"""Takes a REGISTER: (request, source, peer, the user who has proven to send it, now) to its answer."""

PATH = frozenset({"path"})
"""What a REGISTER may ask for besides (RFC 3327)."""


class UserAgent(SessionHost):
    """All SIP of one node, without a socket: `receive` messages, `drain` effects, come back at `next_timeout`.

    Verbs of sessions and events of theirs meet here. A fault in one session ends that session, never the others.
    """

    registrar: TakesRegistration | None = None
    """Set by the layer above where phones register with us."""

    in_use: Callable[[], set[int]] = staticmethod(set)
    """Flows that must not be closed for idleness besides those of sessions; set by the layer above."""

    # ------------------------------------------------------------------ the five ends

    def receive(self, message: Message, source: Source, now: float) -> None:
        """A parsed message. Nothing that a peer sends makes this raise."""
        try:
            if isinstance(message, Response):
                self._receive_response(message, now)
            else:
                self._receive_request(message, source, now)
        except RemoteProtocolError as error:
            self._door.objected(message, error, source)

    def receive_broken(self, error: MessageError, source: Source, now: float) -> None:
        """Bytes that are no message: an admitted peer gets the 4xx where one can be built, others get nothing."""
        self._door.broken(error, source, now)

    def handle_timeout(self, now: float) -> None:
        """Everything whose time has come."""
        while (transaction := self.transactions.pop_due(now)) is not None:
            transaction.handle_timeout(now)
            self.pump(transaction, now)
        while (session := self._sessions.pop_due(now)) is not None:
            try:
                session.handle_timeout(now)
            except Exception as error:
                self.session_failed(session, error, now)
            self.arm(session)

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due; None for never."""
        transactions, sessions = self.transactions.next_timeout(), self._sessions.next_timeout()
        if transactions is None or (sessions is not None and sessions < transactions):
            return sessions
        return transactions

    def drain(self) -> list[Effect]:
        """What has to be done now, in this order."""
        effects, self._effects = self._effects, []
        return effects

    def resolved(self, resolution: int, targets: tuple[Target, ...], now: float) -> None:
        """The answer to a `Resolve` effect; no targets if there are none."""
        request = self._resolutions.pop(resolution, None)
        if request is not None:
            self._guarded(request.owner, now, lambda: request.resolved(targets, now))

    def transport_failed(self, transaction_id: int | None, now: float, why: str = "") -> None:
        """What a `SendRequest` or `SendResponse` effect asked for could not be sent; `why` is said in words."""
        transaction = self.transactions.by_id(transaction_id) if transaction_id is not None else None
        if transaction is not None:
            self.counters["transport_failures"] += 1
            transaction.why = why
            transaction.transport_failed(now)
            self.pump(transaction, now)

    # ------------------------------------------------------------------ verbs

    def invite(
        self,
        request_uri: Uri,
        from_: Addressed,
        to: Addressed,
        offer: bytes | None,
        now: float,
        *,
        next_hop: SipUri | None = None,
        route: tuple[str, ...] = (),
        credentials: Credentials | None = None,
        headers: HeaderList = (),
        max_forwards: int = 70,
        call_id: str | None = None,
        peer: object = None,
        target: Target | None = None,
        targets: tuple[Target, ...] = (),
        tries: Tries | None = None,
        branches: Branches | None = None,
        at_once: bool = True,
    ) -> InviteSession:
        """Send an INVITE (RFC 3261 13.2.1). Without `offer` the peer is asked for one.

        It goes to `target`, or to `targets` in turn as `tries` lays down, or to all `branches` that there are when it
        leaves, else to `next_hop`, else to the first `route`, else to the Request-URI. `max_forwards` is one less than
        that of the call it continues; at 0 it must not be sent (LocalProtocolError). Unless `at_once`, it is only made:
        `place` of the session sends it.
        """
        content: HeaderList = (("Content-Type", SDP),) if offer else ()
        request = request_outside(
            "INVITE",
            request_uri,
            from_,
            to,
            (*self._capabilities.headers(peer), *self.user_agent_header(), *headers, *content),
            offer or b"",
            tag=self.token(),
            call_id=call_id or self.token(128),
            max_forwards=max_forwards,
            route=route,
        )
        session = InviteSession.call(
            self,
            request,
            first_hop(request_uri, route, next_hop),
            credentials=credentials,
            peer=peer,
            fixed=target,
            targets=targets,
            tries=tries,
            branches=branches,
        )
        if at_once:
            session.place(now=now)
        return session

    def options(
        self,
        request_uri: Uri,
        from_: Addressed,
        token: object,
        now: float,
        *,
        next_hop: SipUri | None = None,
        credentials: Credentials | None = None,
        headers: HeaderList = (),
        target: Target | None = None,
    ) -> None:
        """Ask a peer whether it is there; `OptionsAnswered(token, ...)` tells."""
        numbers = iter(range(2, 100))

        def done(response: Response | None, cause: FailureCause | None, at: float) -> None:
            self._effects.append(Tell(OptionsAnswered(token, response, cause, client.why)))

        request = request_outside(
            "OPTIONS",
            request_uri,
            from_,
            f"<{request_uri}>",
            (("Accept", SDP), *self.user_agent_header(), *headers),
            tag=self.token(),
            call_id=self.token(128),
        )
        client = ClientRequest(
            self,
            request,
            first_hop(request_uri, (), next_hop),
            done,
            fixed=target,
            credentials=credentials,
            number=lambda: next(numbers),
            # Peers exist that know us by the name in it: Teams takes no SBC that does not say it.
            contact=self.contact,
        )
        client.begin(now)

    def register(
        self,
        registrar: SipUri,
        address: SipUri,
        expires: int,
        done: Registered,
        now: float,
        *,
        contact_user: str,
        call_id: str,
        number: Callable[[], int],
        next_hop: SipUri,
        credentials: Credentials | None = None,
        patience: float | None = None,
    ) -> None:
        """Send a REGISTER for `address` (RFC 3261 10.2), which asks for `expires` seconds; `done` hears of its end.

        `registrar` is the Request-URI, `number` gives each CSeq number. Our Contact has `contact_user` for its user.
        A target that says nothing for `patience` seconds is left for the next one; the last one has Timer F.
        """

        def ended(response: Response | None, cause: FailureCause | None, at: float) -> None:
            why = client.why or (cause.value if cause is not None else "")
            done(response, why, client.target, at)

        request = request_outside(
            "REGISTER",
            registrar,
            f"<{address}>",
            f"<{address}>",
            (("Expires", str(expires)), ("Supported", "path"), *self.user_agent_header()),
            tag=self.token(),
            call_id=call_id,
        )
        client = ClientRequest(
            self,
            replace(request, headers=request.headers.replacing("CSeq", f"{number()} REGISTER")),
            next_hop,
            ended,
            credentials=credentials,
            number=number,
            contact=lambda local: self.contact(local, user=contact_user),
            patience=patience,
        )
        client.begin(now)

    def keep_alive(self, target: Target) -> None:
        """Send what keeps the way open there, and asks for nothing (RFC 5626 section 3.5.1, and the same for UDP)."""
        self._effects.append(SendKeepAlive(target))

    def flows_in_use(self) -> set[int]:
        """The flows by which peers of live sessions are reached: their connections must not be closed for idleness."""
        return self._dialogs.flows() | self.in_use()

    @property
    def open_dialogs(self) -> int:
        """Dialogs that live, early ones too."""
        return len(self._dialogs)

    @property
    def open_transactions(self) -> int:
        """Transactions that are not over: those that only absorb retransmissions count too."""
        return len(self.transactions)

    # ------------------------------------------------------------------ responses

    def _receive_response(self, response: Response, now: float) -> None:
        # RFC 3261 18.1.2 and 8.1.3.3: a second Via means that it is not ours.
        if len(response.vias) != 1:
            self.counters["responses_with_several_vias"] += 1
            return
        transaction = self.transactions.client(response)
        if transaction is None:
            self.counters["stray_responses"] += 1
            return
        readable = salvaged(response)
        if readable is not response:
            self.counters["broken_messages"] += 1
        transaction.receive(readable, now)
        self.pump(transaction, now)

    # ------------------------------------------------------------------ requests

    def _receive_request(self, request: Request, source: Source, now: float) -> None:
        key = server_key(request)
        transaction = self.transactions.server(key)
        if transaction is not None:
            # Repetitions end here, before anybody thinks about them.
            self.counters["absorbed_requests"] += 1
            transaction.receive(request, now)
            self.pump(transaction, now)
            return
        if request.method == "ACK":
            self._receive_ack(request, source, now)
            return
        admitted = self._door.admit(request, source, now)
        if admitted is None:
            return
        try:
            self._serve(request, key, source, admitted, now)
        except RemoteProtocolError as error:
            # Asked again, the screen would want its proof again.
            self._door.objected(request, error, source, admitted)

    def _serve(self, request: Request, key: tuple[str, ...], source: Source, admitted: Admit, now: float) -> None:
        """A request of an admitted peer that is no repetition."""
        peer, nat = admitted.peer, is_behind_nat(admitted.peer)
        validate(request)
        request = request.received_from(source.remote[0], source.remote[1], force_rport=nat)
        if request.method == "CANCEL":
            self._receive_cancel(request, source, peer, now)
            return
        if source.transport != "tls" and isinstance(request.request_uri, SipUri) and request.request_uri.is_secure:
            # RFC 3261 26.2.2. Not 416: it would ask the peer to try again without encryption.
            detail = f"a sips: Request-URI came by {source.transport.upper()}, and is answered over TLS alone"
            self._door.object(request, source, peer, 400, reason="SIPS Needs TLS", detail=detail)
            return
        able = self._capabilities.of(peer)
        extensions = able.extensions | PATH if request.method == "REGISTER" else able.extensions
        objection = inspect(request, allow=able.allow, supported=extensions, allow_header=able.allow_header)
        if objection is not None:
            self._object(request, source, peer, objection)
        elif request.to.tag is not None:
            self._receive_within(request, key, source, peer, now)
        elif request.method == "INVITE":
            self._receive_invite(request, key, source, admitted, now)
        elif request.method == "REGISTER":
            self._receive_register(request, key, source, admitted, now)
        elif request.method == "OPTIONS":
            # No transaction: the same question gets the same answer (RFC 3261 8.2.7).
            answer = answer_options(
                request,
                capabilities=(*self._door.mark_of(request), *self._capabilities.headers(peer), *self.server_header()),
                draining=self.draining,
                to_tag=self._door.tag_of(request),
            )
            self._effects.append(SendResponse(answer, source, reply_to(request, source, nat=nat), bytes(answer)))
        else:
            # BYE and INFO mean nothing outside a dialog.
            self._door.object(request, source, peer, 481)

    def _object(self, request: Request, source: Source, peer: object, objection: Objection) -> None:
        """Refuse what can't be served. Within a dialog it counts in the order of requests all the same (12.2.2)."""
        session = self._dialogs.find(request) if request.to.tag is not None else None
        if session is None or not is_peer_of(session, peer):
            self._door.object(request, source, peer, objection.status, objection.headers)
            return
        if status := session.dialog_of(request).accept(request):
            objection = Objection(status)
        else:
            session.letterhead.hear(request)
        self._door.object(request, source, peer, objection.status, objection.headers, mark=session.letterhead.mark)
        if request.method == "REFER" and not session.is_over:
            # The call that somebody wanted to transfer says so in its account.
            self._effects.append(Tell(ReferReceived(session, request, objection.status)))

    def _receive_register(
        self, request: Request, key: tuple[str, ...], source: Source, admitted: Admit, now: float
    ) -> None:
        """Somebody registers with us (RFC 3261 10.3); who has proven nothing never does."""
        peer = admitted.peer
        if self.registrar is None or admitted.user is None:
            self._door.object(request, source, peer, 403)
            return
        if self.transactions.full:
            self.counters["overloads"] += 1
            retry = (("Retry-After", str(self.config.overload_retry_seconds)),)
            self._door.object(request, source, peer, 503, retry)
            return
        answer = self.registrar(request, source, peer, admitted.user, now)
        transaction = self._transaction(request, source, peer, now)
        self.transactions.add_server(transaction, key)
        headers = (*answer.headers, *self.server_header())
        tag = self._door.tag_of(request)
        transaction.respond(request.response(answer.status, answer.reason, to_tag=tag, headers=headers), now)
        self.pump(transaction, now)

    def _receive_invite(
        self, request: Request, key: tuple[str, ...], source: Source, admitted: Admit, now: float
    ) -> None:
        peer = admitted.peer
        verdict = self._merged.find(request, now)
        if verdict is not None:
            self.counters["merged_invites"] += 1
            repeated = verdict.status != MERGED
            self._door.object(request, source, peer, verdict.status, verdict.headers, verdict.reason, repeated=repeated)
            return
        if any(self.transactions.has_sent(via.branch or "", "INVITE") for via in request.vias):
            # By its branch it is an INVITE of ours that waits for its answer. The address in Via would prove nothing:
            # behind another NAT, or in another container, somebody else has the same.
            self.counters["looped_invites"] += 1
            self._door.object(request, source, peer, MERGED, detail="an INVITE of our own has come back to us")
            return
        if request.max_forwards == 0:
            # What we would do with it is to relay it, and it has come to its last hop.
            self._door.object(request, source, peer, 483)
            return
        if self.transactions.full or len(self._dialogs) >= self.config.max_dialogs:
            self.counters["overloads"] += 1
            retry = (("Retry-After", str(self.config.overload_retry_seconds)),)
            self._door.object(request, source, peer, 503, retry)
            return
        if len(request.contacts) != 1:
            self._door.object(request, source, peer, 400, reason="Bad Contact")
            return
        too_short = self.timer_policy(peer).objection(request)
        if too_short is not None:
            self._door.object(request, source, peer, 422, too_short)
            return
        transaction = self._invite_transaction(request, source, peer)
        session = InviteSession.received(self, transaction, peer, now)
        transaction.user = session
        self.transactions.add_server(transaction, key)
        self._merged.open(request, now)
        transaction.respond(request.response(100, headers=session.letterhead.mark), now)
        self.pump(transaction, now)
        self.arm(session)
        self._effects.append(Tell(InviteReceived(session, request, source, peer, admitted.user)))

    def _receive_within(self, request: Request, key: tuple[str, ...], source: Source, peer: object, now: float) -> None:
        session = self._dialogs.find(request)
        if session is None or not is_peer_of(session, peer):
            self.counters["unknown_dialogs" if session is None else "foreign_dialog_requests"] += 1
            self._door.object(request, source, peer, 481)
            return
        if self.transactions.full and request.method != "BYE":
            self.counters["overloads"] += 1
            retry = (("Retry-After", str(self.config.overload_retry_seconds)),)
            mark = session.letterhead.mark
            self._door.reply(request, source, 503, retry, nat=is_behind_nat(peer), mark=mark)
            return
        transaction: AnyServerTransaction
        if request.method == "INVITE":
            transaction = self._invite_transaction(request, source, peer)
            # Whether it comes in its turn is not known yet.
            theirs = request.session_id
            mark = session.letterhead.mark if theirs is None else session.letterhead.towards(theirs)
            transaction.respond(request.response(100, headers=mark), now)
        else:
            transaction = self._transaction(request, source, peer, now)
        transaction.user = session
        self.transactions.add_server(transaction, key)
        self.pump(transaction, now)
        self._guarded(session, now, lambda: session.receive(transaction, now), request=transaction)

    def _receive_ack(self, request: Request, source: Source, now: float) -> None:
        """An ACK to 2xx is a request of its own; one to a response without a transaction means nothing."""
        session = self._dialogs.find(request)
        if session is None:
            self.counters["stray_acks"] += 1
            return
        match self._door.screen(request, source):
            case Admit(peer):
                known = is_peer_of(session, peer)
            case Challenge():
                # ACK can't be challenged (RFC 3261 22.1): it must come from where the dialog is known to be.
                known = session.remote_address is not None and session.remote_address[0] == source.remote[0]
            case _:
                known = False
        if not known:
            self.counters["foreign_dialog_requests"] += 1
            return
        self._guarded(session, now, lambda: session.on_ack(request, now))

    def _receive_cancel(self, request: Request, source: Source, peer: object, now: float) -> None:
        invite = self.transactions.cancelled(request)
        session = invite.user if invite is not None else None
        if invite is None or not isinstance(session, InviteSession) or not is_peer_of(session, peer):
            self._door.object(request, source, peer, 481)
            return
        # RFC 3261 9.2: the To tag is that of the INVITE's own responses.
        session.letterhead.hear(request)
        headers = (*session.letterhead.mark, *self.server_header())
        answer = request.response(200, to_tag=session.local_tag, headers=headers)
        transaction = self._transaction(request, source, peer, now)
        self.transactions.add_server(transaction)
        transaction.respond(answer, now)
        self.pump(transaction, now)
        self._guarded(session, now, lambda: session.on_cancel(request, invite, now))

    def _invite_transaction(self, request: Request, source: Source, peer: object) -> InviteServerTransaction:
        to = reply_to(request, source, nat=is_behind_nat(peer))
        return InviteServerTransaction(request, source, to, self.timers, self.transactions.next_id())

    def _transaction(self, request: Request, source: Source, peer: object, now: float) -> ServerTransaction:
        to = reply_to(request, source, nat=is_behind_nat(peer))
        return ServerTransaction(request, source, to, self.timers, self.transactions.next_id(), now)
