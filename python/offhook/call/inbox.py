"""The inbox of a call: what has happened to it, in order, for the one task that takes it."""

import asyncio

from offhook.call.event import CallEvent


class Inbox:
    """A bounded queue with one reader. Empty, as it is for most of a call's life, it costs next to no memory."""

    __slots__ = ("_events", "_limit", "_reader")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: list[CallEvent] = []
        self._reader: asyncio.Future[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether `put` has to wait for the reader."""
        return len(self._events) >= self._limit

    def put(self, event: CallEvent) -> None:
        """Put an event behind the others. The caller has looked at `is_full`."""
        self._events.append(event)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def clear(self) -> None:
        """Give up all that waits."""
        self._events.clear()

    async def get(self) -> CallEvent:
        """Take the oldest event, waiting for one if there is none. One reader at a time."""
        while not self._events:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._events.pop(0)
