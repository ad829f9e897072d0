"""What was said and when: how much of a text had been heard when its sound was cut off."""

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise

from offhook.speech.protocol import Spoken, Word

_WORDS = re.compile(r"\S+")
_VOWELS = re.compile(r"[aeiouyáàâäéèêëíìîïóòôöúùûü]+")
_BREATH = 2.0
"""A pause at a comma, in syllables."""


class Script:
    """The pieces of one utterance in the order in which they sound, from 0 ms on."""

    def __init__(self) -> None:
        self._sentences: list[tuple[str, float, float, tuple[Word, ...]]] = []

    def add(self, spoken: Spoken) -> None:
        """The next piece. One without text goes on with the sentence before it."""
        start, length = self.duration_ms, spoken.duration_ms
        if self._sentences and not spoken.text:
            text, start, before, words = self._sentences.pop()
            moved = (
                Word(word.text, word.start_ms + round(before), word.end_ms + round(before)) for word in spoken.words
            )
            self._sentences.append((text, start, before + length, (*words, *moved)))
        else:
            self._sentences.append((spoken.text, start, length, spoken.words))

    @property
    def duration_ms(self) -> float:
        """How long all of it sounds."""
        return self._sentences[-1][1] + self._sentences[-1][2] if self._sentences else 0.0

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(text for text, *_ in self._sentences if text)

    def heard(self, played_ms: float) -> str:
        """The words that were heard if the sound ended after `played_ms`: whole ones, and those that were half over."""
        found = []
        for text, start, length, words in self._sentences:
            if played_ms <= start:
                break
            if played_ms >= start + length:
                found.append(text)
                continue
            timed = words or words_of(text, length)
            found.extend(word.text for word in timed if (word.start_ms + word.end_ms) / 2 <= played_ms - start)
        return " ".join(filter(None, found))


def words_of(text: str, duration_ms: float, *, lead_ms: float = 0.0) -> tuple[Word, ...]:
    """Where the words of `text` are in a sound that begins with them after `lead_ms`, by their syllables: an estimate.

    It is right to about a word in a sentence of ordinary speech. Text without any word has none.
    """
    words = _WORDS.findall(text)
    spoken = [_syllables(word) for word in words]
    pauses = [_BREATH if word[-1] in ",;:.!?…" and word is not words[-1] else 0.0 for word in words]
    total = sum(spoken) + sum(pauses)
    if not sum(spoken):
        return ()
    scale = max(0.0, duration_ms - lead_ms) / total
    ends = accumulate(length + pause for length, pause in zip(spoken, pauses, strict=True))
    return tuple(
        Word(word, round(lead_ms + (end - length - pause) * scale), round(lead_ms + (end - pause) * scale))
        for word, length, pause, end in zip(words, spoken, pauses, ends, strict=True)
    )


def words_within(words: Sequence[str], counts: Sequence[int], times: Sequence[tuple[float, float]]) -> tuple[Word, ...]:
    """Written words, each of which is spoken as `counts` words; `times` are the spoken ones' beginnings and ends in ms.

    What is not spoken at all is where the word before it ends.
    """
    assert sum(counts) == len(times), "each spoken word is a written one's"
    found, at, end = [], 0, 0.0
    for word, count in zip(words, counts, strict=True):
        start = times[at][0] if count else end
        at += count
        end = times[at - 1][1] if count else end
        found.append(Word(word, round(start), round(end)))
    return tuple(found)


def shares(words: Sequence[str], count: int) -> list[int]:
    """How many of `count` spoken words are each written one's, as far as their syllables tell."""
    total = sum(map(_syllables, words))
    if not total:
        return [0] * (len(words) - 1) + [count] if words else []
    ends = [round(end * count / total) for end in accumulate(map(_syllables, words), initial=0.0)]
    return [end - start for start, end in pairwise(ends)]


def _syllables(word: str) -> float:
    """About how long a word takes. Each digit is a word, and so is each letter of a name in capitals."""
    digits = sum(map(str.isdigit, word))
    letters = [character for character in word if character.isalpha()]
    if not digits and not letters:
        return 0.0
    if len(letters) > 1 and all(map(str.isupper, letters)):
        return digits * 1.3 + len(letters)
    name = "".join(letters).lower()
    vowels = len(_VOWELS.findall(name)) - (name.endswith("e") and not name.endswith("le") and len(name) > 3)
    # Consonants take time too: "strengths" is no shorter than "idea".
    return digits * 1.3 + (max(vowels, 1) * 0.6 + len(letters) * 0.13 if letters else 0.0)
