"""The called party's leg: our offer goes out first, several phones may ring, and one of them answers."""

from collections.abc import Callable
from dataclasses import replace

from offhook._media import MediaError, MediaEvent
from offhook.call.end_reason import EndReason
from offhook.call.leg import CallerLeg
from offhook.call.leg_media import terms_of
from offhook.call.refused import Refused, no_media
from offhook.call.services import MediaAddress
from offhook.media.leg import RtpLeg
from offhook.media.plane import MediaPlane
from offhook.report.timeline import Timeline
from offhook.route.trunk import Trunk
from offhook.sip.effects import Source
from offhook.sip.forks import Forks
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request, Response


class CalleeLeg(CallerLeg):
    """The side of a call that we dialled. `open` comes first, then `dialled`; from the answer on it is like any leg.

    `source` is where the trunk is, and the address of ours towards it.
    """

    def __init__(self, source: Source, trunk: Trunk, timeline: Timeline) -> None:
        super().__init__(None, source, trunk, timeline)
        self._forks = Forks()
        self._changed_early = False

    @property
    def forks(self) -> int:
        """How many phones have rung, or begun to."""
        return self._forks.count

    @property
    def offer(self) -> bytes:
        """The SDP of our INVITE; `open` comes before."""
        return self._sdp

    def open(
        self,
        media: MediaPlane,
        media_address: MediaAddress,
        *,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
        beside: RtpLeg | None = None,
    ) -> Refused | None:
        """Take a port and write the offer; or why not. Nobody knows yet where sound will come from.

        `beside` is a leg that this one will be joined to.
        """
        self._media_address = media_address
        try:
            refused = self._open(media, None, on_event, on_error, beside)
        except MediaError as error:
            return no_media(error)
        if refused is None:
            self._offered = self._offer()
        return refused

    def face(self, source: Source, trunk: Trunk | None = None) -> Refused | None:
        """Turn to another target before anybody was heard, of another trunk if it is given; or why that can't be.

        Where our address towards it is another one, the offer is written anew. On a refusal all is as it was.
        """
        before = self.source, self._trunk, self._terms
        self.source = source
        if trunk is not None:
            self._trunk, self._terms = trunk, terms_of(trunk)
        try:
            refused = self._move_to_source(anew=trunk is not None)
        except MediaError as error:
            refused = no_media(error)
        if refused is not None:
            self.source, self._trunk, self._terms = before
        return refused

    def _move_to_source(self, *, anew: bool) -> Refused | None:
        assert self._local is not None, "open comes first"
        ours = self._our_address(None)
        if isinstance(ours, Refused):
            return ours
        if ours == self._local.address and not anew:
            return None
        port = self._local.port
        if (":" in ours) != (":" in self._local.address):
            # Where its sound will come from is not known yet, but by which IP version.
            _, port = self.rtp.place(self.source.remote)
        self._local = replace(self._local, address=ours, port=port)
        self._offered = self._offer()
        return None

    def dialled(self, session: InviteSession) -> None:
        """The session of the INVITE that carries the offer."""
        self.session = session

    def _see_who_speaks(self) -> None:
        """Of several places that were called at once, the other side is the one that has said something last."""
        target = self.session.path.target
        if target is not None and target.remote != self.source.remote:
            self.source = Source(target.transport, target.remote, self.source.local)

    def rang(self, response: Response, now: float, *, listen: bool) -> bool:
        """Take a provisional response. True if it brings sound before the answer, which flows to us with `listen`.

        What is said to the other side meanwhile waits: it is the answer that lets it out.
        """
        self._see_who_speaks()
        sdp = self._forks.rang(response)
        if sdp is None or not listen or self._offered is None:
            return False
        # Another phone than the one that was heard so far owes nothing to what that one has agreed to.
        self.audio = None
        judged = self._accept(self._offered, sdp, now)
        if isinstance(judged, Refused):
            self._timeline.add("sdp", now, note=f"no sound before the answer: {judged.detail}")
            return False
        try:
            self._agree(judged, now)
        except MediaError as error:
            self._timeline.add("sdp", now, note=f"no sound before the answer: {error}")
            return False
        if not self._started:
            self._started = self._early = True
            self.rtp.start(release_after=None)
        return True

    def reinvited(self, request: Request, now: float) -> None:
        """Answer an offer of the other side's, which before its answer comes by UPDATE (RFC 3311)."""
        super().reinvited(request, now)
        self._changed_early = self._changed_early or (self._offered is not None and self._description is not None)

    def picked_up(self, response: Response, now: float) -> Refused | None:
        """Take the 200: sound flows both ways from now on. Returns why the call can't go on, if it can't.

        ACK is on its way, so whoever answered hears us: nothing that is said to it is held back any longer.
        """
        self._see_who_speaks()
        heard, sdp = self._forks.heard, self._forks.answered(response)
        offered, self._offered = self._offered, None
        assert offered is not None, "our INVITE had an offer"
        if sdp is None:
            return Refused(EndReason.NO_OFFER_ANSWER, "the 200 has no SDP: nobody knows where the sound is to go")
        if heard not in (None, self._forks.heard):
            self._timeline.add("sdp", now, note="another phone answers than the one that was heard before")
            self.audio = None
        self._acknowledged = True
        refused = None
        if self._changed_early and self.audio is not None:
            # What stands is newer than what the 200 repeats.
            self._start()
        else:
            judged = self._accept(offered, sdp, now)
            refused = judged if isinstance(judged, Refused) else self._follow(offered, judged, now)
        if refused is None and self._early:
            self._early = False
            self.rtp.start(release_after=None if self.is_quiet else 0.0)
        if refused is None and self.audio is not None:
            self._let_speak()
        return refused
