"""Engines by name: found, missing, wrong, and brought by a plug-in."""

import sys
from collections.abc import AsyncGenerator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from offhook.speech import engines, packages
from offhook.speech.errors import SpeechError
from offhook.speech.protocol import Spoken

pytestmark = pytest.mark.unit


class Voice:
    name = "acme"

    def __init__(self, model: str = "small") -> None:
        self.model = model

    async def warm_up(self) -> None: ...

    async def say(self, text: str, *, rate: int) -> AsyncGenerator[Spoken, None]:
        yield Spoken(b"", rate, text)

    async def close(self) -> None: ...


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = SimpleNamespace(text_to_speech=Voice)
    monkeypatch.setitem(sys.modules, "acme_speech", module)
    found = EntryPoints(
        [EntryPoint("acme", "acme_speech", engines.GROUP), EntryPoint("gone", "no_such", engines.GROUP)]
    )
    monkeypatch.setattr(engines, "entry_points", lambda **select: found.select(**select))


@pytest.mark.usefixtures("plug_in")
def test_a_plug_in_is_an_engine_by_its_name_and_gets_its_model() -> None:
    voice = engines.text_to_speech("acme:large")
    assert isinstance(voice, Voice)
    assert voice.model == "large"
    assert engines.known()["acme"] == "acme_speech"
    assert engines.known()["hibari"] == "offhook"


@pytest.mark.usefixtures("plug_in")
@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("nobody", {}, "no speech engine 'nobody' that speaks"),
        ("moonshine", {}, "no speech engine 'moonshine' that speaks"),
        ("gone", {}, "the plug-in 'gone' (no_such) can't be loaded"),
        ("acme", {"pitch": 2}, "unexpected keyword argument 'pitch'"),
        ("hibari:emma", {}, "unexpected keyword argument 'model'"),
    ],
)
def test_what_is_not_there_is_refused_by_name(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SpeechError) as error:
        engines.text_to_speech(name, **options)
    assert words in str(error.value)


@pytest.mark.usefixtures("plug_in")
def test_the_hint_names_what_there_is() -> None:
    with pytest.raises(SpeechError) as error:
        engines.speech_to_text("nobody")
    assert error.value.code == "speech_refused"
    assert {"moonshine", "openai", "acme"} <= set(error.value.hint.removeprefix("known: ").split(", "))


@pytest.mark.parametrize(("name", "package"), [("hibari", "hibari"), ("moonshine", "moonshine_voice")])
def test_a_package_that_is_missing_is_told_with_the_line_that_installs_it(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda _: None)
    make = engines.text_to_speech if name == "hibari" else engines.speech_to_text
    with pytest.raises(SpeechError) as error:
        make(name)
    assert error.value.code == "speech_missing"
    assert package in str(error.value)
    assert error.value.hint == "pip install 'offhook[agent]'"


def test_a_model_with_another_checksum_is_not_loaded(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    for write in (None, b"something else"):
        if write is not None:
            file.write_bytes(write)
        with pytest.raises(SpeechError) as error:
            packages.checked(file, "00" * 32, engine="hibari")
        assert error.value.code == "speech_model_wrong"
        assert str(file) in str(error.value)


def test_openai_wants_a_key_or_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(SpeechError, match="wants a key"):
        engines.text_to_speech("openai")
    with pytest.raises(SpeechError, match="no address"):
        engines.text_to_speech("openai", base_url="localhost:8000/v1")
    assert engines.text_to_speech("openai:tts-1", base_url="http://127.0.0.1:1/v1").name == "openai:tts-1/alloy"
