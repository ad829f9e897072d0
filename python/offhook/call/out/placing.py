"""Where a call has another one placed: the dialler, which is made after what the calls need of the gateway."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Protocol

from offhook.call.joined.loops import Loops
from offhook.call.out.outcome import NotPlaced
from offhook.call.out.wish import Wish
from offhook.ids import TrunkName
from offhook.route.table import RouteTable

if TYPE_CHECKING:
    from offhook.call.out.outbound import OutboundCall


class Places(Protocol):
    """What places calls."""

    async def dial(self, wish: Wish) -> "OutboundCall | NotPlaced":
        """Place a call; returns as soon as it lives."""


class Placing:
    """Places calls by `dialler`, which is to be set, and keeps those who wait for them."""

    def __init__(self) -> None:
        self.dialler: Places | None = None
        self.calls_out = False
        """Whether any trunk does."""
        self.routes: Callable[[TrunkName], RouteTable] | None = None
        """By which routes what the other side calls on its own, as it does for a REFER, would come back to us."""
        self.loops = Loops()
        """The calls that go on to others from here."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def dial(self, wish: Wish) -> "OutboundCall | NotPlaced":
        """Place a call."""
        assert self.dialler is not None, "a gateway that takes calls has one"
        return await self.dialler.dial(wish)

    def follow(self, life: Coroutine[None, None, None]) -> None:
        """Let it run to its end, whoever began it."""
        task = asyncio.get_running_loop().create_task(life, name="a referred call")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
