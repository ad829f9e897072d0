"""The pytest plugin: the fixture `caller_for`, and the event loop of the tests that use it.

Nothing of offhook is imported before a test asks for it, so that it costs other projects' tests nothing.
"""

import functools
import inspect
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from offhook.agent.agent import Agent
    from offhook.testing.caller import Caller

_FIXTURE = "caller_for"


class CallerFor:
    """What the fixture `caller_for` is: `async with caller_for(agent, line="mobile") as caller`.

    Its arguments are those of `offhook.testing.call`.
    """

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._callers: list[Caller] = []

    def __call__(self, agent: "Agent", **options: Any) -> "AbstractAsyncContextManager[Caller]":
        """Call the agent."""
        from offhook.testing.calls import call

        return call(agent, made=self._callers.append, **options)

    def report(self) -> list[tuple[str, str]]:
        """Headline and text of each call, its sound saved beside."""
        found = []
        for number, caller in enumerate(self._callers, 1):
            path = self._folder() / f"call-{number}.wav"
            caller.save(path)
            found.append((f"call {number}", f"{caller.timeline}\n\nits sound: {path}"))
        return found


_CALLS = pytest.StashKey[CallerFor]()


@pytest.fixture
def caller_for(request: pytest.FixtureRequest) -> CallerFor:
    """A telephone for this test: see `CallerFor`."""
    calls = CallerFor(lambda: request.getfixturevalue("tmp_path"))
    # Asked for now: when a test has failed, no fixture can be had any more.
    request.getfixturevalue("tmp_path")
    request.node.stash[_CALLS] = calls
    return calls


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    """Before any other plugin sees that it is a coroutine function: such a test needs our loop."""
    found = yield
    for item in found if isinstance(found, list) else ():
        if isinstance(item, pytest.Function):
            _take(item)
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """A test that is run again has its own function again."""
    _take(pyfuncitem)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test that failed shows its calls."""
    report = yield
    calls = item.stash.get(_CALLS, None)
    if calls is not None and report.when == "call" and report.failed:
        report.sections += calls.report()
    return report


def _take(item: pytest.Function) -> None:
    if _FIXTURE in getattr(item, "fixturenames", ()) and inspect.iscoroutinefunction(item.obj):
        item.obj = _in_virtual_time(item.obj)


def _in_virtual_time(test: Callable[..., Any]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*arguments: Any, **options: Any) -> None:
        __tracebackhide__ = True
        from offhook.testing.virtual_loop import run_virtual

        run_virtual(test(*arguments, **options))

    return run
