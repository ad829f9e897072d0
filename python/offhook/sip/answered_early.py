"""Reliable provisional responses to a re-INVITE of ours: RFC 3262 sections 4 and 5."""

from dataclasses import replace

from offhook.sip.headers.rack import RAck
from offhook.sip.message import Response
from offhook.sip.reliable import Order, ProvisionalOrder, is_reliable
from offhook.sip.session_core import SDP


class EarlyAnswer:
    """What the peer has said to one re-INVITE before its final response, and what each of it is acknowledged with."""

    __slots__ = ("_order", "_sdp")

    def __init__(self) -> None:
        self._order = ProvisionalOrder()
        self._sdp: bytes | None = None

    def take(self, response: Response, *, offered: bool) -> RAck | None:
        """What the PRACK of a 1xx says; None if none is to leave: it is not reliable, known, or one before is missing.

        Nor does one leave where the re-INVITE made no offer and this brings the peer's: it would have to be answered.
        """
        if not is_reliable(response) or (response.sdp and not offered):
            return None
        assert response.rseq is not None, "it is reliable"
        if self._order.take(response.rseq) is not Order.NEXT:
            return None
        self._sdp = self._sdp or response.sdp
        return RAck(response.rseq, response.cseq.number, response.cseq.method)

    def complete(self, response: Response) -> Response:
        """The final response, with the answer that came before it where a 2xx doesn't repeat that."""
        if not response.is_success or response.body or self._sdp is None:
            return response
        return replace(response, headers=response.headers.replacing("Content-Type", SDP), body=self._sdp)
