"""An early dialog of an INVITE of ours: one fork, with its own order of responses and its own offer and answer."""

from offhook.sip.dialog import Dialog
from offhook.sip.headers.rack import RAck
from offhook.sip.headers.session_id import SessionId
from offhook.sip.message import Response
from offhook.sip.reliable import Order, ProvisionalOrder, is_reliable


class EarlyDialog:
    """What one To tag has said so far (RFC 3261 12.1.2, RFC 3262 section 4)."""

    __slots__ = ("_order", "allows", "dialog", "is_gone", "owed", "session_id")

    def __init__(self, dialog: Dialog) -> None:
        self.dialog = dialog
        self.allows: frozenset[str] | None = None
        """The methods that this fork has said it takes."""
        self.session_id: SessionId | None = None
        """What this fork calls the session (RFC 7989)."""
        self.is_gone = False
        """Whether a 199 has said that this fork will not answer (RFC 6228)."""
        self.owed: RAck | None = None
        """The response whose offer our PRACK has to answer."""
        self._order = ProvisionalOrder()

    def take(self, response: Response) -> bool:
        """Whether a response is new and in turn; repeated ones are not, nor those before which another is missing."""
        if not is_reliable(response):
            return True
        assert response.rseq is not None, "it is reliable"
        return self._order.take(response.rseq) is Order.NEXT

    def acknowledgement(self, response: Response) -> RAck | None:
        """What the PRACK of a reliable response that was taken says; None if none may leave now.

        Its SDP answers the INVITE's offer. If that made none, it is the peer's, and is `owed` our answer.
        """
        if not is_reliable(response):
            return None
        assert response.rseq is not None, "it is reliable"
        rack = RAck(response.rseq, response.cseq.number, response.cseq.method)
        offers = self.dialog.offers
        if response.sdp and not offers.is_agreed and not offers.answered() and offers.offered():
            self.owed = rack
            return None
        return rack
