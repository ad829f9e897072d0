"""How soon a caller is let speak, by a capture beside its phone, and what else is taken for a caller.

`make test` asks a few callers, `make prove` and `make bargein` (OFFHOOK_PROVE=1) interrupt more than 500 times;
`OFFHOOK_SPEECH` names a directory with recordings to speak with, `OFFHOOK_FIGURES` a file for the figures.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tests.support.agent import agent_on
from tests.support.figures import Figures
from tests.support.gateway import REPOSITORY, Gateway, ports, running_gateway
from tests.support.interruptions import MARK_EVERY, Beside, Caller, Cut, Echo, judge, percentile, phrases
from tests.support.line_sounds import breath, keys, line_noise, music
from tests.support.plain_phone import PlainPhone

pytestmark = pytest.mark.interop

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
CALLERS, TIMES = (12, 12) if PROVE else (8, 1)
"""Calls at a time, and how often each is interrupted, in each of the cases."""
EACH, LISTENS = (4, 151.0) if PROVE else (1, 6.0)
"""Calls of each kind in which nobody speaks, and for how many seconds."""
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
QUIET = Beside()
ECHOES = [Beside(Echo(delay, 10.0)) for delay in (0.04, 0.16, 0.4)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("offhook"), TOML) as running:
        yield running


def without_network(directory: Path) -> dict[str, str]:
    """The environment of a gateway whose package has no weights: there the gate decides alone."""
    whole, package = REPOSITORY / "python" / "offhook", directory / "offhook"
    (package / "media").mkdir(parents=True)
    for name in (".", "media"):
        for path in (whole / name).iterdir():
            if path.name not in ("media", "silero", "__pycache__"):
                (package / name / path.name).symlink_to(path)
    return {"PYTHONPATH": str(directory)}


@asynccontextmanager
async def callers(gateway: Gateway, lines: Sequence[Beside]) -> AsyncIterator[list[Caller]]:
    """A call for each line, taken by an agent in µ-law."""
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(agent_on(PORT, "offhook"))
        found = []
        for line in lines:
            phone = await stack.enter_async_context(PlainPhone.open())
            call = phone.dial(gateway.udp)
            bot = await agent.call()
            await bot.text("ringing")
            await bot.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
            await call.answered()
            found.append(Caller(call, bot, line))
        yield found


def agrees(caller: Caller, cut: Cut) -> None:
    """What the agent was told is what the capture has, to one frame."""
    told = caller.bot.of("interrupted")[-1].body
    assert (told["utterance"], told["by"]) == (caller.utterance, "caller")
    assert abs(told["played_ms"] - 20 * cut.frames) <= 20, "what is said to have been heard was"
    played, dropped = caller.marks()
    assert MARK_EVERY * len(played) - 1 <= cut.frames <= MARK_EVERY * (len(played) + 1), (len(played), cut.frames)
    numbers = [int(name.partition("/")[2]) for name in played + dropped]
    assert numbers == list(range(round(SAYS / 0.02 / MARK_EVERY))), "each mark comes back once, in order"


async def interrupted(caller: Caller, number: int, chance: random.Random, seconds: float, **fields: Any) -> Cut:
    """One time: the agent speaks, the caller does after a while, and it ends."""
    packets = len(caller.call.packets)
    messages = len(caller.bot.of("interrupted"))
    said = await caller.speaks(SAYS, **fields)
    await asyncio.sleep(1.2 + chance.random())
    every = phrases(seconds)
    phrase = every[number % len(every)]
    first = caller.interrupts(phrase)
    await asyncio.sleep(len(phrase) * 0.02 + 0.6)
    cut = judge(caller.call.packets[packets:], said, caller.sent[first])
    if len(caller.bot.of("interrupted")) > messages:
        assert cut.cleared is not None
        agrees(caller, cut)
    await caller.bot.clear()
    await asyncio.sleep(0.7)
    return cut


async def measured(
    gateway: Gateway, lines: Sequence[Beside], *, times: int = TIMES, seconds: float = 1.2, **fields: Any
) -> list[Cut]:
    """All calls at once, each interrupted so often."""
    async with callers(gateway, lines) as found:

        async def one(caller: Caller, number: int) -> list[Cut]:
            chance = random.Random(number)
            return [await interrupted(caller, number * times + at, chance, seconds, **fields) for at in range(times)]

        return [cut for cuts in await asyncio.gather(*map(one, found, range(len(found)))) for cut in cuts]


@dataclass(frozen=True, slots=True)
class Figure:
    """p95 in milliseconds, and the share of the callers who were never let speak."""

    ducked: float
    cleared: float
    missed: float


def note(name: str, cuts: Sequence[Cut], figures: Figures) -> Figure:
    """Keep the figures."""
    ducked = [1000 * cut.ducked for cut in cuts if cut.ducked is not None and cut.ducked >= 0]
    # A voice that was cut off before the caller spoke was cut off by something else.
    cleared = [1000 * cut.cleared for cut in cuts if cut.cleared is not None and cut.cleared >= 0]
    figure = Figure(percentile(ducked, 0.95), percentile(cleared, 0.95), 1 - len(cleared) / len(cuts))
    row = {
        "case": name,
        "interruptions": len(cuts),
        "not let speak": len(cuts) - len(cleared),
        "lowered, median": round(percentile(ducked, 0.5)) if ducked else None,
        "lowered, p95": round(figure.ducked) if ducked else None,
        "cut off, median": round(percentile(cleared, 0.5)),
        "cut off, p95": round(figure.cleared),
    }
    print(row)
    figures.note("How soon the caller is let speak, milliseconds", **row)
    return figure


async def test_a_caller_who_goes_on_hears_the_voice_lowered_at_once_and_then_silence(
    gateway: Gateway, figures: Figures
) -> None:
    cuts = await measured(gateway, [QUIET] * CALLERS)
    figure = note("`duck-then-decide`", cuts, figures)
    assert figure.missed <= 0.02
    assert figure.ducked <= 40 * PATIENCE
    assert figure.cleared <= 700 * PATIENCE


async def test_a_clear_comes_as_soon_as_it_is_sure(gateway: Gateway, figures: Figures) -> None:
    assert gateway.metric("offhook_media_engine", counter="speech_network") == 1
    cuts = await measured(gateway, [QUIET] * CALLERS, barge_in="clear")
    figure = note("`clear`, confirmed by the network", cuts, figures)
    assert figure.missed <= 0.02
    assert figure.cleared <= 120 * PATIENCE


async def test_without_the_network_a_clear_comes_sooner(tmp_path: Path, figures: Figures) -> None:
    environ = without_network(tmp_path / "package")
    with running_gateway(tmp_path / "gateway", TOML, environ=environ) as gateway:
        assert gateway.metric("offhook_media_engine", counter="speech_network") == 0
        cuts = await measured(gateway, [QUIET] * CALLERS, barge_in="clear")
    figure = note("`clear`, by the gate alone", cuts, figures)
    assert figure.missed <= 0.02
    assert figure.cleared <= 60 * PATIENCE


async def test_the_agents_own_clear_is_heard_within_25_ms(gateway: Gateway, figures: Figures) -> None:
    async with callers(gateway, [QUIET] * CALLERS) as found:

        async def one(caller: Caller, number: int) -> list[Cut]:
            cuts = []
            for at in range(TIMES):
                packets = len(caller.call.packets)
                said = await caller.speaks(SAYS, barge_in="off")
                await asyncio.sleep(0.5 + random.Random(number * TIMES + at).random())
                began = time.time()
                await caller.bot.clear()
                await asyncio.sleep(0.6)
                cuts.append(judge(caller.call.packets[packets:], said, began))
            return cuts

        cuts = [cut for cuts in await asyncio.gather(*map(one, found, range(CALLERS))) for cut in cuts]
    figure = note("the agent's own `clear`", cuts, figures)
    assert figure.missed == 0
    assert figure.cleared <= 25 * PATIENCE


@pytest.mark.parametrize("seconds", [1.2, 2.0])
async def test_a_caller_is_heard_above_the_echo_of_the_agent(
    gateway: Gateway, figures: Figures, seconds: float
) -> None:
    lines = [ECHOES[number % len(ECHOES)] for number in range(CALLERS)]
    cuts = await measured(gateway, lines, times=max(1, TIMES // 2), seconds=seconds)
    figure = note(f"`duck-then-decide`, echo 10 dB below the caller, who speaks for {seconds} s", cuts, figures)
    # Of few one may be missed.
    assert figure.missed <= (0.1 if PROVE else 0.5)


SOUNDS = {
    "line noise, -40 dBov": Beside(noise=line_noise(-40)),
    "breathing, up to -30 dBov": Beside(noise=breath),
    "music, -25 dBov": Beside(noise=music),
    "keys being struck": Beside(noise=keys),
    "echo -10 dB after 40 ms": Beside(Echo(0.04, 10.0), line_noise(-62)),
    "echo -10 dB after 200 ms": Beside(Echo(0.2, 10.0), line_noise(-62)),
    "echo -20 dB after 400 ms": Beside(Echo(0.4, 20.0), line_noise(-62)),
}


async def test_what_is_no_caller_interrupts_nobody(gateway: Gateway, figures: Figures) -> None:
    async with callers(gateway, [line for line in SOUNDS.values() for _ in range(EACH)]) as found:
        until = time.monotonic() + LISTENS
        while time.monotonic() < until:
            await asyncio.gather(*(caller.speaks(3.0) for caller in found))
            await asyncio.sleep(3.0)
        wrong = [len(caller.bot.of("interrupted")) for caller in found]
    minutes = EACH * LISTENS / 60
    rest = iter(zip(found, wrong, strict=True))
    for kind in SOUNDS:
        group = list(islice(rest, EACH))
        row: dict[str, object] = {"kind": kind, "minutes": round(minutes, 1), "cut off": sum(cut for _, cut in group)}
        if PROVE:
            row["lowered"] = sum(gateway.record(caller.call.call_id)["media"]["ducks"] for caller, _ in group)
        print(row)
        figures.note("What was taken for a caller", **row)
        assert row["cut off"] <= minutes / 10, kind  # type: ignore[operator]
