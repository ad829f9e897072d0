"""What runs for one call: its handlers and all that they start. What goes wrong in it ends this call alone."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from offhook.agent.errors import CallEnded

_log = logging.getLogger("offhook.agent")

STOPPING = 5.0
"""Seconds that what is cancelled may take to end."""

_AFTERWARDS = 30.0


class CallTasks:
    """The tasks of a call of `agent`. `failed` is done when one of them has; what it was is in the log by then."""

    def __init__(self, agent: str, call_id: str) -> None:
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._agent = agent
        self._call_id = call_id
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], what: str) -> "asyncio.Task[Any]":
        """Run something of this call's; it is cancelled when the call ends, and ends the call when it fails."""
        task = self._loop.create_task(self._guarded(work), name=what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Cancelled before its first step it was never awaited, of which Python would warn.
        task.add_done_callback(lambda _: work.close())
        return task

    def call_it(self, what: str) -> None:
        """The task that runs does this from here on: what a failure is told as."""
        _own_task().set_name(what)

    async def stop(self) -> None:
        """Cancel all that runs for the call, but for the task that asks."""
        own = asyncio.current_task()
        tasks = {task for task in self._tasks if task is not own}
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=STOPPING)
            for task in left:
                _log.warning(
                    "%s of agent %s goes on although its call %s is over: it must not catch asyncio.CancelledError",
                    task.get_name(), self._agent, self._call_id,
                )  # fmt: skip

    async def afterwards(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `on_hangup`, which has 30 s. Never raises what that raised."""
        try:
            async with asyncio.timeout(_AFTERWARDS):
                await work
        except TimeoutError:
            _log.warning("on_hangup of agent %s took longer than %g s", self._agent, _AFTERWARDS)
        except CallEnded:
            _log.exception(
                "on_hangup of agent %s wants to speak or listen, but call %s is over by then: do it before hang_up",
                self._agent, self._call_id,
            )  # fmt: skip
        except (Exception, SystemExit):
            _log.exception("on_hangup of agent %s failed", self._agent)

    async def _guarded(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await work
        except CallEnded:
            return None
        except asyncio.CancelledError as error:
            if _own_task().cancelling():
                raise
            # Nobody cancelled this one: it waited for something that was, and would end without a word.
            self._fail(error)
            return None
        except (Exception, SystemExit) as error:
            # `sys.exit` in a handler, or in a library that it calls, would end all calls of the process.
            self._fail(error)
            return None

    def _fail(self, error: BaseException) -> None:
        _log.error(
            "%s of agent %s failed, which ends call %s: %s",
            _own_task().get_name(), self._agent, self._call_id, _told(error), exc_info=error,
        )  # fmt: skip
        if not self.failed.done():
            self.failed.set_result(None)


def _own_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    assert task is not None, "called by a task of the call"
    return task


def _told(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "CancelledError: a task that it waited for was cancelled"
    return f"{type(error).__name__}: {error}"
