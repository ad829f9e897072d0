"""What is known of a session, and the parts that it is made of; what they do together is in `invite.py`."""

from offhook.sip.calling import Calling
from offhook.sip.dialog import Dialog
from offhook.sip.dialog import State as DialogState
from offhook.sip.digest import Credentials
from offhook.sip.effects import Address
from offhook.sip.inquiries import Inquiries
from offhook.sip.letterhead import Letterhead
from offhook.sip.message import METHODS, Request, Response
from offhook.sip.peer_path import PeerPath
from offhook.sip.provisionals import Provisionals, Reliability, reliability
from offhook.sip.questions import Questions
from offhook.sip.referrals import Referrals
from offhook.sip.referred import Referred
from offhook.sip.renegotiation import Renegotiation
from offhook.sip.sent_acks import SentAcks
from offhook.sip.session_core import HeaderList, SessionCore
from offhook.sip.session_state import OVER, TRANSITIONS, Input, State
from offhook.sip.session_timer import SessionTimer
from offhook.sip.steps import Steps
from offhook.sip.transaction.invite_server import InviteServerTransaction


class SessionParts(Steps[State, Input]):
    """The state of a session, its dialog, its peer, and a machine for each thing that goes on in it.

    The parts are for the modules of this package. They don't keep the session but are handed it, so that what is over
    is freed at once, not when the collector looks.
    """

    TABLE = TRANSITIONS

    __slots__ = (
        "acks",
        "allows",
        "calling",
        "context",
        "core",
        "credentials",
        "dialog",
        "fault",
        "inquiries",
        "letterhead",
        "local_tag",
        "path",
        "peer",
        "provisionals",
        "questions",
        "referrals",
        "referred",
        "renegotiation",
        "request",
        "response",
        "timer",
        "transaction",
    )

    def __init__(self, core: SessionCore, request: Request, *, local_tag: str, peer: object, state: State) -> None:
        self.core = core
        """The user agent."""
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
        self.path = PeerPath(peer)
        self.allows: frozenset[str] | None = None
        """The methods that the peer has said it takes; None while it has not said."""
        self.letterhead = Letterhead(core.session_uuid(request, is_ours=state is State.CALLING))
        self.acks = SentAcks()
        self.calling: Calling | None = None
        """The caller's side, None for the callee."""
        self.inquiries = Inquiries()
        self.questions = Questions()
        self.provisionals = Provisionals()
        self.referrals = Referrals()
        self.referred = Referred()
        self.renegotiation = Renegotiation()
        self.timer = SessionTimer(core.timer_policy(peer))
        self.credentials: Credentials | None = None

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
        return self.calling is not None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or its BYE is on its way."""
        return self.state in OVER

    @property
    def remote_address(self) -> Address | None:
        """Where the peer's signalling was last seen: it is the address that may send media, too."""
        return self.path.target.remote if self.path.target is not None else None

    @property
    def flow(self) -> int | None:
        """The connection or listener by which the peer was last seen."""
        return self.path.target.flow if self.path.target is not None else None

    @property
    def owes_answer(self) -> bool:
        """Whether the peer's 2xx brought an offer, which `acknowledge` has to answer."""
        return self.renegotiation.owed is not None

    def waits_for_answer(self, request: Request) -> bool:
        """Whether this re-INVITE or UPDATE of the peer is still to be answered: a CANCEL may have been faster."""
        return self.renegotiation.open_of_peer is request

    def dialog_of(self, request: Request) -> Dialog:
        """The dialog that a request of the peer is for: that of a fork while an INVITE of ours has no answer."""
        early = self.calling.dialog_of(request) if self.calling is not None else None
        dialog = early or self.dialog
        assert dialog is not None, "it was found by its dialog"
        return dialog

    @property
    def reliability(self) -> Reliability:
        """Whether the caller takes reliable provisional responses (RFC 3262), or takes no other ones."""
        return reliability(self.request)

    @property
    def is_answer_held(self) -> bool:
        """Whether a 200 waits for the PRACK of SDP that was sent before it; `AnswerLeft` tells when it has left."""
        return self.provisionals.holds_answer

    def hear(self, response: Response) -> None:
        """Learn the peer's half of the Session-ID from a response to a request of ours; not from another fork's."""
        up = self.dialog is not None and self.dialog.state is not DialogState.EARLY
        if not up or response.to.tag in (None, self.remote_tag):
            self.letterhead.hear(response)

    def learn(self, message: Request | Response) -> None:
        """Take note of what the peer says of itself: its Allow, its half of the Session-ID."""
        self.letterhead.hear(message)
        lines = message.headers.get_all("Allow")
        if lines:
            # Only those that we know: what is kept of a peer's word has a bound.
            self.allows = METHODS & {method.strip(" \t") for line in lines for method in line.split(",")}

    def refresh_headers(self) -> HeaderList:
        """What re-INVITEs and UPDATEs of ours say of us."""
        return (*self.core.session_headers(self.peer), *self.timer.ask())

    def step(self, step: Input) -> bool:
        """Change the state; False where the table has no such arrow."""
        return self._step(step)
