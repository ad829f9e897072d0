"""Ears that know every sound they may hear: they tell when somebody speaks, and what of it came through.

Sound is compared by its loudness, every 10 ms, with that of what was spoken. What was played at a wrong rate, with its
bytes swapped or in pieces is like nothing that was, and is not understood.
"""

import sys
from array import array
from collections import deque
from dataclasses import dataclass
from itertools import islice
from math import sqrt

from offhook.speech.protocol import Spoken
from offhook.speech.script import Script

STEP_MS = 10
LOUD = 400
"""A peak above this, of 32767, is somebody who speaks."""

ALIKE = 0.75
"""How like the loudness of two sounds is (their correlation) if one is the other, by a bad line."""

_SURE = 0.9
_FEWEST_STEPS = 8
# How much of a phrase's beginning may be missing (below 0), or how much may come before it.
_SHIFTS = range(-12, 13)
# Steps that are compared as a whole where time is not to be trusted, and how much later or earlier each may be.
_CHUNK = 50
_DRIFT = range(-8, 9)
_ELASTIC = 12
# What is short is like many things: so much less, divided by its steps, it counts.
_DOUBT = 2.0
_KEPT = 200
_BEGIN_STEPS = 3


def levels(pcm: bytes, rate: int) -> list[int]:
    """The peak of every 10 ms of PCM16."""
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    step = rate * STEP_MS // 1_000
    return [max(max(part), -min(part)) for at in range(0, len(samples), step) if (part := samples[at : at + step])]


class _Phrase:
    """A sentence that was spoken, its loudness, and how much of it has been heard."""

    def __init__(self, spoken: Spoken) -> None:
        self.script = Script()
        self.levels: list[int] = []
        self.heard = 0
        self._told = 0
        self.add(spoken)

    def add(self, spoken: Spoken) -> None:
        self.script.add(spoken)
        self.levels += levels(spoken.pcm, spoken.rate)
        self._end = max((at + 1 for at, level in enumerate(self.levels) if level >= LOUD), default=0)

    @property
    def rest(self) -> list[int]:
        """What has not been heard, from its first loud moment on."""
        at = self.heard
        while at < self._end and self.levels[at] < LOUD:
            at += 1
        return self.levels[at : self._end]

    def hear(self, steps: int) -> str:
        """So many steps of the rest have been heard: the words that are new."""
        self.heard = self._end - len(self.rest) + steps
        whole = self.is_over
        words = (self.script.text if whole else self.script.heard(self.heard * STEP_MS)).split()
        new, self._told = words[self._told :], max(self._told, len(words))
        return " ".join(new)

    @property
    def is_over(self) -> bool:
        return self.heard >= self._end - _FEWEST_STEPS


@dataclass(frozen=True, slots=True)
class Understood:
    """The words of a stretch of sound, and how many milliseconds of it were loud and are none of them."""

    text: str
    unclear_ms: int


class Lexicon:
    """What somebody has said and nobody has heard yet, in order. The oldest of 200 sentences is forgotten."""

    def __init__(self) -> None:
        self._phrases: deque[_Phrase] = deque(maxlen=_KEPT)

    def add(self, spoken: Spoken) -> None:
        """This is being said. A piece without text goes on with the sentence before."""
        if spoken.text or not self._phrases:
            self._phrases.append(_Phrase(spoken))
        else:
            self._phrases[-1].add(spoken)

    def understand(self, heard: list[int]) -> Understood:
        """The words of a stretch of sound, as far as it is like anything that was said; none where it isn't."""
        at, words, known = 0, [], 0
        while len(heard) - at >= _FEWEST_STEPS:
            found = self._find(heard, at)
            if found is None:
                break
            for _ in range(found.index):
                self._phrases.popleft()
            words.append(self._phrases[0].hear(found.steps))
            if self._phrases[0].is_over:
                self._phrases.popleft()
            known += _loud(heard[found.begin : found.end])
            at = found.end
            while at < len(heard) and heard[at] < LOUD:
                at += 1
        return Understood(" ".join(filter(None, words)), (_loud(heard) - known) * STEP_MS)

    def _find(self, heard: list[int], at: int) -> "_Match | None":
        """What is heard from `at` on."""
        heard = _soft(heard)
        best: _Match | None = None
        for index, phrase in enumerate(self._phrases):
            rest = _soft(phrase.rest)
            for shift in _SHIFTS:
                best = _better(best, _rigid(index, rest, heard, max(0, -shift), at + max(0, shift)))
            if best is not None and best.alike >= _SURE:
                return best
        if best is not None and best.alike >= ALIKE:
            return best
        # On a bad line some of it came late and was made up, so that the rest is behind.
        for index, phrase in enumerate(islice(self._phrases, _ELASTIC)):
            rest = _soft(phrase.rest)
            for shift in _SHIFTS[::2]:
                best = _better(best, _elastic(index, rest, heard, max(0, -shift), at + max(0, shift)))
        return best if best is not None and best.alike >= ALIKE else None


