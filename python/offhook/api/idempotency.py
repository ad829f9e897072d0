"""What was answered under an `Idempotency-Key`: asked again, nothing happens a second time."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

REMEMBERED = 4096
"""Keys that are remembered of each owner; beyond that its oldest are forgotten, and nobody else's."""

REMEMBERED_FOR = 24 * 3600.0
"""Seconds that an answer is remembered; a restart forgets all."""

LONGEST_KEY = 128

T = TypeVar("T")


class OtherRequest(Exception):
    """The key was used for another request before."""


@dataclass(slots=True)
class _Once(Generic[T]):
    asked: bytes
    task: "asyncio.Task[T]"
    at: float


class Idempotency(Generic[T]):
    """Runs each request once. `keeps` says of an answer whether it stands; one that does not may be asked for again.

    Owners are those of the configuration, so there are few.
    """

    def __init__(self, now: Callable[[], float], keeps: Callable[[T], bool]) -> None:
        self._now = now
        self._keeps = keeps
        # By owner: who asks much must not make another's call be placed twice.
        self._known: dict[str, OrderedDict[str, _Once[T]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._known.values()))

    async def once(self, whose: str, key: str, asked: bytes, action: Callable[[], Awaitable[T]]) -> T:
        """The answer to the request `asked`, under this key of its owner. Who asks while it is worked on waits for it.

        It is worked on to its end whoever goes away meanwhile. Raises `OtherRequest`.
        """
        now, own = self._now(), self._known.setdefault(whose, OrderedDict())
        while own:
            oldest = next(iter(own.values()))
            if len(own) < REMEMBERED and now - oldest.at < REMEMBERED_FOR:
                break
            own.popitem(last=False)
        known = own.get(key)
        if known is None:
            known = _Once(asked, asyncio.ensure_future(_run(action)), now)
            own[key] = known
            known.task.add_done_callback(lambda task: self._over(own, key, task))
        elif known.asked != asked:
            raise OtherRequest
        return await asyncio.shield(known.task)

    def _over(self, own: OrderedDict[str, _Once[T]], key: str, task: "asyncio.Task[T]") -> None:
        stands = not task.cancelled() and task.exception() is None and self._keeps(task.result())
        known = own.get(key)
        if not stands and known is not None and known.task is task:
            del own[key]


async def _run(action: Callable[[], Awaitable[T]]) -> T:
    return await action()
