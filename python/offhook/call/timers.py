"""The timers of a call: each posts its name into the call's inbox when its time is up."""

import asyncio
from collections.abc import Callable

from offhook.call.event import Timer, TimeUp


class Timers:
    """Those that run, one of each name."""

    __slots__ = ("_post", "_running")

    def __init__(self, post: Callable[[TimeUp], None]) -> None:
        self._post = post
        self._running: dict[Timer, asyncio.TimerHandle] = {}

    def __contains__(self, timer: Timer) -> bool:
        return timer in self._running

    def arm(self, timer: Timer, delay: float) -> None:
        """Begin one that runs for `delay` seconds; where it runs already it begins anew."""
        self.disarm(timer)
        self._running[timer] = asyncio.get_running_loop().call_later(delay, self._post, TimeUp(timer))

    def disarm(self, timer: Timer) -> None:
        """Stop one, if it runs."""
        handle = self._running.pop(timer, None)
        if handle is not None:
            handle.cancel()

    def ran_out(self, timer: Timer) -> None:
        """What it posted has been taken."""
        self._running.pop(timer, None)

    def clear(self) -> None:
        """Stop all."""
        for timer in tuple(self._running):
            self.disarm(timer)
