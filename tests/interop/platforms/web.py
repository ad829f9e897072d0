"""A platform's HTTP API on a port of 127.0.0.1: one handler, plain text of HTTP/1.1."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.served import served

Handler = Callable[["Asked"], Awaitable[tuple[int, Any]]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Web:
    """An API, and what was asked of it."""

    handler: Handler
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def open(self, port: int = 0) -> AsyncIterator["Web"]:
        async with served(self._serve, "127.0.0.1", port) as self.port:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, path, _ = first.split(" ", 2)
                asked = Asked(method, path, headers, json.loads(body or b"null"))
                self.asked.append(asked)
                status, answer = await self.handler(asked)
                said = json.dumps(answer).encode()
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(said)}\r\n\r\n".encode() + said)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


async def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """POST and give the status."""
    found = re.fullmatch(r"http://([^:/]+):(\d+)(/.*)", url)
    assert found is not None, url
    reader, writer = await asyncio.open_connection(found[1], int(found[2]))
    lines = [f"POST {found[3]} HTTP/1.1", f"Host: {found[1]}", *(f"{name}: {value}" for name, value in headers.items())]
    lines += ["Connection: close", f"Content-Length: {len(body)}"]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
    status = int((await reader.readline()).split(b" ")[1])
    writer.close()
    return status
