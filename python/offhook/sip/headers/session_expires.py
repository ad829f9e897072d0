"""Session-Expires and Min-SE: how long a session lives without a refresh (RFC 4028 sections 4 and 5)."""

from dataclasses import dataclass
from typing import Literal, get_args

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import Params, parse_delta_seconds

Role = Literal["uac", "uas"]
"""Who refreshes, seen from the message's own transaction: who sent the request, or who answers it."""


@dataclass(frozen=True, slots=True)
class SessionExpires:
    """The interval in seconds, and who refreshes; None where it is left open, or says something unknown."""

    seconds: int
    refresher: Role | None = None

    def __post_init__(self) -> None:
        if self.seconds < 0:
            raise LocalProtocolError(f"a session can't last {self.seconds} s")

    @classmethod
    def parse(cls, text: str) -> "SessionExpires":
        """Parse the value; a number beyond 32 bits is taken as the largest."""
        head, semicolon, tail = text.partition(";")
        seconds = parse_delta_seconds(head.strip(" \t"), "Session-Expires")
        said = (Params.parse(semicolon + tail).get("refresher") or "").lower()
        return cls(seconds, next((role for role in get_args(Role) if role == said), None))

    def __str__(self) -> str:
        return f"{self.seconds};refresher={self.refresher}" if self.refresher else str(self.seconds)


def parse_min_se(text: str) -> int:
    """Read Min-SE: seconds, and parameters that mean nothing to anybody."""
    return parse_delta_seconds(text.partition(";")[0].strip(" \t"), "Min-SE")