@dataclass(frozen=True, slots=True)
class _Match:
    """Which phrase it is, how many steps of that are over with it, and from where to where it was heard."""

    index: int
    steps: int
    begin: int
    end: int
    alike: float


def _better(one: _Match | None, other: _Match | None) -> _Match | None:
    return other if one is None or (other is not None and other.alike > one.alike) else one


def _rigid(index: int, rest: list[int], heard: list[int], skipped: int, begin: int) -> _Match | None:
    """The phrase but for its first steps, as it is."""
    steps = min(len(rest) - skipped, len(heard) - begin)
    if steps < _FEWEST_STEPS:
        return None
    alike = likeness(rest[skipped : skipped + steps], heard[begin : begin + steps]) - _DOUBT / steps
    return _Match(index, skipped + steps, begin, begin + steps, alike)


def _elastic(index: int, rest: list[int], heard: list[int], skipped: int, begin: int) -> _Match | None:
    """The phrase in chunks, each of which may be a little earlier or later than the one before."""
    done, at, sum_alike = skipped, begin, 0.0
    while len(rest) - done >= _FEWEST_STEPS and len(heard) - at >= _FEWEST_STEPS:
        choices = []
        for shift in _DRIFT:
            start = at + shift
            steps = min(_CHUNK, len(rest) - done, len(heard) - start)
            if start >= begin and steps >= _FEWEST_STEPS:
                choices.append((likeness(rest[done : done + steps], heard[start : start + steps]), start, steps))
        alike, start, steps = max(choices)
        sum_alike += alike * steps
        done, at = done + steps, start + steps
    steps = done - skipped
    return _Match(index, done, begin, at, sum_alike / steps - _DOUBT / steps) if steps else None


def likeness(one: list[int], other: list[int]) -> float:
    """How like two loudnesses of the same length are, whatever their level: 1 alike, 0 nothing in common."""
    x, y = [sqrt(level) for level in one], [sqrt(level) for level in other]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    x, y = [value - mean_x for value in x], [value - mean_y for value in y]
    power = sqrt(sum(value * value for value in x) * sum(value * value for value in y))
    return sum(a * b for a, b in zip(x, y, strict=True)) / power if power else 0.0


def _loud(levels: list[int]) -> int:
    """How many steps of it are sound."""
    return sum(level >= LOUD for level in levels)


def _soft(levels: list[int]) -> list[int]:
    """The loudest of each three steps: a hole of a lost packet is no part of a sound."""
    before, after = [0, *levels[:-1]], [*levels[1:], 0]
    return list(map(max, before, levels, after))


@dataclass(frozen=True, slots=True)
class Began:
    """Somebody began to speak `at_ms` into the sound."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Somebody spoke from `start_ms` to `end_ms` and is silent since. `levels` are those of the sound in between."""

    start_ms: int
    end_ms: int
    levels: list[int]


class Listener:
    """Cuts sound into stretches of speech; `pause_ms` of silence end one."""

    def __init__(self, rate: int, pause_ms: int) -> None:
        self._rate = rate
        self._pause = pause_ms // STEP_MS
        self._steps = 0
        self._loud = self._quiet = 0
        self._current: list[int] | None = None
        self._begin = 0

    @property
    def is_speech(self) -> bool:
        """Whether somebody speaks."""
        return self._current is not None

    @property
    def heard_ms(self) -> int:
        """How much sound it has heard, whole steps."""
        return self._steps * STEP_MS

    def feed(self, pcm: bytes) -> list[Began | Stretch]:
        """The next sound: what that tells."""
        found: list[Began | Stretch] = []
        for level in levels(pcm, self._rate):
            found += self._judge(level)
        return found

    def finish(self) -> list[Began | Stretch]:
        """Whatever is being said ends here."""
        return [self._over()] if self._current is not None else []

    def _judge(self, level: int) -> list[Began | Stretch]:
        self._steps += 1
        loud = level >= LOUD
        if self._current is None:
            self._loud = self._loud + 1 if loud else 0
            if self._loud < _BEGIN_STEPS:
                return []
            self._begin = self._steps - self._loud
            self._current, self._quiet, self._loud = [level] * self._loud, 0, 0
            return [Began(self._begin * STEP_MS)]
        self._current.append(level)
        self._quiet = 0 if loud else self._quiet + 1
        return [self._over()] if self._quiet >= self._pause else []

    def _over(self) -> Stretch:
        assert self._current is not None, "only what began ends"
        spoken, self._current = self._current[: len(self._current) - self._quiet], None
        self._loud = 0
        return Stretch(self._begin * STEP_MS, (self._begin + len(spoken)) * STEP_MS, spoken)
