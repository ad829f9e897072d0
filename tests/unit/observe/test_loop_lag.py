"""How late the event loop runs."""

import asyncio

import pytest
from tests.support.clock import VirtualTimeLoop, in_virtual_time

from offhook.observe.loop_lag import LoopLag

pytestmark = pytest.mark.unit


@in_virtual_time
async def test_a_loop_that_is_on_time_has_no_lag() -> None:
    async with LoopLag() as lag:
        await asyncio.sleep(5)
        assert lag.worst < 0.001


@in_virtual_time
async def test_a_pause_is_seen_whole_and_forgotten_within_seconds() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    async with LoopLag() as lag:
        await asyncio.sleep(1.0)
        loop.jump(0.6)
        await asyncio.sleep(0.01)
        assert 0.4 < lag.worst <= 0.6
        await asyncio.sleep(0.5)
        assert lag.worst > 0.1, "seen for a while"
        await asyncio.sleep(3)
        assert lag.worst < 0.01


@in_virtual_time
async def test_nothing_is_armed_after_its_end() -> None:
    async with LoopLag() as lag:
        await asyncio.sleep(0.5)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.jump(5)
    await asyncio.sleep(1)
    assert lag.worst < 0.001
