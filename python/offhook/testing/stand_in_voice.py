"""A voice that costs nothing: for each word of a text some recorded word, always the same. It sounds like speech and
says something else.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache
from zlib import crc32

from offhook.agent.sound import convert
from offhook.speech.prompt_voice import RATE, single_words, sound_of
from offhook.speech.protocol import Spoken, Word
from offhook.speech.sentences import sentences

_BREATH_MS = 120
_GAP_MS = 20


class StandInVoice:
    """Speaks every text, at once. `spoken` is called with each piece before it is handed out."""

    name = "stand-in"

    def __init__(self, spoken: Callable[[Spoken], None]) -> None:
        self._spoken = spoken

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def say(self, text: str, *, rate: int) -> AsyncGenerator[Spoken, None]:
        """See `TextToSpeech`. A piece is a sentence."""
        for sentence in sentences(text):
            piece = speech_of(sentence, rate)
            if piece.pcm:
                self._spoken(piece)
                # An engine takes its time, too: who speaks is not faster than the loop.
                await asyncio.sleep(0)
                yield piece

    async def close(self) -> None:
        """Nothing to do."""


def speech_of(sentence: str, rate: int) -> Spoken:
    """A sentence as sound at `rate` Hz, with the times of its words; text without a word is no sound."""
    pcm, words = bytearray(), []
    for word in sentence.split():
        if any(map(str.isalnum, word)):
            sound = _sound(_stand_in(word), rate)
            start = len(pcm) * 500 // rate
            pcm += sound
            words.append(Word(word, start, len(pcm) * 500 // rate))
            pcm += _silence(_GAP_MS, rate)
    if words:
        pcm += _silence(_BREATH_MS, rate)
    return Spoken(bytes(pcm), rate, sentence, tuple(words))


def _stand_in(word: str) -> str:
    """The recorded word that stands for another: long ones for long ones."""
    known = single_words()
    letters = "".join(filter(str.isalnum, word.lower()))
    by_length = sorted(known, key=lambda name: (known[name], name))
    first = min(len(letters), 10) * len(by_length) // 16
    choice = by_length[first : first + len(by_length) // 3]
    return choice[crc32(letters.encode()) % len(choice)]


@lru_cache(maxsize=512)
def _sound(name: str, rate: int) -> bytes:
    if rate in (RATE, 2 * RATE):
        return sound_of(name, rate)
    return convert(sound_of(name, RATE), RATE, rate)


def _silence(ms: int, rate: int) -> bytes:
    return bytes(2 * (ms * rate // 1_000))
