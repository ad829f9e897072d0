"""A request of ours outside any dialog: its fields and where it goes first (RFC 3261 section 8.1.1)."""

from typing import TypeAlias

from offhook.errors import LocalProtocolError
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.message import Headers, Request
from offhook.sip.session_core import HeaderList
from offhook.sip.uri import SipUri, Uri

Addressed: TypeAlias = NameAddr | str


def request_outside(
    method: str,
    request_uri: Uri,
    from_: Addressed,
    to: Addressed,
    headers: HeaderList,
    body: bytes = b"",
    *,
    tag: str,
    call_id: str,
    max_forwards: int = 70,
    route: tuple[str, ...] = (),
) -> Request:
    """The request without Via and Contact. `tag` is ours; a `max_forwards` below 1 raises `LocalProtocolError`."""
    if max_forwards < 1:
        raise LocalProtocolError("Max-Forwards has run out", hint="answer 483 to the call that this one continues")
    sender = NameAddr.parse(from_) if isinstance(from_, str) else from_
    return Request(
        method,
        request_uri,
        Headers(
            [
                *(("Route", value) for value in route),
                ("Max-Forwards", str(max_forwards)),
                ("From", str(sender.with_tag(tag))),
                ("To", str(to)),
                ("Call-ID", call_id),
                ("CSeq", f"1 {method}"),
                *headers,
            ]
        ),
        body,
    )


def first_hop(request_uri: Uri, route: tuple[str, ...], next_hop: SipUri | None) -> SipUri:
    """Where it goes: to `next_hop`, else to the first `route`, else to its Request-URI."""
    if next_hop is not None:
        return next_hop
    if route:
        return NameAddr.parse(route[0]).sip_uri
    if isinstance(request_uri, SipUri):
        return request_uri
    raise LocalProtocolError(f"{request_uri} leads nowhere by itself", hint="give next_hop")
