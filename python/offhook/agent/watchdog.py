"""Notices when something blocks the event loop, which makes every call of the process wait, and says what it was."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

_log = logging.getLogger("offhook.agent")

LIMIT = 0.5
"""Seconds that a loop may stand still without a word."""

_BEAT = 0.1


class Watchdog:
    """A thread that watches the running loop. `blocked` gets the seconds, and the stack as it was after `limit`."""

    def __init__(self, blocked: Callable[[float, str, str], None] | None = None, *, limit: float = LIMIT) -> None:
        self.times = 0
        self._blocked = blocked or _warn
        self._limit = limit
        self._beat = time.monotonic()
        self._stack: tuple[str, str] | None = None
        self._stopped = threading.Event()
        self._loop_thread = 0
        self._thread = threading.Thread(target=self._watch, name="offhook-watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._tick()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stopped.set()
        self._timer.cancel()
        self._thread.join()

    def _tick(self) -> None:
        now = time.monotonic()
        stood, self._beat = now - self._beat, now
        stack, self._stack = self._stack, None
        # The beat itself comes every tenth of a second; what is above that is what somebody took.
        if stack is not None and stood - _BEAT >= self._limit / 2:
            self.times += 1
            self._blocked(stood, *stack)
        self._timer = self._loop.call_later(_BEAT, self._tick)

    def _watch(self) -> None:
        while not self._stopped.wait(_BEAT):
            if self._stack is None and time.monotonic() - self._beat > self._limit:
                frame = sys._current_frames().get(self._loop_thread)
                if frame is not None:
                    self._stack = (_where(frame), "".join(traceback.format_stack(frame)))


def _where(frame: FrameType) -> str:
    """The innermost place that is the user's own, else the innermost of all."""
    at: FrameType | None = frame
    while at is not None:
        name = at.f_code.co_filename
        if "site-packages" not in name and "/lib/python" not in name and not name.startswith("<"):
            return f"{at.f_code.co_qualname} ({name}:{at.f_lineno})"
        at = at.f_back
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"


def _warn(seconds: float, where: str, stack: str) -> None:
    _log.warning(
        "your agent blocked for %.1f s in %s: every call of this process stood still. "
        "Await it, or give it to asyncio.to_thread.\n%s",
        seconds, where, stack,
    )  # fmt: skip
