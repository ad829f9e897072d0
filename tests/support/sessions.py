"""Sessions that are up, for tests of what happens within them: the peer is always alice at 192.0.2.1."""

from offhook.sip.events import InviteReceived
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request

from .messages import SDP, request, response
from .solo import Solo


def callee(solo: Solo) -> InviteSession:
    """A session that the peer set up."""
    solo.receive(request(body=SDP))
    session: InviteSession = solo.told(InviteReceived)[-1].session
    solo.do(session.answer, SDP)
    solo.receive(within(session, "ACK", 1))
    return session


def caller(solo: Solo) -> InviteSession:
    """A session that we set up."""
    session: InviteSession = solo.invite("sip:alice@192.0.2.1")
    solo.receive(response(solo.requests("INVITE")[-1], 200, "alice", body=SDP))
    return session


def within(
    session: InviteSession,
    method: str,
    cseq: int,
    body: bytes = b"",
    *headers: str,
    branch: str = "",
    tag: str | None = None,
    **options: str,
) -> Request:
    """A request of the peer within the dialog; `tag` is that of another fork, `headers` are whole lines."""
    return request(
        method,
        *headers,
        to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}",
        from_=f"<sip:alice@192.0.2.1>;tag={tag or session.remote_tag}",
        call_id=session.sip_call_id,
        branch=branch or f"z9hG4bK{method}{cseq}",
        cseq=cseq,
        body=body,
        **options,
    )
