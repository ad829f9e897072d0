"""The dialogs that live, and who may speak within them: RFC 3261 section 12.2.2."""

from offhook.sip.dialog import DialogId
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request


class DialogTable:
    """Sessions by the ids of their dialogs; a call of ours that forks has several."""

    __slots__ = ("_sessions",)

    def __init__(self) -> None:
        self._sessions: dict[DialogId, InviteSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def bind(self, session: InviteSession, dialog_id: DialogId) -> None:
        """Requests within this dialog belong to `session` from now on."""
        self._sessions[dialog_id] = session

    def unbind(self, dialog_id: DialogId) -> None:
        """The dialog is no more."""
        self._sessions.pop(dialog_id, None)

    def find(self, request: Request) -> InviteSession | None:
        """Whose dialog a request is for, by its Call-ID and tags alone."""
        return self._sessions.get(DialogId(request.call_id, request.to.tag or "", request.from_.tag or ""))

    def flows(self) -> set[int]:
        """The flows by which the peers are reached."""
        return {session.flow for session in self._sessions.values() if session.flow is not None}


def is_peer_of(session: InviteSession, peer: object) -> bool:
    """Whether whom the screen has admitted is the one whom the session is with."""
    return session.peer is None or session.peer is peer or session.peer == peer
