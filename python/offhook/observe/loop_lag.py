"""How late the event loop runs."""

import asyncio
from types import TracebackType
from typing import Self

_EVERY = 0.1
_FORGOTTEN_PER_TURN = 0.8


class LoopLag:
    """Measures every 100 ms how much later than asked the loop comes back.

    `worst` is in seconds and falls by a fifth each turn, so one long pause is seen for about a second. A pause that is
    still going on can't be seen from within the loop; whoever asks comes after it and sees it whole.
    """

    def __init__(self) -> None:
        self.worst = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self._expected = 0.0

    async def __aenter__(self) -> Self:
        self._arm()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._expected = loop.time() + _EVERY
        self._handle = loop.call_at(self._expected, self._turn)

    def _turn(self) -> None:
        late = max(0.0, asyncio.get_running_loop().time() - self._expected)
        self.worst = max(late, self.worst * _FORGOTTEN_PER_TURN)
        self._arm()
