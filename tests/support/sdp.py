"""Offer and answer in one step, for tests that care for what comes out of both."""

from dataclasses import dataclass

from offhook.sdp import negotiate
from offhook.sdp.description import SessionDescription
from offhook.sdp.negotiate import Refusal
from offhook.sdp.terms import LocalMedia, NegotiatedAudio, Terms

LOCAL = LocalMedia("198.51.100.5", 40_000)
TERMS = Terms()
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
) -> Answered:
    """Judge an offer and answer it."""
    judgement = negotiate.judge(offer, terms, hold=hold, was=was)
    written = negotiate.answer(judgement, local, previous=previous)
    return Answered(written, judgement.audio, judgement.notes, judgement.refusal)
