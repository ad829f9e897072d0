"""The callee's provisional responses, their PRACKs, and the 200 that waits for these: RFC 3261 13.3.1.1, RFC 3262."""

from typing import TYPE_CHECKING, Literal

from offhook.sip import in_dialog
from offhook.sip.events import AnswerLeft, Pracked, PrackMissing, PrackOffered
from offhook.sip.message import Request
from offhook.sip.offer_answer import OfferAnswer
from offhook.sip.reliable import HIGHEST_FIRST_RSEQ, OPTION_TAG, ReliableProvisionals
from offhook.sip.reliable import State as ReliableState
from offhook.sip.session_core import HeaderList
from offhook.sip.session_state import UNANSWERED
from offhook.sip.timers import earliest
from offhook.sip.transaction.layer import AnyServerTransaction
from offhook.sip.transaction.server import ServerTransaction

if TYPE_CHECKING:
    from offhook.sip.invite import InviteSession

INTERVAL = 60.0
"""RFC 3261 13.3.1.1: a 1xx is sent again every minute, lest proxies give up."""

NO_PRACK_REASON: HeaderList = (("Reason", 'SIP;cause=408;text="PRACK never came"'),)
"""RFC 3326: what the refusal after a missing PRACK says."""

Reliability = Literal["none", "supported", "required"]
"""Whether the caller takes reliable provisional responses, or takes no other ones."""


def reliability(invite: Request) -> Reliability:
    """What an INVITE says of RFC 3262."""
    if OPTION_TAG in invite.require:
        return "required"
    return "supported" if OPTION_TAG in invite.supported else "none"


