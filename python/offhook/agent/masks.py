"""Who may know which keys are pressed, as parts of an agent wish it and the gateway confirms it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from offhook.agent.errors import AgentError, CallEnded
from offhook.agent.events import DigitsMasked, DigitsState

if TYPE_CHECKING:
    from offhook.agent.line import CallOver, Line

# Seconds that the gateway has to confirm.
_CONFIRMING = 5.0


class Masks:
    """The wishes of one call. Several may be open at a time: the strictest counts."""

    def __init__(self, line: "Line", over: "asyncio.Future[CallOver]") -> None:
        self._line = line
        self._over = over
        self._wishes: dict[object, bool] = {}
        self._unanswered = 0
        self._answered = asyncio.Event()
        self._state: DigitsState = "shown"

    def receive(self, event: DigitsMasked) -> None:
        """The gateway has answered: every wish is, in order."""
        self._state = event.state
        self._unanswered = max(0, self._unanswered - 1)
        if not self._unanswered:
            self._answered.set()

    def call_over(self) -> None:
        """Nobody presses any more."""
        self._answered.set()

    @asynccontextmanager
    async def masked(self, *, withhold: bool) -> AsyncGenerator[None, None]:
        """Mask keys while this is open. Raises `AgentError` without a confirmation, `CallEnded` after the call."""
        wish = object()
        self._wishes[wish] = withhold
        self._ask()
        try:
            await self._confirmed()
            yield
        finally:
            del self._wishes[wish]
            self._ask()

    async def _confirmed(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CONFIRMING):
                await self._answered.wait()
        if self._over.done():
            raise CallEnded(self._over.result().reason)
        if self._unanswered or self._state == "shown":
            raise AgentError("the gateway has not confirmed that keys are masked")

    def _ask(self) -> None:
        if not self._over.done():
            self._unanswered += 1
            self._answered.clear()
            self._line.mask_digits(bool(self._wishes), withhold=any(self._wishes.values()))
