import asyncio

import pytest

from offhook.call.end_reason import EndReason
from offhook.call.event import HangUp
from offhook.call.inbox import Inbox

pytestmark = pytest.mark.unit


def event(number: int) -> HangUp:
    return HangUp(EndReason.INTERNAL_ERROR, str(number))


async def test_events_come_in_order_whether_they_waited_or_were_waited_for() -> None:
    inbox = Inbox(10)
    inbox.put(event(1))
    inbox.put(event(2))
    assert [await inbox.get(), await inbox.get()] == [event(1), event(2)]
    reader = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put(event(3))
    inbox.put(event(4))
    assert await reader == event(3)
    assert await inbox.get() == event(4)


async def test_a_reader_that_was_cancelled_loses_nothing() -> None:
    inbox = Inbox(10)
    reader = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put(event(1))
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await inbox.get() == event(1)


async def test_a_full_inbox_says_so_and_can_be_cleared() -> None:
    inbox = Inbox(2)
    inbox.put(event(1))
    assert not inbox.is_full
    inbox.put(event(2))
    assert inbox.is_full
    inbox.clear()
    inbox.put(event(3))
    assert await inbox.get() == event(3)
