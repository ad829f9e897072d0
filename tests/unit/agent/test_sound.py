"""Other rates and WAV files."""

import array
import math
import wave
from pathlib import Path

import pytest

from offhook.agent.errors import AgentError
from offhook.agent.sound import RATES, Resampler, convert, read_wav

pytestmark = pytest.mark.unit


def sine(rate: int, hz: float, seconds: float) -> bytes:
    return array.array(
        "h", (round(8000 * math.sin(2 * math.pi * hz * n / rate)) for n in range(round(rate * seconds)))
    ).tobytes()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("to", RATES)
def test_a_tone_is_the_same_tone_at_another_rate(rate: int, to: int) -> None:
    sound = array.array("h", convert(sine(rate, 900, 0.2), rate, to))
    expected = array.array("h", sine(to, 900, 0.2))
    assert abs(len(sound) - len(expected)) <= 8 * to // min(rate, to)
    inside = slice(to // 50, -to // 50)
    error = max(abs(a - b) for a, b in zip(sound[inside], expected[inside], strict=False))
    assert error < 250, "within 3 % of its loudness, at the same place"


def test_what_the_lower_rate_can_not_carry_is_gone() -> None:
    sound = array.array("h", convert(sine(16_000, 6000, 0.2), 16_000, 8_000))
    assert max(map(abs, sound[160:-160])) < 400


def test_pieces_make_the_same_sound_as_the_whole() -> None:
    sound = sine(24_000, 440, 0.1)
    resampler = Resampler(24_000, 16_000)
    pieces = [resampler.feed(sound[at : at + 98]) for at in range(0, len(sound), 98)]
    assert b"".join([*pieces, resampler.finish()]) == convert(sound, 24_000, 16_000)


def test_a_wav_file_is_read_at_the_rate_that_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    left, right = array.array("h", sine(8000, 500, 0.1)), array.array("h", [0] * 800)
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(array.array("h", [x for pair in zip(left, right, strict=True) for x in pair]).tobytes())
    assert read_wav(path, 8000) == left.tobytes()
    assert read_wav(path, 16_000) == convert(left.tobytes(), 8000, 16_000)


def test_what_is_no_such_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(b"nonsense")
    with pytest.raises(AgentError, match="no WAV file"):
        read_wav(path, 8000)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(bytes(100))
    with pytest.raises(AgentError, match="8 bits a sample"):
        read_wav(path, 8000)
