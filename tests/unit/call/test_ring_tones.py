"""Ringing tones: their frequencies, their cadence, and that they begin and end without a click."""

import math
from array import array

import pytest

from offhook.call.early_sounds import EarlySounds
from offhook.call.ring_tones import GENERIC, RATE, RING_TONES, ring_tone
from offhook.route.early_media import NO_EARLY_MEDIA, EarlyMedia

pytestmark = pytest.mark.unit


def samples(country: str) -> "array[int]":
    return array("h", ring_tone(country))


def strength(sound: "array[int]", frequency: float) -> float:
    """The part of one frequency in a sound, of full scale."""
    turn = 2 * math.pi * frequency / RATE
    real = sum(value * math.cos(turn * n) for n, value in enumerate(sound))
    imaginary = sum(value * math.sin(turn * n) for n, value in enumerate(sound))
    return 2 * math.hypot(real, imaginary) / len(sound) / 32768


@pytest.mark.parametrize("country", ["", *RING_TONES])
def test_a_cycle_is_as_long_as_its_cadence_and_sounds_where_that_says(country: str) -> None:
    tone = RING_TONES.get(country, GENERIC)
    sound = samples(country)
    assert len(sound) == round(sum(tone.cadence) * RATE)
    begin = 0
    for index, seconds in enumerate(tone.cadence):
        part = sound[begin : begin + round(seconds * RATE)]
        begin += len(part)
        if index % 2:
            assert not any(part)
        else:
            assert 2000 < max(part) <= 0.12 * 32768
            assert max(map(abs, (*part[:4], *part[-4:]))) < 500
            for frequency in tone.frequencies:
                assert strength(part, frequency) > 0.02


def test_neighbours_differ() -> None:
    assert strength(samples("US")[:16000], 440) > 0.02
    assert strength(samples("US")[:16000], 425) < 0.005
    assert strength(samples("DE")[:8000], 425) > 0.05
    assert ring_tone("DE") == ring_tone("NL") == ring_tone("")


def test_which_sound_a_setting_means() -> None:
    sounds = EarlySounds({"/wait.wav": (b"ab", 16000)})
    assert sounds.of(NO_EARLY_MEDIA, "US") is None
    assert sounds.of(EarlyMedia("agent"), "US") is None
    assert sounds.of(EarlyMedia("file", "/wait.wav"), "US") == (b"ab", 16000)
    assert sounds.of(EarlyMedia("ringback"), "US") == (ring_tone("US"), RATE)
    assert sounds.of(EarlyMedia("ringback", "GB"), "US") == (ring_tone("GB"), RATE)
    assert sounds.of(EarlyMedia("ringback"), None) == (ring_tone(""), RATE)
