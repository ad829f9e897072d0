"""Sessions with a timer, of one user agent and a peer that is written by hand: tests of RFC 4028 share them."""

from offhook.sip.events import InviteReceived
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request
from offhook.sip.user_agent import UserAgentConfig

from . import sessions
from .messages import SDP, request, response
from .solo import Solo

OURS = b"v=0\r\no=- 7 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\n"
KNOWS = "Supported: timer"
TAKES_UPDATE = "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE"


def callee(solo: Solo, *headers: str) -> InviteSession:
    """A session that the peer has set up with these headers, answered with `OURS` and acknowledged."""
    solo.receive(request("INVITE", *headers, body=SDP))
    session: InviteSession = solo.told(InviteReceived)[-1].session
    solo.do(session.answer, OURS)
    solo.receive(within(session, "ACK", 1))
    return session


def caller(solo: Solo, *headers: tuple[str, str]) -> InviteSession:
    """A session that we have set up with the offer `OURS`; the peer's 200 has these headers."""
    session: InviteSession = solo.invite("sip:alice@192.0.2.1", OURS)
    solo.receive(response(solo.requests("INVITE")[-1], 200, "alice", *headers, body=SDP))
    return session


def asked(solo: Solo, method: str) -> list[Request]:
    """The requests that it sent by method, without repetitions on the wire."""
    return list({request.cseq.number: request for request in solo.requests(method)}.values())


def within(session: InviteSession, method: str, cseq: int, *headers: str, body: bytes = b"") -> Request:
    """A request of the peer within the dialog."""
    return sessions.within(session, method, cseq, body, *headers)


def asking(seconds: int) -> UserAgentConfig:
    """A user agent that asks for a session timer."""
    return UserAgentConfig(session_timer=seconds)
