"""What every message of a session carries, whoever writes it: Session-ID, and what the layer above wants said."""

from offhook.sip.causes import NORMAL_CLEARING, why_refused, with_reason
from offhook.sip.headers.session_id import SessionId
from offhook.sip.message import Request, Response
from offhook.sip.outgoing import NOTHING, Outgoing
from offhook.sip.session_core import HeaderList

_COMPLETING = frozenset({"ACK", "PRACK"})


class Letterhead:
    """The pair of session ids, learned from what the peer sends, and the header fields that go into ours."""

    __slots__ = ("outgoing", "session_id")

    def __init__(self, uuid: str) -> None:
        self.session_id = SessionId(uuid)
        """Ours first, then the peer's, as our messages have it."""
        self.outgoing: Outgoing = NOTHING

    def hear(self, message: Request | Response) -> None:
        """Learn the peer's half (RFC 7989 section 6)."""
        theirs = message.session_id
        if theirs is not None:
            self.session_id = self.session_id.hearing(theirs)

    def meet(self, theirs: SessionId | None) -> None:
        """From now on it is with this peer alone: what other forks have called the session is forgotten."""
        self.session_id = self._with(theirs)

    @property
    def mark(self) -> HeaderList:
        """Session-ID as it stands now."""
        return (("Session-ID", str(self.session_id)),)

    def towards(self, theirs: SessionId | None) -> HeaderList:
        """Session-ID towards one fork, whatever others have called the session."""
        return (("Session-ID", str(self._with(theirs))),)

    def _with(self, theirs: SessionId | None) -> SessionId:
        alone = SessionId(self.session_id.local)
        return alone if theirs is None else alone.hearing(theirs)

    def of_request(self, method: str, headers: HeaderList = ()) -> HeaderList:
        """What a request within the dialog gets, `headers` among it; every BYE says why (RFC 3326)."""
        if method == "BYE":
            return with_reason((*headers, *self.outgoing.bye), NORMAL_CLEARING)
        if method in _COMPLETING or not self.outgoing.requests:
            return headers
        # What a request says itself, such as a REFER for its target, is not said a second time.
        said = {name.lower() for name, _ in headers}
        return (*headers, *(field for field in self.outgoing.requests if field[0].lower() not in said))

    def of_answer(self, status: int, headers: HeaderList) -> HeaderList:
        """What a response to the INVITE gets, `headers` among it; every refusal says why (RFC 6432)."""
        if status < 200:
            return headers
        headers = (*headers, *self.outgoing.answer)
        return headers if status < 300 else with_reason(headers, why_refused(status))
