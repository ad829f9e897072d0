"""What became of an interruption: what the caller heard of the agent, and what the agent knows of that."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NOT_WORDS = re.compile(r"[^\w\s]+")


@dataclass(frozen=True, slots=True)
class Interruption:
    """What became of an interruption: `heard` of what the agent was saying, and after how many ms it was silent.

    `silent_after_ms` counts from the first sound of the caller, at the telephone: the way there and back is in it.
    `told` is what the gateway has told the agent that the caller heard of the utterance that was cut off, empty where
    none was; `remembered` is what the agent's history has of it (`Said.heard`). `words_off` is by how many words the
    worse of these two ends before or behind `heard`: 0 or 1 where the agent knows what the caller has heard.
    """

    heard: str
    silent_after_ms: int
    told: str = ""
    remembered: str = ""
    words_off: int = 0


def words_off(heard: str, before: str, claimed: str) -> int:
    """By how many words what is `claimed` to have been heard ends before or behind what was `heard`.

    `before` is all that was said before the utterance in question: `heard` may begin there. Where the two have nothing
    in common, it is as many words as the longer one has. Capitals and punctuation don't matter.
    """
    ears, claim = _words(heard), _words(claimed)
    said = [*_words(before)[-len(ears) :], *claim]
    ways = (
        max(missed, made_up)
        for missed in range(len(ears))
        for made_up in range(len(claim) + 1)
        if _ends_with(said[: len(said) - made_up], ears[: len(ears) - missed])
    )
    return min(ways, default=max(len(ears), len(claim)))


def _words(text: str) -> list[str]:
    return plain(text).split()


def _ends_with(words: Sequence[str], end: Sequence[str]) -> bool:
    return len(words) >= len(end) and words[len(words) - len(end) :] == end


def plain(text: str) -> str:
    """A text without capitals, punctuation and what separates words but for one blank."""
    return " ".join(_NOT_WORDS.sub(" ", text.lower().replace("'", "").replace("’", "")).split())
