"""Sound keeps its pitch, length and loudness on its way from a file to the line and from the line to a file."""

import struct
import wave
from array import array
from pathlib import Path

import pytest
from tests.support.tone import share

from offhook.phone.address import UsageError
from offhook.phone.player import CHUNKS_A_SECOND, Player
from offhook.phone.sound import (
    RATE,
    WIDE_RATE,
    Samples,
    between_lines,
    from_bytes,
    level_db,
    load,
    resample,
    tone,
    write_stereo,
)

pytestmark = pytest.mark.unit


def wav(path: Path, samples: Samples, rate: int, *, width: int = 2, channels: int = 1) -> str:
    def frame(sample: int) -> bytes:
        match width:
            case 1:
                return bytes([(sample >> 8) + 128])
            case 2:
                return struct.pack("<h", sample)
            case _:
                return struct.pack("<i", sample << 16)[4 - width :]

    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(b"".join(frame(sample) * channels for sample in samples))
    return str(path)


def at_rate(hz: float, seconds: float, rate: int) -> Samples:
    return tone(hz * RATE / rate, seconds * rate / RATE)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000])
def test_a_file_of_any_rate_keeps_its_pitch(rate: int, tmp_path: Path) -> None:
    sound = load(wav(tmp_path / "a.wav", at_rate(700, 0.5, rate), rate))
    assert len(sound) == pytest.approx(RATE / 2, abs=40)
    assert share(sound, 700) > 0.98
    assert level_db(sound) == pytest.approx(level_db(tone(700, 0.5)), abs=0.5)


@pytest.mark.parametrize(("width", "channels"), [(1, 1), (2, 2), (3, 1), (4, 2)])
def test_samples_of_any_size_and_stereo(width: int, channels: int, tmp_path: Path) -> None:
    sound = load(wav(tmp_path / "a.wav", tone(700, 0.2), RATE, width=width, channels=channels))
    assert share(sound, 700) > 0.98
    assert level_db(sound) == pytest.approx(level_db(tone(700, 0.2)), abs=0.5)


def test_what_the_line_can_not_carry_is_filtered_and_not_folded() -> None:
    assert level_db(resample(at_rate(6_000, 0.5, 48_000), 48_000)) < level_db(tone(6_000, 0.5)) - 30


def test_the_spoken_sentence_is_there() -> None:
    sound = load("sentence")
    assert 3 < len(sound) / RATE < 10
    assert -40 < level_db(sound) < -10


def test_tones_and_silence() -> None:
    assert share(load("tone"), 440) > 0.99
    assert share(load("tone:1000"), 1000) > 0.99
    assert len(load("silence")) == 0


@pytest.mark.parametrize("what", ["tone:x", "tone:9", "tone:4000", "/nowhere/a.wav", "tone:²"])
def test_what_can_not_be_played(what: str) -> None:
    with pytest.raises(UsageError):
        load(what)


def test_a_file_that_is_no_wav_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"ID3" + bytes(100))
    with pytest.raises(UsageError, match="no WAV") as error:
        load(str(tmp_path / "a.mp3"))
    assert "ffmpeg" in error.value.hint
    with pytest.raises(UsageError, match="no sound"):
        load(wav(tmp_path / "b.wav", array("h"), RATE))


def test_a_recording_has_both_sides(tmp_path: Path) -> None:
    write_stereo(tmp_path / "a.wav", tone(500, 0.5), tone(900, 0.5))
    with wave.open(str(tmp_path / "a.wav")) as reader:
        assert (reader.getnchannels(), reader.getframerate()) == (2, RATE)
        both = from_bytes(reader.readframes(reader.getnframes()))
    assert share(both[0::2], 500) > 0.99
    assert share(both[1::2], 900) > 0.99


def test_wideband_is_loaded_played_and_kept_at_its_own_rate(tmp_path: Path) -> None:
    sound = load("tone:6000", WIDE_RATE)
    assert share(sound, 6000, WIDE_RATE) > 0.99
    [(first, _), *_] = Player(sound, endless=True, rate=WIDE_RATE).take()
    assert len(from_bytes(first)) == WIDE_RATE // CHUNKS_A_SECOND
    write_stereo(tmp_path / "a.wav", sound, sound, WIDE_RATE)
    with wave.open(str(tmp_path / "a.wav")) as reader:
        assert reader.getframerate() == WIDE_RATE
    with pytest.raises(UsageError):
        load("tone:6000")


def test_from_one_lines_rate_to_the_other_keeps_place_and_length() -> None:
    wide, narrow = tone(700, 0.5, rate=WIDE_RATE), tone(700, 0.5)
    down, up = between_lines(wide, WIDE_RATE, RATE), between_lines(narrow, RATE, WIDE_RATE)
    assert (len(down), len(up)) == (len(narrow), len(wide))
    assert share(down, 700) > 0.99
    assert share(up, 700, WIDE_RATE) > 0.99
    assert between_lines(wide, WIDE_RATE, WIDE_RATE) is wide
    assert len(between_lines(array("h"), RATE, WIDE_RATE)) == 0
