"""A sine that sweeps through the band shows what speech hides: a click at the edge of each frame.

What a line does to a tone (delay, gain, filter) is found by least squares and taken off. The rest is noise of the
codec, spread evenly over a frame's 20 ms; a fault at the frames' edges would stand out at its place in the frame.
"""

import asyncio
import math
from collections.abc import Iterator

import numpy as np
import pytest
from tests.interop.media.lines import FORMATS, FRAME_MS, G722_LINE, PCM16, WIDE, Format, Talk, in_time, line_rate
from tests.support.agent import agent_on
from tests.support.figures import Figures
from tests.support.gateway import Gateway, media_ports, ports, running_gateway
from tests.support.plain_phone import PlainPhone
from tests.support.sip_text import PCMA, PCMU, Line
from tests.support.speech import Sound, as_pcm, delay, resampled

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

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
WAYS = [
    *((PCMU, form) for form in FORMATS),
    *((PCMA, form) for form in (PCM16, WIDE)),
    *((G722_LINE, form) for form in FORMATS),
]
SECONDS = 5.0
TAPS = 64
PLACES = 40
"""A frame is looked at in so many parts, of half a millisecond each."""
EVEN = 1.35
"""How much more noise than usual a part of the frame may have; with 250 frames chance alone makes about 1.2."""


def sweep(rate: int, highest: float) -> Sound:
    """From 200 Hz up, at a fifth of full scale, with a quarter of a second of silence around."""
    time = np.arange(round(SECONDS * rate)) / rate
    pause = np.zeros(rate // 4)
    tone = 6_500 * np.sin(2 * math.pi * (200 * time + (highest - 200) * time**2 / (2 * SECONDS)))
    return as_pcm(np.concatenate([pause, tone, pause]))


def noise(reference: Sound, heard: Sound) -> "tuple[np.ndarray, np.ndarray]":
    """What no filter of the reference explains, with the place in `heard` of each sample; and the part explained."""
    start = delay(reference, heard)
    begin, end = start + len(reference) // 10, start + len(reference) * 9 // 10
    wanted = heard[begin:end].astype(float)
    before = reference[begin - start - TAPS // 2 : end - start + TAPS // 2].astype(float)
    rows = np.lib.stride_tricks.sliding_window_view(before, TAPS + 1)[: len(wanted)]
    square = rows.T @ rows
    filter_ = np.linalg.solve(square + 1e-9 * np.trace(square) * np.eye(TAPS + 1), rows.T @ wanted)
    explained = rows @ filter_
    return np.stack([np.arange(begin, end), wanted - explained]), explained


def unevenness(rest: "np.ndarray", rate: int) -> float:
    """How much more noise the noisiest part of the 20 ms has than the usual one; each frame counts alike."""
    frame = rate * FRAME_MS // 1000
    first = -int(rest[0, 0]) % frame
    whole = rest[1, first:][: (len(rest[1]) - first) // frame * frame].reshape(-1, PLACES, frame // PLACES)
    power = (whole**2).mean(axis=2)
    parts = (power / power.mean(axis=1, keepdims=True)).mean(axis=0)
    return float(parts.max() / np.median(parts))


Found = tuple[float, float]
"""Signal to noise in dB, and the unevenness of the noise."""


def found(said: Sound, said_rate: int, heard: Sound, rate: int) -> Found:
    rest, explained = noise(resampled(said, said_rate, rate), heard)
    return 10 * math.log10(np.mean(explained**2) / np.mean(rest[1] ** 2)), unevenness(rest, rate)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Found, Found]]]:
    """For each way, to the agent and to the caller; all calls run at once, in both directions at the same time."""

    async def all_of_them(gateway: Gateway) -> tuple[list[tuple[Found, Found]], float]:
        async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
            talks = [await Talk.begin(phone, agent, gateway.udp, line, form) for line, form in WAYS]
            said = [
                (sweep(line_rate(line), highest(line, form)), sweep(form.rate, highest(line, form)))
                for line, form in WAYS
            ]
            at_agent, at_caller = await asyncio.gather(
                asyncio.gather(*(talk.to_agent(sound) for talk, (sound, _) in zip(talks, said, strict=True))),
                asyncio.gather(*(talk.to_caller(sound) for talk, (_, sound) in zip(talks, said, strict=True))),
            )
            for talk in talks:
                await talk.end()
        measured = [
            (found(a, line_rate(line), b, form.rate), found(c, form.rate, d, line_rate(line)))
            for (line, form), (a, c), b, d in zip(WAYS, said, at_agent, at_caller, strict=True)
        ]
        return measured, max(talk.call.late for talk in talks)

    with running_gateway(tmp_path_factory.mktemp("gateway"), TOML, media=media_ports(200)) as gateway:
        yield in_time(lambda: asyncio.run(all_of_them(gateway)))[0]


def highest(line: Line, form: Format) -> float:
    """The highest tone that both ends carry, in Hz."""
    return 0.42 * min(line_rate(line), form.rate)


@pytest.mark.parametrize("number", range(len(WAYS)), ids=[f"{line.codec}-{form}" for line, form in WAYS])
def test_no_frame_has_an_edge(swept: list[tuple[Found, Found]], number: int, figures: Figures) -> None:
    (line, form), (to_agent, to_caller) = WAYS[number], swept[number]
    figures.note(
        "Swept sine, clean line",
        line=line.codec, agent=str(form), to_agent_dB=to_agent[0], to_agent_edge=to_agent[1],
        to_caller_dB=to_caller[0], to_caller_edge=to_caller[1], at_most=EVEN,
    )  # fmt: skip
    # What the codecs alone leave less two: G.711 38 dB, G.722 28 with tones up to 7 kHz.
    least = 26 if min(line_rate(line), form.rate) > 8_000 else 36
    for decibels, edge in (to_agent, to_caller):
        assert edge <= EVEN
        assert decibels >= least
