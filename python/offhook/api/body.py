"""What somebody has sent to an HTTP door, as far as it is read."""

from starlette.requests import ClientDisconnect, Request


async def body_of(request: Request, most: int) -> bytes | None:
    """The body of at most so many bytes; None if it is larger, and then the rest is not read.

    None, too, if whoever sends it goes away: it is no fault of ours, and nobody hears the answer.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                return None
    except ClientDisconnect:
        return None
    return bytes(body)
