"""Whether a request can be served at all: the order of checks of RFC 3261 8.2.1 to 8.2.3."""

from dataclasses import dataclass

from offhook.errors import RemoteProtocolError
from offhook.sip.message import METHODS, Request
from offhook.sip.uri import OtherUri

SDP = "application/sdp"

OFFER_METHODS = frozenset({"INVITE", "UPDATE"})
"""Requests whose body is an offer: what can't be used must not be passed over."""

DTMF_RELAY = "application/dtmf-relay"
DTMF = "application/dtmf"
INFO_BODIES = frozenset({DTMF_RELAY, DTMF})


@dataclass(frozen=True, slots=True)
class Objection:
    """The response that an unservable request gets."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()


def inspect(
    request: Request, *, allow: frozenset[str], supported: frozenset[str], allow_header: str
) -> Objection | None:
    """The first objection, or None. ACK and CANCEL are never objected to (no answer is possible, or none may fail)."""
    method = request.method
    if method in ("ACK", "CANCEL"):
        return None
    if method not in allow:
        return Objection(405 if method in METHODS else 501, (("Allow", allow_header),))
    if isinstance(request.request_uri, OtherUri):
        return Objection(416)
    unsupported = [tag for tag in request.require if tag not in supported]
    if unsupported:
        return Objection(420, (("Unsupported", ", ".join(unsupported)),))
    if method == "INFO" and request.headers.get("Info-Package") is not None:
        # RFC 6086 4.2.2: we take part in no package, and say so. The two old bodies of keys have none.
        return Objection(469, (("Recv-Info", ""),))
    objection = _inspect_body(request)
    if objection is not None:
        return objection
    if method == "INVITE" and not request.accepts(SDP):
        return Objection(406)
    return None


def _inspect_body(request: Request) -> Objection | None:
    if not request.body:
        return None
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        return Objection(415, (("Accept-Encoding", "identity"),))
    if _optional(request):
        return None
    media_type = request.content_type
    name = media_type.name if media_type is not None else ""
    if request.method in OFFER_METHODS:
        try:
            usable = name == SDP or (name.startswith("multipart/") and request.sdp is not None)
        except RemoteProtocolError as error:
            return Objection(error.status_hint)
        return None if usable else Objection(415, (("Accept", SDP),))
    if request.method == "INFO":
        return _inspect_info(request, name)
    # What BYE or OPTIONS carry is of no use to us and does no harm.
    return None


def _inspect_info(request: Request, name: str) -> Objection | None:
    try:
        known = name in INFO_BODIES or (
            name.startswith("multipart/")
            and any(part.media_type is not None and part.media_type.name in INFO_BODIES for part in request.parts)
        )
    except RemoteProtocolError as error:
        return Objection(error.status_hint)
    return None if known else Objection(415, (("Accept", ", ".join(sorted(INFO_BODIES))),))


def _optional(request: Request) -> bool:
    disposition = (request.headers.get("Content-Disposition") or "").lower().replace(" ", "")
    return "handling=optional" in disposition and request.method not in OFFER_METHODS
