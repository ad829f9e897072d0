"""Engines by name: those in the box, and those that other packages bring by the entry point `offhook.speech`.

An entry point's name is the engine's; it leads to a module (or any object) with `speech_to_text(**options)`,
`text_to_speech(**options)`, or both, which return an engine that is not loaded yet. A name may carry a model after a
colon, `openai:whisper-1`, which the engine gets as `model`. Engines in the box can't be replaced by a plug-in.
"""

import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from offhook.speech.errors import SpeechError
from offhook.speech.packages import missing
from offhook.speech.protocol import SpeechToText, TextToSpeech

GROUP = "offhook.speech"

_SPEECH_TO_TEXT = {
    "moonshine": ("moonshine", "MoonshineSpeechToText"),
    "whisper": ("whisper", "WhisperSpeechToText"),
    "openai": ("openai", "OpenAISpeechToText"),
}
_TEXT_TO_SPEECH = {
    "hibari": ("hibari", "HibariTextToSpeech"),
    "prompts": ("prompt_voice", "PromptTextToSpeech"),
    "openai": ("openai", "OpenAITextToSpeech"),
}
_EXTRAS = {"moonshine": "agent", "hibari": "agent", "whisper": "agent-plus", "openai": "openai"}


def speech_to_text(name: str = "moonshine", **options: Any) -> SpeechToText:
    """The engine of this name. Cheap: it loads with `warm_up`, or when it is first used.

    Raises `SpeechError`: `speech_missing` where a package is not installed (the hint is the line to type),
    `speech_refused` where there is no such engine or it doesn't have the option.
    """
    engine = _engine(name, _SPEECH_TO_TEXT, "speech_to_text", options)
    if not isinstance(engine, SpeechToText):
        raise SpeechError(
            f"the plug-in {name!r} made no SpeechToText but {type(engine).__name__}", code="speech_refused"
        )
    return engine


def text_to_speech(name: str = "hibari", **options: Any) -> TextToSpeech:
    """The voice of this name; else as `speech_to_text`."""
    engine = _engine(name, _TEXT_TO_SPEECH, "text_to_speech", options)
    if not isinstance(engine, TextToSpeech):
        raise SpeechError(
            f"the plug-in {name!r} made no TextToSpeech but {type(engine).__name__}", code="speech_refused"
        )
    return engine


def default_speech_to_text() -> SpeechToText:
    """What listens where nothing else was asked for: Moonshine. Raises as `speech_to_text`."""
    return speech_to_text()


def default_text_to_speech() -> TextToSpeech:
    """What speaks where nothing else was asked for: hibari. Raises as `text_to_speech`."""
    return text_to_speech()


def known() -> dict[str, str]:
    """All engines by name, each with where it comes from: `offhook`, or the package of a plug-in."""
    built_in = dict.fromkeys([*_SPEECH_TO_TEXT, *_TEXT_TO_SPEECH], "offhook")
    return {**{plug_in.name: _package(plug_in) for plug_in in entry_points(group=GROUP)}, **built_in}


def _engine(name: str, built_in: dict[str, tuple[str, str]], kind: str, options: dict[str, Any]) -> object:
    engine, _, model = name.partition(":")
    if model:
        options = {"model": model, **options}
    try:
        return _maker(engine, built_in, kind)(**options)
    except TypeError as error:
        # Python's own words name the option; an engine that fails so inside is told the same way, with its traceback.
        raise SpeechError(f"the speech engine {engine!r}: {error}", code="speech_refused") from error


def _maker(name: str, built_in: dict[str, tuple[str, str]], kind: str) -> Any:
    if name in built_in:
        module, made = built_in[name]
        try:
            return getattr(importlib.import_module(f"offhook.speech.{module}"), made)
        except ImportError as error:
            raise missing(name, error.name or "numpy", _EXTRAS[name], error) from error
    for plug_in in entry_points(group=GROUP, name=name):
        try:
            loaded = plug_in.load()
        except (ImportError, AttributeError) as error:
            raise SpeechError(f"the plug-in {name!r} ({_package(plug_in)}) can't be loaded: {error}") from error
        if hasattr(loaded, kind):
            return getattr(loaded, kind)
    can = sorted(built_in) + sorted(set(known()) - {*_SPEECH_TO_TEXT, *_TEXT_TO_SPEECH})
    what = "recognises speech" if kind == "speech_to_text" else "speaks"
    raise SpeechError(f"no speech engine {name!r} that {what}", code="speech_refused", hint=f"known: {', '.join(can)}")


def _package(plug_in: EntryPoint) -> str:
    return plug_in.dist.name if plug_in.dist is not None else plug_in.value
