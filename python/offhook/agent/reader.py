"""A reader of what happens in a call."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from offhook.agent.events import CallEvent

_EVENTS = 1_000


class EventReader:
    """What happens in a call from now on, for one reader. At most 1,000 events wait, then the oldest is dropped."""

    def __init__(self) -> None:
        self.dropped = 0
        self._events: deque[CallEvent] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, event: CallEvent) -> None:
        """Something happened."""
        if len(self._events) >= _EVENTS:
            self._events.popleft()
            self.dropped += 1
        self._events.append(event)
        self._changed.set()

    def close(self) -> None:
        """Nothing more will happen."""
        self._closed = True
        self._changed.set()

    def __aiter__(self) -> AsyncIterator[CallEvent]:
        return self

    async def __anext__(self) -> CallEvent:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()
