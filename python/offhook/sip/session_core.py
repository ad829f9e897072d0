"""What a session needs of the user agent it lives in."""

from typing import TYPE_CHECKING, Protocol

from offhook.sip.client_request import Core
from offhook.sip.dialog import DialogId
from offhook.sip.events import SessionEvent
from offhook.sip.message import Request, Response

if TYPE_CHECKING:
    from offhook.sip.invite import InviteSession
    from offhook.sip.session_timer import TimerPolicy

HeaderList = tuple[tuple[str, str], ...]

SDP = "application/sdp"


class SessionCore(Core, Protocol):
    """What the user agent lends to a session beyond what a request needs."""

    def tell(self, event: SessionEvent) -> None:
        """Queue an event for the layer above."""

    def arm(self, session: "InviteSession") -> None:
        """Take note of the session's next time-out."""

    def bind(self, session: "InviteSession", dialog_id: DialogId) -> None:
        """Requests within this dialog belong to `session` from now on."""

    def unbind(self, dialog_id: DialogId) -> None:
        """The dialog is no more: 481 to whatever comes for it."""

    def judged(self, session: "InviteSession", response: Response | None, now: float) -> None:
        """Remember the verdict on an INVITE (None: a 2xx), for the peer that asks again."""

    def timer_policy(self, peer: object) -> "TimerPolicy":
        """What we want of session timers with this peer."""

    def session_headers(self, peer: object) -> HeaderList:
        """Allow and Supported, as INVITEs and their 2xx carry them to this peer."""

    def server_header(self) -> HeaderList:
        """Who answers."""

    def user_agent_header(self) -> HeaderList:
        """Who asks."""

    def session_uuid(self, invite: Request, *, is_ours: bool) -> str:
        """Our half of the Session-ID of an INVITE: a fresh one for ours, the one that its refusal has for a peer's."""

    def between(self, low: float, high: float) -> float:
        """A random number of seconds."""
