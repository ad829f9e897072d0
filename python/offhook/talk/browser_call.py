"""One call of the page: a phone in this process that the browser speaks through.

The browser's connection goes to a media core of the page's own, where it is joined to the RTP leg of this phone; the
phone calls the gateway as any other would, on a SIP connection within the process. So no sound passes through Python,
and what the browser hears is what a caller hears.
"""

import asyncio
import json
import secrets
from collections.abc import Callable
from typing import assert_never

import structlog

from offhook._media import CallConfig, LegConfig, MediaError, MediaEvent
from offhook.call.news import AgentChosen, CallEnded, CallerSpeech, CallNews
from offhook.destination.base import AgentTranscript
from offhook.destination.dialect.offhook import OFFHOOK
from offhook.errors import OffhookError
from offhook.media.leg import RtpLeg
from offhook.media.mux import Mux
from offhook.media.plane import MediaPlane
from offhook.media.remote import remote_media
from offhook.media.wire import Wire
from offhook.sdp.exchange import Exchange
from offhook.sdp.terms import LocalMedia, NegotiatedAudio, Terms
from offhook.sip import events as sip
from offhook.sip.effects import Target
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request
from offhook.sip.uri import SipUri
from offhook.talk import words
from offhook.talk.access import Ticket
from offhook.talk.choices import HEADER
from offhook.talk.turns import Turns
from offhook.transport.driver import SipStack

_log = structlog.get_logger("offhook.talk")

CALLER = "talk"
FORMAT = "pcm16/16000"
"""What the browser speaks and hears."""

# Sound that waits for its turn towards the agent: what a network that stood still brings at once is dropped beyond it.
_MOST_WAITING_MS = 2_000
# Bytes of sound for a browser that does not read: a second.
_SEND_LIMIT = 32_768
_GOODBYE_SECONDS = 3.0
_NEWS_SECONDS = 0.5
# What positions in a leg's sound count, in Hz.
_CLOCK = 8000
_BROWSER_LEFT = "the page was closed, or its connection to the gateway broke"
_WHY_CUT_OFF = {
    "too_slow": (
        "page_too_slow",
        "This browser did not take the call's sound as fast as it came.",
        "Try a nearer or faster network, or close what else uses it.",
        "the caller",
    ),
    "flood": (
        "page_protocol_error",
        "What this page sent was too much, or made no sense, and the gateway has cut it off.",
        "Load the page again.",
        "offhook",
    ),
}


