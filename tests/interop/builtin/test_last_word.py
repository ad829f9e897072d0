"""The last word of the last sentence: an agent that says goodbye and hangs up is heard to the end.

`make test` looks at a few calls, `make prove` at a hundred.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from tests.interop.builtin.line import PROVE, TOML, percentile
from tests.interop.media.lines import G722_LINE, by_timestamp, line_rate
from tests.support.figures import Figures
from tests.support.gateway import Gateway, running_gateway
from tests.support.plain_phone import PlainPhone
from tests.support.sdk_worker import working
from tests.support.sip_text import PCMU, Line
from tests.support.speech import Sound, resampled
from tests.support.understood import understood
from tests.support.undisturbed import undisturbed
from tests.support.words import wrong_words

from offhook.builtin.agent import make_agent

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

CALLS, AT_ONCE = (100, 10) if PROVE else (6, 6)
RECOGNISED = 6 if PROVE else 2
GOODBYE = "Goodbye, and thank you for calling."
LOUD = 300
TAIL, END = 0.5, 0.06
"""Seconds of the sentence's end that are looked for, and of these the last ones that are looked at alone."""
ALIKE = 0.9


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended for the phone."""

    line: Line
    sound: Sound
    pause: float
    """Seconds from the last packet with sound in it to the BYE."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("offhook"), TOML) as running:
        yield running


async def ending(gateway: Gateway, number: int) -> Ending:
    """A caller who, at some moment of the greeting, asks by a key to end."""
    chance, line = random.Random(number), (PCMU, G722_LINE)[number % 2]
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, line=line)
        await call.answered()
        await asyncio.sleep(chance.uniform(0.2, 4.0))
        call.press("#")
        bye = await call.hung_up(30)
        # What was on its way when the BYE came is not waited for: a phone plays nothing after it.
        sound = by_timestamp(call.packets, line)
        last = np.flatnonzero(np.abs(sound.astype(int)) > LOUD)[-1]
        packet = next(one for one in call.packets if one.payload_type == line.payload_type)
        hung_up_at = time.time() - (time.monotonic() - bye.at)
        return Ending(line, sound, hung_up_at - packet.at - last / line_rate(line))


def likeness(sound: Sound, reference: Sound, rate: int) -> float:
    """How alike a sentence's end and what was heard of it are, 0 to 1: the end, and the very end if that is less."""
    reference = reference[: np.flatnonzero(np.abs(reference.astype(int)) > LOUD)[-1] + 1]
    tail = reference[-round(TAIL * rate) :].astype(float)
    padded = np.concatenate([sound[-3 * rate :].astype(float), np.zeros(len(tail))])
    size = 1 << (len(padded) + len(tail)).bit_length()
    found = np.fft.irfft(np.fft.rfft(padded, size) * np.conj(np.fft.rfft(tail, size)), size)
    at = int(np.argmax(found[: len(padded) - len(tail) + 1]))
    part = padded[at : at + len(tail)]
    return min(_alike(part, tail), _alike(part[-round(END * rate) :], tail[-round(END * rate) :]))


def _alike(
    one: "np.ndarray[tuple[int], np.dtype[np.float64]]", other: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> float:
    return float(one @ other / max(1.0, float(np.linalg.norm(one) * np.linalg.norm(other))))


@undisturbed
async def test_the_goodbye_is_heard_to_its_end(gateway: Gateway, figures: Figures) -> None:
    agent = make_agent()
    endings: list[Ending] = []
    async with working(agent, gateway, "builtin"):
        pieces = [piece.pcm async for piece in agent.speech.tts().say(GOODBYE, rate=16_000)]
        spoken = np.frombuffer(b"".join(pieces), "<i2").astype(np.int16)
        for first in range(0, CALLS, AT_ONCE):
            endings += await asyncio.gather(*(ending(gateway, number) for number in range(first, first + AT_ONCE)))
        for one in endings[:RECOGNISED]:
            rate = line_rate(one.line)
            heard = await understood(agent.speech.stt(), one.sound[-round(1.8 * rate) :].tobytes(), rate)
            assert wrong_words(GOODBYE, heard) <= 1, heard
    references = {rate: resampled(spoken, 16_000, rate) for rate in (8_000, 16_000)}
    alike = [likeness(one.sound, references[line_rate(one.line)], line_rate(one.line)) for one in endings]
    pauses = [1000 * one.pause for one in endings]
    figures.note(
        "The last word",
        calls=len(alike), heard_to_the_end=sum(one > ALIKE for one in alike), least_alike=min(alike),
        ms_from_the_last_sound_to_the_BYE_p50=round(percentile(pauses, 0.5)), longest=round(max(pauses)),
    )  # fmt: skip
    print(f"{len(alike)} calls, least alike {min(alike):.3f}; to the BYE {min(pauses):.0f} to {max(pauses):.0f} ms")
    assert min(alike) > ALIKE
    # The measure itself: three frames less would have been noticed.
    for one in endings[:2]:
        rate, sound = line_rate(one.line), one.sound
        loud = np.flatnonzero(np.abs(sound.astype(int)) > LOUD)[-1]
        assert likeness(sound[: loud - round(0.06 * rate)], references[rate], rate) < ALIKE
