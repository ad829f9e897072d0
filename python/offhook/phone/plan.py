"""What the phone was asked to do in one call."""

from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from offhook.phone.sound import RATE, WIDE_RATE, Samples
from offhook.phone.turns import Repeat
from offhook.sip.uri import SipUri


@dataclass(frozen=True, slots=True)
class Plan:
    """One call. Times are seconds.

    `caller` is a number, a user name or a whole address; by default the `user`, or "phone". `sound` is played when the
    far end has answered, and again as `repeat` says. `dtmf` are the digits to send a second after the answer; a comma
    waits another second; `dtmf_by` is how they leave. `srtp` insists on encrypted sound. `listen` is the local address
    and port; by default the one from which the target is reached, and any port. Over TLS the far end is judged by
    `tls_ca` (else the system's CAs), and shown `tls_certificate` (a file with its key in it) if it asks.
    """

    uri: SipUri
    caller: str = ""
    sound: Samples = field(default_factory=lambda: array("h"))
    repeat: Repeat = "in_turn"
    dtmf: str = ""
    dtmf_by: Literal["auto", "rfc4733", "info", "inband"] = "auto"
    seconds: float = 20.0
    ring_seconds: float = 60.0
    headers: tuple[tuple[str, str], ...] = ()
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    srtp: bool = False
    listen: tuple[str | None, int] = (None, 0)
    tls_ca: Path | None = None
    tls_certificate: Path | None = None

    @property
    def rate(self) -> int:
        """The rate of `sound`: wideband if a codec for that is offered."""
        return rate_of(self.codecs)


def rate_of(codecs: tuple[str, ...]) -> int:
    """Samples a second of the sound that the best of these codecs carries."""
    return WIDE_RATE if {"G722", "opus"} & {*codecs} else RATE
