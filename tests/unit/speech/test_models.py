"""The list of models, where they lie, and what is told of one that is not there or not as it was tested."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from offhook.cli.root import command
from offhook.speech import engines, models
from offhook.speech.errors import SpeechError

pytestmark = pytest.mark.unit


def said(**changes: Any) -> dict[str, Any]:
    file = {"name": "a.bin", "bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest(), "parts": [[0, "x/a.bin"]]}
    archive = {"url": "https://example.net/x.whl", "bytes": 9, "sha256": "0" * 64}
    model = {"use": "nothing", "made_by": "us", "licence": "MIT", "archives": [archive], "files": [file]}
    return {"tiny": model | changes}


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only model that there is, and the directory that it is to lie in."""
    monkeypatch.setattr(models, "catalogue", lambda: models.read_catalogue(json.dumps(said()).encode()))
    monkeypatch.setenv("OFFHOOK_MODELS", str(tmp_path))
    return tmp_path / "tiny"


def test_the_list_names_for_each_model_what_it_is_and_where_it_comes_from() -> None:
    for name, model in models.catalogue().items():
        assert model.name == name
        assert model.licence in ("MIT", "Apache-2.0", "BSD-3-Clause")
        assert all(archive.url.startswith("https://") for archive in model.archives)
        assert "LICENSE" in [file.name for file in model.files], "who hands on the weights hands on their licence"
        assert {archive for file in model.files for archive, _ in file.parts} == set(range(len(model.archives)))


@pytest.mark.parametrize("name", ["../a", "a/b", "/etc/passwd", "..", "", ".hidden", "a..b", "a\\b"])
def test_a_name_in_the_list_is_no_way_out_of_the_directory(name: str) -> None:
    [file] = said()["tiny"]["files"]
    for listed in (said(files=[file | {"name": name}]), {name: said()["tiny"]}):
        with pytest.raises(ValueError, match="no name"):
            models.read_catalogue(json.dumps(listed).encode())


def test_where_models_lie() -> None:
    assert models.directory({"OFFHOOK_MODELS": "/srv/models"}) == Path("/srv/models")
    assert models.directory({"XDG_CACHE_HOME": "/var/cache"}) == Path("/var/cache/offhook/models")
    for environ in ({}, {"XDG_CACHE_HOME": "relative"}):
        assert models.directory(environ) == Path.home() / ".cache/offhook/models"


def test_a_model_that_is_not_there_or_not_as_it_was_tested_is_not_used(tiny: Path) -> None:
    with pytest.raises(SpeechError) as error:
        models.checked_folder("tiny", engine="whisper")
    assert (error.value.code, error.value.hint) == ("speech_missing", "offhook models pull tiny (0 MB, once)")
    assert str(tiny.parent) in str(error.value)
    tiny.mkdir()
    for wrong in (None, b"abd", b"abcd"):
        if wrong is not None:
            (tiny / "a.bin").write_bytes(wrong)
        with pytest.raises(SpeechError) as error:
            models.checked_folder("tiny", engine="whisper")
        assert error.value.code == "speech_model_wrong"
        assert str(tiny / "a.bin") in str(error.value)
    (tiny / "a.bin").write_bytes(b"abc")
    assert models.checked_folder("tiny", engine="whisper") == tiny


def test_an_engine_whose_model_was_not_pulled_says_what_to_pull(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFHOOK_MODELS", str(tmp_path))
    monkeypatch.setattr("offhook.speech.whisper.module", lambda *args, **options: None)
    with pytest.raises(SpeechError) as error:
        engines.speech_to_text("whisper")
    assert error.value.hint.startswith("offhook models pull whisper-base (133 MB")
    with pytest.raises(SpeechError, match="no model 'whisper-huge'"):
        engines.speech_to_text("whisper:huge")


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["offhook", "models", *arguments])
    code = command()
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_the_command_line_lists_and_verifies(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, capsys, "verify") == (
        0,
        f"No models in {tiny.parent}. `offhook models list` shows what there is.\n",
    )
    assert "not pulled" in run(monkeypatch, capsys, "list")[1]
    tiny.mkdir()
    (tiny / "a.bin").write_bytes(b"abc")
    assert run(monkeypatch, capsys, "verify") == (0, "tiny: all 1 files are what was tested\n")
    (tiny / "a.bin").write_bytes(b"abd")
    code, text = run(monkeypatch, capsys, "verify", "tiny")
    assert code == 1
    assert "a.bin is not what was tested" in text
    (tiny / "a.bin").unlink()
    assert "broken: pull it again" in run(monkeypatch, capsys, "list")[1]
    [listed] = json.loads(run(monkeypatch, capsys, "list", "--json")[1])
    assert (listed["name"], listed["state"], listed["directory"]) == ("tiny", "broken", str(tiny))
    code, text = run(monkeypatch, capsys, "pull", "huge")
    assert code == 1
    assert "no model 'huge'" in text
    assert "known: tiny" in text
