"""Who holds the call, as its agent knows it, and what the agent asks for."""

import asyncio
from typing import Literal

from offhook.agent.errors import CallEnded, HoldFailed
from offhook.agent.events import Held, Resumed
from offhook.agent.line import CallOver, HoldRefused, Line
from offhook.agent.voice import Floor, Unsaid
from offhook.agent.waiting import first_of

# The caller's side may take 32 s to say nothing, and what it does itself goes first.
_PATIENCE = 75.0


class Hold:
    """The holds of one call. While the caller holds, the floor is its own: what the agent begins to say waits."""

    def __init__(self, line: Line, floor: Floor, over: "asyncio.Future[CallOver]") -> None:
        self.unsaid: Unsaid | None = None
        """What a hold cut off, as far as that is known."""
        self._line, self._floor, self._over = line, floor, over
        self._by: set[Literal["caller", "agent"]] = set()
        self._asked: tuple[Literal["hold", "resume"], asyncio.Future[HoldRefused | None]] | None = None

    @property
    def is_on(self) -> bool:
        """Whether anybody holds."""
        return bool(self._by)

    @property
    def is_by_caller(self) -> bool:
        """Whether the caller does."""
        return "caller" in self._by

    def receive(self, event: Held | Resumed | HoldRefused) -> None:
        """The gateway tells."""
        match event:
            case Held(by):
                self._by.add(by)
                self._settle(by, "hold", None)
            case Resumed(by, _):
                self._by.discard(by)
                self._settle(by, "resume", None)
            case HoldRefused(action):
                self._settle("agent", action, event)
        self._floor.keep(self.is_by_caller)

    async def ask(self, action: Literal["hold", "resume"]) -> None:
        """Hold the caller, or have it back, and wait until that is so. Raises `HoldFailed` and `CallEnded`."""
        if self._over.done():
            raise CallEnded(self._over.result().reason)
        if self._asked is not None:
            raise HoldFailed(f"`{self._asked[0]}` is still under way: one after the other", reason="busy")
        answer: asyncio.Future[HoldRefused | None] = asyncio.get_running_loop().create_future()
        self._asked = action, answer
        try:
            self._line.hold(action)
            await first_of(answer, self._over, timeout=_PATIENCE)
        finally:
            self._asked = None
        if answer.done():
            refused = answer.result()
            if refused is not None:
                raise HoldFailed(refused.message, reason=refused.code, status=refused.status)
        elif self._over.done():
            raise CallEnded(self._over.result().reason)
        else:
            raise HoldFailed("the gateway did not answer", reason="no_answer")

    def _settle(self, by: str, action: str, refused: HoldRefused | None) -> None:
        if by == "agent" and self._asked is not None and self._asked[0] == action and not self._asked[1].done():
            self._asked[1].set_result(refused)
