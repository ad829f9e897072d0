"""A request that is sent twice under one key is done once."""

import asyncio

import pytest

from offhook.api.idempotency import REMEMBERED, REMEMBERED_FOR, Idempotency, OtherRequest

pytestmark = pytest.mark.unit


class Desk:
    """Counts what was done, and answers with it."""

    def __init__(self) -> None:
        self.done = 0
        self.now = 0.0
        self.gate = asyncio.Event()
        self.gate.set()
        self.once = Idempotency[int](lambda: self.now, lambda answer: answer < 100)

    async def ask(self, key: str, asked: bytes = b"a", *, answer: int = 0, whose: str = "crm") -> int:
        async def action() -> int:
            await self.gate.wait()
            self.done += 1
            return answer or self.done

        return await self.once.once(whose, key, asked, action)


async def test_asked_again_the_answer_is_the_first_one() -> None:
    desk = Desk()
    assert [await desk.ask("k"), await desk.ask("k"), await desk.ask("other")] == [1, 1, 2]


async def test_the_keys_of_two_owners_are_two() -> None:
    desk = Desk()
    assert [await desk.ask("k"), await desk.ask("k", whose="shop")] == [1, 2]


async def test_who_asks_while_it_is_worked_on_waits_for_it() -> None:
    desk = Desk()
    desk.gate.clear()
    first, second = asyncio.ensure_future(desk.ask("k")), asyncio.ensure_future(desk.ask("k"))
    await asyncio.sleep(0)
    first.cancel()
    desk.gate.set()
    assert await second == 1
    assert desk.done == 1


async def test_another_request_under_the_same_key_is_refused() -> None:
    desk = Desk()
    await desk.ask("k", b"a")
    with pytest.raises(OtherRequest):
        await desk.ask("k", b"b")
    assert desk.done == 1


async def test_an_answer_that_does_not_stand_may_be_asked_for_again() -> None:
    desk = Desk()
    assert await desk.ask("k", answer=503) == 503
    await asyncio.sleep(0)
    assert await desk.ask("k") == 2


async def test_a_fault_does_not_stand() -> None:
    desk = Desk()

    async def fails() -> int:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        await desk.once.once("crm", "k", b"a", fails)
    await asyncio.sleep(0)
    assert await desk.ask("k") == 1


async def test_after_a_day_it_is_forgotten_and_there_are_never_too_many() -> None:
    desk = Desk()
    await desk.ask("k")
    desk.now = REMEMBERED_FOR + 1
    assert await desk.ask("k") == 2
    for number in range(REMEMBERED + 10):
        await desk.ask(f"n{number}")
    assert len(desk.once) <= REMEMBERED


async def test_who_asks_much_makes_no_other_owners_key_forgotten() -> None:
    desk = Desk()
    await desk.ask("k", whose="clinic")
    for number in range(REMEMBERED + 10):
        await desk.ask(f"n{number}")
    assert await desk.ask("k", whose="clinic") == 1
