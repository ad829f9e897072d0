"""What a user agent is to its sessions and requests: time, chance, names, the tables that they are kept in."""

from collections import Counter
from collections.abc import Callable

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.capabilities import Capabilities
from offhook.sip.client_request import ClientRequest
from offhook.sip.dialog import DialogId
from offhook.sip.dialog_table import DialogTable
from offhook.sip.doorkeeper import Doorkeeper
from offhook.sip.effects import (
    Effect,
    LocalAddress,
    LocalAddressPolicy,
    SendRequest,
    SendResponse,
    Source,
    Target,
    Tell,
)
from offhook.sip.events import Event, SessionFailed
from offhook.sip.headers.session_id import random_uuid
from offhook.sip.invite import InviteSession
from offhook.sip.merged import MergedInvites
from offhook.sip.message import Request, Response
from offhook.sip.screening import Screen
from offhook.sip.session_core import HeaderList
from offhook.sip.session_timer import TimerPolicy
from offhook.sip.timers import TimerQueue
from offhook.sip.transaction.invite_server import State as InviteServerState
from offhook.sip.transaction.layer import AnyClientTransaction, AnyServerTransaction, AnyTransaction, TransactionLayer
from offhook.sip.transaction.machine import PassAck, PassResponse, Report, Trouble
from offhook.sip.transaction.server import State as ServerState
from offhook.sip.user_agent_config import Random, UserAgentConfig
from offhook.sip.without_tcp import WithoutTcp

UNANSWERED = (InviteServerState.PROCEEDING, ServerState.TRYING, ServerState.PROCEEDING)
"""Server transactions in these states can still be given a final response."""

_COUNTED = {Trouble.TIMEOUT: "timed_out", Trouble.TRANSPORT: "unreachable", Trouble.SLOW: "slow_targets"}


def _unknown_address(peer: Source | Target) -> LocalAddress:
    raise LocalProtocolError("the user agent has no transport yet", hint="give it local_address, or a SipStack")


