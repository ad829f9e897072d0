"""The offline engines of this machine as the caller's voice and ears: slow, and as right as they are."""

import asyncio
from functools import lru_cache

from offhook.speech.engines import speech_to_text, text_to_speech
from offhook.speech.protocol import SpeechToText, Spoken, TextToSpeech, Transcript

# Of virtual time, which stands while an engine works.
_NOTHING_MORE = 0.1


@lru_cache(maxsize=1)
def _voice() -> TextToSpeech:
    return text_to_speech()


@lru_cache(maxsize=1)
def _ears() -> SpeechToText:
    return speech_to_text()


async def real_voice(text: str, rate: int) -> list[Spoken]:
    """The text as speech. Raises `SpeechError` where no engine is installed."""
    return [piece async for piece in _voice().say(text, rate=rate)]


async def real_ears(pcm: bytes, rate: int) -> str:
    """The words of a piece of sound. Raises `SpeechError` where no engine is installed."""
    listening = _ears().listen(rate=rate)
    words: list[str] = []

    async def collect() -> None:
        async for event in listening:
            if isinstance(event, Transcript) and event.final:
                words.append(event.text)  # noqa: PERF401, what came before it is cancelled counts

    collecting = asyncio.create_task(collect())
    try:
        listening.write(pcm)
        listening.finish()
        await asyncio.wait({collecting}, timeout=_NOTHING_MORE)
    finally:
        await listening.close()
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
    return " ".join(filter(None, words))
