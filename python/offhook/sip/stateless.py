"""Responses without a transaction: where they go, and the tag that every repetition gets alike."""

import hashlib

from offhook.sip.effects import Address, Source
from offhook.sip.message import Request


class StatelessTags:
    """The To tags of such responses. `secret` keeps them from being guessed."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, request: Request) -> str:
        """The same for every repetition of a request, and nobody else's (RFC 3261 8.2.7)."""
        text = "\0".join(
            (request.via.branch or "", request.headers.get("Call-ID") or "", request.headers.get("CSeq") or "")
        )
        return hashlib.blake2s(text.encode("utf-8", "surrogateescape"), key=self._secret, digest_size=8).hexdigest()


def least_size(request: Request) -> int:
    """Bytes that a request had at least on the wire, whatever short names its header fields had there."""
    fields = sum(len(value) + len("v:\r\n") for _, value in request.headers)
    return len(f"{request.method} {request.request_uri} SIP/2.0\r\n\r\n") + fields + len(request.body)


def reply_to(request: Request, source: Source, *, nat: bool) -> Address:
    """RFC 3261 18.2.2, RFC 3581 4: the source's address, and its port if rport asks for it or the peer is behind NAT.

    `maddr` is not followed: it would let a sender aim our answers at a third party.
    """
    via = request.via
    if source.transport == "udp" and (nat or via.wants_rport):
        return source.remote
    # On TCP the port that the peer listens on, for the case that its connection is gone.
    return (source.remote[0], via.sent_by[1])
