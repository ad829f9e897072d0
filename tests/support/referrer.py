"""A session of ours within which a REFER is sent, and a peer that answers and reports by hand, message by message."""

from offhook.sip.events import InviteReceived, ReferOver
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request, Response
from offhook.sip.refer import ReferOutcome

from .messages import SDP, UDP, request
from .solo import Solo

TARGET = "<tel:+14155550100>"


class Referrer(Solo):
    """The gateway as callee of a session that is up; `refer` sends a REFER in it."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.receive(request(body=SDP))
        self.session: InviteSession = self.told(InviteReceived)[-1].session
        self.do(self.session.answer, SDP)
        self.receive(self.within("ACK", 1))
        self._cseq = 1

    def within(
        self, method: str, cseq: int, *headers: str, body: bytes = b"", kind: str = "message/sipfrag"
    ) -> Request:
        """A request of the peer within the dialog."""
        return request(
            method,
            *headers,
            to=f"<sip:bob@192.0.2.2>;tag={self.session.local_tag}",
            from_=f"<sip:alice@192.0.2.1>;tag={self.session.remote_tag}",
            call_id=self.session.sip_call_id,
            branch=f"z9hG4bK{method}{cseq}",
            cseq=cseq,
            body=body,
            content_type=kind,
        )

    def refer(
        self, target: str = TARGET, *headers: tuple[str, str], timeout: float = 60.0, **options: object
    ) -> Request:
        """Send a REFER; what left."""
        assert self.do(self.session.refer, target, headers, timeout=timeout, **options)
        return self.requests("REFER")[-1]

    def answered(self, refer: Request, status: int, *headers: tuple[str, str], reason: str | None = None) -> None:
        """The peer answers the REFER."""
        self.receive(refer.response(status, reason, headers=headers))

    def notified(
        self,
        body: bytes | str = b"",
        state: str | None = "active;expires=60",
        event: str | None = "refer",
        *,
        kind: str = "message/sipfrag;version=2.0",
        cseq: int | None = None,
    ) -> int:
        """The peer reports; the status by which we answer."""
        if cseq is None:
            self._cseq = cseq = self._cseq + 1
        headers = [
            *([f"Event: {event}"] if event is not None else []),
            *([f"Subscription-State: {state}"] if state is not None else []),
        ]
        content = body.encode() if isinstance(body, str) else body
        [answer] = self.receive(self.within("NOTIFY", cseq, *headers, body=content, kind=kind), UDP)
        assert isinstance(answer, Response)
        return answer.status

    def bye(self) -> None:
        """The peer hangs up."""
        self._cseq += 1
        self.receive(self.within("BYE", self._cseq))

    @property
    def outcome(self) -> ReferOutcome | None:
        """The one end that was told, None so far."""
        told = self.told(ReferOver)
        assert len(told) <= 1, "a REFER ends once"
        return told[0].outcome if told else None

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.run(self.clock.elapsed + seconds)
