"""What two sides can agree on for the sound of a call: what we would take, where we are, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from offhook.errors import LocalProtocolError
from offhook.sdp.crypto import CryptoKeys, Policy
from offhook.sdp.description import HIGHEST_PORT, LONGEST_PTIME_MS, SHORTEST_PTIME_MS, Connection, Direction, Encoding
from offhook.sdp.opus import OPUS, OpusWishes

Refusal = Literal[
    "no_audio_offered", "no_common_codec", "srtp_not_supported", "srtp_required", "no_common_crypto", "no_offer_answer"
]
"""Why no audio came out of an offer, or of the answer to ours; each is the slug of an end reason too."""

Codec = Literal["PCMU", "PCMA", "G722", "opus"]
"""The audio codecs that the media core speaks."""

SPOKEN: Mapping[Encoding, Codec] = {
    Encoding("PCMU", 8000): "PCMU",
    Encoding("PCMA", 8000): "PCMA",
    Encoding("G722", 8000): "G722",
    OPUS: "opus",
}
"""What SDP calls them.

G.722 carries sound of 16 kHz, and its RTP clock is 8000 all the same: a mistake of RFC 1890 that RFC 3551 section 4.5.2
keeps. Whoever writes G722/16000 counts timestamps in another way, and is not understood.
"""

CODECS: Mapping[str, Encoding] = {codec: encoding for encoding, codec in SPOKEN.items()}
"""The same by name."""

TELEPHONE_EVENT = "TELEPHONE-EVENT"
COMFORT_NOISE = "CN"


@dataclass(frozen=True, slots=True)
class Terms:
    """What we are willing to agree to, wherever we are reached.

    `codecs` are names of `CODECS` in order of preference; `prefer_local` makes that order win over the offer's.
    `ptime` is milliseconds, 10 to 60 in steps of 10, for peers that ask for none. `comfort_noise` (RFC 3389) and
    `rtcp_mux` (RFC 5761) are taken from peers that offer them; we ask for neither. `srtp` says whether media may, or
    must, be encrypted.
    """

    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    telephone_event: bool = True
    comfort_noise: bool = True
    rtcp_mux: bool = True
    ptime: int = 20
    prefer_local: bool = False
    srtp: Policy = "off"

    def __post_init__(self) -> None:
        if not self.codecs or any(codec not in CODECS for codec in self.codecs):
            raise LocalProtocolError(f"codecs {self.codecs!r}: known are {', '.join(CODECS)}")
        if self.ptime % 10 or not SHORTEST_PTIME_MS <= self.ptime <= LONGEST_PTIME_MS:
            raise LocalProtocolError(f"ptime {self.ptime} ms: 10 to 60 in steps of 10")


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """Our end of the audio, as our SDP names it.

    `rtcp_port` is written only where it is not `port` + 1 (RFC 3605) and RTCP has a port of its own. `version` is that
    of the first description; later ones are counted by `previous` of `answer` and `offer`.
    """

    address: str
    port: int
    rtcp_port: int | None = None
    session_id: int = 1
    version: int = 1
    username: str = "offhook"

    def __post_init__(self) -> None:
        ip = Connection(self.address).ip
        if ip is None or ip.is_unspecified:
            # 0.0.0.0 in our own SDP would put the peer on hold.
            raise LocalProtocolError(f"media address {self.address!r} is not an address that a peer can send to")
        if not 0 < self.port <= HIGHEST_PORT:
            raise LocalProtocolError(f"media port {self.port} is out of range")


@dataclass(frozen=True, slots=True)
class NegotiatedAudio:
    """What both sides agreed on, as the media leg needs it. Times are milliseconds, payload types 0-127.

    `codec` under `payload_type` is what we send; `receive_types` is what we take, payload type to codec: the same, and
    for packets still under way what was agreed before. `dtmf_send` is None where the peer takes no events of the
    codec's clock; `dtmf_receive` may hold another number, or more than one. `comfort_noise` is the payload type of
    RFC 3389 if that was agreed. `remote` and `remote_rtcp` are where to send: None where there is nowhere (hold by
    0.0.0.0, a host name, multicast), and then only an address learned from received packets may be used. `family` is
    the IP version of the address that the peer stated, None if it stated none. With `rtcp_mux` RTP and RTCP share a
    port at both ends (RFC 5761). `send` and `receive` are the directions from our side; `remote_hold` says that the
    peer has put us on hold. `opus` is what the peer asks of that codec. `crypto` are the keys if the media is
    encrypted. `line` is the index of the m= line.
    """

    codec: Codec
    payload_type: int
    receive_types: dict[int, Codec]
    dtmf_send: int | None
    dtmf_receive: tuple[int, ...]
    remote: tuple[str, int] | None
    remote_rtcp: tuple[str, int] | None
    ptime: int
    send: bool
    receive: bool
    remote_hold: bool
    line: int = 0
    comfort_noise: int | None = None
    rtcp_mux: bool = False
    family: Literal[4, 6] | None = None
    crypto: CryptoKeys | None = None
    opus: OpusWishes | None = None

    def is_same_as(self, other: "NegotiatedAudio | None") -> bool:
        """Whether `other` comes to the same; what is still under way of a codec before it doesn't count."""
        return other is not None and replace(other, receive_types=self.receive_types) == self

    def __str__(self) -> str:
        said = [
            f"{self.codec} (payload type {self.payload_type})",
            f"{self.ptime} ms",
            f"DTMF {self.dtmf_send}" if self.dtmf_send is not None else "no DTMF",
        ]
        if self.opus is not None:
            said.append(f"the peer asks for {self.opus}")
        if self.comfort_noise is not None:
            said.append(f"comfort noise {self.comfort_noise}")
        said.append(Direction.of(send=self.send, receive=self.receive).value)
        said.append(f"to {self.remote[0]} port {self.remote[1]}" if self.remote else "to no address yet")
        if self.rtcp_mux:
            said.append("RTCP on the same port")
        if self.crypto is not None:
            said.append(f"encrypted with {self.crypto.suite}")
        return ", ".join(said)
