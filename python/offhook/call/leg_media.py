"""The media of one leg: its port, what was agreed on, and when sound flows. Who says what by SIP is not known here."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from offhook._media import LegConfig, MediaEvent
from offhook.call.end_reason import EndReason
from offhook.call.refused import Refused
from offhook.call.services import MediaAddress
from offhook.call.trace import host_port
from offhook.errors import RemoteProtocolError
from offhook.media.leg import RtpLeg
from offhook.media.plane import MediaPlane
from offhook.media.remote import remote_media
from offhook.observe.printable import printable
from offhook.report.timeline import Timeline
from offhook.route.trunk import Trunk
from offhook.sdp import negotiate
from offhook.sdp.crypto import RANDOM_BYTES, FreshKeys
from offhook.sdp.description import Connection, SessionDescription
from offhook.sdp.negotiate import Judgement
from offhook.sdp.terms import LocalMedia, NegotiatedAudio, Terms
from offhook.sip.effects import Source
from offhook.sip.invite import InviteSession

RELEASE_AFTER = 0.3
"""Seconds after the 200 that a greeting is held at most: until the ACK, or the caller's first RTP."""

_LONGEST_NOTE = 500

_PRIVATE_TRANSPORTS = ("tls", "wss")

PLAYOUT_LIMIT = 120.0
"""Seconds of agent audio that may wait to be played."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a re-INVITE of ours offers: to `hold` the caller or not, and whether it only `moves` our end elsewhere."""

    description: SessionDescription
    hold: bool
    moves: bool


