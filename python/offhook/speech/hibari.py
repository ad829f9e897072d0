"""hibari: a small American voice without an account, on onnxruntime.

The voice is inside the package hibari-tts (Apache-2.0 licence), pinned and held to its SHA-256. About 0.01 s of one
core for a second of speech. What it reads wrongly by itself is spelled out before: `offhook.speech.speakable`.
The network plans how long each phoneme lasts before it sounds; that is where its words are known from.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import numpy as np

from offhook.speech.errors import SpeechError
from offhook.speech.packages import checked, folder, module
from offhook.speech.pool import Pool
from offhook.speech.protocol import Spoken, Word
from offhook.speech.resample import RATES, Sound, resampled, to_pcm
from offhook.speech.script import shares, words_of, words_within
from offhook.speech.sentences import sentences
from offhook.speech.speakable import speakable

_ENGINE = "hibari"
_SHA256 = "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
_SPECTRA = ("lh", "theta", "ln", "lr", "phi", "f0")
"""What the network gives, and `hibari.dsp` makes sound of."""
_ENDS = b"/CumSum_output_0"
"""A value inside the network: when each phoneme ends, in its own steps. It is there as long as the checksum holds."""
_SAID = re.compile(r"""[^ ;:,.!?—…"()“”]+""")
"""A word among phonemes. What stands between words is silence."""
_QUIET = 0.003
_LEAD_MS = 20
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
        """See the protocol. A piece is a sentence, or a part of a very long one.

        Where its words are is known to about 25 ms; in a sentence that takes several pieces it is an estimate.
        """
        if rate not in RATES:
            raise SpeechError(f"hibari does not speak at {rate} Hz", code="speech_refused", hint=f"rates: {RATES}")
        if self._voice is None:
            await self.warm_up()
        for sentence in sentences(text):
            given: str = sentence
            parts = await self._pool.run(partial(self._voice.phonemize, speakable(sentence)))
            for phonemes in parts:
                sound, words = await self._pool.run(partial(self._sound, phonemes, given if len(parts) == 1 else ""))
                if not len(sound):
                    continue
                pcm = await self._pool.run(partial(_at_rate, sound, self._voice.sample_rate, rate))
                estimated = words_of(given, len(pcm) * 500 / rate - _PAUSE_MS, lead_ms=_LEAD_MS)
                yield Spoken(pcm, rate, given, words or estimated)
                given = ""

    async def close(self) -> None:
        """See the protocol."""
        self._pool.close()

    def _load(self) -> Any:
        path = self._folder / "assets/hibari.onnx"
        model = checked(path, _SHA256, engine=_ENGINE)
        voice = module("hibari", engine=_ENGINE, extra="agent").Hibari(model=_telling(model, _ENDS), threads=1)
        voice.model_path = str(path)
        # The first time costs ten times what the others do, and a word that is in no lexicon loads one more model.
        for phonemes in voice.phonemize("Hello, Zorvath."):
            _spoken(voice, phonemes)
        return voice

    def _sound(self, phonemes: str, text: str) -> tuple[Sound, tuple[Word, ...]]:
        """The sound with as little silence around it as speech has, and where in it the words of `text` are."""
        # What the voice has no sound for it passes over, and so do the times.
        phonemes = "".join(filter(self._voice.vocab.__contains__, phonemes))
        if not phonemes:
            return np.empty(0, np.float32), ()
        raw, ends = _spoken(self._voice, phonemes)
        loud = np.flatnonzero(np.abs(raw) > _QUIET)
        if not len(loud):
            return raw[:0], ()
        rate = self._voice.sample_rate
        lead = rate * _LEAD_MS // 1000
        first, last = max(0, int(loud[0]) - lead), min(len(raw), int(loud[-1]) + lead)
        pause = np.zeros(rate * _PAUSE_MS // 1000, np.float32)
        step_ms, begin_ms = len(raw) * 1000 / rate / int(ends[-1]), first * 1000 / rate
        # Before the first phoneme stands one of silence: each begins where the one before it ends. The last of all is
        # given some of the silence behind it, too.
        at_ms = np.clip(ends * step_ms - begin_ms, 0, (last - first) * 1000 / rate)
        times = [(float(at_ms[word.start()]), float(at_ms[word.end()])) for word in _SAID.finditer(phonemes)]
        return np.concatenate([raw[first:last], pause]), self._words(text, times) if text else ()

    def _words(self, text: str, times: list[tuple[float, float]]) -> tuple[Word, ...]:
        """The written words: a number or an address is spoken as several."""
        written = text.split()
        counts = [int(any(map(str.isalnum, word))) for word in written]
        if sum(counts) != len(times):
            counts = [
                len(_SAID.findall(self._voice.g2p(speakable(word)))) * count
                for word, count in zip(written, counts, strict=True)
            ]
        if sum(counts) != len(times):
            # Some are read otherwise among others.
            counts = shares(written, len(times))
        return words_within(written, counts, times)


def _spoken(voice: Any, phonemes: str) -> tuple[Sound, Any]:
    """The sound of phonemes, and when each of them ends."""
    synth = module("hibari.dsp", engine=_ENGINE, extra="agent").synth
    ids, speed = np.asarray([voice.ids(phonemes)], np.int64), np.ones(1, np.float32)
    *spectra, ends = voice.sess.run([*_SPECTRA, _ENDS.decode()], {"ids": ids, "speed": speed})
    # Its noise from one seed, so that the same text is the same sound.
    raw = synth(*(spectrum[0] for spectrum in spectra), np.random.default_rng(0))
    return np.asarray(raw, np.float32) * _GAIN, ends


def _telling(model: bytes, value: bytes) -> bytes:
    """An ONNX model that gives one of its inner values, too: protobuf merges what is appended into what is there."""
    named = b"\x0a" + bytes([len(value)]) + value  # ValueInfoProto.name
    output = b"\x62" + bytes([len(named)]) + named  # GraphProto.output
    return model + b"\x3a" + bytes([len(output)]) + output  # ModelProto.graph


def _at_rate(sound: Sound, rate: int, to: int) -> bytes:
    return to_pcm(resampled(sound, rate, to))
