"""That who answers a call out is to be told, and what is done where that is no person."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from offhook.route.trunk import Trunk

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
class DetectWish:
    """What a call, or its agent, says of this. None leaves it to whom it is asked after: call, agent, trunk."""

    listens: bool | None = None
    on_machine: OnMachine | None = None
    message: tuple[bytes, int] | None = None

    def by(self, trunk: Trunk) -> Detect | None:
        """What holds for a call by this trunk; None if nobody listens to it."""
        listens = trunk.detect if self.listens is None else self.listens
        return Detect(self.on_machine or trunk.on_machine or "tell", self.message) if listens else None