class Provisionals:
    """What was sent before the answer, and what is waited for.

    The session is handed in and not kept: what is over has to be freed at once, not when the collector looks.
    """

    __slots__ = ("_again_at", "_answered", "_held", "_last", "_line", "_lingers_until", "_offer")

    def __init__(self) -> None:
        self._answered: bytes | None = None
        self._last: tuple[int, HeaderList, bytes | None] | None = None
        self._again_at: float | None = None
        self._line: ReliableProvisionals | None = None
        self._held: tuple[bytes, HeaderList] | None = None
        self._offer: ServerTransaction | None = None
        self._lingers_until: float | None = None

    @property
    def holds_answer(self) -> bool:
        """Whether a 200 waits for a PRACK."""
        return self._held is not None

    @property
    def is_unacknowledged(self) -> bool:
        """Whether a PRACK may still come."""
        return self._line is not None and self._line.is_unacknowledged

    def is_awaited(self, request: Request) -> bool:
        """Whether this is the PRACK that is waited for, though a later request of the caller's has overtaken it.

        RFC 3261 12.2.2 refuses it. But it is not sent a second time once it has its answer, and the call would end for
        it: RAck says by itself that it is no old one.
        """
        return request.method == "PRACK" and self._line is not None and self._line.awaits(request.rack)

    # ------------------------------------------------------------------ ours

    def ring(
        self,
        session: "InviteSession",
        status: int,
        sdp: bytes | None,
        headers: HeaderList,
        *,
        reliable: bool,
        now: float,
    ) -> bool:
        """Send it, or let it wait for the PRACK of the one before. False if too many wait."""
        wanted = reliability(session.request)
        if wanted == "required" or (wanted == "supported" and reliable):
            if not self._send_reliably(session, status, sdp, headers, now):
                return False
            # It was received for certain; what is said again every minute is that the call rings.
            sdp = None
        else:
            session.respond(session.response_to_invite(status, headers, sdp), now)
        self._last = status, headers, sdp
        self._again_at = now + INTERVAL
        session.core.arm(session)
        return True

    def _send_reliably(
        self, session: "InviteSession", status: int, sdp: bytes | None, headers: HeaderList, now: float
    ) -> bool:
        line = self._line
        if line is None:
            first = int(session.core.between(1, HIGHEST_FIRST_RSEQ))
            line = self._line = ReliableProvisionals(session.core.timers, session.request.cseq.number, first)
        if line.is_full:
            return False
        sdp = sdp and self.still_said(session, sdp)
        headers = (*session.core.session_headers(session.peer), *headers) if sdp else headers
        leaves = line.send(session.response_to_invite(status, headers, sdp), now)
        if leaves is not None:
            session.respond(leaves, now)
        return True

    def hold(self, sdp: bytes, headers: HeaderList) -> bool:
        """Keep a 200 back while SDP of ours is not acknowledged (RFC 3262 section 5); False if it may leave."""
        if self._offer is None and (self._line is None or not self._line.holds_final):
            return False
        self._held = sdp, headers
        return True

    def still_said(self, session: "InviteSession", sdp: bytes) -> bytes | None:
        """What a response says of the media: as the one before it, or nothing where that would look like an offer."""
        assert session.dialog is not None, "a received INVITE has its dialog"
        return None if session.dialog.offers.is_agreed and sdp != self._answered else sdp

    # ------------------------------------------------------------------ the peer's PRACK

    def receive(self, session: "InviteSession", transaction: AnyServerTransaction, now: float) -> None:
        """A PRACK: 481 if it matches nothing, else 200, at once or with the answer to the offer in it."""
        request = transaction.request
        # Read first: what can't be read acknowledges nothing.
        sdp = request.sdp
        response = self._line.acknowledge(request.rack) if self._line is not None else None
        if response is None:
            in_dialog.answer(session, transaction, 481, now)
            return
        if session.state not in UNANSWERED:
            in_dialog.answer(session, transaction, 200, now)
            return
        assert session.dialog is not None, "a received INVITE has its dialog"
        offers = session.dialog.offers
        asked = bool(response.sdp) and not offers.is_agreed and self._describe(offers, response.sdp or b"")
        if asked:
            _ = offers.answered() if sdp else offers.withdraw()
        elif sdp and offers.may_offer:
            assert isinstance(transaction, ServerTransaction), "made for a PRACK"
            offers.offered()
            self._offer = transaction
            session.core.tell(PrackOffered(session, request))
            return
        in_dialog.answer(session, transaction, 200, now)
        session.core.tell(Pracked(session, request, answers=asked))
        self._proceed(session, now)

    def _describe(self, offers: OfferAnswer, sdp: bytes) -> bool:
        """The first SDP of ours has arrived: as the answer to the INVITE's offer, or else (True) as an offer."""
        if offers.answer(sdp):
            self._answered = sdp
            return False
        return offers.offer(sdp)

    def answer(self, session: "InviteSession", sdp: bytes | None, now: float) -> bool:
        """Answer the offer in a PRACK, which RFC 3262 section 3 lets nobody refuse; None leaves all as it was."""
        transaction, self._offer = self._offer, None
        if transaction is None or session.dialog is None:
            return False
        offers = session.dialog.offers
        _ = offers.answer(sdp) if sdp else offers.withdraw()
        in_dialog.answer(session, transaction, 200, now, sdp=sdp)
        if sdp:
            self._answered = None
        self._proceed(session, now)
        return True

    def _proceed(self, session: "InviteSession", now: float) -> None:
        """What waited for a PRACK can leave: the next provisional response, then the 200."""
        assert self._line is not None, "something was acknowledged"
        following = self._line.next(now)
        if following is not None:
            session.respond(following, now)
        if self._held is not None and self._offer is None and not self._line.holds_final:
            sdp, headers = self._held
            self._held = None
            session.accept(sdp, headers, now)
            session.core.tell(AnswerLeft(session))
        session.renegotiation.try_ours(session, now)

    # ------------------------------------------------------------------ time, and the end

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        line = self._line.next_timeout() if self._line is not None else None
        return earliest(line, self._again_at, self._lingers_until)

    def handle_timeout(self, session: "InviteSession", now: float) -> None:
        """Repeat what wants repeating, give up what is too late."""
        line = self._line
        if line is not None:
            again = line.handle_timeout(now)
            if again is not None:
                session.respond(again, now)
            elif line.state is ReliableState.MISSING and session.state in UNANSWERED:
                session.prack_missing(now)
                session.core.tell(PrackMissing(session))
        if self._again_at is not None and now >= self._again_at:
            self._ring_again(session, now)
        if self._lingers_until is not None and now >= self._lingers_until:
            self._lingers_until = None
            session.forget_dialog()

    def _ring_again(self, session: "InviteSession", now: float) -> None:
        assert self._last is not None, "set together"
        self._again_at = now + INTERVAL
        status, headers, sdp = self._last
        if reliability(session.request) != "required":
            session.respond(session.response_to_invite(status, headers, sdp), now)
        elif self._line is not None and not self._line.is_unacknowledged:
            # A response once acknowledged is never sent again: this is a new one.
            self._send_reliably(session, status, None, headers, now)

    def final(self) -> None:
        """The final response leaves."""
        self._again_at = None
        if self._line is not None:
            self._line.end()

    def end(self, session: "InviteSession", now: float) -> bool:
        """The session is over. True if its dialog has to live on for a while, for a PRACK that is under way."""
        self.final()
        self._held = None
        offer, self._offer = self._offer, None
        if offer is not None and not offer.terminated:
            in_dialog.answer(session, offer, 487, now)
        self._lingers_until = now + session.core.timers.transaction if self.is_unacknowledged else None
        return self.is_unacknowledged

    def drop(self) -> None:
        """Forget all of it as it stands."""
        self._line = self._offer = self._held = self._again_at = None
