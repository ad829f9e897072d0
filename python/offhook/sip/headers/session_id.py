"""Session-ID (RFC 7989): one id from each end of a session, the same in all of its messages, whoever stands between."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import NO_PARAMS, WSP, Params, excerpt, fail

NIL: Final = "0" * 32
"""The id of an end that is not known yet (RFC 7989 section 5)."""

_UUID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class SessionId:
    """The ids of the end that sends a message and of the other one: 32 hexadecimal digits in lower case each.

    `remote` is None in the form of RFC 7329, which had one id for both ends; it is read, and never written.
    """

    local: str = NIL
    remote: str | None = NIL

    def __post_init__(self) -> None:
        for half in (self.local, self.remote):
            if half is not None and _UUID.fullmatch(half) is None:
                raise LocalProtocolError(f"no session id: {excerpt(half)}", hint="32 hexadecimal digits in lower case")

    @classmethod
    def parse(cls, text: str) -> "SessionId":
        """Parse the value; capitals are taken too, and other parameters than `remote` are left out."""
        head, semicolon, tail = text.partition(";")
        params = Params.parse(semicolon + tail) if semicolon else NO_PARAMS
        if params.count("remote") > 1:
            fail("Session-ID with two remote ids")
        remote = params.get("remote")
        return cls(_uuid(head.strip(WSP)), None if remote is None else _uuid(remote))

    def hearing(self, theirs: "SessionId") -> "SessionId":
        """Our pair after a message of the other end, which may change its id in mid-session (a transfer behind it).

        Its NIL tells nothing new. A lone id of RFC 7329 that is our own is our own come back.
        """
        known = theirs.local == NIL or (theirs.remote is None and theirs.local == self.local)
        return self if known else SessionId(self.local, theirs.local)

    @property
    def reversed(self) -> "SessionId":
        """As the other end would write it."""
        return SessionId(self.remote or NIL, self.local)

    def __str__(self) -> str:
        return self.local if self.remote is None else f"{self.local};remote={self.remote}"


class SessionUuids:
    """Makes our half of the pair for sessions that others begin. `namespace` is 16 random bytes, kept by nobody else.

    The same for every message about one INVITE, its refusals and challenges too, without remembering any: a UUID of
    version 5 (RFC 7989 section 4.1).
    """

    __slots__ = ("_namespace",)

    def __init__(self, namespace: bytes) -> None:
        self._namespace = namespace

    def of(self, sip_call_id: str, caller_tag: str) -> str:
        """Our id in the session that a caller's Call-ID and tag name."""
        name = f"{sip_call_id}\0{caller_tag}".encode("utf-8", "surrogateescape")
        return _versioned(hashlib.sha1(self._namespace + name, usedforsecurity=False).digest()[:16], 5)


def random_uuid(bits: int) -> str:
    """A UUID of version 4 made of 128 random bits."""
    return _versioned(bits.to_bytes(16, "big"), 4)


def _versioned(raw: bytes, version: int) -> str:
    value = bytearray(raw)
    value[6] = value[6] & 0x0F | version << 4
    value[8] = value[8] & 0x3F | 0x80
    return value.hex()


def _uuid(text: str) -> str:
    lower = text.lower()
    if _UUID.fullmatch(lower) is None:
        fail(f"no session id: {excerpt(text)}")
    return lower
