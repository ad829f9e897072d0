"""A few threads that infer, so that the event loop never does."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from offhook.speech.errors import SpeechError

_Result = TypeVar("_Result")


class Pool:
    """At most `threads` jobs at a time, first come, first served; they are made when they are first needed.

    A job should last for tens of milliseconds: what is longer is cut into several, so that calls get their turns.
    """

    def __init__(self, threads: int, name: str) -> None:
        assert threads >= 1, "a pool without threads does nothing"
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"offhook-{name}")
        self._name = name
        self._closed = False

    async def run(self, job: "Callable[[], _Result]") -> "_Result":
        """What the job returns or raises. Cancelled while it waits for a thread, it never runs."""
        if self._closed:
            raise SpeechError(f"the engine {self._name} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, job)

    def close(self) -> None:
        """No more jobs; those that wait are dropped, those that run end by themselves. Idempotent."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
