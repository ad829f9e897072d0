"""One side of a media session from its first offer on: what was said last, what is agreed on (RFC 3264).

It is for whoever calls and has no more to decide than his terms: the test phone, the phone behind the talk page.
"""

from collections.abc import Callable

from offhook.errors import RemoteProtocolError
from offhook.sdp import negotiate
from offhook.sdp.crypto import FreshKeys
from offhook.sdp.description import SessionDescription
from offhook.sdp.terms import LocalMedia, NegotiatedAudio, Terms

Use = Callable[[NegotiatedAudio], None]
"""Puts what was negotiated to use. If it raises, nothing was agreed on."""


class Exchange:
    """Writes our offers and answers, reads the peer's. `fresh` makes keys, which terms with SRTP need.

    What can't be read or used raises RemoteProtocolError, with the reason in words, and changes nothing.
    """

    __slots__ = ("_fresh", "_local", "_ours", "_terms", "_was", "audio", "is_waiting")

    def __init__(self, local: LocalMedia, terms: Terms, *, fresh: Callable[[], FreshKeys] | None = None) -> None:
        self.audio: NegotiatedAudio | None = None
        """What is agreed on; None before the first answer."""
        self.is_waiting = False
        """Whether our last offer has no answer yet."""
        self._local = local
        self._terms = terms
        self._fresh = fresh
        self._ours: SessionDescription | None = None
        self._was: NegotiatedAudio | None = None

    def offer(self) -> bytes:
        """Write an offer: the first one, or one that goes on with what is agreed (RFC 3261 14.2)."""
        self._was = self.audio
        self._ours = negotiate.offer(
            self._local, self._terms, previous=self._ours, was=self.audio, fresh=self._fresh() if self._fresh else None
        )
        self.is_waiting = True
        return bytes(self._ours)

    def answered(self, body: bytes, use: Use) -> None:
        """Take the answer to our last offer. The first offer may have several: one of each fork."""
        assert self._ours is not None, "only an offer is answered"
        self.is_waiting = False
        judged = negotiate.accept(self._ours, _read(body), self._terms, was=self._was)
        self._agree(judged, use)

    def offered(self, body: bytes, use: Use) -> bytes:
        """Answer an offer of the peer."""
        fresh = self._fresh() if self._fresh else None
        judged = negotiate.judge(_read(body), self._terms, was=self.audio, fresh=fresh)
        self._agree(judged, use)
        self._ours = negotiate.answer(judged, self._local, previous=self._ours)
        return bytes(self._ours)

    def _agree(self, judged: negotiate.Judgement, use: Use) -> None:
        if judged.audio is None:
            raise RemoteProtocolError("; ".join(judged.notes), status_hint=488)
        use(judged.audio)
        self.audio = judged.audio


def _read(body: bytes) -> SessionDescription:
    try:
        return SessionDescription.parse(body)
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"its SDP can't be read: {error}", status_hint=488) from error
