"""What a voice tells about its rate: recorded speech, and the same made slower and faster."""

from array import array
from itertools import chain

import pytest

from offhook.examine.audio import encoded
from offhook.examine.voice import grain, measure
from offhook.phone.sound import Samples, load, resample, tone

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def sentence() -> Samples:
    return load("sentence")[: 5 * 8_000]


def test_speech_is_measured_at_its_own_speed(sentence: Samples) -> None:
    voice = measure(sentence, 8_000)
    assert voice is not None
    assert 170 < voice.pitch < 230
    assert 0.75 < voice.speed < 1.3


@pytest.mark.parametrize(("ratio", "low", "high"), [(2, 0.4, 0.7), (3, 0.25, 0.55), (0.5, 1.6, 2.5)])
def test_speech_at_a_wrong_rate_is_too_slow_or_too_fast(
    sentence: Samples, ratio: float, low: float, high: float
) -> None:
    voice = measure(resample(sentence, 8_000, round(8_000 * ratio)), 8_000)
    assert voice is not None
    assert low < voice.speed < high
    assert (max(voice.octaves) < -0.3) if ratio > 1 else (min(voice.octaves) > 0.25)


def test_tones_melodies_noise_and_silence_are_no_speech() -> None:
    assert measure(tone(900, 5.0), 8_000) is None
    assert measure(array("h", chain.from_iterable(tone(hz, 0.3) for hz in (523, 659, 784) * 6)), 8_000) is None
    assert measure(array("h", bytes(80_000)), 8_000) is None
    noise, state = array("h"), 1
    for _ in range(40_000):
        state = state * 1_103_515_245 + 12_345 & 0x7FFFFFFF
        noise.append((state >> 15) % 8_000 - 4_000)
    assert measure(noise, 8_000) is None


def test_the_right_encoding_is_the_smooth_one(sentence: Samples) -> None:
    for spoken in ("pcm16", "pcmu", "pcma"):
        audio = encoded(sentence[8_000:24_000], spoken)
        grains = {read: grain(audio, read) for read in ("pcm16", "pcmu", "pcma")}
        assert min(grains, key=lambda read: grains[read].roughness) == spoken
        assert all(grains[read].loudest > 9_000 for read in grains if read != spoken)
