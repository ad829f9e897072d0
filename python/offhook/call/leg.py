"""The caller's leg: one SIP session, one RTP leg, and what they agreed on."""

from collections.abc import Callable
from dataclasses import replace

from offhook._media import MediaError, MediaEvent
from offhook.call.leg_media import RELEASE_AFTER, LegMedia, Proposal
from offhook.call.refused import Refused, no_media
from offhook.call.services import MediaAddress
from offhook.call.trace import host_port
from offhook.media.plane import MediaPlane
from offhook.sdp import negotiate
from offhook.sdp.description import SessionDescription
from offhook.sdp.negotiate import Judgement
from offhook.sdp.terms import NegotiatedAudio
from offhook.sip.message import Request


class CallerLeg(LegMedia):
    """The side of a call that dialled us. Its sound and its signalling end together.

    The caller of these methods is the `Call`; SIP verbs take `now` and are performed by the stack afterwards.
    """

    @property
    def contact(self) -> str:
        """Where we have asked the caller to send its requests."""
        response = self.session.response
        return (response.headers.get("Contact") if response is not None else None) or "our Contact"

    def prepare(
        self,
        request: Request,
        now: float,
        media: MediaPlane,
        media_address: MediaAddress,
        *,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
    ) -> Refused | None:
        """Judge the offer of the INVITE, take a port for what it names, and write the answer; or why not.

        In this order: a call that is refused takes no port, and where the caller is decides which it gets. The offer
        may be a part of a multipart, as gateways with ISUP send it. Without one the 200 will carry our offer (RFC 3261
        section 13.2.1).
        """
        judged = self._judge(request.sdp, now) if request.sdp is not None else None
        if isinstance(judged, Refused):
            return judged
        self._media_address = media_address
        try:
            refused = self._open(media, judged.audio if judged is not None else None, on_event, on_error)
            if refused is None and judged is not None:
                self._answer_offer(judged, now)
        except MediaError as error:
            return no_media(error)
        if refused is not None:
            return refused
        if judged is None:
            self._offered = self._offer()
            self._timeline.add(
                "sdp", now, note="the INVITE has no SDP: the offer is ours, and the PRACK or the ACK must answer it"
            )
        return None

    @property
    def can_be_heard_early(self) -> bool:
        """Whether sound can flow before the answer: it is known where to, or our offer in a 183 can be answered."""
        return self._description is not None or self.session.reliability != "none"

    @property
    def awaits_prack(self) -> bool:
        """Whether our offer has left in a 180, and its answer is still to come."""
        return self._offered_early and self._description is None

    @property
    def has_rung_early(self) -> bool:
        """Whether a 183 with SDP has left, and the call is not answered."""
        return self._rung_early

    @property
    def is_heard_early(self) -> bool:
        """Whether sound flows to somebody who listens, and the call is not answered."""
        return self._early and not self.is_quiet

    def ring(self, now: float) -> bool:
        """180, without SDP where that is possible; False if the INVITE has its final response already.

        Who made no offer gets ours in the first reliable response (RFC 3262 section 5), so in this one if it is.
        """
        wanted = self._trunk.prack == "always"
        is_reliable = self.session.reliability == "required" or (wanted and self.session.reliability == "supported")
        offers = self._description is None and is_reliable
        self._offered_early = offers
        return self.session.ring(sdp=self._sdp if offers else None, reliable=wanted, now=now)

    def ring_early(self, now: float) -> bool:
        """183 with our SDP, and RTP from this moment on, silence first; `can_be_heard_early` comes before.

        Where it carries our offer, RTP waits for the answer in the PRACK. False if the INVITE has its final response.
        """
        reliable = self._description is None or self._trunk.prack != "required"
        if not self.session.ring(183, self._sdp, reliable=reliable, now=now):
            return False
        self._rung_early = True
        if self._description is not None:
            self._start_early()
        return True

    def answer(self, now: float, *, is_speaking: bool = False) -> bool:
        """200 with the SDP of the 183, if there was one, and RTP from this moment on.

        Only an offerless INVITE has to wait for the ACK to know where to. What the agent says is held back for a
        moment, unless it `is_speaking` already. False, and nothing happens, if the INVITE has its final response: a
        CANCEL was faster. True while `session.is_answer_held`, too: `answered` comes when the 200 has left.
        """
        if not self.session.answer(self._sdp, now=now):
            return False
        if not self.session.is_answer_held:
            self.answered(is_speaking=is_speaking)
        return True

    def answered(self, *, is_speaking: bool = False) -> None:
        """The 200 has left."""
        self._rung_early = False
        if self._early:
            self._early = False
            after = 0.0 if is_speaking else RELEASE_AFTER
            self.rtp.start(release_after=None if self.is_quiet else after)
        elif self._description is not None:
            self._start()

    def pracked(self, body: bytes, now: float) -> Refused | None:
        """Take the PRACK that has to answer the offer in our 18x. Returns why the call can't go on."""
        offered, self._offered = self._offered, None
        if offered is None:
            return None
        judged = self._accept(offered, body, now)
        if isinstance(judged, Refused):
            return judged
        self._description = offered
        try:
            self._agree(judged, now)
        except MediaError as error:
            # Where to move is nothing that can be offered before the answer.
            return no_media(error)
        if self._rung_early:
            self._start_early()
        return None

    def prack_offered(self, request: Request, now: float) -> None:
        """Answer an offer in a PRACK. RFC 3262 section 3 lets nobody refuse it: without a word, all stays as it is."""
        judged = self._judge(request.sdp or b"", now)
        refused = judged if isinstance(judged, Refused) else self._change(judged, now)
        if refused is not None:
            self._timeline.add("sdp", now, note=f"the offer in the PRACK can't be taken: {refused.detail}")
        self.session.answer_prack(self._sdp if refused is None else None, now=now)

    def acknowledged(self, body: bytes, now: float, *, answers: bool) -> Refused | None:
        """Take the ACK: the answer to our offer if it `answers` one. Returns why the call can't go on, if it can't.

        One that comes late may be to another 2xx than that with our offer, whose own ACK is still to come.
        """
        self._acknowledged = True
        offered = self._offered if answers else None
        if offered is None:
            self._let_speak()
            return None
        self._offered = None
        if not body and self.audio is not None:
            self._unanswered(now)
            return None
        judged = self._accept(offered, body, now)
        return judged if isinstance(judged, Refused) else self._follow(offered, judged, now)

    def reinvite_answered(self, body: bytes, now: float) -> Refused | None:
        """Take the answer to a re-INVITE of ours. Returns why the call can't go on, if it can't."""
        proposed, self._proposed = self._proposed, None
        if proposed is None:
            # Nothing of ours waits any more.
            return None
        if not body and not proposed.moves:
            self._seen(proposed.description)
            self._unanswered(now)
            return None
        judged = self._accept(proposed.description, body, now)
        if isinstance(judged, Refused):
            return judged
        self.holds = proposed.hold
        return self._follow(proposed.description, judged, now, moved=proposed.moves)

    def refresh_answered(self, body: bytes, now: float) -> Refused | None:
        """Take the answer to what stands, offered again. Returns why the call can't go on, if it can't."""
        assert self._description is not None, "something is in force"
        judged = self._accept(self._description, body, now)
        return judged if isinstance(judged, Refused) else self._follow(self._description, judged, now)

    def reinvite_refused(self) -> bool:
        """Our re-INVITE was refused. True if the call can't go on for that: the caller's sound has no other way."""
        proposed, self._proposed = self._proposed, None
        if proposed is not None:
            self._seen(proposed.description)
        return proposed is not None and proposed.moves

    def reinvited(self, request: Request, now: float) -> None:
        """Answer an offer of the caller's; on failure the media session stays as it was (RFC 3261 section 14.2)."""
        assert self._local is not None, "a re-INVITE comes within a session"
        if not self.session.waits_for_answer(request):
            self._timeline.add("sdp", now, note="the caller has taken back its change before it was looked at")
            return
        if self._proposed is not None:
            # It has met this one of the caller's, and comes again.
            self._seen(self._proposed.description)
        if request.sdp is None:
            # RFC 3261 section 14.2: an offer that is no less than what is in use.
            self._offered = self._offer()
            self._seen(self._offered)
            self._propose_again(now)
            self.session.answer_reinvite(bytes(self._offered), now=now)
            return
        judged = self._judge(request.sdp, now)
        refused = judged if isinstance(judged, Refused) else self._change(judged, now)
        if refused is not None:
            self._timeline.add("sdp", now, note=f"the change is refused and the call stays as it was: {refused.detail}")
            self.session.reject_reinvite(refused.status or refused.reason.sip_status or 488, now=now)
            return
        assert self._description is not None, "an accepted offer has an answer"
        self._propose_again(now)
        self.session.answer_reinvite(bytes(self._description), now=now)

    def ask_hold(self, hold: bool, now: float) -> bool:
        """Offer to hold the caller, or to have it back: `reinvite_answered` or `reinvite_refused` takes what comes.

        One at a time; False if the session is not up.
        """
        assert self._proposed is None, "one offer at a time"
        if self.audio is None or not self._propose(hold=hold, moves=False, now=now):
            self._proposed = None
            return False
        return True

    @property
    def is_asking(self) -> bool:
        """Whether an offer of ours waits for its answer."""
        return self._proposed is not None

    def _follow(
        self, offered: SessionDescription, audio: NegotiatedAudio, now: float, *, moved: bool = False
    ) -> Refused | None:
        """Let media flow as the answer to our offer says; the offer named a port before anybody knew the caller's."""
        self._description = offered
        if self.audio is not None and self.audio.is_same_as(audio):
            return None
        try:
            self._agree(audio, now)
        except MediaError as error:
            if error.code != "collision" or audio.remote is None or moved:
                return no_media(error)
            return self._offer_another_port(audio.remote, now)
        self._start()
        self._let_speak()
        return None

    def _offer_another_port(self, remote: tuple[str, int], now: float) -> Refused | None:
        """Another call of our port has the address that the caller has named: the sound begins on another port."""
        assert self._local is not None, "our offer named a port"
        try:
            _, port = self.rtp.place(remote)
        except MediaError as error:
            return no_media(error)
        self._local = replace(self._local, port=port)
        note = f"another call on our port has the caller's {host_port(remote)}: our end moves to {self.local_media}"
        self._timeline.add("sdp", now, note=note)
        self._propose(hold=self.holds, moves=True, now=now)
        return None

    def _propose(self, *, hold: bool, moves: bool, now: float) -> bool:
        """Offer a change by re-INVITE; it replaces one that has not left yet."""
        self._proposed = Proposal(self._offer(hold=hold, moves=moves), hold, moves)
        return self.session.reinvite(bytes(self._proposed.description), now=now)

    def _propose_again(self, now: float) -> None:
        """Ours has not left yet, and what it was made for is no more: the version of our SDP, for one.

        Before the answer leaves, since what waits behind an UPDATE leaves right behind it.
        """
        if self._proposed is not None:
            self._propose(hold=self._proposed.hold, moves=self._proposed.moves, now=now)

    def _offer(self, *, hold: bool | None = None, moves: bool = False) -> SessionDescription:
        assert self._local is not None, "a port comes before an offer"
        was, terms = self.audio, self._terms
        if was is not None and (moves or hold is None):
            # RFC 4568 section 7.1.4: who moves brings new keys. And who asks for an offer may hand it to somebody else.
            was = replace(was, crypto=None)
        elif was is not None:
            # A hold is no occasion to speak another codec.
            terms = replace(terms, codecs=(was.codec,))
        return negotiate.offer(
            self._local,
            terms,
            hold=self.holds if hold is None else hold,
            previous=self._description,
            newest=self._newest,
            was=was,
            fresh=self._fresh_keys(),
        )

    def _unanswered(self, now: float) -> None:
        self._timeline.add("sdp", now, note="nothing came that answers our offer: the call stays as it was")

    def _change(self, judgement: Judgement, now: float) -> Refused | None:
        """Answer an offer within the call; or why not, and then all is as it was."""
        assert self._local is not None, "a change comes within a session"
        before = self._local
        if self.audio is not None and self.audio.is_same_as(judgement.audio):
            self._description = negotiate.answer(judgement, before, previous=self._said, newest=self._newest)
            return None
        try:
            refused = self._relocate(judgement.audio, now)
            if refused is None:
                if self._local != before and self._terms.srtp != "off":
                    # RFC 4568 section 7.1.4: who moves brings a new key.
                    judgement = self._weigh(judgement.description, moved=True)
                self._answer_offer(judgement, now)
        except MediaError as error:
            self._local, refused = before, no_media(error)
        return refused

    def _relocate(self, audio: NegotiatedAudio | None, now: float) -> Refused | None:
        """Have a port that can serve what the caller offers now; the one before plays on until the caller has moved."""
        assert self._local is not None, "a change comes within a session"
        if audio is None or audio.remote is None:
            return None
        ours: str | Refused = self._local.address
        if audio.family not in (None, self.media_family):
            ours = self._our_address(audio)
        if isinstance(ours, Refused):
            return ours
        _, port = self.rtp.place(audio.remote)
        if (ours, port) != (self._local.address, self._local.port):
            self._local = replace(self._local, address=ours, port=port)
            self._timeline.add("sdp", now, note=f"our end of the media moves to {self.local_media}")
        return None
