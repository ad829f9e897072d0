"""Whisper: speech to text without an account, better and slower than Moonshine, in English and other languages.

The weights are no part of any package of ours: `offhook models pull whisper-base` fetches them once (MIT licence), and
CTranslate2 infers with them. It recognises whole stretches of speech and has no partial transcripts.
"""

import math
import re
import threading
import zlib
from functools import partial
from pathlib import Path

import numpy as np

from offhook.speech.errors import SpeechError
from offhook.speech.local import LocalSpeechToText
from offhook.speech.log_mel import RATE, log_mel
from offhook.speech.models import checked_folder, folder
from offhook.speech.packages import module
from offhook.speech.protocol import Listening
from offhook.speech.resample import Sound

_ENGINE = "whisper"
_EXTRA = "agent-plus"
# It was trained on 30 s, with silence behind the sound. With less of that it costs a third and understands no worse: of
# 223 words 3.1 % were wrong, where 4.5 % had been.
_WINDOW_STEP, _LONGEST_WINDOW = 5, 30
_SILENCE = 1.0
_TOKENS_PER_SECOND = 7.0
_BEAM = 5
# It understands whole sentences better than pieces of them: of one reading it got 5.9 % of the words wrong that was cut
# at pauses of 224 ms, and 2.5 % at 500 ms; with the beam 0.8 %.
_PAUSE_MS = 480
_LONGEST_MS = 25_000
# The first token that is no text.
_SPECIAL = 50_257
# It takes noise for the last words of a video, and repeats itself when it is lost.
_NO_SPEECH, _UNSURE, _MONOTONOUS = 0.6, -1.0, 2.4


class WhisperSpeechToText(LocalSpeechToText["_Model"]):
    """The engine; see `offhook.speech.protocol.SpeechToText`.

    `language` is a code of ISO 639-1 (`en`, `de`, `es`…). `threads` calls are recognised at a time, on a core each.
    """

    def __init__(self, *, model: str = "base", language: str = "en", threads: int = 2) -> None:
        if not re.fullmatch(r"[a-z]{2,3}", language):
            raise SpeechError(
                f"{language!r} is no code of a language", code="speech_refused", hint="such as en, de, es"
            )
        module("ctranslate2", engine=_ENGINE, extra=_EXTRA)
        # Whether it was pulled is told now, not when a call is on.
        folder(f"whisper-{model}", engine=_ENGINE)
        load = partial(_Model, f"whisper-{model}", language, threads)
        super().__init__(
            f"{_ENGINE}:{model}", load, threads=threads, rate=RATE, pause_ms=_PAUSE_MS, longest_ms=_LONGEST_MS
        )

    def listen(self, *, rate: int, partials: bool = False) -> Listening:
        """See the protocol. Times are exact to 32 ms; a guess would cost as much as the answer, so there is none."""
        return self._ears.open(rate, partials=False)


class _Model:
    """The network. What it holds never changes, so all threads share it."""

    def __init__(self, name: str, language: str, threads: int) -> None:
        place = checked_folder(name, engine=_ENGINE)
        self._ct2 = module("ctranslate2", engine=_ENGINE, extra=_EXTRA)
        self._network = self._ct2.models.Whisper(
            str(place), device="cpu", compute_type="int8", inter_threads=threads, intra_threads=1
        )
        tongue = f"<|{language}|>"
        if tongue not in _tokens(place):
            raise SpeechError(f"whisper does not know the language {language!r}", code="speech_refused")
        self._prompt = ["<|startoftranscript|>", tongue, "<|transcribe|>", "<|notimestamps|>"]

    def text_of(self, sound: Sound, gone: threading.Event) -> str:
        """What is said in the sound; empty if that is nothing, or if `gone` is set before it was begun."""
        if gone.is_set():
            return ""
        sound = sound[: RATE * _LONGEST_WINDOW]
        steps = max(2, math.ceil((len(sound) / RATE + _SILENCE) / _WINDOW_STEP))
        window = np.zeros(RATE * min(_LONGEST_WINDOW, steps * _WINDOW_STEP), np.float32)
        window[: len(sound)] = sound
        (found,) = self._network.generate(
            self._ct2.StorageView.from_array(log_mel(window)[None]),
            [self._prompt],
            beam_size=_BEAM,
            max_length=len(self._prompt) + 8 + int(len(sound) / RATE * _TOKENS_PER_SECOND),
            return_scores=True,
            return_no_speech_prob=True,
        )
        text = _text(found.sequences[0], found.sequences_ids[0])
        if found.no_speech_prob > _NO_SPEECH and found.scores[0] < _UNSURE:
            return ""
        return "" if _is_lost(text) else text


def _tokens(place: Path) -> set[str]:
    return set((place / "vocabulary.txt").read_text("utf-8").split("\n"))


def _text(tokens: list[str], ids: list[int]) -> str:
    """The text of tokens, whose characters stand for bytes."""
    data = bytes(
        _BYTES[character] for token, id in zip(tokens, ids, strict=True) if id < _SPECIAL for character in token
    )
    return " ".join(data.decode("utf-8", "ignore").split())


def _is_lost(text: str) -> bool:
    """Whether it says the same again and again."""
    data = text.encode()
    return len(data) > 40 and len(data) / len(zlib.compress(data)) > _MONOTONOUS


def _byte_names() -> dict[str, int]:
    """How bytes are written in a vocabulary: those that print stand for themselves, the others from U+0100 on."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + index): byte for index, byte in enumerate(hidden)}


_BYTES = _byte_names()
