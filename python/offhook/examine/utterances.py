"""The utterances that an agent names: which is being played, what of it was heard, and what is dropped after a cut."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from offhook.destination.dialect.description import Json
from offhook.destination.dialect.facts import clean
from offhook.examine.playout import Piece

POLICIES = ("off", "clear", "duck-then-decide", "agent")
"""What an utterance may have happen when the caller speaks over it."""

USUAL = "duck-then-decide"
"""What happens where the utterance doesn't say, and neither does the route."""

SURE_MS = {"clear": 120, "duck-then-decide": 500, "agent": 120}
"""From the caller's first word to what the policy does, in milliseconds."""

_ID_BYTES, _TEXT_BYTES, _WORDS, _MOST = 64, 4096, 1024, 256


@dataclass(slots=True)
class Utterance:
    """One utterance; its pieces' words, and how long each piece's audio is."""

    id: str
    policy: str
    parts: list[tuple[str, list[int]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cut:
    """What was being said when it was cut off, and what waited behind it."""

    id: str
    played_ms: int
    text_heard: str
    unheard: tuple[str, ...]


class Utterances:
    """Those of one call, the latest of them."""

    def __init__(self) -> None:
        self._known: dict[str, Utterance] = {}
        self._current = ""
        self._stale: frozenset[str] = frozenset()

    @property
    def current(self) -> str:
        """The utterance that audio which comes now belongs to; empty if to none."""
        return self._current

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
        found = self._known.setdefault(name, Utterance(name, policy or USUAL))
        found.parts.append((_whole(text or ""), ends or []))
        del found.parts[:-_MOST]
        while len(self._known) > _MOST:
            self._known.pop(next(iter(self._known)))
        self._current = name
        if name not in self._stale:
            self._stale = frozenset()
        return ""

    def end(self) -> None:
        """The current one is complete."""
        self._current, self._stale = "", frozenset()

    def cleared(self) -> None:
        """The agent has cleared: what comes now is new."""
        self._stale = frozenset()

    def policy(self, name: str) -> str:
        """What is to happen when the caller speaks over it."""
        return self._known[name].policy if name in self._known else "off"

    def cut(self, pieces: Iterable[Piece], now: float, *, by_caller: bool) -> Cut | None:
        """Cut off what is being played; None if nothing that waits has a name. `pieces` are those before the clear."""
        kept = list(pieces)
        waiting = [piece for piece in kept if piece.end > now]
        if not any(piece.utterance for piece in waiting):
            return None
        name = waiting[0].utterance
        own = [piece for piece in kept if piece.utterance == name]
        played = sum(min(piece.end, now) - min(piece.start, now) for piece in own)
        whole = sum(piece.end - piece.start for piece in own)
        behind = dict.fromkeys(piece.utterance for piece in waiting if piece.utterance not in ("", name))
        if by_caller:
            self._stale = frozenset({name, *behind})
        return Cut(name, round(played * 1000), self._heard(name, played, whole), tuple(behind))

    def _heard(self, name: str, played: float, whole: float) -> str:
        known = self._known.get(name)
        if known is None or not whole:
            return ""
        words = [word for text, _ in known.parts for word in text.split()]
        if len(known.parts) == 1 and len(known.parts[0][1]) == len(words):
            return " ".join(word for word, end in zip(words, known.parts[0][1], strict=True) if end <= played * 1000)
        # Without times, words take their share of the audio.
        return " ".join(words[: int(len(words) * played / whole)])


def _whole(text: str) -> str:
    """Text without halves of surrogate pairs, which can't be sent."""
    return text.encode("utf-8", "replace").decode()


def _are_times(ends: Any) -> bool:
    if not isinstance(ends, list) or len(ends) > _WORDS or not all(type(end) is int and end >= 0 for end in ends):
        return False
    return ends == sorted(ends)
