"""The timers of a call: each posts its name into the call's inbox when its time is up."""

import asyncio
from collections.abc import Callable

from offhook.call.event import Timer, TimeUp


class Timers:
    """Those that run, one of each name."""

    __slots__ = ("_post", "_running")

    def __init__(self, post: Callable[[TimeUp], None]) -> None:
        self._post = post
        self._running: dict[Timer, tuple[TimeUp, asyncio.TimerHandle]] = {}

    def __contains__(self, timer: Timer) -> bool:
        return timer in self._running

    def arm(self, timer: Timer, delay: float) -> None:
        """Begin one that runs for `delay` seconds; where it runs already it begins anew."""
        self.disarm(timer)
        time_up = TimeUp(timer)
        self._running[timer] = time_up, asyncio.get_running_loop().call_later(delay, self._post, time_up)

    def disarm(self, timer: Timer) -> None:
        """Stop one, if it runs."""
        running = self._running.pop(timer, None)
        if running is not None:
            running[1].cancel()

    def is_due(self, time_up: TimeUp) -> bool:
        """Whether this is still meant: one that was stopped or began anew may have been waiting in the inbox."""
        running = self._running.get(time_up.timer)
        return running is not None and running[0] is time_up

    def ran_out(self, timer: Timer) -> None:
        """What it posted has been taken."""
        self._running.pop(timer, None)

    def clear(self) -> None:
        """Stop all."""
        for timer in tuple(self._running):
            self.disarm(timer)
