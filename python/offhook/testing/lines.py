"""Telephone lines by name: what happens to a call's packets on their way, both ways alike."""

import re
from dataclasses import dataclass

from offhook._media import NetworkConfig

_LOSS = re.compile(r"(\d+(?:\.\d+)?)%-loss")


@dataclass(frozen=True, slots=True)
class LineProfile:
    """What a network does. `delay_ms` is the least, one way; `jitter_ms` what comes to that on average.

    `loss`, `reorder` and `duplicate` are shares from 0 to 1; `burst` is how many packets are lost at a time on average.
    """

    delay_ms: float = 20.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    burst: float = 1.0
    reorder: float = 0.0
    duplicate: float = 0.0

    @property
    def network(self) -> NetworkConfig:
        """The same for the media core."""
        return NetworkConfig(
            delay_ms=self.delay_ms,
            jitter_ms=self.jitter_ms,
            loss=self.loss,
            burst=self.burst,
            reorder=self.reorder,
            duplicate=self.duplicate,
        )


LINES = {
    "clean": LineProfile(),
    "dsl": LineProfile(delay_ms=25, jitter_ms=2, loss=0.001),
    "mobile": LineProfile(delay_ms=60, jitter_ms=12, loss=0.01, burst=2),
    "bad-wifi": LineProfile(delay_ms=30, jitter_ms=20, loss=0.04, burst=3, reorder=0.02),
    "satellite": LineProfile(delay_ms=300, jitter_ms=8, loss=0.005, burst=2),
}
"""The lines that have a name. `N%-loss`, such as `3%-loss`, is a clean line that loses so many packets one by one."""


def line_of(line: str | LineProfile) -> LineProfile:
    """The profile of a name, or itself. Raises `ValueError` for a name that there isn't."""
    if isinstance(line, LineProfile):
        return line
    if line in LINES:
        return LINES[line]
    lossy = _LOSS.fullmatch(line)
    if lossy is not None and float(lossy[1]) <= 100:
        return LineProfile(loss=float(lossy[1]) / 100)
    raise ValueError(f"there is no line {line!r}; there are {', '.join(LINES)}, N%-loss, or a LineProfile of your own")