class LegMedia:
    """One RTP leg, and what its session has agreed on for it."""

    session: InviteSession

    def __init__(self, session: InviteSession | None, source: Source, trunk: Trunk, timeline: Timeline) -> None:
        if session is not None:
            self.session = session
        self.source = source
        self.audio: NegotiatedAudio | None = None
        self.holds = False
        """Whether we hold the caller, by what was agreed on last."""
        self.encryption: str | None = None
        """The SRTP suite of the media, "none" if any of it was agreed on in the clear; None before there is any."""
        self._trunk = trunk
        self._timeline = timeline
        self._terms = terms_of(trunk)
        self._media_address: MediaAddress = lambda source, family, towards: None
        self._rtp: RtpLeg | None = None
        self._local: LocalMedia | None = None
        # Our SDP by what was agreed on last, and the offer in a 2xx or re-INVITE of ours that is not answered yet.
        self._description: SessionDescription | None = None
        self._offered: SessionDescription | None = None
        self._their_description: SessionDescription | None = None
        self._proposed: Proposal | None = None
        # The highest version of our SDP that the other side may have seen in an offer that came to nothing.
        self._newest = 0
        self._started = self._acknowledged = self._early = self._rung_early = self._offered_early = False
        self._hands_on_music = False

    @property
    def rtp(self) -> RtpLeg:
        """The RTP leg; `prepare` comes first."""
        assert self._rtp is not None, "the leg is prepared before it is used"
        return self._rtp

    @property
    def is_open(self) -> bool:
        """Whether there is an RTP leg, open or closed again."""
        return self._rtp is not None

    @property
    def local_media(self) -> str | None:
        """Where our SDP asks for the caller's RTP, as `host:port`."""
        return None if self._local is None else host_port((self._local.address, self._local.port))

    @property
    def media_family(self) -> Literal[4, 6] | None:
        """The IP version of our end of the media."""
        return None if self._local is None else Connection(self._local.address).family

    @property
    def _signalling_family(self) -> Literal[4, 6]:
        return Connection(self.source.remote[0].partition("%")[0]).family or 4

    def media_stats(self) -> dict[str, int]:
        """The counters of the RTP leg; they stay readable after `close`."""
        return self.rtp.stats().as_dict()

    @property
    def is_held(self) -> bool:
        """Whether the caller holds the call."""
        return self.audio is not None and self.audio.remote_hold

    @property
    def is_quiet(self) -> bool:
        """Whether the call is on hold, by either side: nobody hears the agent, and a greeting waits for somebody."""
        return self.holds or self.is_held

    @property
    def may_send(self) -> bool:
        """Whether the caller may send sound, as one may who holds the call with music of its own."""
        return self.audio is not None and self.audio.receive

    @property
    def received(self) -> int:
        """RTP packets of the caller's so far."""
        return self.rtp.stats().received_packets

    def hand_on_music(self, *, on: bool) -> None:
        """On hold of two joined calls: hand on what the caller plays, or let it hear what the other one does.

        Without it nothing of who holds is heard, and who is held hears the music of its trunk.
        """
        if self._hands_on_music != on:
            self._hands_on_music = on
            if self.audio is not None and self.is_quiet:
                self._set_remote(self.audio)

    def close(self) -> None:
        """Stop the sound and free the ports. May be repeated."""
        if self._rtp is not None:
            self._rtp.close()

    def _open(
        self,
        media: MediaPlane,
        audio: NegotiatedAudio | None,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
        beside: RtpLeg | None = None,
    ) -> Refused | None:
        """Take a port for what the caller offered; without an offer one that any caller may answer to."""
        ours = self._our_address(audio)
        if isinstance(ours, Refused):
            return ours
        config = LegConfig(
            remote=audio.remote if audio is not None else None,
            signalling_address=self.source.remote[0].partition("%")[0],
            media_allow=tuple(map(str, self._trunk.media_allow)),
            nat=self._trunk.nat,
            sdp_address=ours,
            playout_limit_ms=round(PLAYOUT_LIMIT * 1000),
            media_timeout_ms=round(self._trunk.media_timeout * 1000),
        )
        self._rtp = media.open_leg(config, on_event=on_event, on_error=on_error, beside=beside)
        self._local = LocalMedia(
            address=ours,
            port=self._rtp.local_address[1],
            # RFC 8866 section 5.2: no two sessions of ours may look alike.
            session_id=secrets.randbits(31) + 1,
        )
        return None

    def _our_address(self, audio: NegotiatedAudio | None) -> str | Refused:
        """Where the caller is to send: on the IP version of its own media, or else of its signalling."""
        towards = audio.remote if audio is not None else None
        family = (audio.family if audio is not None else None) or self._signalling_family
        ours = self._media_address(self.source, family, towards)
        if ours is None:
            where = f"the caller's media is at {host_port(towards)}" if towards else "the caller's media is there"
            return Refused(EndReason.NO_FAMILY, f"`media.listen` has no IPv{family} address, and {where}")
        # A zone is nothing that another host could use; only link-local addresses have one.
        return ours.partition("%")[0]

    def _judge(self, body: bytes, now: float) -> Judgement | Refused:
        try:
            offer = SessionDescription.parse(body)
        except RemoteProtocolError as error:
            return Refused(EndReason.BAD_SDP, printable(f"the offer can't be read: {error}"), error.status_hint)
        judged, before = self._weigh(offer), self._their_description
        self._their_description = offer
        if self.audio is not None and self.audio.is_same_as(judged.audio):
            # Many do so every few minutes, to show that they are alive.
            self._timeline.add("sdp", now, note="the caller offers what is agreed already: nothing changes")
            return judged
        if before is not None and offer.origin == before.origin:
            self._timeline.add("sdp", now, note="the caller offers a change without counting up its version (o=)")
        return self._heard(judged, now)

    def _weigh(self, offer: SessionDescription, *, moved: bool = False) -> Judgement:
        return negotiate.judge(
            offer, self._terms, hold=self.holds, was=self.audio, fresh=self._fresh_keys(), moved=moved
        )

    def _answer_offer(self, judgement: Judgement, now: float) -> None:
        assert self._local is not None, "a port comes before an answer"
        assert judgement.audio is not None, "refused offers are not answered"
        answer = negotiate.answer(judgement, self._local, previous=self._said, newest=self._newest)
        self._agree(judgement.audio, now)
        self._description = answer
        self._let_speak()

    def _accept(self, offered: SessionDescription, body: bytes, now: float) -> NegotiatedAudio | Refused:
        """What the answer to our offer comes to."""
        if not body:
            return Refused(EndReason.NO_OFFER_ANSWER, "nothing came that answers our offer")
        try:
            answer = SessionDescription.parse(body)
        except RemoteProtocolError as error:
            return Refused(EndReason.NO_OFFER_ANSWER, printable(f"the answer to our offer can't be read: {error}"))
        self._their_description = answer
        judged = self._heard(negotiate.accept(offered, answer, self._terms, was=self.audio), now)
        if isinstance(judged, Refused):
            return judged
        assert judged.audio is not None, "what is not refused has audio"
        return judged.audio

    def _seen(self, ours: SessionDescription) -> None:
        """An offer of ours may have been seen, and what stands may differ from it: its version is used up."""
        self._newest = max(self._newest, int(ours.origin.version))

    def _heard(self, judgement: Judgement, now: float) -> Judgement | Refused:
        # Addresses, codecs and protocols in it are the caller's own words.
        notes = [printable(note)[:_LONGEST_NOTE] for note in judgement.notes]
        for note in notes:
            self._timeline.add("sdp", now, note=note)
        if judgement.refusal is not None:
            return Refused(EndReason.of(judgement.refusal), "; ".join(notes)[:_LONGEST_NOTE])
        return judgement

    def _agree(self, audio: NegotiatedAudio, now: float) -> None:
        """Let media flow as agreed. Raises `MediaError` where the core can't; then nothing has changed."""
        self._set_remote(audio)
        if self.audio is None and audio.family not in (None, self._signalling_family):
            note = f"the caller's media is on IPv{audio.family}, its signalling on IPv{self._signalling_family}"
            self._timeline.add("sdp", now, note=note)
        self.audio = audio
        if self.encryption != "none":
            self.encryption = audio.crypto.suite if audio.crypto is not None else "none"
        self._timeline.add("sdp", now, note=str(audio))
        if audio.crypto is not None and self.source.transport not in _PRIVATE_TRANSPORTS:
            way = self.source.transport.upper()
            note = f"the keys came over {way}: who can read the signalling can decrypt the sound"
            self._timeline.add("sdp", now, note=note)

    def _set_remote(self, audio: NegotiatedAudio) -> None:
        self.rtp.set_remote(
            remote_media(
                audio,
                self.source.remote[0].partition("%")[0],
                media_allow=tuple(map(str, self._trunk.media_allow)),
                nat=self._trunk.nat,
                hold=(self.holds or audio.remote_hold) and not self._hands_on_music,
                dtmf=self._trunk.dtmf,
                remove_tones=self._trunk.dtmf_tones == "remove",
            )
        )

    @property
    def _sdp(self) -> bytes:
        description = self._description or self._offered
        assert description is not None, "prepare comes before anything is promised"
        return bytes(description)

    @property
    def _said(self) -> SessionDescription | None:
        """What an answer of ours follows: before the answer to a call of ours, that is the offer in its INVITE."""
        return self._description or self._offered

    def _start_early(self) -> None:
        if not self._started:
            self._started = self._early = True
            self.rtp.start(release_after=None)
            self._let_speak()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self.rtp.start(release_after=None if self.is_quiet else RELEASE_AFTER)

    def _let_speak(self) -> None:
        """Let the agent be heard from now on, if there is anybody."""
        if (self._acknowledged or self._early) and not self.is_quiet:
            self.rtp.release()

    def _fresh_keys(self) -> FreshKeys | None:
        return FreshKeys(secrets.token_bytes(RANDOM_BYTES)) if self._terms.srtp != "off" else None


def terms_of(trunk: Trunk) -> Terms:
    """What we agree to with this trunk."""
    return Terms(
        codecs=trunk.codecs,
        telephone_event=trunk.dtmf in ("auto", "rfc4733"),
        prefer_local=True,
        srtp=trunk.srtp,
    )
