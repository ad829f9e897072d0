"""How speech sounds after a call, by PESQ: caller to agent and back, on a clean line and on bad ones.

What is lost is decided by seed and packet number, so baresip gets the very same stream: ours must be no worse.
"""

import asyncio
import itertools
import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import mean

import pytest
from tests.interop.baresip.phone import Baresip
from tests.interop.media.lines import (
    FORMATS,
    G722_LINE,
    LATE,
    PCM16,
    WIDE,
    Format,
    Talk,
    coded,
    in_time,
    line_rate,
    to_baresip,
)
from tests.support.agent import agent_on
from tests.support.figures import Figures
from tests.support.gateway import Gateway, media_ports, ports, running_gateway
from tests.support.impair import CLEAN, Fates, Network
from tests.support.plain_phone import PlainPhone
from tests.support.sip_text import PCMA, PCMU, Line
from tests.support.speech import Sound, quality, resampled, speech

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
SEEDS = range(1, 9) if PROVE else range(1, 3)
AT_ONCE = 15
PORT = ports(2)
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]
codecs = ["PCMU", "PCMA", "G722"]

[[route]]
name = "front"
destination = "ws://127.0.0.1:{PORT}/agent"
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A network from the caller to us, the least quality that is good enough, and what baresip may be better by."""

    network: Network
    at_least: float
    seeds: range = range(1, 2)
    compared: bool = False
    line: Line = PCMU
    form: Format = PCM16

    @property
    def said(self) -> Sound:
        """What the caller says."""
        return speech(line_rate(self.line))


CASES = {
    "clean": Case(CLEAN, 4.2, compared=True),
    "3 % lost": Case(Network(loss=0.03), 3.3, SEEDS, compared=True),
    "3 % lost, 3 in a row": Case(Network(loss=0.03, burst=3), 3.2, SEEDS, compared=True),
    "up to 40 ms late": Case(Network(jitter=0.04), 4.2, compared=True),
    "2 % overtaken": Case(Network(reorder=0.02), 4.2, compared=True),
    "2 % twice": Case(Network(duplicate=0.02), 4.2),
    "clock 200 ppm fast": Case(Network(skew=200), 4.2),
    "clock 200 ppm slow": Case(Network(skew=-200), 4.2),
    "all of it": Case(Network(loss=0.01, jitter=0.03, reorder=0.01, duplicate=0.01, skew=200), 3.6, SEEDS, True),
    "G.722, clean": Case(CLEAN, 4.2, compared=True, line=G722_LINE, form=WIDE),
    "G.722, 3 % lost": Case(Network(loss=0.03), 2.8, SEEDS, True, G722_LINE, WIDE),
}
SAME = 0.05
"""PESQ's own grain: a difference that no listener could tell."""
SLACK = 0.4
"""What a machine that did not keep time may have cost; a proof allows it nothing."""


def slack(late: float) -> float:
    """How much less is enough where our own packets left so late at the best try."""
    return SLACK if late > LATE and not PROVE else 0.0


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), TOML, media=media_ports(200)) as running:
        yield running


Run = tuple[str, Case, int]


@pytest.fixture(scope="module")
def heard(
    gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, tuple[list[float], list[float]]], float]:
    """The qualities of each case, one for each seed, at our agent's end and at baresip's; the slack.

    Many calls run at once.
    """
    runs = [(name, case, seed) for name, case in CASES.items() for seed in case.seeds]
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in CASES}
    latest = 0.0
    for at in range(0, len(runs), AT_ONCE):
        some = runs[at : at + AT_ONCE]
        (ours, theirs), late = in_time(partial(both, gateway, some, tmp_path_factory))
        latest = max(latest, late)
        for (name, case, _), sound in zip(some, ours, strict=True):
            found[name][0].append(quality(case.said, sound, case.form.rate))
        for (name, case, _), sound in zip([run for run in some if run[1].compared], theirs, strict=True):
            found[name][1].append(quality(case.said, sound, case.form.rate))
    return found, slack(latest)


Both = tuple[list[Sound], list[Sound]]


def both(gateway: Gateway, runs: list[Run], directories: pytest.TempPathFactory) -> tuple[Both, float]:
    """What our agent and baresip's listener hear of the same speech through the same networks; how late we were."""
    directory = directories.mktemp("baresip")
    compared = [run for run in runs if run[1].compared]

    async def talk(listeners: list[Baresip]) -> tuple[Both, float]:
        async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
            talks = [
                await Talk.begin(phone, agent, gateway.udp, case.line, case.form, outward=case.network, seed=seed)
                for _, case, seed in runs
            ]
            to_them = [
                to_baresip(listener, case.line, case.said, case.network, seed)
                for listener, (_, case, seed) in zip(listeners, compared, strict=True)
            ]
            ours, theirs = await asyncio.gather(
                asyncio.gather(*(talk.to_agent(case.said) for talk, (_, case, _) in zip(talks, runs, strict=True))),
                asyncio.gather(*to_them),
            )
            for one in talks:
                await one.end()
        late = max(*(one.call.late for one in talks), *(late for _, late in theirs))
        return (ours, [sound for sound, _ in theirs]), late

    with ExitStack() as stack:
        phones = (
            Baresip(directory / f"{number}", None, codec=case.line.codec)
            for number, (_, case, _) in enumerate(compared)
        )
        return asyncio.run(talk([stack.enter_context(phone) for phone in phones]))


