"""A TCP server that leaves no connection open: one that is forgotten fails some other test, when it is collected."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

_UNDER_WAY = 0.02
"""Seconds for what has been connected but not been taken yet."""
_FAREWELL = 2.0
"""Seconds for what is still to be written."""

Take = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def served(take: Take, host: str, port: int, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Give every connection to `take`, and close all of them at the end; the port."""
    taken: list[asyncio.StreamWriter] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)
        await take(reader, writer)

    server = await asyncio.start_server(one, host, port, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(_UNDER_WAY)
        for writer in taken:
            writer.close()
        for writer in taken:
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), _FAREWELL)
            writer.transport.abort()
