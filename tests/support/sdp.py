"""Offer and answer in one step, for tests that care for what comes out of both."""

import base64
from dataclasses import dataclass

from offhook.sdp import negotiate
from offhook.sdp.crypto import RANDOM_BYTES, SUITES, FreshKeys
from offhook.sdp.description import SessionDescription
from offhook.sdp.negotiate import Refusal
from offhook.sdp.terms import LocalMedia, NegotiatedAudio, Terms

LOCAL = LocalMedia("198.51.100.5", 40_000)
TERMS = Terms()
FRESH = FreshKeys(bytes(n % 251 for n in range(RANDOM_BYTES)))
"""Our keys, where a test brings no others."""

WIDE = Terms(codecs=("G722", "PCMU", "PCMA"), prefer_local=True)


@dataclass(frozen=True)
class Answered:
    """An answer as it is written, and what it was made of."""

    description: SessionDescription
    audio: NegotiatedAudio | None
    notes: tuple[str, ...]
    refusal: Refusal | None

    @property
    def agreed(self) -> NegotiatedAudio:
        """The audio, where there has to be some."""
        assert self.audio is not None, self.notes
        return self.audio

    @property
    def text(self) -> str:
        """As on the wire."""
        return bytes(self.description).decode()


def crypto(suite: str = "AES_CM_128_HMAC_SHA1_80", tag: int = 1, fill: int = 7) -> str:
    """An a=crypto line of a peer whose key is all `fill`."""
    return f"a=crypto:{tag} {suite} inline:{base64.b64encode(bytes([fill] * SUITES[suite])).decode()}"


def description(*lines: str, address: str = "192.0.2.1") -> SessionDescription:
    """What a peer at `address` writes; `lines` follow the session level."""
    family = "IP6" if ":" in address else "IP4"
    head = ["v=0", f"o=- 7 3 IN {family} {address}", "s=-", f"c=IN {family} {address}", "t=0 0"]
    return SessionDescription.parse("\r\n".join([*head, *lines, ""]).encode())


def answer(
    offer: SessionDescription,
    local: LocalMedia = LOCAL,
    terms: Terms = TERMS,
    *,
    hold: bool = False,
    previous: SessionDescription | None = None,
    was: NegotiatedAudio | None = None,
    fresh: FreshKeys | None = None,
    moved: bool = False,
) -> Answered:
    """Judge an offer and answer it."""
    judgement = negotiate.judge(offer, terms, hold=hold, was=was, fresh=fresh or FRESH, moved=moved)
    written = negotiate.answer(judgement, local, previous=previous)
    return Answered(written, judgement.audio, judgement.notes, judgement.refusal)


def accept(
    offer: SessionDescription,
    answer: SessionDescription,
    terms: Terms = TERMS,
    *,
    was: NegotiatedAudio | None = None,
) -> NegotiatedAudio | None:
    """What the peer's answer to our offer comes to."""
    return negotiate.accept(offer, answer, terms, was=was).audio
