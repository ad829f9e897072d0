"""Time as the tests have it: a clock that jumps to the next timer, and an asyncio loop that does the same."""

import asyncio
import functools
import inspect
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Protocol


class Machine(Protocol):
    """Anything with the five ends of a state machine that the clock needs two of."""

    def next_timeout(self) -> float | None: ...
    def handle_timeout(self, now: float) -> None: ...


class Clock:
    """Seconds that pass only when somebody says so. It starts at an odd number, so that nothing may rely on zero."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.start = now

    @property
    def elapsed(self) -> float:
        """Seconds since the clock was made, free of float dust."""
        return round(self.now - self.start, 6)

    def advance(self, seconds: float) -> float:
        """Let time pass without waking anybody."""
        self.now += seconds
        return self.now

    def run(self, machine: Machine, until: float, after_each: Callable[[], None] = lambda: None) -> None:
        """Wake one machine at each of its timers up to `until` seconds after the start."""
        end = self.start + until
        for _ in range(100_000):
            at = machine.next_timeout()
            if at is None or at > end:
                self.now = max(self.now, end)
                return
            self.now = max(self.now, at)
            machine.handle_timeout(self.now)
            after_each()
        raise AssertionError("a machine asks to be woken without end")


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Returns at once and lets the loop's time jump by what it would have waited for."""

    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is not None and timeout > 0:
            self.loop.jump(timeout)
        elif not ready and timeout is None:
            raise RuntimeError("every task waits for something that will never come")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer whenever nothing else is ready.

    For asyncio code without real sockets: a wait of an hour takes no time, and a wait for nothing is an error.
    """

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._virtual_now = 1000.0
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual_now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """At once: a thread has a time of its own."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._virtual_now += seconds


def run_virtual(main: Any) -> Any:
    """Run a coroutine to its end in a VirtualTimeLoop."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test as a coroutine whose waits take no time; a test that waits for what never comes fails."""

    @functools.wraps(test)
    def run(*args: Any, **options: Any) -> None:
        run_virtual(test(*args, **options))

    # The loop is this one, whatever pytest-asyncio would have made of a coroutine.
    del run.__wrapped__  # type: ignore[attr-defined]
    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run
