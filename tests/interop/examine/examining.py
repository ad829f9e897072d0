"""An examination of an agent in the test's own process, in virtual time.

Both ends are in one loop and on this machine's loopback, where what was sent can be read at once: so the loop's clock
may jump whenever nothing is ready, and the minute that an examination lasts takes a second.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from tests.support.clock import VirtualTimeLoop

from offhook.examine.check import Check, Outcome
from offhook.examine.judge import Verdict, judge
from offhook.examine.plan import Plan
from offhook.examine.scenes import examine
from offhook.phone.sound import load
from offhook.route.destination_uri import WireUri, parse_destination


def plan_for(url: str, **options: object) -> Plan:
    """An examination of that URL as the command makes it."""
    uri = parse_destination(url)
    assert isinstance(uri, WireUri)
    return Plan(uri, load("sentence"), **options)  # type: ignore[arg-type]


def verdict_on(server: Callable[[], AbstractAsyncContextManager[str]], **options: object) -> Verdict:
    """Start a server that gives its URL, and examine it."""

    async def run() -> Verdict:
        async with server() as url:
            plan = plan_for(url, **options)
            return judge(plan, await examine(plan))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(run())


def named(verdict: Verdict, *outcomes: Outcome) -> dict[str, str]:
    """The checks that came out so, with what was found."""
    return {check.name: check.found for check in verdict.checks if check.outcome in outcomes}


def check_of(verdict: Verdict, name: str) -> Check:
    """One check."""
    return next(check for check in verdict.checks if check.name == name)
