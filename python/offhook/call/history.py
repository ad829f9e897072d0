"""What was said in a call so far, as its agents tell it: for the agent that takes the call over."""

from collections.abc import Iterable

from offhook.destination.base import AgentTranscript
from offhook.destination.dialect.facts import SaidLine

MAX_LINES = 200
"""Lines that an agent is told; of a longer conversation the oldest are forgotten."""

MAX_CHARACTERS = 16_384
"""Characters of all those lines together."""


class History:
    """The lines of one call, oldest first: of the caller as understood, of its agents as far as they were heard."""

    __slots__ = ("_agents", "_characters", "_lines")

    def __init__(self) -> None:
        self._agents = 0
        self._characters = 0
        self._lines: dict[tuple[int, str, str], SaidLine] = {}

    @property
    def lines(self) -> tuple[SaidLine, ...]:
        """Those that are kept."""
        return tuple(self._lines.values())

    def begin(self, lines: Iterable[SaidLine]) -> None:
        """What was said in the call that this one goes on for."""
        for number, line in enumerate(lines):
            self.told(AgentTranscript(line.who, str(number), line.text, True, line.interrupted))

    def another_agent(self) -> None:
        """The lines from here on are another agent's, which names them in its own way."""
        self._agents += 1

    def told(self, line: AgentTranscript) -> None:
        """An agent tells a line: kept once it is final, or taken back where nothing is left of it."""
        if not line.final:
            return
        key = self._agents, line.who, line.id
        before = self._lines.get(key)
        self._characters += len(line.text) - (len(before.text) if before is not None else 0)
        if line.text:
            self._lines[key] = SaidLine(line.who, line.text, line.interrupted)
        else:
            self._lines.pop(key, None)
        while len(self._lines) > MAX_LINES or self._characters > MAX_CHARACTERS:
            oldest = next(iter(self._lines))
            self._characters -= len(self._lines.pop(oldest).text)
