"""The step through a table that the machines within a session share; transactions have more to do (`machine.py`)."""

from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

StateT = TypeVar("StateT", bound=Enum)
InputT = TypeVar("InputT", bound=Enum)


class Steps(Generic[StateT, InputT]):
    """Something with a `state` that moves by `TABLE` alone."""

    TABLE: ClassVar[dict[tuple[Any, Any], Any]]
    """The state after each input, by the state before; what is not in it moves nothing."""

    __slots__ = ("state",)

    state: StateT

    def _step(self, step: InputT) -> bool:
        """Take one arrow; False where the table has none."""
        after: StateT | None = self.TABLE.get((self.state, step))
        if after is None:
            return False
        self.state = after
        return True
