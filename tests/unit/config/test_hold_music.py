"""What `hold_music` names: what is taken, and what is said of the rest."""

import struct
import wave
from pathlib import Path

import pytest

from offhook.config import hold_music
from offhook.config.load import Examined, examine

pytestmark = pytest.mark.unit


def sound(path: Path, *, rate: int = 8000, channels: int = 1, width: int = 2, seconds: float = 1.0) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(bytes(int(rate * seconds) * channels * width))


def examined(directory: Path, trunk: str = "", route: str = "") -> Examined:
    file = directory / "offhook.toml"
    file.write_text(
        f'[[trunk]]\nname = "acme"\nallow = ["192.0.2.1"]\n{trunk}\n'
        f'[[route]]\nname = "all"\ndestination = "echo:"\n{route}\n'
    )
    return examine(file, {})


def test_the_gateway_s_own_is_the_default_and_a_route_has_none_of_its_own(tmp_path: Path) -> None:
    config = examined(tmp_path).config
    assert config is not None
    assert (config.trunks[0].hold_music, config.routes[0].hold_music) == ("melody", None)
    melodies = hold_music.melodies(config)
    assert list(melodies) == ["melody"]
    assert melodies["melody"].duration_ms == 32_000


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2), (24000, 1), (48000, 2)])
def test_a_file_is_seen_from_the_configuration_and_kept_once(tmp_path: Path, rate: int, channels: int) -> None:
    sound(tmp_path / "wait.wav", rate=rate, channels=channels, seconds=1.5)
    found = examined(tmp_path, 'hold_music = "wait.wav"', 'hold_music = "wait.wav"')
    assert found.errors == []
    assert found.config is not None
    file = str(tmp_path / "wait.wav")
    assert (found.config.trunks[0].hold_music, found.config.routes[0].hold_music) == (file, file)
    assert {name: melody.duration_ms for name, melody in hold_music.melodies(found.config).items()} == {
        "melody": 32_000,
        file: 1_500,
    }


def test_silence_is_no_file(tmp_path: Path) -> None:
    found = examined(tmp_path, 'hold_music = "silence"', 'hold_music = "melody"')
    assert found.config is not None
    assert list(hold_music.melodies(found.config)) == ["melody"]


def test_two_channels_become_one(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "wait.wav"), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(struct.pack("<hh", 1000, -3000) * 800)
    pcm, rate = hold_music._read(str(tmp_path / "wait.wav"))
    assert (pcm, rate) == (struct.pack("<h", -1000) * 800, 8000)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"rate": 44100}, "1 channels of 16 bits at 44100 Hz"),
        ({"channels": 3}, "3 channels"),
        ({"width": 1}, "8 bits"),
        ({"seconds": 0.01}, "it lasts 0.01 s"),
        ({"seconds": 601}, "it lasts 601.00 s"),
    ],
)
def test_what_can_not_be_played_is_told_for_each_user(tmp_path: Path, made: dict[str, float], said: str) -> None:
    sound(tmp_path / "wait.wav", **made)  # type: ignore[arg-type]
    problems = examined(tmp_path, 'hold_music = "wait.wav"', 'hold_music = "wait.wav"').errors
    assert [problem.path for problem in problems] == ["trunk.acme.hold_music", "route.all.hold_music"]
    assert all(said in problem.message for problem in problems)
    assert "`melody`, `silence`, or a WAV file" in problems[0].hint


def test_a_file_that_is_not_there_or_no_wav_is_told(tmp_path: Path) -> None:
    (tmp_path / "wait.wav").write_bytes(b"RIFF")
    (broken,) = examined(tmp_path, 'hold_music = "wait.wav"').errors
    assert "can't be used" in broken.message
    (missing,) = examined(tmp_path, route='hold_music = "none.wav"').errors
    assert "can't be read: No such file" in missing.message
    assert missing.line == 8
