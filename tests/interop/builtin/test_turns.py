"""How long the built-in agent takes to answer: from the last that is heard of a person's sentence to its first sound.

Measured beside the phone, in packets: `make talk` states it.
"""

import asyncio
from collections.abc import Iterator

import pytest
from tests.interop.builtin.line import PROVE, TOML, Ear, percentile
from tests.support.figures import Figures
from tests.support.gateway import Gateway, running_gateway
from tests.support.human import PHRASES
from tests.support.plain_phone import PlainPhone
from tests.support.sdk_worker import working
from tests.support.tone import frames
from tests.support.undisturbed import undisturbed

from offhook.builtin.agent import make_agent

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

TURNS = 32 if PROVE else 2
AT_ONCE = (1, 4) if PROVE else (1,)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("offhook"), TOML) as running:
        yield running


async def waits(gateway: Gateway, number: int) -> list[float]:
    """One caller, who says one thing after the other and waits for the answers."""
    found = []
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        ear = Ear(call)
        await call.answered()
        await ear.hears(since=0)
        for turn in range(TURNS):
            # Nobody needs to hear all of the greeting or of an answer: a key that asks for the time cuts it short.
            await asyncio.sleep(0.4)
            call.press("1")
            await asyncio.sleep(0.5)
            await ear.silence()
            phrase = PHRASES[(number + turn) % len(PHRASES)]
            said = await ear.says(frames(phrase.sound(8_000).tolist()))
            found.append((await ear.hears(since=said)).at - said)
        call.hang_up()
    return found


@pytest.mark.parametrize("at_once", AT_ONCE)
@undisturbed
async def test_an_answer_comes_soon(gateway: Gateway, figures: Figures, at_once: int) -> None:
    async with working(make_agent(), gateway, "builtin"):
        every = await asyncio.gather(*(waits(gateway, number) for number in range(at_once)))
    found = [1000 * wait for one in every for wait in one]
    figures.note(
        "From the last word to the answer, ms",
        calls_at_once=at_once, turns=len(found), p50=round(percentile(found, 0.5)), p95=round(percentile(found, 0.95)),
        longest=round(max(found)),
    )  # fmt: skip
    print("from the last word to the answer:", " ".join(f"{wait:.0f}" for wait in sorted(found)), "ms")
    # Half a second of it is the silence that says that somebody has finished. Nothing was said too early.
    assert min(found) > 400
    assert percentile(found, 0.5) < (1_200 if PROVE else 8_000)
