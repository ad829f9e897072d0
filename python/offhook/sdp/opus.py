"""Opus in SDP (RFC 7587): what a peer asks of the sound that we send it, and what we say of ours."""

from dataclasses import dataclass

from offhook.sdp.description import Encoding, MediaDescription

OPUS = Encoding("OPUS", 48_000, 2)
"""Opus whatever it carries: clock and channels are always written so (RFC 7587 section 7)."""

OFFERED_PAYLOAD_TYPE = 107
PARAMETERS = "maxplaybackrate=16000;sprop-maxcapturerate=16000;useinbandfec=1"
"""Ours: we hear and send 16 kHz, and take copies of the packet before (RFC 7587 section 6.1). Mono is the default."""

_PACKET_TIMES = (60, 40, 20, 10)
_BITRATES = range(6_000, 510_001)
_RATES = range(8_000, 48_001)
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class OpusWishes:
    """What a peer asks of the Opus that it is sent (RFC 7587 section 6.1); the defaults are those of the RFC.

    `bitrate` is bits a second, None for what we think right. `fec` wants copies of the packet before, `dtx` nothing in
    pauses, `cbr` packets of one size. `max_rate` is the highest sample rate that it plays, in Hz.
    """

    bitrate: int | None = None
    fec: bool = False
    dtx: bool = False
    cbr: bool = False
    max_rate: int = 48_000

    def __str__(self) -> str:
        wished = {
            f"{self.bitrate} bit/s": self.bitrate is not None,
            "copies against loss": self.fec,
            "nothing in pauses": self.dtx,
            "constant rate": self.cbr,
            f"{self.max_rate} Hz at most": self.max_rate < 16_000,
        }
        return " and ".join(words for words, wanted in wished.items() if wanted) or "nothing in particular"


def wishes(line: MediaDescription, payload_type: int) -> OpusWishes:
    """Read the `fmtp` of a payload type; what is out of range or no number counts as not said."""
    stated: dict[str, str] = {}
    for text in line.values("fmtp"):
        number, _, parameters = text[:_LONGEST].partition(" ")
        if number != str(payload_type):
            continue
        for parameter in parameters.split(";"):
            name, _, value = parameter.partition("=")
            stated.setdefault(name.strip().lower(), value.strip())
    return OpusWishes(
        bitrate=_number(stated.get("maxaveragebitrate"), _BITRATES),
        fec=stated.get("useinbandfec") == "1",
        dtx=stated.get("usedtx") == "1",
        cbr=stated.get("cbr") == "1",
        max_rate=_number(stated.get("maxplaybackrate"), _RATES) or 48_000,
    )


def packet_time(wanted: int) -> int:
    """The longest packet that Opus has and that is not longer than `wanted`; 10 ms at least."""
    return next((time for time in _PACKET_TIMES if time <= wanted), _PACKET_TIMES[-1])


def _number(text: str | None, allowed: range) -> int | None:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > len(str(allowed[-1])):
        return None
    number = int(text)
    return number if number in allowed else None
