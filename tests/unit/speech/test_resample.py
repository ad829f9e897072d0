"""Sound at another rate: the same sound, whatever the pieces."""

import numpy as np
import pytest

from offhook.speech.resample import RATES, Resampler, from_pcm, resampled, to_pcm

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("to", RATES)
def test_a_tone_is_that_tone_at_every_rate(rate: int, to: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 700 * np.arange(rate) / rate).astype(np.float32)
    same = 0.5 * np.sin(2 * np.pi * 700 * np.arange(to) / to)
    there = resampled(tone, rate, to)
    assert len(there) == len(same)
    edge = to // 50
    assert np.abs(there - same)[edge:-edge].max() < 1e-3


@pytest.mark.parametrize(("rate", "to"), [(24_000, 8_000), (8_000, 16_000), (16_000, 24_000), (48_000, 8_000)])
def test_pieces_make_no_difference(rate: int, to: int) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, rate // 2).astype(np.float32)
    stream, at, out = Resampler(rate, to), 0, []
    sizes = np.random.default_rng(2).integers(0, 500, 1_000)
    for size in sizes:
        out.append(stream.feed(noise[at : at + size]))
        at += size
    whole = np.concatenate([*out, stream.finish()])
    assert np.array_equal(whole, resampled(noise, rate, to))


def test_what_the_lower_rate_cannot_carry_is_gone() -> None:
    whistle = np.sin(2 * np.pi * 6_000 * np.arange(24_000) / 24_000).astype(np.float32)
    assert np.abs(resampled(whistle, 24_000, 8_000))[200:-200].max() < 0.01


def test_pcm_is_limited_and_comes_back() -> None:
    assert to_pcm(np.array([0.0, 2.0, -2.0, 0.5], np.float32)) == b"\0\0\xff\x7f\0\x80\0\x40"
    assert from_pcm(b"\0\x40\1").tolist() == [0.5]
