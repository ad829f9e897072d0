"""Requests that no call came of: one line per source and rule, however often it knocks."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """What one source ran into in one window of time. `first_at` and `last_at` are UTC milliseconds.

    `rule` is the slug of an end reason or of a transport's rule; `value` is what failed it (of the first request);
    `nearest` is the trunk or route that came nearest, empty if none did. `source` is `*` where sources were too many.
    """

    source: str
    transport: str
    rule: str
    value: str
    nearest: str
    first_at: int
    last_at: int
    count: int


class _Open:
    __slots__ = ("count", "first_at", "last_at", "nearest", "transport", "value")

    def __init__(self, transport: str, value: str, nearest: str, at: int) -> None:
        self.transport = transport
        self.value = value
        self.nearest = nearest
        self.first_at = self.last_at = at
        self.count = 0


class RefusalLog:
    """Gathers refusals by (source, rule) in windows of `window` seconds.

    After a quiet time the first window lasts `soon` seconds only: who tries a call and looks, sees it. At most `limit`
    pairs are held; further sources are counted together per rule under the source `*`, at most 64 rules of them.
    `total` counts every refusal ever.
    """

    def __init__(self, *, window: float = 60.0, soon: float = 2.0, limit: int = 2_000) -> None:
        self._window = window
        self._soon = soon
        self._limit = limit
        self._open: dict[tuple[str, str], _Open] = {}
        self._flush_at: float | None = None
        self._flushed_at = -window
        self.total = 0

    def add(
        self, source: str, rule: str, now: float, at: int, *, transport: str = "", value: str = "", nearest: str = ""
    ) -> bool:
        """Note a refusal at `now` (monotonic seconds) and `at` (UTC milliseconds).

        True if it is the first of its source and rule in this window: then a log line is due, and none otherwise.
        """
        self.total += 1
        if self._flush_at is None:
            self._flush_at = max(now + self._soon, self._flushed_at + self._window)
        key = (source[:100], rule[:64])
        row = self._open.get(key)
        if row is None and len(self._open) >= self._limit:
            key = ("*", rule[:64] if len(self._open) < self._limit + 64 else "*")
            row = self._open.get(key)
        first = row is None
        if row is None:
            row = self._open[key] = _Open(transport[:8], value[:300], nearest[:200], at)
        row.count += 1
        row.last_at = at
        return first

    def next_timeout(self) -> float | None:
        """When `flush` has something to give, in monotonic seconds; None while nothing was refused."""
        return self._flush_at

    def flush(self, now: float, *, force: bool = False) -> list[RefusalRow]:
        """Give and forget the rows of the window if it is over, or in any case with `force`."""
        if self._flush_at is None or (now < self._flush_at and not force):
            return []
        rows = list(self._rows())
        self._open.clear()
        self._flush_at, self._flushed_at = None, now
        return rows

    def _rows(self) -> Iterator[RefusalRow]:
        for (source, rule), row in self._open.items():
            yield RefusalRow(source, row.transport, rule, row.value, row.nearest, row.first_at, row.last_at, row.count)
