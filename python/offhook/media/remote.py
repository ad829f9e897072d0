"""What offer and answer agreed on, in the media core's terms."""

import ipaddress
from collections.abc import Sequence
from typing import Literal

from offhook._media import OpusWishes, RemoteMedia, SrtpKeys
from offhook.sdp import opus
from offhook.sdp.terms import NegotiatedAudio

_STATIC_COMFORT_NOISE = 13
_MOST_EVENT_TYPES = 8

DtmfWay = Literal["auto", "rfc4733", "info", "inband"]


def remote_media(
    audio: NegotiatedAudio,
    signalling: str,
    *,
    media_allow: Sequence[str] = (),
    nat: bool = False,
    hold: bool | None = None,
    dtmf: DtmfWay = "auto",
    remove_tones: bool = True,
) -> RemoteMedia:
    """The far side of a leg. `signalling` is the address of its SIP, which may be the source of its RTP, too.

    `hold`: the call is on hold, by either side; by default if it holds us. `dtmf` is how keys come and go;
    `remove_tones` takes those that are keys out of what the other side hears.
    """
    # Nowhere to send yet: the core learns the address from the peer's packets.
    family = audio.family or (6 if ":" in signalling else 4)
    unknown = ("::" if family == 6 else "0.0.0.0", 9)  # noqa: S104
    address, port = audio.remote or unknown
    rtcp_address, rtcp_port = audio.remote_rtcp or (None, None)
    keys = audio.crypto
    return RemoteMedia(
        address=address,
        port=port,
        codec=audio.codec,
        payload_type=audio.payload_type,
        receive_payload_types=audio.receive_types,
        rtcp_address=rtcp_address,
        rtcp_port=rtcp_port,
        rtcp_mux=audio.rtcp_mux,
        dtmf_send=audio.dtmf_send,
        dtmf_receive=audio.dtmf_receive[:_MOST_EVENT_TYPES],
        dtmf_by=dtmf_by(audio, dtmf),
        dtmf_tones=("removed" if remove_tones else "heard") if _tones_are_keys(audio, dtmf) else "ignored",
        # Some peers send it though nobody agreed on it; its own number means nothing else.
        comfort_noise=_STATIC_COMFORT_NOISE if audio.comfort_noise is None else audio.comfort_noise,
        ptime_ms=audio.ptime,
        send=audio.send,
        receive=audio.receive,
        hold=audio.remote_hold if hold is None else hold,
        signalling_address=signalling,
        media_allow=media_allow,
        nat=nat,
        allow_loopback=ipaddress.ip_address(signalling.partition("%")[0]).is_loopback,
        srtp=None if keys is None else SrtpKeys(keys.suite, send=keys.send, receive=keys.receive),
        opus=None if audio.opus is None else _opus(audio.opus),
    )


def _opus(asked: opus.OpusWishes) -> OpusWishes:
    return OpusWishes(bitrate=asked.bitrate, fec=asked.fec, dtx=asked.dtx, cbr=asked.cbr, max_rate=asked.max_rate)


def dtmf_by(audio: NegotiatedAudio, dtmf: DtmfWay) -> Literal["rfc4733", "info", "inband"]:
    """How our keys leave: in tones, which anybody can hear, where nothing better was agreed on."""
    if dtmf == "auto":
        return "inband" if audio.dtmf_send is None else "rfc4733"
    return dtmf


def _tones_are_keys(audio: NegotiatedAudio, dtmf: DtmfWay) -> bool:
    return dtmf == "inband" or (dtmf == "auto" and not audio.dtmf_receive)
