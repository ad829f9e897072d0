"""One request of ours on its way: targets in turn, transport by size, credentials, CANCEL (RFC 3261 8.1, 9, 18.1.1)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from offhook.sip.dialog import WITH_CONTACT
from offhook.sip.digest import Credentials, Unanswered, answer
from offhook.sip.effects import Effect, LocalAddress, Resolve, SendRequest, Source, Target
from offhook.sip.events import FailureCause
from offhook.sip.headers.via import MAGIC_COOKIE
from offhook.sip.locating import literal_target
from offhook.sip.message import Headers, Request, Response
from offhook.sip.timers import TimerValues
from offhook.sip.transaction.client import ClientTransaction
from offhook.sip.transaction.invite_client import InviteClientTransaction, cancel_of
from offhook.sip.transaction.invite_client import State as InviteState
from offhook.sip.transaction.layer import AnyClientTransaction, AnyTransaction, TransactionLayer
from offhook.sip.transaction.machine import Trouble
from offhook.sip.tries import Tries
from offhook.sip.uri import SipUri

if TYPE_CHECKING:
    from offhook.sip.invite import InviteSession

LARGEST_DATAGRAM = 1300
"""Bytes above which a request goes by a congestion-controlled transport (RFC 3261 18.1.1)."""

MAX_CHALLENGES = 3
"""How often one request is sent again with credentials: a proxy's, the peer's, and one stale nonce."""


class Core(Protocol):
    """What the user agent lends to its requests and sessions."""

    timers: TimerValues
    transactions: TransactionLayer
    speaks_tls: bool

    def takes_tcp(self, target: Target, now: float) -> bool:
        """Whether a large request may go by TCP to a target of UDP."""

    def tcp_refused(self, target: Target, now: float) -> None:
        """A target took no TCP."""

    def emit(self, effect: Effect) -> None:
        """Queue an effect for the driver."""

    def local_address(self, peer: Source | Target) -> LocalAddress:
        """What we call ourselves towards a peer."""

    def contact(self, local: LocalAddress, *, secure: bool = False) -> str:
        """Our Contact value at that address."""

    def token(self, bits: int = 64) -> str:
        """An unguessable token for branches, tags and client nonces."""

    def begin_resolution(self, request: "ClientRequest") -> int | None:
        """Number a resolution so that its result finds `request`; None if too many are under way."""

    def attach(
        self, transaction: AnyClientTransaction, request: "ClientRequest | None", branch: str, now: float
    ) -> None:
        """Keep a new client transaction whose responses go to `request`, and carry out its first effects."""

    def pump(self, transaction: AnyTransaction, now: float) -> None:
        """Carry out the effects of a transaction after an input of ours."""


Done = Callable[[Response | None, FailureCause | None, float], None]
Progress = Callable[[Response, float], None]
Number = Callable[[], int]


class State(Enum):
    """Where the request is."""

    NEW = "new"
    RESOLVING = "resolving"
    SENT = "sent"
    DONE = "done"


class Cancel(Enum):
    """Whether its CANCEL is wanted, and has left."""

    NONE = "none"
    HELD = "held until a provisional response"
    SENT = "sent"


class Input(Enum):
    """What moves it on."""

    RESOLVE = "next hop is a name"
    TARGETS = "targets are known"
    FINAL = "final response, or no target is left"
    AGAIN = "another CSeq number with credentials"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.NEW, Input.RESOLVE): State.RESOLVING,
    (State.NEW, Input.TARGETS): State.SENT,
    (State.NEW, Input.FINAL): State.DONE,
    (State.RESOLVING, Input.TARGETS): State.SENT,
    (State.RESOLVING, Input.FINAL): State.DONE,
    (State.SENT, Input.RESOLVE): State.RESOLVING,
    (State.SENT, Input.TARGETS): State.SENT,
    (State.SENT, Input.AGAIN): State.SENT,
    (State.SENT, Input.FINAL): State.DONE,
    # Forks: every further 2xx is passed on too.
    (State.DONE, Input.FINAL): State.DONE,
}


class ClientRequest:
    """Sends one request and tells its outcome once (INVITE: once more for each further 2xx).

    `fixed` is a target that is tried before `next_hop` is resolved: the flow on which the peer was last seen. `targets`
    are known already, so that nothing is resolved; `tries` lays down how they are gone through, and `stray` hears of a
    2xx of one that was left. `patience` are the seconds that a request other than INVITE waits for a target that is not
    the last. With `secure` it leaves by TLS or not at all. `names` may be proven by the peer in place
    of the next hop's own; `identity` is whose certificate it is shown. `contact` writes its Contact in place of the
    core's.
    ACK to a 2xx is sent without a transaction, and again with `repeat`.
    """

    __slots__ = (
        "_attempts",
        "_cancel",
        "_cancel_headers",
        "_challenges",
        "_contact",
        "_core",
        "_credentials",
        "_done",
        "_fallback",
        "_fixed",
        "_has_rung",
        "_identity",
        "_left",
        "_listener",
        "_names",
        "_next_hop",
        "_number",
        "_patience",
        "_progress",
        "_secure",
        "_sent",
        "_stray",
        "_targets",
        "_tries",
        "owner",
        "request",
        "state",
        "transaction",
        "why",
    )

    def __init__(
        self,
        core: Core,
        request: Request,
        next_hop: SipUri,
        done: Done,
        *,
        progress: Progress | None = None,
        fixed: Target | None = None,
        listener: Target | None = None,
        credentials: Credentials | None = None,
        number: Number | None = None,
        owner: "InviteSession | None" = None,
        secure: bool = False,
        names: tuple[str, ...] = (),
        identity: str | None = None,
        targets: Sequence[Target] = (),
        tries: Tries | None = None,
        stray: Progress | None = None,
        contact: Callable[[LocalAddress], str] | None = None,
        patience: float | None = None,
    ) -> None:
        self._core = core
        self.request = request
        """As it was made, without Via and (INVITE) Contact, which come with the target."""
        self._next_hop = next_hop
        self._done = done
        self._progress = progress
        self._fixed = fixed
        self._listener = listener
        self._credentials = credentials
        self._number = number
        self._secure = secure or next_hop.is_secure or _is_sips(request)
        self._names = names
        self._identity = identity
        self._contact = contact
        self._patience = patience
        self.owner = owner
        self.why = ""
        """What the network said when it failed, in words."""
        self.state = State.NEW
        self.transaction: AnyClientTransaction | None = None
        self._targets = list(targets)
        self._tries = tries
        self._stray = stray
        self._left: dict[int, SendRequest | None] = {}
        """What was sent to targets that were left, by transaction, until its CANCEL has left."""
        self._has_rung = False
        self._fallback: Target | None = None
        self._sent: SendRequest | None = None
        self._challenges = 0
        self._cancel = Cancel.NONE
        self._cancel_headers: tuple[tuple[str, str], ...] = ()

    @property
    def cancelling(self) -> bool:
        """Whether CANCEL is wanted, held back or sent."""
        return self._cancel is not Cancel.NONE

    @property
    def target(self) -> Target | None:
        """Where it was last sent."""
        return self._sent.target if self._sent is not None else None

    @property
    def targets_left(self) -> tuple[Target, ...]:
        """Where it was last sent, and those that have not been asked."""
        return (*((self.target,) if self.target is not None else ()), *self._targets)

    @property
    def sent_request(self) -> Request:
        """As it last left, with Via."""
        return self._sent.request if self._sent is not None else self.request

    def begin(self, now: float) -> None:
        """Send it, or ask for the targets of its next hop first."""
        if self._fixed is not None:
            self._step(Input.TARGETS)
            self._attempt(self._fixed, now)
        elif self._targets:
            self._step(Input.TARGETS)
            if not self._attempt_first(now):
                self._finish(None, FailureCause.TRANSPORT, now)
        else:
            self._resolve(now)

    def resolved(self, targets: tuple[Target, ...], now: float) -> None:
        """The answer to `Resolve`; no target is a failure."""
        if self.state is not State.RESOLVING:
            return
        self._targets = [target for target in targets if not self._objection(target)]
        if self.cancelling:
            self._finish(None, FailureCause.CANCELLED, now)
        elif not self._targets:
            self.why = self._objection(targets[0]) if targets else f"no target of {self._next_hop.host} is known"
            self._finish(None, FailureCause.UNRESOLVED, now)
        else:
            self._step(Input.TARGETS)
            self._attempt_first(now)

    def receive(self, transaction: AnyClientTransaction, response: Response, now: float) -> None:
        """A response that a transaction of this request passed on."""
        if transaction.transaction_id in self._left:
            self._hear_left(transaction, response, now)
            return
        if self.owner is not None:
            self.owner.hear(response)
        if transaction is not self.transaction and not 200 <= response.status < 300:
            # A target that was given up, or the round before the credentials; only its 2xx makes a dialog.
            return
        if self._tries is not None and self.target is not None:
            self._tries.heard(self.target, response, now)
        if response.status < 200:
            self._has_rung = self._has_rung or response.status > 100
            self._send_cancel(now)
            if self._progress is not None:
                self._progress(response, now)
            return
        if response.status in (401, 407) and self._authorize(response, now):
            return
        if response.status == 503 and not self._has_rung:
            self._failed(f"503 {response.reason}", response, now)
            if self._try_next(now):
                return
        self._finish(response, None, now)

    def trouble(self, transaction: AnyClientTransaction, trouble: Trouble, now: float) -> None:
        """A transaction came to nothing: the next target, if there is one (RFC 3263 4.3)."""
        if transaction is not self.transaction or self.state is State.DONE:
            return
        goes_on = bool(self._fallback or self._targets or (self._tries is not None and self._tries.goes_on))
        if not transaction.terminated and (self._has_rung or self.cancelling or not goes_on):
            # It may still be answered, if need be on another connection (RFC 3261 18.2.2).
            return
        slow = f"no answer in {self._tries.patience():g} s" if trouble is Trouble.SLOW and self._tries else ""
        self.why = transaction.why or slow
        self._leave(transaction, now)
        if self._fallback is not None and trouble is not Trouble.TIMEOUT:
            # RFC 3261 18.1.1: TCP was only tried for the size.
            fallback, self._fallback = self._fallback, None
            self._core.tcp_refused(fallback, now)
            self._attempt(fallback, now, may_grow=False)
            return
        silent = f"no answer in {self._core.timers.transaction:g} s"
        self._failed(self.why or (silent if trouble is Trouble.TIMEOUT else "nothing gets there"), None, now)
        if self._try_next(now):
            return
        cause = FailureCause.TRANSPORT if trouble is Trouble.TRANSPORT else FailureCause.TIMEOUT
        self._finish(None, cause, now)

    def repeat(self) -> None:
        """Send an ACK to 2xx again."""
        if self._sent is not None:
            self._core.emit(self._sent)

    def cancel(self, headers: tuple[tuple[str, str], ...], now: float) -> None:
        """CANCEL the INVITE, at once if a provisional response has come, else as soon as it does (RFC 3261 9.1)."""
        if self.cancelling or self.state is State.DONE:
            return
        self._cancel = Cancel.HELD
        self._cancel_headers = headers
        if self.transaction is None:
            self._finish(None, FailureCause.CANCELLED, now)
        else:
            self._send_cancel(now)

    def withdraw(self, headers: tuple[tuple[str, str], ...], now: float) -> None:
        """Somebody else has the call: CANCEL as soon as that may be, and nothing is told but a 2xx that comes late."""
        if self.state is State.DONE or self.transaction is None:
            return
        self._cancel_headers = headers
        self._leave(self.transaction, now)
        self._core.pump(self.transaction, now)
        self.transaction = None
        self._step(Input.FINAL)

    def abandon(self, now: float) -> None:
        """Wait no longer for the final response to a cancelled INVITE."""
        if isinstance(self.transaction, InviteClientTransaction):
            self.transaction.abandon(now)
            self._core.pump(self.transaction, now)
        if self.state is not State.DONE:
            self._finish(None, FailureCause.CANCEL_TIMEOUT, now)

    def _resolve(self, now: float) -> None:
        target = literal_target(self._next_hop)
        if target is not None:
            self.why = self._objection(target)
            if self.why:
                self._finish(None, FailureCause.UNRESOLVED, now)
                return
            self._targets = []
            self._step(Input.TARGETS)
            self._attempt(target, now)
            return
        self._step(Input.RESOLVE)
        resolution = self._core.begin_resolution(self)
        if resolution is None:
            self._finish(None, FailureCause.UNRESOLVED, now)
        else:
            self._core.emit(Resolve(resolution, self._next_hop))

    def _objection(self, target: Target) -> str:
        """Why a target is not to be tried, empty if it may be."""
        if target.transport not in ("udp", "tcp", "tls"):
            return f"{target.transport} is not spoken"
        if self._secure and target.transport != "tls":
            return f"it must not leave by {target.transport}: the call has to be secure (RFC 3261 26.2.2)"
        if target.transport == "tls" and not self._core.speaks_tls:
            return "it has to go by TLS, which is not set up"
        return ""

    def _try_next(self, now: float) -> bool:
        if self.cancelling:
            return False
        self._fallback = None
        if self._attempt_first(now):
            return True
        if self._fixed is not None:
            # The flow is gone; where the dialog points may still be reached.
            failed, self._fixed = self._fixed, None
            other = literal_target(self._next_hop)
            if other is None or (other.transport, other.host, other.port) != (
                failed.transport,
                failed.host,
                failed.port,
            ):
                self._resolve(now)
                return True
        return False

    def _attempt_first(self, now: float) -> bool:
        """Ask the first of the targets that are left that can be asked; False if there is none."""
        while self._targets:
            target = self._targets.pop(0)
            objection = self._objection(target)
            if objection:
                self.why = objection
                continue
            if self._tries is not None:
                body = self._tries.offer(target, now)
                if body is None:
                    continue
                self.request = replace(self.request, body=body)
            if self._challenges:
                # RFC 3263 4.3 asks for the same request; what answers one server's challenge is nothing to the next.
                self._challenges = 0
                headers = self.request.headers.without("Authorization").without("Proxy-Authorization")
                self.request = replace(self.request, headers=headers)
            self._has_rung = False
            self._attempt(target, now)
            return True
        return False

    def _failed(self, why: str, response: Response | None, now: float) -> None:
        if self._tries is not None and self.target is not None:
            self._tries.failed(self.target, why, response, now)

    def _leave(self, transaction: AnyClientTransaction, now: float) -> None:
        """Ask others from now on. What this one says late is heard, and it gets its CANCEL as soon as that may be."""
        if transaction.terminated or not isinstance(transaction, InviteClientTransaction):
            return
        self._left[transaction.transaction_id] = self._sent
        has_said = transaction.state is InviteState.PROCEEDING
        transaction.leave(now)
        if has_said:
            self._cancel_left(transaction, now)

    def _hear_left(self, transaction: AnyClientTransaction, response: Response, now: float) -> None:
        if response.status < 200:
            self._cancel_left(transaction, now)
        elif response.is_success and self._stray is not None:
            self._stray(response, now)

    def _cancel_left(self, transaction: AnyClientTransaction, now: float) -> None:
        sent, self._left[transaction.transaction_id] = self._left[transaction.transaction_id], None
        if sent is not None:
            self._emit_cancel(sent, self._cancel_headers, now)

    def _attempt(self, target: Target, now: float, *, may_grow: bool = True) -> None:
        target = self._named(self._on_listener(target))
        branch = MAGIC_COOKIE + self._core.token()
        request = self._addressed(target, branch)
        wire = bytes(request)
        if (
            may_grow
            and target.transport == "udp"
            and len(wire) > LARGEST_DATAGRAM
            and target is not self._fixed
            and self._core.takes_tcp(target, now)
        ):
            self._fallback = target
            target = Target("tcp", target.host, target.port)
            request = self._addressed(target, branch)
            wire = bytes(request)
        if request.method == "ACK":
            self._sent = SendRequest(request, target, wire)
            self._core.emit(self._sent)
            self._step(Input.FINAL)
            return
        transaction_id = self._core.transactions.next_id()
        self._sent = SendRequest(request, target, wire, transaction_id)
        transaction: AnyClientTransaction
        if request.method == "INVITE":
            patience = self._tries.patience() if self._tries is not None else None
            transaction = InviteClientTransaction(self._sent, self._core.timers, now, patience=patience)
        else:
            patience = self._patience if self._targets else None
            transaction = ClientTransaction(self._sent, self._core.timers, now, patience=patience)
        self.transaction = transaction
        self._core.attach(transaction, self, branch, now)

    def _on_listener(self, target: Target) -> Target:
        """Leave by the UDP socket by which the peer came in, where that can reach the target."""
        listener = self._listener
        if (
            listener is None
            or target.flow is not None
            or (target.transport, listener.transport) != ("udp", "udp")
            or (":" in target.host) != (":" in listener.host)
        ):
            return target
        return replace(target, flow=listener.flow)

    def _named(self, target: Target) -> Target:
        """With what TLS has to prove: the domain that was asked for, before any look-up (RFC 5922 7.3)."""
        if target.transport != "tls":
            return target
        names = target.names or tuple(dict.fromkeys((self._next_hop.host, *self._names)))
        return replace(target, names=names, identity=target.identity or self._identity)

    def _addressed(self, target: Target, branch: str) -> Request:
        local = self._core.local_address(target)
        # RFC 5923: whom we have told who we are may use the connection for requests of his own.
        alias = ";alias" if target.transport == "tls" else ""
        headers = [("Via", f"SIP/2.0/{target.transport.upper()} {local.sent_by};branch={branch};rport{alias}")]
        headers += self.request.headers
        if self.owner is not None and "Session-ID" not in self.request.headers:
            headers += self.owner.letterhead.mark
        if self._contact is not None:
            headers.append(("Contact", self._contact(local)))
        elif self.request.method in WITH_CONTACT:
            # RFC 3261 8.1.1.8: a sips Request-URI, or first hop, asks for a sips Contact.
            secure = self._next_hop.is_secure or _is_sips(self.request)
            headers.append(("Contact", self._core.contact(local, secure=secure)))
        return Request(self.request.method, self.request.request_uri, Headers(headers), self.request.body)

    def _authorize(self, response: Response, now: float) -> bool:
        credentials = self._credentials
        if credentials is None or self._number is None or self._challenges >= MAX_CHALLENGES or self.cancelling:
            return False
        assert self._sent is not None, "a response has its request"
        ours = "Authorization" if response.status == 401 else "Proxy-Authorization"
        stale = any((challenge.get("stale") or "").lower() == "true" for challenge in response.challenges)
        if ours in self.request.headers and not stale:
            # RFC 7616 3.3: they were wrong, and will be again.
            return False
        # The name that the request went to, or the address that it became: one of them has to be the trunk's.
        sent_to = self._next_hop.host if self._next_hop.host in credentials.hosts else self._sent.target.host
        value = answer(
            response.challenges,
            credentials,
            sent_to=sent_to,
            method=self.request.method,
            uri=str(self.request.request_uri),
            cnonce=self._core.token(),
            body=self.request.body,
        )
        if isinstance(value, Unanswered):
            return False
        self._challenges += 1
        self.request = Request(
            self.request.method,
            self.request.request_uri,
            self.request.headers.without(ours)
            .replacing("CSeq", f"{self._number()} {self.request.method}")
            .adding(ours, value),
            self.request.body,
        )
        self._step(Input.AGAIN)
        # The challenger is where the INVITE went: nobody else is shown the credentials.
        self._attempt(self._sent.target, now, may_grow=False)
        return True

    def _send_cancel(self, now: float) -> None:
        invite = self.transaction
        if self._cancel is not Cancel.HELD or invite is None or invite.state is not InviteState.PROCEEDING:
            return
        assert self._sent is not None, "a transaction has its request"
        self._cancel = Cancel.SENT
        self._emit_cancel(self._sent, self._cancel_headers, now)

    def _emit_cancel(self, sent: SendRequest, headers: tuple[tuple[str, str], ...], now: float) -> None:
        mark = self.owner.letterhead.mark if self.owner is not None else ()
        cancel = cancel_of(sent.request, (*mark, *headers))
        send = SendRequest(cancel, sent.target, bytes(cancel), self._core.transactions.next_id())
        # What becomes of a CANCEL is seen at its INVITE, so nobody hears of its own response.
        branch = sent.request.via.branch or ""
        self._core.attach(ClientTransaction(send, self._core.timers, now), None, branch, now)

    def _finish(self, response: Response | None, cause: FailureCause | None, now: float) -> None:
        self._step(Input.FINAL)
        self._done(response, cause, now)

    def _step(self, step: Input) -> None:
        after = TRANSITIONS.get((self.state, step))
        assert after is not None, f"{step} can't happen in {self.state}"
        self.state = after


def _is_sips(request: Request) -> bool:
    uri = request.request_uri
    return isinstance(uri, SipUri) and uri.is_secure
