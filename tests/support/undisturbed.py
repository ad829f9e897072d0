"""Tests that hold what was heard against the clock: once more if the machine stood still while they ran."""

import functools
import inspect
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

LATE = 0.02
"""Seconds: a packet that is later than that has missed its frame, so what is heard of it has a gap."""
SHORT = 0.2
"""The share of the time in which some process waited for a processor: from here on the machine has too few of them."""
PRESSURE = Path("/proc/pressure/cpu")
TRIES = 3
_TRIES = (*[False] * (TRIES - 1), True)
_EVERY = 0.005


class Stillness:
    """What a machine let the processes of a test wait.

    `worst` is the longest wait for a processor, in seconds, `short` the share of the time in which some process waited
    for one (0 where the kernel does not count it).

    A thread looks on each processor. One for all of them would be put where nobody else is, and see nothing of what the
    peers of a test have to wait elsewhere. It does little itself, so it is let in before those who do more: therefore
    the kernel's own count beside it.
    """

    def __init__(self) -> None:
        self.worst = 0.0
        self._is_over = threading.Event()
        processors = sorted(os.sched_getaffinity(0))
        self._threads = [threading.Thread(target=self._look, args=(one,), daemon=True) for one in processors]

    def __enter__(self) -> Self:
        self._began, self._waited = time.monotonic(), _waited()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    @property
    def short(self) -> float:
        return (_waited() - self._waited) / (time.monotonic() - self._began)

    @property
    def has_disturbed(self) -> bool:
        return self.worst > LATE or self.short > SHORT

    def _look(self, processor: int) -> None:
        os.sched_setaffinity(0, {processor})
        while not self._is_over.is_set():
            due = time.monotonic() + _EVERY
            time.sleep(_EVERY)
            self.worst = max(self.worst, time.monotonic() - due)


def _waited() -> float:
    """Seconds since the machine was started in which some process waited for a processor (PSI, `some`)."""
    try:
        line = PRESSURE.read_text().splitlines()[0]
    except OSError:
        return 0.0
    return int(line.rpartition("total=")[2]) / 1e6


def undisturbed(test: Callable[P, R]) -> Callable[P, R]:
    """A test that is played again, twice at most, if it failed while the machine had no time for it.

    On a machine that had time for it a failure counts at once: a fault of the product is no matter of luck. Whatever is
    raised may come of what was late: of a list that is still empty, too. What the test begins it has to end itself, so
    it shares only what lasts for a module; its `tmp_path` is a new one.
    """
    if not inspect.iscoroutinefunction(test):

        @functools.wraps(test)
        def tried(*arguments: P.args, **named: P.kwargs) -> R:
            for number, is_last in enumerate(_TRIES):
                with Stillness() as still:
                    try:
                        return test(*arguments, **_anew(named, number))
                    except Exception as error:
                        _judge(error, still, is_last)
            raise AssertionError("the last try has passed or failed")

        return tried

    @functools.wraps(test)
    async def awaited(*arguments: P.args, **named: P.kwargs) -> Any:
        for number, is_last in enumerate(_TRIES):
            with Stillness() as still:
                try:
                    return await test(*arguments, **_anew(named, number))
                except Exception as error:
                    _judge(error, still, is_last)
        raise AssertionError("the last try has passed or failed")

    return awaited  # type: ignore[return-value]


def _anew(named: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The fixtures of a try: from the second on `tmp_path` is a folder in it, as what the first has left is there."""
    if number and isinstance(named.get("tmp_path"), Path):
        folder = named["tmp_path"] / f"again-{number}"
        folder.mkdir()
        return {**named, "tmp_path": folder}
    return dict(named)


def _judge(error: Exception, still: Stillness, is_last: bool) -> None:
    if is_last or not still.has_disturbed:
        raise error
    why = f"a wait of {still.worst * 1000:.0f} ms, waits in {still.short:.0%} of the time"
    warnings.warn(f"played again, the machine had no time for it ({why}): {error!r:.200}", stacklevel=3)
