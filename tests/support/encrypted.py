"""SDP with keys, as a peer of the gateway writes and reads it."""

import base64
import re

from offhook.sdp.crypto import SUITES

from .world import sdp

SUITE = "AES_CM_128_HMAC_SHA1_80"


def secured(*lines: str, protocol: str = "RTP/SAVP", **options: object) -> bytes:
    """What a caller offers or answers, with keys."""
    plain = sdp(**options)  # type: ignore[arg-type]
    return plain.replace(b"RTP/AVP", protocol.encode()) + "".join(f"{line}\r\n" for line in lines).encode()


def our_keys(answer: bytes) -> dict[str, bytes]:
    """The keys in our SDP by suite."""
    found = re.findall(r"a=crypto:\d+ (\S+) inline:(\S+)", answer.decode())
    return {suite: base64.b64decode(key) for suite, key in found}


def theirs(fill: int = 7, suite: str = SUITE) -> bytes:
    return bytes([fill] * SUITES[suite])
