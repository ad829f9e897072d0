"""The engines that an agent speaks and listens with: made on first use, shared by all calls."""

from collections.abc import Callable
from typing import TypeVar

from offhook.agent.errors import AgentError
from offhook.speech.engines import speech_to_text, text_to_speech
from offhook.speech.errors import SpeechError
from offhook.speech.protocol import SpeechToText, TextToSpeech

_E = TypeVar("_E")


class Speech:
    """Both engines of an agent, each given as itself, by its name, or not at all."""

    def __init__(self, stt: SpeechToText | str | None, tts: TextToSpeech | str | None) -> None:
        self._named = (stt, tts)
        self._stt: SpeechToText | None = None if isinstance(stt, str) else stt
        self._tts: TextToSpeech | None = None if isinstance(tts, str) else tts

    def stt(self) -> SpeechToText:
        """The engine that understands. Raises `AgentError` where there is none, with what to install."""
        if self._stt is None:
            self._stt = _made("understand speech", self._named[0], speech_to_text)
        return self._stt

    def tts(self) -> TextToSpeech:
        """The voice. Raises `AgentError` where there is none, with what to install."""
        if self._tts is None:
            self._tts = _made("speak", self._named[1], text_to_speech)
        return self._tts

    async def warm_up(self) -> None:
        """Load those that were asked for until now."""
        for engine in (self._stt, self._tts):
            if engine is not None:
                await engine.warm_up()

    async def close(self) -> None:
        """Let go of them."""
        for engine in (self._stt, self._tts):
            if engine is not None:
                await engine.close()


def _made(what: str, name: object, engine: Callable[..., _E]) -> _E:
    try:
        return engine(name) if isinstance(name, str) else engine()
    except SpeechError as error:
        message = f"the agent can't {what}: {error}"
        raise AgentError(message, code="agent_speech_missing", hint=error.hint) from error