class SessionHost:
    """Keeps sessions, transactions and effects, and runs what belongs to one session so that no other feels it."""

    def __init__(
        self,
        config: UserAgentConfig,
        rng: Random,
        screen: Screen,
        local_address: LocalAddressPolicy = _unknown_address,
    ) -> None:
        self.config = config
        self.timers = config.timers
        self.transactions = TransactionLayer(config.max_transactions)
        self.local_address: LocalAddressPolicy = local_address
        """Set by the stack once its listeners are open."""
        self.speaks_tls = False
        """Whether the stack has TLS; without it nobody is reached by it."""
        self.draining = False
        """While set, OPTIONS outside dialogs are answered 503. New INVITEs are refused by the layer above."""
        self.counters: Counter[str] = Counter()
        self._rng = rng
        self._capabilities = Capabilities(config.allow, config.supported)
        self._effects: list[Effect] = []
        self._door = Doorkeeper(
            screen,
            self.transactions,
            self.counters,
            self.emit,
            server_header=self.server_header(),
            secret=rng.getrandbits(256).to_bytes(32, "big"),
            namespace=rng.getrandbits(128).to_bytes(16, "big"),
        )
        self._dialogs = DialogTable()
        self._merged = MergedInvites(config.max_transactions)
        self._sessions: TimerQueue[InviteSession] = TimerQueue()
        self._resolutions: dict[int, ClientRequest] = {}
        self._last_resolution = 0
        self._without_tcp = WithoutTcp()

    def takes_tcp(self, target: Target, now: float) -> bool:
        """Whether a large request may go by TCP to a target of UDP (RFC 3261 18.1.1)."""
        if not self.config.large_requests_to_tcp:
            return False
        return not self._without_tcp.has(target.remote, now)

    def tcp_refused(self, target: Target, now: float) -> None:
        """A target took no TCP: it is left in peace for some minutes."""
        self._without_tcp.add(target.remote, now)

    def emit(self, effect: Effect) -> None:
        """Queue an effect for the driver."""
        self._effects.append(effect)

    def tell(self, event: Event) -> None:
        """Queue an event for the layer above."""
        self._effects.append(Tell(event))

    def contact(self, local: LocalAddress, *, secure: bool = False, user: str = "") -> str:
        """Our Contact value at an address of ours; a `sips:` one where the dialog has to be secure on every hop."""
        user = user or self.config.contact_user
        if secure and local.transport == "tls":
            return f"<sips:{user}@{local.sent_by}>"
        transport = "" if local.transport == "udp" else f";transport={local.transport}"
        return f"<sip:{user}@{local.sent_by}{transport}>"

    def token(self, bits: int = 64) -> str:
        """An unguessable token in hexadecimal."""
        return f"{self._rng.getrandbits(bits):0{bits // 4}x}"

    def session_uuid(self, invite: Request, *, is_ours: bool) -> str:
        """Our half of the Session-ID of an INVITE."""
        return random_uuid(self._rng.getrandbits(128)) if is_ours else self._door.session_uuid(invite)

    def between(self, low: float, high: float) -> float:
        """A random number, in steps of 10 ms where it is a back-off (RFC 3261 14.1)."""
        return low + round(self._rng.random() * (high - low), 2)

    def timer_policy(self, peer: object) -> TimerPolicy:
        """What we want of session timers with this peer."""
        setting = getattr(peer, "session_timer", self.config.session_timer)
        return TimerPolicy(setting, self.config.min_session_interval)

    def session_headers(self, peer: object) -> HeaderList:
        """Allow and Supported, as this peer gets them."""
        return self._capabilities.headers(peer)

    def server_header(self) -> HeaderList:
        """Who answers."""
        return (("Server", self.config.user_agent),)

    def user_agent_header(self) -> HeaderList:
        """Who asks."""
        return (("User-Agent", self.config.user_agent),)

    def begin_resolution(self, request: ClientRequest) -> int | None:
        """Number a resolution."""
        if len(self._resolutions) >= self.config.max_resolutions:
            self.counters["resolutions_refused"] += 1
            return None
        self._last_resolution += 1
        self._resolutions[self._last_resolution] = request
        return self._last_resolution

    def attach(self, transaction: AnyClientTransaction, request: ClientRequest | None, branch: str, now: float) -> None:
        """Keep a new client transaction whose responses go to `request`, and carry out its first effects."""
        transaction.user = request
        self.transactions.add_client(transaction, branch)
        self.pump(transaction, now)

    def arm(self, session: InviteSession) -> None:
        """Take note of the session's next time-out."""
        self._sessions.arm(session)

    def bind(self, session: InviteSession, dialog_id: DialogId) -> None:
        """Requests within this dialog belong to `session` from now on."""
        self._dialogs.bind(session, dialog_id)

    def unbind(self, dialog_id: DialogId) -> None:
        """The dialog is no more."""
        self._dialogs.unbind(dialog_id)

    def judged(self, session: InviteSession, response: Response | None, now: float) -> None:
        """The INVITE of a session has its final response; None for a 2xx."""
        self._merged.close(session.request, response, now)

    def pump(self, transaction: AnyTransaction, now: float) -> None:
        """Carry out what a transaction asks for, and forget it when it has ended."""
        # Whoever is told first may end the transaction; the rest is still for the same user.
        user = transaction.user
        for effect in transaction.drain():
            match effect:
                case SendRequest() | SendResponse():
                    self._effects.append(effect)
                case PassResponse(response):
                    if isinstance(user, ClientRequest):
                        self._pass(user, lambda u=user, r=response: u.receive(transaction, r, now), now)  # type: ignore[misc]
                case PassAck(request):
                    if isinstance(user, InviteSession):
                        self._guarded(user, now, lambda s=user, r=request: s.on_ack(r, now))  # type: ignore[misc]
                case Report(trouble):
                    self.counters[_COUNTED[trouble]] += 1
                    if isinstance(user, ClientRequest):
                        self._pass(user, lambda u=user, t=trouble: u.trouble(transaction, t, now), now)  # type: ignore[misc]
        self.transactions.settle(transaction)

    def _pass(self, request: ClientRequest, action: Callable[[], None], now: float) -> None:
        if request.owner is not None:
            self._guarded(request.owner, now, action)
        else:
            action()

    def _guarded(
        self,
        session: InviteSession | None,
        now: float,
        action: Callable[[], None],
        *,
        request: AnyServerTransaction | None = None,
    ) -> None:
        """Run what belongs to one session: the peer's nonsense is answered, our own fault ends the session."""
        try:
            action()
        except RemoteProtocolError as error:
            self.counters["broken_messages"] += 1
            self._answer_unanswered(request, error.status_hint, now)
        except Exception as error:
            if session is None:
                raise
            self._answer_unanswered(request, 500, now)
            self.session_failed(session, error, now)
        if session is not None:
            self.arm(session)

    def _answer_unanswered(self, transaction: AnyServerTransaction | None, status: int, now: float) -> None:
        if transaction is not None and transaction.state in UNANSWERED:
            # The request has a To tag, so the response needs none of ours.
            user = transaction.user
            mark = user.letterhead.mark if isinstance(user, InviteSession) else ()
            transaction.respond(transaction.request.response(status, headers=mark), now)
            self.pump(transaction, now)

    def session_failed(self, session: InviteSession, error: Exception, now: float) -> None:
        """A fault of ours in a session, or in who handled its event: that session ends, with 500 or BYE."""
        self.counters["session_faults"] += 1
        if session.fault is not None:
            # Told once: a handler that fails again at the news must not be told for ever, and a session that fails
            # again while it says goodbye is forgotten as it stands.
            session.drop(now)
            return
        session.fault = error
        try:
            session.fail(now)
        except Exception:
            # It can't even say goodbye; the peer's own timers end it.
            self.counters["session_faults"] += 1
            session.drop(now)
        self._effects.append(Tell(SessionFailed(session, error)))
