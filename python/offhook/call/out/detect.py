"""That who answers a call out is to be told, and what is done where that is no person."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

OnMachine: TypeAlias = Literal["tell", "hang_up", "voicemail"]
"""What is done where no person answers: the agent is `told`, the call ends, or a message is left after the beep."""


@dataclass(frozen=True, slots=True)
class Detect:
    """That who answers is to be told, and what is done where that is no person.

    `message` is left after the beep by `voicemail`: PCM16 mono and its samples a second. Without one the agent speaks.
    """

    on_machine: OnMachine = "tell"
    message: tuple[bytes, int] | None = None


@dataclass(frozen=True, slots=True)
class AgentDetect:
    """What an agent's configuration says of its calls out: whether who answers is `always` told, and the rest."""

    always: bool = False
    on_machine: OnMachine = "tell"
    message: tuple[bytes, int] | None = None
