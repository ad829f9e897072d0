"""The utterances that an agent names: which is being played, what of it was heard, and what is dropped after a cut."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offhook.destination.dialect.description import Json
from offhook.destination.dialect.facts import clean

if TYPE_CHECKING:
    from offhook.examine.playout import Piece

POLICIES = ("off", "clear", "duck-then-decide", "agent")
"""What an utterance may have happen when the caller speaks over it."""

USUAL = "duck-then-decide"
"""What happens where the utterance doesn't say, and neither does the route."""

SURE_MS = {"clear": 120, "duck-then-decide": 500, "agent": 120}
"""From the caller's first word to what the policy does, in milliseconds."""

_ID_BYTES, _TEXT_BYTES, _WORDS = 64, 4096, 1024
_SECONDS_A_CHARACTER = 0.065


@dataclass(slots=True, eq=False)
class Part:
    """A piece of an utterance: the audio that came after one `utterance` message. `ended`: no more of it comes."""

    id: str
    text: str
    word_ends: Sequence[int]
    policy: str
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """What was being said when it was cut off, and what waited behind it."""

    id: str
    played_ms: int
    text_heard: str
    unheard: tuple[str, ...]


class Utterances:
    """Those of one call."""

    def __init__(self) -> None:
        self.current: Part | None = None
        """What audio that comes now belongs to."""
        self._stale: frozenset[str] = frozenset()

    @property
    def is_stale(self) -> bool:
        """Whether audio that comes now is of what was cut off."""
        return bool(self._stale)

    def begin(self, body: Json, rule: Json) -> str:
        """Take an `utterance`; gives what is wrong with it, empty if nothing is."""
        name, text = body.get(rule["id"]), body.get(rule["text"])
        policy, ends = body.get(rule["barge_in"]), body.get(rule["word_ends_ms"])
        name = clean(name) if isinstance(name, str) else ""
        if not 1 <= len(name.encode()) <= _ID_BYTES:
            return f"an utterance without the text `{rule['id']}` of at most {_ID_BYTES} bytes"
        if text is not None and (not isinstance(text, str) or len(text.encode("utf-8", "replace")) > _TEXT_BYTES):
            return f"an utterance whose `{rule['text']}` is no text of at most {_TEXT_BYTES} bytes"
        if policy is not None and policy not in POLICIES:
            return f"an utterance whose `{rule['barge_in']}` is none of {', '.join(POLICIES)}"
        if ends is not None and not _are_times(ends):
            return f"an utterance whose `{rule['word_ends_ms']}` is no list of milliseconds, in order"
        before = self.current
        if before is not None:
            before.ended = True
            if before.id == name:
                # What the first piece says holds for the whole utterance.
                policy = before.policy
        self.current = Part(name, _whole(text or ""), ends or (), policy or USUAL)
        if name not in self._stale:
            self._stale = frozenset()
        return ""

    def end(self) -> None:
        """The current one is complete."""
        if self.current is not None:
            self.current.ended = True
        self.current, self._stale = None, frozenset()

    def cleared(self) -> None:
        """The agent has cleared: what comes now is new."""
        self._stale = frozenset()

    def cut(self, pieces: "Iterable[Piece]", now: float, *, by_caller: bool) -> Cut | None:
        """Cut off what is being played; None if nothing that waits has a name. `pieces` are those before the clear."""
        kept = list(pieces)
        waiting = [piece.utterance for piece in kept if piece.end > now]
        named = [part for part in waiting if part is not None]
        if not named:
            return None
        playing = waiting[0]
        name = "" if playing is None else playing.id
        behind = tuple(dict.fromkeys(part.id for part in named if part.id != name))
        if by_caller:
            self._stale = frozenset(part.id for part in named)
        if playing is None:
            return Cut("", 0, "", behind)
        begun = [piece for piece in kept if piece.start < now or piece.utterance is playing]
        parts = dict.fromkeys(piece.utterance for piece in begun if piece.utterance is not None)
        played, heard = 0.0, []
        for part in (part for part in parts if part.id == name):
            own = [piece for piece in kept if piece.utterance is part]
            so_far = sum(min(piece.end, now) - min(piece.start, now) for piece in own)
            played += so_far
            heard.append(_heard(part, so_far, sum(piece.end - piece.start for piece in own)))
        return Cut(name, round(played * 1000), " ".join(filter(None, heard)), behind)


def _heard(part: Part, played: float, known: float) -> str:
    """The words of which the end was played: by their times, else by their share of the characters."""
    text = part.text.strip()
    if part.ended and played >= known:
        return text
    lasts = known if part.ended else max(known, len(text) * _SECONDS_A_CHARACTER)
    heard = 0
    for number, word in enumerate(re.finditer(r"\S+", text)):
        timed = number < len(part.word_ends)
        ends = part.word_ends[number] / 1000 if timed else word.end() * lasts / max(1, len(text))
        if ends > played:
            break
        heard = word.end()
    return text[:heard]


def _whole(text: str) -> str:
    """Text without halves of surrogate pairs, which can't be sent."""
    return text.encode("utf-8", "replace").decode()


def _are_times(ends: Any) -> bool:
    if not isinstance(ends, list) or len(ends) > _WORDS or not all(type(end) is int and end >= 0 for end in ends):
        return False
    return ends == sorted(ends)
