"""The SDK's line of a rehearsed call, overheard: what the agent is told of its utterances, and what it remembers."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from offhook.agent.protocol import words
from offhook.agent.wire_line import WireLine
from offhook.testing.interruption import Interruption, words_off

# Utterances that are remembered: an interruption is about the last ones.
_KEPT = 100


@dataclass(frozen=True, slots=True)
class _Over:
    """An utterance that is over: its words, as the agent remembers them."""

    utterance: str
    text: str
    interrupted: bool


class OverheardLine(WireLine):
    """The line, which keeps what passes over it of utterances that are over: of the last 100."""

    def __init__(self, call: int, ringing: dict[str, Any], rate: int, write: Callable[[bytes], None]) -> None:
        super().__init__(call, ringing, rate, write)
        self._past: deque[_Over] = deque(maxlen=_KEPT)
        # What the gateway has told first since `attend`: which utterance was cut off, and what was heard of it.
        self._told: tuple[str, str] | None = None

    def attend(self) -> None:
        """What is cut off from here on is what `interruption` is about."""
        self._told = None

    def interruption(self, heard: str, silent_after_ms: int) -> Interruption:
        """What the agent knows of what was cut off first since `attend`, of which the caller has `heard` this."""
        past = list(self._past)
        name = self._told[0] if self._told is not None else past[-1].utterance if past else ""
        at = next((at for at, over in enumerate(past) if over.utterance == name), len(past))
        over = past[at] if at < len(past) else _Over(name, "", interrupted=False)
        before = " ".join(earlier.text for earlier in past[:at])
        told = self._told[1] if self._told is not None else ""
        off = words_off(heard, before, over.text)
        if self._told is not None or over.interrupted:
            off = max(off, words_off(heard, before, told))
        return Interruption(heard, silent_after_ms, told, over.text, off)

    def _interrupted(self, message: dict[str, Any]) -> None:
        if self._told is None:
            self._told = words(message, "utterance"), words(message, "text_heard")
        super()._interrupted(message)

    def transcript(
        self,
        who: Literal["caller", "agent"],
        line: str,
        text: str,
        *,
        final: bool,
        interrupted: bool = False,
        at_ms: tuple[int, int] | None = None,
    ) -> None:
        """As of any line; a final one of the agent's is what its history gets."""
        if who == "agent" and final:
            self._past.append(_Over(line, text, interrupted))
        super().transcript(who, line, text, final=final, interrupted=interrupted, at_ms=at_ms)
