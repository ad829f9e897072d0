"""What offer and answer agreed on, in the media core's terms."""

import ipaddress
from collections.abc import Sequence

from offhook._media import RemoteMedia, SrtpKeys
from offhook.sdp.terms import NegotiatedAudio


def remote_media(
    audio: NegotiatedAudio, signalling: str, *, media_allow: Sequence[str] = (), nat: bool = False
) -> RemoteMedia:
    """The far side of a leg. `signalling` is the address of its SIP, which may be the source of its RTP, too."""
    # Nowhere to send yet: the core learns the address from the peer's packets.
    unknown = ("::" if ":" in signalling else "0.0.0.0", 9)  # noqa: S104
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
        dtmf_send=audio.dtmf_send,
        dtmf_receive=audio.dtmf_receive,
        ptime_ms=audio.ptime,
        send=audio.send,
        receive=audio.receive,
        hold=audio.remote_hold,
        signalling_address=signalling,
        media_allow=media_allow,
        nat=nat,
        allow_loopback=ipaddress.ip_address(signalling.partition("%")[0]).is_loopback,
        srtp=None if keys is None else SrtpKeys(keys.suite, send=keys.send, receive=keys.receive),
    )
