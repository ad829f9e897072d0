"""A voice without any package: a few phrases and all numbers, spoken once by hibari and kept as sound.

It is the net where no voice can be installed. What it has no sound for it refuses, and names the words. The phrases are
in `prompts/prompts.json`, their sound in `prompts/prompts.ulaw` (G.711 µ-law, 8 kHz), written by `tools/prompts.py`.
"""

import json
import re
import sys
from array import array
from collections.abc import AsyncGenerator
from functools import lru_cache
from pathlib import Path

from offhook.speech.errors import SpeechError
from offhook.speech.packages import checked
from offhook.speech.protocol import Spoken
from offhook.speech.sentences import sentences
from offhook.speech.speakable import speakable

FOLDER = Path(__file__).parent / "prompts"
RATE = 8_000
_RATES = (8_000, 16_000)
_SHA256 = "d3c2336fbfecb6ecfdf67cc110742956827fe78f3fe7acada981f521dd92d48c"
_WORD = re.compile(r"[a-z']+|[,;:.!?]")
_BREATH_MS = 220
# Half way between two samples: a sinc with a window, by symmetry one half.
_HALF_BAND = (0.6285, -0.1943, 0.0977, -0.0505, 0.0242, -0.0056)


class PromptTextToSpeech:
    """The engine; see `offhook.speech.protocol.TextToSpeech`. It speaks at 8000 and 16000 Hz, of narrow band."""

    name = "prompts"

    async def warm_up(self) -> None:
        """Read the sound: half a megabyte."""
        _sound()

    async def say(self, text: str, *, rate: int) -> AsyncGenerator[Spoken, None]:
        """See the protocol. A piece is a sentence; one with a word that there is no sound for is refused whole."""
        if rate not in _RATES:
            raise SpeechError(f"prompts are not there at {rate} Hz", code="speech_refused", hint=f"rates: {_RATES}")
        for sentence in sentences(text):
            phrases = phrases_of(speakable(sentence))
            if phrases:
                pcm = b"".join(_phrase(phrase, rate) for phrase in phrases)
                yield Spoken(pcm + bytes(_BREATH_MS * rate // 1000 * 2), rate, sentence)

    async def close(self) -> None:
        """Nothing to do."""


def phrases_of(text: str) -> list[str]:
    """The phrases that make up a text, the longest first; a comma is a breath.

    Raises `SpeechError` (`speech_refused`) with the first words that are in no phrase.
    """
    words: list[str] = _WORD.findall(text.lower().replace("-", " "))
    found: list[str] = []
    at = 0
    index, longest = _index()
    while at < len(words):
        if not words[at][0].isalpha():
            if found and found[-1] != ",":
                found.append(",")
            at += 1
            continue
        for size in range(min(longest, len(words) - at), 0, -1):
            phrase = " ".join(words[at : at + size])
            if phrase in index:
                found.append(phrase)
                at += size
                break
        else:
            unknown = " ".join(word for word in words[at : at + 4] if word[0].isalpha())
            raise SpeechError(
                f"no prompt says {unknown!r}", code="speech_refused", hint="for any text: pip install 'offhook[agent]'"
            )
    while found and found[-1] == ",":
        found.pop()
    return found


def single_words() -> dict[str, int]:
    """The phrases of one word, and how many samples at 8 kHz each takes."""
    return {phrase: length for phrase, (_, length) in _index()[0].items() if " " not in phrase}


def sound_of(phrase: str, rate: int) -> bytes:
    """One phrase that there is, as PCM16 at 8000 or 16000 Hz."""
    return _phrase(phrase, rate)


@lru_cache(maxsize=1)
def _index() -> tuple[dict[str, tuple[int, int]], int]:
    """Where each phrase is, and how many words (and stops between them) the longest has."""
    stored = json.loads((FOLDER / "prompts.json").read_text("utf-8"))
    index = {phrase: (int(start), int(length)) for phrase, (start, length) in stored.items()}
    return index, max(phrase.count(" ") + 1 for phrase in index)


@lru_cache(maxsize=1)
def _sound() -> bytes:
    return checked(FOLDER / "prompts.ulaw", _SHA256, engine="prompts")


@lru_cache(maxsize=256)
def _phrase(phrase: str, rate: int) -> bytes:
    if phrase == ",":
        return bytes(_BREATH_MS * rate // 1000 * 2)
    start, length = _index()[0][phrase]
    samples = array("h", map(_LINEAR.__getitem__, _sound()[start : start + length]))
    if rate == 2 * RATE:
        samples = _doubled(samples)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def _doubled(samples: "array[int]") -> "array[int]":
    """At twice the rate: between two samples, what six on either side say."""
    taps = len(_HALF_BAND)
    padded = array("h", bytes(2 * taps)) + samples + array("h", bytes(2 * taps))
    doubled = array("h", bytes(4 * len(samples)))
    doubled[0::2] = samples
    for n in range(len(samples)):
        at = n + taps
        between = sum(tap * (padded[at - k] + padded[at + 1 + k]) for k, tap in enumerate(_HALF_BAND))
        doubled[2 * n + 1] = max(-32_768, min(32_767, round(between)))
    return doubled


def _linear(code: int) -> int:
    """A byte of µ-law as PCM16 (G.711)."""
    code = ~code & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


_LINEAR = tuple(map(_linear, range(256)))
