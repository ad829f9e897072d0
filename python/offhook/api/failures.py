"""Who guesses at tokens, and how long nobody listens to them for it."""

from collections import OrderedDict

FAILURES = 10
FAILURES_WITHIN = 60.0
"""So many wrong tokens of one source within so many seconds, and no other is looked at until these are over."""

_SOURCES_KEPT = 1024


class Failures:
    """Refused tokens by source: so many a minute, then none is looked at until the minute is over."""

    def __init__(self) -> None:
        self._since: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, source: str, now: float) -> float:
        """Seconds until `source` may try again; 0 if it may now."""
        since, count = self._since.get(source, (now, 0))
        left = since + FAILURES_WITHIN - now
        return left if count >= FAILURES and left > 0 else 0.0

    def add(self, source: str, now: float) -> int:
        """A token of `source` was refused; how many were in this minute."""
        since, count = self._since.pop(source, (now, 0))
        if now - since >= FAILURES_WITHIN:
            since, count = now, 0
        self._since[source] = since, count + 1
        while len(self._since) > _SOURCES_KEPT:
            self._since.popitem(last=False)
        return count + 1
