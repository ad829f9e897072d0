"""OPTIONS: what we can do, and whether we want more (RFC 3261 section 11)."""

from offhook.sip.message import Request, Response

DRAINING_RETRY_SECONDS = 30


def answer_options(
    request: Request, *, capabilities: tuple[tuple[str, str], ...], draining: bool, to_tag: str
) -> Response:
    """200 with Allow, Accept and Supported as an INVITE would get; 503 with Retry-After while calls drain."""
    if draining:
        return request.response(
            503, to_tag=to_tag, headers=[("Retry-After", str(DRAINING_RETRY_SECONDS)), *capabilities]
        )
    return request.response(
        200,
        to_tag=to_tag,
        headers=[
            ("Accept", "application/sdp"),
            ("Accept-Encoding", "identity"),
            ("Accept-Language", "en"),
            *capabilities,
        ],
    )
