"""Tests that hold what was heard against the clock: once more if the machine stood still while they ran."""

import functools
import inspect
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

LATE = 0.03
"""Seconds: a phone whose packets are later than that is rightly taken for one that loses them."""
TRIES = 3
_TRIES = (*[False] * (TRIES - 1), True)
_EVERY = 0.005


class Stillness:
    """How long this process, and so others of this machine, had to wait for a processor: `worst`, in seconds."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.is_set():
            due = time.monotonic() + _EVERY
            time.sleep(_EVERY)
            self.worst = max(self.worst, time.monotonic() - due)


def undisturbed(test: Callable[P, R]) -> Callable[P, R]:
    """A test that is played again, twice at most, if it failed while the machine stood still for more than `LATE`.

    On a machine that had time for it a failure counts at once: a fault of the product is no matter of luck. What the
    test begins it has to end itself, so it shares only what lasts for a module; its `tmp_path` is a new one.
    """
    if not inspect.iscoroutinefunction(test):

        @functools.wraps(test)
        def tried(*arguments: P.args, **named: P.kwargs) -> R:
            for number, is_last in enumerate(_TRIES):
                with Stillness() as still:
                    try:
                        return test(*arguments, **_anew(named, number))
                    except (AssertionError, TimeoutError) as error:
                        _judge(error, still, is_last)
            raise AssertionError("the last try has passed or failed")

        return tried

    @functools.wraps(test)
    async def awaited(*arguments: P.args, **named: P.kwargs) -> Any:
        for number, is_last in enumerate(_TRIES):
            with Stillness() as still:
                try:
                    return await test(*arguments, **_anew(named, number))
                except (AssertionError, TimeoutError) as error:
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


def _judge(error: BaseException, still: Stillness, is_last: bool) -> None:
    if is_last or still.worst < LATE:
        raise error
    print(f"once more: the machine stood still for {still.worst * 1000:.0f} ms; {error!r}")
