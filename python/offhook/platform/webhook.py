"""Signed webhooks as Standard Webhooks has them: an HMAC over id, time and body, a time that is now, an id that is new.

Pure: the time is handed in.
"""

import base64
import binascii
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256

from offhook.errors import OffhookError

TOLERANCE = 300
"""Seconds that a webhook's time may be off ours, either way."""

MAX_BODY = 256 * 1024
"""Bytes of a webhook."""

MAX_SEEN = 10_000
"""Ids that are remembered; older ones are refused by their time in any case, unless more than that come in it."""

_LONGEST_ID = 256
_MAX_SIGNATURES = 8


class WebhookError(OffhookError):
    """A webhook that is not believed. `code` says why: unsigned, wrong_signature, wrong_time.

    The last is said of none but those whose signature is right.
    """

    code = "webhook_refused"


def secret_of(text: str) -> bytes:
    """The key of a secret as its console shows it: base64 after `whsec_`; WebhookError if it is none."""
    try:
        key = base64.b64decode(text.strip().removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < 16:
        raise WebhookError("this is no signing secret", code="no_secret", hint="it begins with whsec_")
    return key


class Verifier:
    """Says whether a webhook is its sender's, and whether it has come before. `wall` is Unix time in seconds."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._seen: OrderedDict[str, None] = OrderedDict()

    def verify(self, headers: Mapping[str, str], body: bytes, wall: float) -> str:
        """The webhook's id; raises WebhookError if it can't be believed. `headers` are by lower-case name."""
        ident, when, signatures = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
        if not ident or not when or not signatures or len(ident) > _LONGEST_ID:
            raise WebhookError("it is not signed", code="unsigned")
        if not (when.isascii() and when.isdigit() and len(when) < 12):
            raise WebhookError("its time is no number", code="unsigned")
        expected = hmac.new(self._secret, f"{ident}.{when}.".encode() + body, sha256).digest()
        given = [text.partition(",") for text in signatures.split(" ")[:_MAX_SIGNATURES]]
        right = [hmac.compare_digest(expected, _decoded(value)) for version, _, value in given if version == "v1"]
        if not any(right):
            raise WebhookError(
                "its signature is not of our secret",
                code="wrong_signature",
                hint="compare `webhook_secret` of the [[agent]] with the one that was shown when the webhook was made",
            )
        # Only now: whoever can't sign learns nothing of our clock.
        off = int(when) - wall
        if abs(off) > TOLERANCE:
            raise WebhookError(
                f"its time is {abs(off):.0f} s {'ahead' if off > 0 else 'behind'}",
                code="wrong_time",
                hint="set this machine's clock, or it is an old one that somebody repeats",
            )
        return ident

    def is_new(self, ident: str) -> bool:
        """Whether this id has not been handled yet; from now on it has. Senders repeat what they get no answer to."""
        if ident in self._seen:
            return False
        self._seen[ident] = None
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        return True

    def forget(self, ident: str) -> None:
        """Let this id come again: what it asked for could not be done."""
        self._seen.pop(ident, None)


def sign(secret: bytes, ident: str, when: int, body: bytes) -> str:
    """The `webhook-signature` of a webhook."""
    digest = hmac.new(secret, f"{ident}.{when}.".encode() + body, sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
