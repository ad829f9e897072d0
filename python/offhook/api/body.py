"""What somebody has sent to an HTTP door, as far as it is read."""

from starlette.requests import Request


async def body_of(request: Request, most: int) -> bytes | None:
    """The body of at most so many bytes; None if it is larger, and then the rest is not read."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            return None
    return bytes(body)
