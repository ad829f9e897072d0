"""One connection to the gateway: records of many calls, and how it is seen whether the gateway still lives."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from offhook.agent.protocol import Kind, Record, parse, unpack
from offhook.agent.wire_line import WireLine
from offhook.errors import RemoteProtocolError

_log = logging.getLogger("offhook.agent")

_BATCH = 128 * 1024
_PING_EVERY = 1.0
_DEAD_AFTER = 5


class Connection:
    """Carries calls while `run` runs. `take` makes the line of a call that rings; `said` gets text messages."""

    def __init__(
        self,
        socket: ClientConnection,
        number: int,
        take: Callable[["Connection", int, dict[str, Any]], WireLine],
        said: Callable[[dict[str, Any]], None],
    ) -> None:
        self.number = number
        self._socket = socket
        self._take = take
        self._said = said
        self._lines: dict[int, WireLine] = {}
        self._out: list[bytes] = []
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Until the connection closes, for whatever reason. The calls that it carried are lost then."""
        helpers = [asyncio.create_task(self._send()), asyncio.create_task(self._watch())]
        try:
            async for message in self._socket:
                try:
                    if isinstance(message, str):
                        self._said(parse(message))
                    else:
                        for record in unpack(message):
                            self._receive(record)
                except RemoteProtocolError as error:
                    _log.warning("the gateway said something that can't be understood: %s", error)
        except ConnectionClosed:
            pass
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            with suppress(ConnectionClosed, OSError):
                await self._socket.close()
            lines, self._lines = list(self._lines.values()), {}
            for line in lines:
                line.lost(self.why)

    @property
    def why(self) -> str:
        """How it closed."""
        code, reason = self._socket.protocol.close_code, self._socket.protocol.close_reason
        return f"closed with {code}{f' {reason}' if reason else ''}"

    def write(self, record: bytes) -> None:
        """Queue a record; what calls may have queued is bounded by each of them."""
        self._out.append(record)
        self._wanted.set()

    async def say(self, text: str) -> None:
        """Send a text message."""
        with suppress(ConnectionClosed):
            await self._socket.send(text)

    async def close(self) -> None:
        """Close it in good order, after what is queued has left."""
        out, self._out = self._out, []
        with suppress(ConnectionClosed, OSError):
            if out:
                await self._socket.send(b"".join(out))
            await self._socket.close()

    def _receive(self, record: Record) -> None:
        line = self._lines.get(record.call)
        if line is None:
            if record.kind == Kind.CONTROL:
                message = parse(record.payload)
                if message["type"] == "ringing":
                    self._lines[record.call] = self._take(self, record.call, message)
            return
        try:
            line.receive(record)
        except RemoteProtocolError:
            raise
        except Exception:
            _log.exception("call %s failed by a mistake of ours", line.facts.call_id)
            line.give_up("internal error")
        if not line.is_open:
            del self._lines[record.call]

    async def _send(self) -> None:
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                while self._out:
                    size = count = 0
                    while count < len(self._out) and size < _BATCH:
                        size += len(self._out[count])
                        count += 1
                    batch = b"".join(self._out[:count])
                    del self._out[:count]
                    await self._socket.send(batch)
        except ConnectionClosed:
            pass

    async def _watch(self) -> None:
        """Count seconds without a sign of life while we ourselves were awake: a blocked loop counts as one."""
        silent = 0
        while True:
            try:
                pong = await self._socket.ping()
            except ConnectionClosed:
                return
            silent += 1
            answered = asyncio.ensure_future(pong)
            await asyncio.wait({answered}, timeout=_PING_EVERY)
            if answered.done():
                silent = 0
                await asyncio.sleep(_PING_EVERY)
            elif silent >= _DEAD_AFTER:
                _log.warning(
                    "nothing has come from the gateway for %d s: connection %d is given up", silent, self.number
                )
                self._socket.transport.abort()
                return