@pytest.mark.parametrize("name", CASES)
def test_the_agent_understands_the_caller(
    heard: tuple[dict[str, tuple[list[float], list[float]]], float], name: str, figures: Figures
) -> None:
    case, (ours, theirs), less = CASES[name], heard[0][name], heard[1]
    packets = len(coded(case.said, case.line))
    lost = [Fates(case.network, seed).lost(packets) / packets for seed in case.seeds]
    assert mean(lost) == pytest.approx(case.network.loss, abs=0.01), "the seeds are fair"
    figures.note(
        "Caller to agent through bad networks (G.711 unless named; PCM16 to the agent)",
        network=name, lost=f"{mean(lost):.1%}", seeds=len(case.seeds), PESQ=mean(ours), worst=min(ours),
        at_least=case.at_least, baresip=mean(theirs) if theirs else None,
    )  # fmt: skip
    assert mean(ours) >= case.at_least - less, ours
    if theirs:
        assert mean(ours) >= mean(theirs) - SAME - less, f"{ours}; baresip {theirs}"


WAYS = [
    *((PCMU, form) for form in FORMATS),
    *((PCMA, form) for form in (PCM16, WIDE)),
    *((G722_LINE, form) for form in FORMATS),
]
CHUNKS = random.Random(1)
UNEVEN = [(PCMU, PCM16), (PCMU, WIDE), (G722_LINE, WIDE)]
Way = tuple[Line, Format]
Clean = tuple[list[tuple[float, float]], list[float], float]


@pytest.fixture(scope="module")
def clean(gateway: Gateway) -> Clean:
    """For each way the quality at the agent's end and at the caller's; for some of them at the caller's, where the
    agent's sound comes unevenly; the slack. All calls run at once, in both directions at the same time."""
    spoken = {rate: speech(rate) for rate in (8_000, 16_000, 24_000, 48_000)}

    async def all_of_them() -> tuple[tuple[list[Sound], list[Sound], list[Sound]], float]:
        async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
            talks = [await Talk.begin(phone, agent, gateway.udp, line, form) for line, form in WAYS + UNEVEN]
            found = await asyncio.gather(
                asyncio.gather(*(talk.to_agent(spoken[line_rate(talk.line)]) for talk in talks[: len(WAYS)])),
                asyncio.gather(*(talk.to_caller(spoken[talk.form.rate]) for talk in talks[: len(WAYS)])),
                asyncio.gather(*(talk.to_caller(spoken[talk.form.rate], in_chunks()) for talk in talks[len(WAYS) :])),
            )
            for talk in talks:
                await talk.end()
        return found, max(talk.call.late for talk in talks)

    (at_agent, at_caller, uneven), late = in_time(lambda: asyncio.run(all_of_them()))
    return (
        [
            (judge(line_rate(line), said, form.rate), judge(form.rate, answer, line_rate(line)))
            for (line, form), said, answer in zip(WAYS, at_agent, at_caller, strict=True)
        ],
        [judge(form.rate, sound, line_rate(line)) for (line, form), sound in zip(UNEVEN, uneven, strict=True)],
        slack(late),
    )


def in_chunks() -> Iterator[tuple[float, int]]:
    """An agent that sends as it speaks: 100 ms each 100 ms, up to 15 ms late."""
    begin = time.monotonic()
    for number in itertools.count():
        due = begin + 0.1 * number + CHUNKS.random() * 0.015
        yield max(0.0, due - time.monotonic()), 100


def judge(said_rate: int, heard: Sound, heard_rate: int) -> float:
    """Wide band if both ends are, else narrow band."""
    rate = 16_000 if min(said_rate, heard_rate) >= 16_000 else 8_000
    return quality(resampled(speech(said_rate), said_rate, rate), heard, rate, heard_rate=heard_rate)


def named(ways: list[Way]) -> list[str]:
    """How the tests are called."""
    return [f"{line.codec}-{form}" for line, form in ways]


@pytest.mark.parametrize("number", range(len(WAYS)), ids=named(WAYS))
def test_a_clean_line_is_clean_in_every_format(clean: Clean, number: int, figures: Figures) -> None:
    (line, form), (at_agent, at_caller) = WAYS[number], clean[0][number]
    wide = "wide" if min(line_rate(line), form.rate) >= 16_000 else "narrow"
    figures.note(
        "Clean line, every format",
        line=line.codec, agent=str(form), band=wide, caller_to_agent=at_agent, agent_to_caller=at_caller, at_least=4.2,
    )  # fmt: skip
    assert at_agent >= 4.2 - clean[2]
    assert at_caller >= 4.2 - clean[2]


@pytest.mark.parametrize("number", range(len(UNEVEN)), ids=named(UNEVEN))
def test_an_agent_whose_sound_comes_unevenly(clean: Clean, number: int, figures: Figures) -> None:
    (line, form), found = UNEVEN[number], clean[1][number]
    figures.note(
        "Agent to caller, 100 ms at a time, up to 15 ms late",
        line=line.codec, agent=str(form), PESQ=found, at_least=4.0,
    )  # fmt: skip
    assert found >= 4.0 - clean[2]