class BrowserCall:
    """One call from the browser's connection to its end. `over` is called once, when all of it is."""

    def __init__(
        self,
        ticket: Ticket,
        plane: MediaPlane,
        stack: SipStack,
        target: Target,
        address: str,
        *,
        over: Callable[["BrowserCall"], None],
    ) -> None:
        self.sip_call_id = ""
        self._ticket = ticket
        self._plane = plane
        self._stack = stack
        self._target = target
        self._address = address
        self._over = over
        self._leg: RtpLeg | None = None
        self._mux: Mux | None = None
        self._wire: Wire | None = None
        self._session: InviteSession | None = None
        self._exchange: Exchange | None = None
        self._turns = Turns()
        self._heard_since: float | None = None
        self._ended: CallEnded | None = None
        # Why this side ended it, in its last words, where the gateway's call knows only that it was hung up.
        self._own_end: tuple[str, str, str, str] | None = None
        self._call_id = ""
        self._is_answered = self._is_over = self._hung_up = self._sip_is_over = False
        self._goodbye: asyncio.TimerHandle | None = None

    def begin(self, fd: int, answer: bytes) -> None:
        """Take the browser's connection and place the call. Raises `MediaError` where the media core can't."""
        self._leg = leg = self._plane.open_leg(
            LegConfig(
                family=6 if ":" in self._address else 4,
                allow_loopback=True,
                playout_limit_ms=_MOST_WAITING_MS,
                media_timeout_ms=None,
            ),
            on_event=self._on_leg,
            on_error=self._failed,
        )
        try:
            self._mux = self._plane.open_mux(
                fd, answer, thread=leg.thread, on_event=self._on_mux, on_error=self._failed
            )
            config = CallConfig(OFFHOOK.to_json(), format=FORMAT, send_limit=_SEND_LIMIT)
            self._wire = self._plane.open_call(
                config, mux=self._mux, leg=leg, on_event=self._on_wire, on_error=self._failed
            )
        except BaseException:
            self._release()
            raise
        self._tell(words.calling(self._ticket.choice.destination))
        self._invite(leg)

    def _invite(self, leg: RtpLeg) -> None:
        media = LocalMedia(address=self._address, port=leg.local_address[1], session_id=secrets.randbits(31) + 1)
        self._exchange = Exchange(media, Terms(codecs=self._ticket.codecs))
        host, choice = self._target.host, self._ticket.choice
        uri = SipUri(host, user=choice.number)
        offer = self._exchange.offer()
        self._session = session = self._stack.perform(
            lambda now: self._stack.user_agent.invite(
                uri,
                NameAddr(SipUri(host, user=CALLER), display_name="Talk page"),
                NameAddr(uri),
                offer,
                now,
                headers=((HEADER, choice.id),),
                target=self._target,
            )
        )
        session.context = self
        self.sip_call_id = session.sip_call_id

    def hang_up(self) -> None:
        """End the call politely, by CANCEL or BYE."""
        session = self._session
        if self._hung_up or self._is_over:
            return
        self._hung_up = True
        self._goodbye = asyncio.get_running_loop().call_later(_GOODBYE_SECONDS, self._finish)
        if session is None or not self._stack.perform(lambda now: session.hang_up(now=now)):
            self._finish()

    # -- what the gateway's call tells

    def follow(self, news: CallNews) -> None:
        """Something happened in the call, as the gateway sees it."""
        match news:
            case AgentTranscript():
                self._tell(words.transcript(news))
            case CallerSpeech(started, at):
                self._tell(words.speaks("caller", started))
                self._waited(self._turns.caller(started, at))
            case AgentChosen(uri):
                self._tell(words.chosen(uri))
            case CallEnded():
                self._ended = news
                if self._sip_is_over:
                    self._finish()
            case _:
                assert_never(news)

    def known_as(self, call_id: str) -> None:
        """The gateway's own id of the call."""
        self._call_id = call_id

    def _waited(self, seconds: float | None) -> None:
        if seconds is not None:
            self._tell(words.turn(round(seconds * 1000)))

    # -- what SIP tells

    def take(self, event: sip.Event, now: float) -> None:
        """An event of this call's session."""
        match event:
            case sip.Provisional(_, response) if response.status in (180, 181, 182, 183):
                self._tell(words.ringing())
            case sip.Answered(_, response):
                self._on_answer(response.sdp)
            case sip.Reinvited(session, request):
                self._on_reinvite(session, request, now)
            case sip.Acknowledged(_, body, True):
                self._on_acknowledged(body)
            case sip.InfoReceived(session, _):
                session.answer_info(now=now)
            case sip.Refused(_, response):
                self._sip_ended(f"the gateway answered {response.status} {response.reason}")
            case sip.Failed(_, cause, detail):
                self._sip_ended(detail or cause.value)
            case sip.ByeReceived() | sip.HungUp():
                self._sip_ended("")
            case sip.SessionFailed(_, error):
                self._failed(error)
            case _:
                return

    def _on_answer(self, body: bytes | None) -> None:
        if self._is_answered or self._leg is None or self._exchange is None:
            return
        self._is_answered = True
        try:
            self._exchange.answered(body or b"", self._agree)
        except OffhookError as error:
            self._failed(error)
            return
        self._leg.start(release_after=None)
        self._leg.release()
        self._leg.connect(self._wire)
        assert self._exchange.audio is not None, "agreed on just now"
        self._tell(words.answered(self._exchange.audio.codec))

    def _on_reinvite(self, session: InviteSession, request: Request, now: float) -> None:
        assert self._exchange is not None, "a re-INVITE comes within a call"
        try:
            # RFC 3261 14.2: without one of its own we are asked for an offer; the ACK brings the answer.
            sdp = self._exchange.offered(request.sdp, self._agree) if request.sdp else self._exchange.offer()
        except OffhookError:
            session.reject_reinvite(488, now=now)
            return
        session.answer_reinvite(sdp, now=now)

    def _on_acknowledged(self, body: bytes) -> None:
        if self._exchange is None or not self._exchange.is_waiting:
            return
        try:
            self._exchange.answered(body, self._agree)
        except OffhookError as error:
            # What was agreed on before goes on.
            _log.info("talk.offer_unanswered", sip_call_id=self.sip_call_id, why=str(error))

    def _agree(self, audio: NegotiatedAudio) -> None:
        assert self._leg is not None, "opened before"
        self._leg.set_remote(remote_media(audio, self._target.host))

    # -- what the media core tells

    def _on_leg(self, event: MediaEvent) -> None:
        match event.kind:
            case "first_packet":
                self._heard_since = event.at
            case "speech_started" | "speech_ended" if self._heard_since is not None:
                started = event.kind == "speech_started"
                self._tell(words.speaks("agent", started))
                if started:
                    self._waited(self._turns.agent(self._heard_since + (event.position or 0) / _CLOCK))
            case "hang_up_requested":
                self.hang_up()
            case "internal_error":
                self._failed(OffhookError(event.text or "the media core ended the call", code="internal_error"))
            case _:
                return

    def _on_wire(self, event: MediaEvent) -> None:
        if event.kind not in ("closed", "failed"):
            return
        if event.code not in (None, "requested") and self._own_end is None:
            self._own_end = _WHY_CUT_OFF.get(event.code or "", _WHY_CUT_OFF["flood"])
        self.hang_up()

    def _on_mux(self, event: MediaEvent) -> None:
        match event.kind:
            case "text" if _wants_to_hang_up(event.text or ""):
                self.hang_up()
            case "closed":
                self._mux = None
                if not self._is_over:
                    _log.info("talk.browser_left", sip_call_id=self.sip_call_id, why=_BROWSER_LEFT)
                self.hang_up()
            case _:
                return

    # -- ends

    def _failed(self, error: Exception) -> None:
        """A bug of ours: this call ends, the others go on."""
        _log.error("talk.failed", exc_info=error)
        why = "A fault in the gateway ended the call."
        self._own_end = ("internal_error", why, "Its log has more; please report it.", "offhook")
        self.hang_up()

    def _sip_ended(self, detail: str) -> None:
        """The gateway's own call may come to its end a moment later, and knows why."""
        self._sip_is_over = self._hung_up = True
        if self._ended is not None or self._mux is None:
            self._finish(detail)
            return
        if self._goodbye is not None:
            self._goodbye.cancel()
        self._goodbye = asyncio.get_running_loop().call_later(_NEWS_SECONDS, self._finish, detail)

    def _finish(self, detail: str = "") -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._goodbye is not None:
            self._goodbye.cancel()
        mux = self._mux
        if mux is not None:
            try:
                mux.send_text(self._last_words(detail))
            except MediaError:
                _log.warning("talk.last_words_unsaid", sip_call_id=self.sip_call_id)
        self._release()
        if self._session is not None:
            self._session.context = None
        self._over(self)

    def _last_words(self, detail: str) -> str:
        if self._own_end is not None:
            slug, text, hint, fault = self._own_end
            return words.ended(self._call_id, slug, text, hint, detail, fault)
        if self._ended is not None:
            return words.ended_for(self._call_id, self._ended.reason, self._ended.detail)
        return words.ended(
            self._call_id, "unknown", "The call ended, and the gateway did not say why.",
            "Look at the gateway's log.", detail, "offhook",
        )  # fmt: skip

    def _release(self) -> None:
        if self._leg is not None:
            self._leg.close()
        if self._wire is not None:
            self._wire.close()
        if self._mux is not None:
            self._mux.close()

    def _tell(self, message: str) -> None:
        if self._wire is not None and self._mux is not None and not self._is_over:
            self._wire.send_text(message)


def _wants_to_hang_up(text: str) -> bool:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and message.get("type") == "hang_up"
