"""What was said in a call that is recorded: who, when and what, as its agents tell it. Pure.

An agent tells each line as it is said and again as it changes, until it is final; the last word on a line is kept.
Nothing is kept of what was said while the recording was paused.
"""

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

TranscriptFormat = Literal["jsonl", "vtt"]
Who = Literal["caller", "agent"]

KEPT = 5_000
"""Lines of one call; later ones are counted and not kept."""

# A line of the caller that comes without its times: about how long it took to say, and to be understood.
_MS_A_CHARACTER = 65
_UNDERSTOOD_AFTER_MS = 600
# So far may a line of the caller seem to have begun before the recording, by the times that are told of it.
_ROUGHLY_MS = 300


@dataclass(frozen=True, slots=True)
class Line:
    """One line. Times are seconds on the call's clock; `final` is False where its agent never said how it ended.

    The text of the agent is what was heard, once it is final, and what was to be said before.
    """

    who: Who
    agent: str
    text: str
    from_s: float
    to_s: float
    final: bool
    interrupted: bool = False
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What an agent told of a line. `start_ms` and `end_ms` count the caller's sound that this agent got."""

    who: Who
    id: str
    text: str
    final: bool
    interrupted: bool = False
    start_ms: int | None = None
    end_ms: int | None = None


class Transcript:
    """The lines of one call, collected while it is on. `mask_digits` hides numbers before anything is kept."""

    def __init__(self, format: TranscriptFormat, *, mask_digits: bool) -> None:
        self.format = format
        self.masked = mask_digits
        self.forgotten = 0
        """Lines that were not kept because there were too many."""
        self._lines: dict[tuple[int, Who, str], Line] = {}
        self._agents: list[str] = []
        self._joined_s: float | None = None

    def agent(self, name: str) -> None:
        """The call goes on to this agent: what is told from now on is told by this one."""
        self._agents.append(name)
        self._joined_s = None

    def joined(self, at: float) -> None:
        """The agent hears the caller from now on."""
        self._joined_s = at

    def told(self, told: Told, at: float) -> None:
        """The agent tells of a line, new or told before."""
        assert self._agents, "somebody tells it"
        key = (len(self._agents), told.who, told.id)
        before = self._lines.get(key)
        if before is None and len(self._lines) >= KEPT:
            self.forgotten += 1
            return
        text = " ".join(told.text.split())
        line = Line(
            told.who, self._agents[-1], masked(text) if self.masked else text, at, at, told.final, told.interrupted
        )
        if told.start_ms is not None and told.end_ms is not None:
            joined = at if self._joined_s is None else self._joined_s
            to_s = min(at, joined + told.end_ms / 1000)
            line = replace(line, from_s=min(to_s, joined + told.start_ms / 1000), to_s=to_s)
        elif told.who == "caller":
            to_s = at - _UNDERSTOOD_AFTER_MS / 1000
            first = min(before.from_s if before else to_s, to_s - len(text) * _MS_A_CHARACTER / 1000)
            line = replace(line, from_s=first, to_s=max(first, to_s), estimated=True)
        else:
            line = replace(line, from_s=before.from_s if before else at)
        self._lines[key] = line

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines so far, in the order in which they were first told."""
        return tuple(self._lines.values())

    @property
    def silent_agents(self) -> list[str]:
        """The agents that the call went on to and that told no words, each once, by name."""
        spoke = {line.agent for line in self._lines.values()}
        return [agent for agent in dict.fromkeys(self._agents) if agent not in spoke]


@dataclass(frozen=True, slots=True)
class Page:
    """A transcript as it is written. `withheld` lines fell into a pause of the recording and are not in it."""

    data: bytes
    lines: int
    withheld: int


def page(
    lines: Iterable[Line], format: TranscriptFormat, *, call_id: str, began_s: float, pauses: Sequence[dict[str, Any]]
) -> Page:
    """Write the lines that were said while it was recorded. Times in it count from the beginning of the recording.

    `pauses` have `from_ms` and `to_ms`, or None where one goes on. Nothing of a line that reaches into one is written.
    """
    kept: list[tuple[int, int, Line]] = []
    withheld = 0
    for line in lines if math.isfinite(began_s) else ():
        from_ms, to_ms = (round((at - began_s) * 1000) for at in (line.from_s, line.to_s))
        # One that never became final may go on until now.
        until = to_ms if line.final else None
        if (line.final and to_ms <= 0) or not line.text:
            # Said before anything was recorded; or it was no words.
            continue
        begun_before = from_ms < -_ROUGHLY_MS and line.who == "caller"
        if begun_before or any(_overlap(from_ms, until, pause["from_ms"], pause["to_ms"]) for pause in pauses):
            withheld += 1
        else:
            kept.append((max(0, from_ms), max(0, to_ms), line))
    kept.sort(key=lambda one: one[:2])
    written = _vtt(kept, call_id) if format == "vtt" else "".join(_json(*one) for one in kept)
    return Page(written.encode(), len(kept), withheld)


def masked(text: str) -> str:
    """The text with its numbers of three digits and more hidden, each digit as `#`: written, or in English words."""
    return _RUN.sub(_hidden, text)


def _overlap(from_ms: int, to_ms: int | None, pause_from: int, pause_to: int | None) -> bool:
    return (pause_to is None or from_ms < pause_to) and (to_ms is None or to_ms > pause_from)


def _json(from_ms: int, to_ms: int, line: Line) -> str:
    said: dict[str, Any] = {"from_ms": from_ms, "to_ms": to_ms, "who": line.who, "text": line.text}
    if line.who == "agent":
        said["agent"] = line.agent
    said |= {name: True for name in ("interrupted", "estimated") if getattr(line, name)}
    if not line.final:
        said["final"] = False
    return json.dumps(said, ensure_ascii=False) + "\n"


def _vtt(lines: list[tuple[int, int, Line]], call_id: str) -> str:
    """WebVTT: a cue for each line, its speaker as the voice; what was cut off has the class `interrupted`."""
    cues = [f"WEBVTT\n\nNOTE call {call_id}\n"]
    for from_ms, to_ms, line in lines:
        text = line.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        voice = f"v{'.interrupted' if line.interrupted else ''} {line.who.title()}"
        cues.append(f"{_clock(from_ms)} --> {_clock(max(to_ms, from_ms + 1))}\n<{voice}>{text}\n")
    return "\n".join(cues)


def _clock(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ms:03}"


_ONES = "zero|oh|one|two|three|four|five|six|seven|eight|nine"
_TENS = (
    "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|"
    "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand"
)
_DIGIT = rf"(?:\d|\b(?:{_ONES}|{_TENS})\b)"
_BETWEEN = r"[\s.,\-–/()]*(?:\b(?:and|double|triple|dash)\b[\s.,\-]*)?"
_RUN = re.compile(rf"{_DIGIT}(?:{_BETWEEN}{_DIGIT})*", re.IGNORECASE)
_EACH = re.compile(_DIGIT, re.IGNORECASE)
_TWO = re.compile(_TENS, re.IGNORECASE)
_FEWEST_HIDDEN = 3


def _hidden(match: re.Match[str]) -> str:
    digits = sum(2 if _TWO.fullmatch(digit) else 1 for digit in _EACH.findall(match[0]))
    return _EACH.sub("#", match[0]) if digits >= _FEWEST_HIDDEN else match[0]
