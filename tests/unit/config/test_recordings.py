"""The key and the announcement of recordings: what is taken, and what is said of the rest."""

import wave
from base64 import b64encode
from pathlib import Path

import pytest

from offhook.config.load import Examined, examine

pytestmark = pytest.mark.unit

KEY = bytes(range(32))
ROUTE = '[[route]]\nname = "all"\ndestination = "echo:"\nrecord = true\n'


def examined(directory: Path, recording: str, environ: dict[str, str] | None = None) -> Examined:
    file = directory / "offhook.toml"
    file.write_text(f"[recording]\n{recording}\n{ROUTE}")
    return examine(file, environ or {})


@pytest.mark.parametrize("text", [KEY.hex(), KEY.hex().upper() + "\n", b64encode(KEY).decode(), f" {KEY.hex()} "])
def test_a_key_is_hex_or_base64_in_a_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    found = examined(tmp_path, 'key = { file = "key" }')
    assert found.errors == []
    assert found.config is not None
    assert found.config.recording.key is not None
    assert found.config.recording.key.file == str(tmp_path / "key")


def test_a_key_may_be_a_variable(tmp_path: Path) -> None:
    assert examined(tmp_path, 'key = { env = "K" }', {"K": KEY.hex()}).errors == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 bytes"),
        ("correct horse battery", "neither hex nor base64"),
        (KEY.hex()[:60], "45 bytes, not 32"),
        ("é", ""),
    ],
)
def test_what_is_no_key_is_told_and_not_shown(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "key").write_text(text)
    (problem,) = examined(tmp_path, 'key = { file = "key" }').errors
    assert (problem.path, problem.line) == ("recording.key", 2)
    assert said in problem.message
    assert "openssl rand -hex 32" in problem.hint
    assert not text or text not in str(problem)


def sound(path: Path, *, rate: int = 8000, channels: int = 1, width: int = 2, seconds: float = 1) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(bytes(int(rate * seconds) * channels * width))


def test_an_announcement_is_a_wav_file(tmp_path: Path) -> None:
    sound(tmp_path / "told.wav", rate=16000)
    assert examined(tmp_path, 'announcement = "told.wav"').errors == []


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"rate": 44100}, "at 44100 Hz"),
        ({"channels": 2}, "2 channels"),
        ({"width": 1}, "8 bits"),
        ({"seconds": 61}, "lasts 61 s"),
        ({"seconds": 0}, "lasts 0 s"),
    ],
)
def test_other_sounds_are_refused_with_what_they_are(tmp_path: Path, form: dict[str, int], said: str) -> None:
    sound(tmp_path / "told.wav", **form)
    (problem,) = examined(tmp_path, 'announcement = "told.wav"').errors
    assert (problem.path, problem.line) == ("recording.announcement", 2)
    assert said in problem.message
    (tmp_path / "told.wav").write_bytes(b"ID3")
    assert "can't be used" in examined(tmp_path, 'announcement = "told.wav"').errors[0].message
