"""Header field names: canonical spelling, compact forms, and which fields are lists (RFC 3261 sections 7.3 and 20)."""

from typing import Final

from offhook.sip.grammar import excerpt, fail, is_token

COMPACT: Final = {
    "a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition",
    "e": "Content-Encoding", "f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported",
    "l": "Content-Length", "m": "Contact", "n": "Identity-Info", "o": "Event", "r": "Refer-To", "s": "Subject",
    "t": "To", "u": "Allow-Events", "v": "Via", "x": "Session-Expires", "y": "Identity",
}  # fmt: skip
"""Compact form (lower case) to full name, as registered with IANA."""

LISTS: Final = frozenset({
    "Accept", "Accept-Contact", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow", "Allow-Events",
    "Call-Info", "Contact", "Content-Encoding", "Content-Language", "Diversion", "Error-Info", "History-Info",
    "In-Reply-To", "P-Asserted-Identity", "P-Associated-URI", "P-Early-Media", "P-Preferred-Identity", "Path",
    "Permission-Missing", "Proxy-Require", "Reason", "Record-Route", "Reject-Contact", "Remote-Party-ID",
    "Request-Disposition", "Require", "Resource-Priority", "Route", "Security-Client", "Security-Server",
    "Security-Verify", "Service-Route", "Supported", "Trigger-Consent", "Unsupported", "User-to-User", "Via",
    "Warning", "Accept-Resource-Priority", "Recv-Info", "Geolocation", "Identity",
})  # fmt: skip
"""Fields whose several values may stand on one line, separated by commas."""

SINGLES: Final = frozenset({
    "Authentication-Info", "Call-ID", "Content-Disposition", "Content-Length", "Content-Type", "CSeq", "Date", "Event",
    "Expires", "From", "Max-Forwards", "MIME-Version", "Min-Expires", "Min-SE", "Organization", "Priority", "RAck",
    "Refer-Sub", "Refer-To", "Referred-By", "Replaces", "Reply-To", "Retry-After", "RSeq", "Server", "Session-Expires",
    "SIP-ETag", "SIP-If-Match", "Subject", "Subscription-State", "Target-Dialog", "Timestamp", "To",
    "User-Agent",
})  # fmt: skip
"""Fields that may stand once only."""

_OTHERS: Final = (
    "Authorization", "Proxy-Authenticate", "Proxy-Authorization", "WWW-Authenticate", "Privacy",
    "Content-Transfer-Encoding", "Identity-Info", "Flow-Timer", "Max-Breadth",
    # Whoever stands between may have added one; nothing depends on it.
    "Session-ID",
    "P-Charging-Vector", "Join", "Info-Package", "Answer-Mode",
)  # fmt: skip

_CANONICAL: Final = {name.lower(): name for name in (*LISTS, *SINGLES, *_OTHERS)} | COMPACT

_FREE: Final = frozenset({
    "Alert-Info", "Call-Info", "Error-Info", "Geolocation", "In-Reply-To", "Organization", "Priority",
    "Resource-Priority", "Subject", "User-to-User",
})  # fmt: skip

OURS: Final = frozenset(name.lower() for name in (*LISTS, *SINGLES, *_OTHERS) if name not in _FREE) | frozenset(COMPACT)
"""Fields that the stack writes itself, or that would change what a message means, in lower case: for nobody else."""

OUR_PREFIXES: Final = (
    "content-", "proxy-", "security-", "www-", "p-asserted-", "p-preferred-", "p-charg", "p-served-", "p-called-",
)  # fmt: skip
"""Beginnings of further such names: who calls, who is called and who pays is not for others to say."""

KEYS: Final = (
    _CANONICAL | {name: name for name in _CANONICAL.values()} | {name.upper(): full for name, full in COMPACT.items()}
)
"""The usual spellings of known names to their canonical one: the parser's fast path."""


def header_key(name: str) -> str:
    """Return what a name is looked up by: the canonical name of a known field, lower case for another."""
    return KEYS.get(name) or (_CANONICAL.get(lower := name.lower()) or lower)


def wire_name(name: str) -> str:
    """Check a name from the wire and return it in canonical spelling if known, as received if not.

    Blanks before the colon are legal (RFC 3261 section 7.3.1); anything else that is no token is refused.
    """
    name = name.rstrip(" \t")
    if not is_token(name):
        fail(f"header name is no token: {excerpt(name)}")
    return _CANONICAL.get(name.lower(), name)
