"""Who guesses at tokens, and how long nobody listens to them for it."""

import hashlib
from collections import OrderedDict

FAILURES = 10
FAILURES_WITHIN = 60.0
"""So many wrong tokens of one source within so many seconds, and no other is looked at until these are over."""

BEGINNINGS = 10
"""Times as many wrong tokens of all kinds, and of their source none is looked at but proven ones."""

_SOURCES_KEPT = 1024
_BEGINNING = 6
_PROVEN_KEPT = 1024


class Failures:
    """Refused tokens by source: so many a minute (`most`), then none is looked at until the minute is over."""

    def __init__(self, most: int = FAILURES) -> None:
        self._most = most
        self._since: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, source: str, now: float) -> float:
        """Seconds until `source` may try again; 0 if it may now."""
        since, count = self._since.get(source, (now, 0))
        left = since + FAILURES_WITHIN - now
        return left if count >= self._most and left > 0 else 0.0

    def add(self, source: str, now: float) -> int:
        """A token of `source` was refused; how many were in this minute."""
        since, count = self._since.pop(source, (now, 0))
        if now - since >= FAILURES_WITHIN:
            since, count = now, 0
        self._since[source] = since, count + 1
        while len(self._since) > _SOURCES_KEPT:
            self._since.popitem(last=False)
        return count + 1


class TokenFailures:
    """Refused tokens of sources that several share, such as a proxy: one program's wrong token locks out no other.

    They are counted by source and by how the token begins, and by source in all with `BEGINNINGS` times the limit. A
    token that was right before, from the same source, is looked at in any case: it is no guess.
    """

    def __init__(self) -> None:
        self._alike = Failures()
        self._in_all = Failures(BEGINNINGS * FAILURES)
        self._proven: OrderedDict[bytes, None] = OrderedDict()

    def wait(self, source: str, token: str, now: float) -> float:
        """Seconds until `token` of `source` is looked at; 0 if it is now."""
        if _proof(source, token) in self._proven:
            return 0.0
        return max(self._alike.wait(_alike(source, token), now), self._in_all.wait(source, now))

    def wrong(self, source: str, token: str, now: float) -> None:
        """A token that was looked at was refused; an empty one is none at all."""
        self._alike.add(_alike(source, token), now)
        self._in_all.add(source, now)

    def right(self, source: str, token: str) -> None:
        """A token that was looked at is right."""
        proof = _proof(source, token)
        self._proven[proof] = None
        self._proven.move_to_end(proof)
        if len(self._proven) > _PROVEN_KEPT:
            self._proven.popitem(last=False)


def _alike(source: str, token: str) -> str:
    return f"{source} {token[:_BEGINNING]}"


def _proof(source: str, token: str) -> bytes:
    return hashlib.sha256(f"{source} {token}".encode("utf-8", "surrogateescape")).digest()
