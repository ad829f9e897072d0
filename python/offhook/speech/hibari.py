"""hibari: a small American voice without an account, on onnxruntime.

The voice is inside the package hibari-tts (Apache-2.0 licence), pinned and held to its SHA-256. About 0.01 s of one
core for a second of speech. What it reads wrongly by itself is spelled out before: `offhook.speech.speakable`.
"""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import numpy as np

from offhook.speech.errors import SpeechError
from offhook.speech.packages import checked, folder, module
from offhook.speech.pool import Pool
from offhook.speech.protocol import Spoken
from offhook.speech.resample import RATES, Sound, resampled, to_pcm
from offhook.speech.script import words_of
from offhook.speech.sentences import sentences
from offhook.speech.speakable import speakable

_ENGINE = "hibari"
_SHA256 = "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
_QUIET = 0.003
_PAUSE_MS = 120
# As loud as people are on a telephone: -22 dB below full scale.
_GAIN = 1.5


class HibariTextToSpeech:
    """The engine; see `offhook.speech.protocol.TextToSpeech`. The same text gives the same sound, to the sample."""

    name = _ENGINE

    def __init__(self, *, threads: int = 2) -> None:
        module("onnxruntime", engine=_ENGINE, extra="agent")
        self._folder = folder("hibari", engine=_ENGINE, extra="agent")
        self._pool = Pool(threads, "hibari")
        self._voice: Any = None
        self._loading = asyncio.Lock()

    async def warm_up(self) -> None:
        """See the protocol. Somewhat under a second."""
        async with self._loading:
            if self._voice is None:
                self._voice = await self._pool.run(self._load)

    async def say(self, text: str, *, rate: int) -> AsyncGenerator[Spoken, None]:
        """See the protocol. A piece is a sentence, or a part of a very long one; where its words are is an estimate."""
        if rate not in RATES:
            raise SpeechError(f"hibari does not speak at {rate} Hz", code="speech_refused", hint=f"rates: {RATES}")
        if self._voice is None:
            await self.warm_up()
        for sentence in sentences(text):
            given: str = sentence
            for phonemes in await self._pool.run(partial(self._voice.phonemize, speakable(sentence))):
                sound, lead_ms = await self._pool.run(partial(self._sound, phonemes))
                if not len(sound):
                    continue
                pcm = await self._pool.run(partial(_at_rate, sound, self._voice.sample_rate, rate))
                length_ms = len(pcm) * 500 / rate - _PAUSE_MS
                yield Spoken(pcm, rate, given, words_of(given, length_ms, lead_ms=lead_ms))
                given = ""

    async def close(self) -> None:
        """See the protocol."""
        self._pool.close()

    def _load(self) -> Any:
        path = self._folder / "assets/hibari.onnx"
        checked(path, _SHA256, engine=_ENGINE)
        voice = module("hibari", engine=_ENGINE, extra="agent").Hibari(model=str(path), threads=1)
        # The first time costs ten times what the others do, and a word that is in no lexicon loads one more model.
        voice("Hello, Zorvath.", seed=0)
        return voice

    def _sound(self, phonemes: str) -> tuple[Sound, float]:
        """The sound with as little silence around it as speech has, and how much is before it."""
        raw = np.asarray(self._voice.from_phonemes(phonemes, seed=0), np.float32) * _GAIN
        loud = np.flatnonzero(np.abs(raw) > _QUIET)
        if not len(loud):
            return raw[:0], 0.0
        rate = self._voice.sample_rate
        first, last = max(0, int(loud[0]) - rate // 50), min(len(raw), int(loud[-1]) + rate // 50)
        pause = np.zeros(rate * _PAUSE_MS // 1000, np.float32)
        return np.concatenate([raw[first:last], pause]), 20.0


def _at_rate(sound: Sound, rate: int, to: int) -> bytes:
    return to_pcm(resampled(sound, rate, to))
