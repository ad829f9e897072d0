"""What was said in a call: by the caller as it was understood, by the agent as far as it was heard."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

KEPT = 2_000
"""Lines of one call that are kept; of a longer one the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a conversation. `text` of the agent is what was heard of it; `interrupted` whether there was more."""

    role: Literal["caller", "agent", "raw"]
    text: str
    interrupted: bool = False
    raw: Mapping[str, Any] | None = None


class History(Sequence[Line]):
    """The conversation so far, oldest line first."""

    def __init__(self, before: Sequence[Line] = ()) -> None:
        self._lines: list[Line] = list(before)[-KEPT:]
        self.forgotten = 0

    def messages(self, system: str | None = None) -> list[Any]:
        """The conversation in the form of OpenAI's chat completions: dictionaries with `role` and `content`.

        Lines of one side that follow each other are one message. `system` goes first. What the caller never heard is
        not in it, so a model doesn't believe that it has said it.
        """
        messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system is not None else []
        last: str | None = None
        for line in self._lines:
            if line.raw is not None:
                messages.append(dict(line.raw))
                last = None
                continue
            role = "user" if line.role == "caller" else "assistant"
            if role == last:
                messages[-1]["content"] += " " + line.text
            else:
                messages.append({"role": role, "content": line.text})
            last = role
        return messages

    def caller_said(self, text: str) -> None:
        """Add a line of the caller."""
        self._add(Line("caller", text))

    def agent_said(self, text: str, *, interrupted: bool = False) -> None:
        """Add a line of the agent. `say` does it for what it has said."""
        self._add(Line("agent", text, interrupted))

    def add(self, message: Mapping[str, Any]) -> None:
        """Add a message in OpenAI's form as it is, such as a tool's call or its result."""
        self._add(Line("raw", str(message.get("content") or ""), raw=dict(message)))

    def _add(self, line: Line) -> None:
        if not line.text and line.raw is None:
            return
        self._lines.append(line)
        if len(self._lines) > KEPT:
            del self._lines[0]
            self.forgotten += 1

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def __getitem__(self, index: Any) -> Any:
        return self._lines[index]

    def __str__(self) -> str:
        return "\n".join(f"{line.role}: {line.text}" for line in self._lines)
