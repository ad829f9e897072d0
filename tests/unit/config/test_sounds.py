"""The sounds that routes play before the answer: found beside the file, read once."""

import wave
from pathlib import Path

import pytest

from offhook.config.load import examine
from offhook.config.sounds import early_sounds
from offhook.route.early_media import EarlyMedia

pytestmark = pytest.mark.unit

ROUTE = '[[route]]\nname = "{0}"\nto = "+{0}"\ndestination = "echo:"\nearly_media = "wait.wav"\n'


def test_a_file_lies_beside_the_configuration_and_is_read_once(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "wait.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(b"ab" * 16000)
    (tmp_path / "offhook.toml").write_text(ROUTE.format(1) + ROUTE.format(2))
    found = examine(tmp_path / "offhook.toml", {})
    assert found.errors == []
    assert found.config is not None
    path = str(tmp_path / "wait.wav")
    assert {route.early_media for route in found.config.routes} == {EarlyMedia("file", path)}
    assert early_sounds(found.config) == {path: (b"ab" * 16000, 16000)}


def test_what_is_no_sound_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "wait.wav").write_bytes(b"ID3")
    (tmp_path / "offhook.toml").write_text(ROUTE.format(1))
    (problem,) = examine(tmp_path / "offhook.toml", {}).errors
    assert (problem.path, problem.line) == ("route.1.early_media", 5)
    assert "can't be used" in problem.message
