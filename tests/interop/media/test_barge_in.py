"""How soon a caller is let speak, by a capture beside its phone, and what else is taken for a caller.

`make test` asks a few callers, `make prove` (OFFHOOK_PROVE=1) interrupts more than 500 times; `OFFHOOK_SPEECH` names a
directory with recordings to speak with, `OFFHOOK_FIGURES` a file for the figures.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import numpy as np
import pytest
from tests.support.agent import agent_on
from tests.support.figures import Figures
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.interruptions import FRAME, RATE, Caller, Cut, Echo, Sound, judge, percentile, phrases
from tests.support.plain_phone import PlainPhone

pytestmark = pytest.mark.interop

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
CALLERS, TIMES = (10, 18) if PROVE else (4, 2)
"""Calls at a time, and how often each is interrupted, in each of the cases."""
LISTENS = 150.0 if PROVE else 6.0
"""Seconds of each call in which nobody speaks."""
PATIENCE = 1 if PROVE else 8
"""Times are held to their bounds where they are measured; `make test` has other things to do beside."""
PORT = ports(2)
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "front"
destination = "ws://127.0.0.1:{PORT}/agent"
"""
SAYS = 8.0
"""Seconds of an utterance that nobody interrupts."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("offhook"), TOML) as running:
        yield running


@asynccontextmanager
async def callers(gateway: Gateway, count: int, **line: Any) -> AsyncIterator[list[Caller]]:
    """So many calls, taken by an agent in µ-law."""
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(agent_on(PORT, "offhook"))
        found = []
        for _ in range(count):
            phone = await stack.enter_async_context(PlainPhone.open())
            call = phone.dial(gateway.udp)
            bot = await agent.call()
            await bot.text("ringing")
            await bot.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
            await call.answered()
            found.append(Caller(call, bot, **line))
        yield found


async def interrupted(caller: Caller, number: int, chance: random.Random, **fields: Any) -> Cut:
    """One time: the agent speaks, the caller does after a while, and it ends."""
    packets = len(caller.call.packets)
    messages = len(caller.bot.of("interrupted"))
    said = await caller.speaks(SAYS, **fields)
    await asyncio.sleep(1.2 + chance.random())
    every = phrases()
    phrase = every[number % len(every)]
    first = caller.interrupts(phrase)
    await asyncio.sleep(len(phrase) * 0.02 + 0.6)
    cut = judge(caller.call.packets[packets:], said, caller.sent[first])
    told = caller.bot.of("interrupted")[messages:]
    if cut.cleared is None:
        await caller.bot.clear()
    else:
        assert len(told) == 1
        assert told[0].body["by"] == "caller"
        assert abs(told[0].body["played_ms"] - 20 * cut.frames) <= 20, "what is said to have been heard was"
    await asyncio.sleep(0.7)
    return cut


async def measured(gateway: Gateway, count: int, times: int, echo: Echo | None = None, **fields: Any) -> list[Cut]:
    """All calls at once, each interrupted so often."""
    async with callers(gateway, count, echo=echo) as found:

        async def one(caller: Caller, number: int) -> list[Cut]:
            chance = random.Random(number)
            return [await interrupted(caller, number * times + time, chance, **fields) for time in range(times)]

        return [cut for cuts in await asyncio.gather(*map(one, found, range(count))) for cut in cuts]


def note(name: str, cuts: list[Cut]) -> tuple[float, float, float]:
    """Keep the figures; gives p95 of ducked and cleared, and the share that was never let speak."""
    ducked = [1000 * cut.ducked for cut in cuts if cut.ducked is not None]
    cleared = [1000 * cut.cleared for cut in cuts if cut.cleared is not None]
    row = {
        "case": name,
        "interruptions": len(cuts),
        "missed": len(cuts) - len(cleared),
        "ducked p50": round(percentile(ducked, 0.5)) if ducked else "",
        "ducked p95": round(percentile(ducked, 0.95)) if ducked else "",
        "cleared p50": round(percentile(cleared, 0.5)),
        "cleared p95": round(percentile(cleared, 0.95)),
    }
    print(row)
    Figures().note("barge-in", **row)
    return percentile(ducked, 0.95), percentile(cleared, 0.95), 1 - len(cleared) / len(cuts)


async def test_a_caller_who_goes_on_hears_the_voice_lowered_at_once_and_then_silence(gateway: Gateway) -> None:
    cuts = await measured(gateway, CALLERS, TIMES)
    ducked, cleared, missed = note("duck-then-decide", cuts)
    assert (missed <= 0.02, ducked <= 40 * PATIENCE, cleared <= 700 * PATIENCE) == (True, True, True), (
        missed,
        ducked,
        cleared,
    )


async def test_a_clear_comes_as_soon_as_it_is_sure(gateway: Gateway) -> None:
    cuts = await measured(gateway, CALLERS, TIMES, barge_in="clear")
    _, cleared, missed = note("clear", cuts)
    assert (missed <= 0.02, cleared <= 120 * PATIENCE) == (True, True), (missed, cleared)


async def test_the_agents_own_clear_is_heard_within_25_ms(gateway: Gateway) -> None:
    times = 40 if PROVE else 4
    found = []
    async with callers(gateway, 1) as (caller,):
        for number in range(times):
            packets = len(caller.call.packets)
            said = await caller.speaks(SAYS, barge_in="off")
            await asyncio.sleep(0.5 + random.Random(number).random() / 10)
            began = time.time()
            await caller.bot.clear()
            await asyncio.sleep(0.6)
            cut = judge(caller.call.packets[packets:], said, began)
            assert cut.cleared is not None
            found.append(1000 * cut.cleared)
    row = {"case": "the agent's own clear", "interruptions": times, "cleared p50": round(percentile(found, 0.5)),
           "cleared p95": round(percentile(found, 0.95))}  # fmt: skip
    print(row)
    Figures().note("barge-in", **row)
    assert percentile(found, 0.95) <= 25 * PATIENCE


def _noise(level: float) -> Callable[[int], Sound]:
    chance = np.random.default_rng(1)
    return lambda _: chance.normal(0, 10 ** (level / 20), FRAME)


def _breath(frame: int) -> Sound:
    """Air over a microphone: two seconds in, two out, from a seed."""
    loud = max(0.0, np.sin(2 * np.pi * frame / 200)) ** 2 * 10 ** (-30 / 20)
    return np.convolve(np.random.default_rng(frame).normal(0, loud, FRAME + 7), np.ones(8) / 3, "valid")


def _music(frame: int) -> Sound:
    """A melody over a chord, each note plucked, with overtones."""
    when = (np.arange(FRAME) + frame * FRAME) / RATE
    beat = when // 0.4
    melody = 220 * 2 ** (np.array([0, 4, 7, 12, 9, 7, 5, 2])[(beat % 8).astype(int)] / 12)
    plucked = np.exp(-3 * (when % 0.4))
    sound = sum(np.sin(2 * np.pi * n * melody * when) / n for n in range(1, 6)) * plucked
    sound = sound + sum(np.sin(2 * np.pi * hz * when) for hz in (110.0, 138.6, 164.8)) * 0.3
    return np.asarray(sound * 0.06)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("line noise", {"noise": _noise(-40)}),
        ("breathing", {"noise": _breath}),
        ("music", {"noise": _music}),
        ("echo -10 dB after 200 ms", {"echo": Echo(0.2, 10.0)}),
        ("echo -20 dB after 40 ms", {"echo": Echo(0.04, 20.0)}),
    ],
)
async def test_what_is_no_caller_interrupts_nobody(gateway: Gateway, kind: str, line: dict[str, Any]) -> None:
    count = 4 if PROVE else 1
    async with callers(gateway, count, **line) as found:
        until = time.monotonic() + LISTENS
        while time.monotonic() < until:
            await asyncio.gather(*(caller.speaks(3.0) for caller in found))
            await asyncio.sleep(3.0)
        wrong = sum(len(caller.bot.of("interrupted")) for caller in found)
    minutes = count * LISTENS / 60
    row = {"kind": kind, "minutes": round(minutes, 1), "interruptions": wrong}
    print(row)
    Figures().note("false interruptions", **row)
    assert wrong <= minutes / 10
