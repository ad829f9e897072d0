"""What a caller hears before the answer, as a route says it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class EarlyMedia:
    """The sound of a 183. `off` is none, and then it is a 180.

    `detail` is the country of a `ringback` (empty: that of the trunk), or the path of a `file`. An `agent` is heard
    from its own first sound on.
    """

    source: Literal["off", "ringback", "file", "agent"] = "off"
    detail: str = ""

    @property
    def is_at_once(self) -> bool:
        """Whether the sound begins with the call, without waiting for anybody."""
        return self.source in ("ringback", "file")

    def __str__(self) -> str:
        match self.source:
            case "file":
                return self.detail
            case "ringback" if self.detail:
                return f"ringback:{self.detail}"
            case _:
                return self.source


NO_EARLY_MEDIA = EarlyMedia()
