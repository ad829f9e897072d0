"""Tests for voice agents: a caller made of text or WAV files, on the gateway's own media core, in virtual time.

The pytest plugin gives a test the fixture `caller_for`:

    async def test_it_books_a_table(caller_for):
        async with caller_for(agent, line="mobile") as caller:
            await caller.hears("how can I help")
            await caller.says("A table for two, please")
            answer = await caller.hears("for two")
            assert answer.latency_ms < 1_500

See docs/guides/testing.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offhook.testing.caller import Caller, Heard
    from offhook.testing.calls import call
    from offhook.testing.interruption import Interruption
    from offhook.testing.lines import LINES, LineProfile
    from offhook.testing.plugin import CallerFor
    from offhook.testing.virtual_loop import VirtualLoop, run_virtual, time_stands

__all__ = [
    "LINES",
    "Caller",
    "CallerFor",
    "Heard",
    "Interruption",
    "LineProfile",
    "VirtualLoop",
    "call",
    "run_virtual",
    "time_stands",
]

_HOMES = {
    "LINES": "lines",
    "Caller": "caller",
    "CallerFor": "plugin",
    "Heard": "caller",
    "Interruption": "interruption",
    "LineProfile": "lines",
    "VirtualLoop": "virtual_loop",
    "call": "calls",
    "run_virtual": "virtual_loop",
    "time_stands": "virtual_loop",
}


def __getattr__(name: str) -> Any:
    """Each name when somebody asks for it: pytest loads the plugin in every project, and most have no agent."""
    if name not in _HOMES:
        raise AttributeError(f"module 'offhook.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"offhook.testing.{_HOMES[name]}"), name)
