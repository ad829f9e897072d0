"""Who guesses passwords: how often somebody was wrong, by address and by user, and whether the next proof counts."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class _Level:
    """How much is in a bucket, and when that was so."""

    value: float
    at: float


class Guesses:
    """Counts wrong proofs. Who has had `per_user` for one user, or `per_source` in all, waits for the next.

    Each is forgotten in time: all of them in `window` seconds. What is not looked at is not counted, so a phone with
    the right password that shares an address with somebody who guesses gets its turn. IPv6 counts by /64. `most`
    addresses and pairs are remembered, those of the latest guesses.
    """

    def __init__(
        self, *, per_user: float = 10, per_source: float = 50, window: float = 300.0, most: int = 8_192
    ) -> None:
        self._per_user = per_user
        self._per_source = per_source
        self._window = window
        self._most = most
        self._levels: OrderedDict[tuple[str, str | None], _Level] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def may_try(self, source: str, user: str, now: float) -> bool:
        """Whether a proof of `user` from this address is looked at."""
        network = _network(source)
        return (
            self._level((network, user), self._per_user, now) <= self._per_user - 1
            and self._level((network, None), self._per_source, now) <= self._per_source - 1
        )

    def wrong(self, source: str, user: str, now: float) -> None:
        """A proof that was looked at was wrong, or the user is unknown."""
        network = _network(source)
        for key, most in (((network, user[:128]), self._per_user), ((network, None), self._per_source)):
            self._levels[key] = _Level(self._level(key, most, now) + 1, now)
            self._levels.move_to_end(key)
        while len(self._levels) > self._most:
            self._levels.popitem(last=False)

    def _level(self, key: tuple[str, str | None], most: float, now: float) -> float:
        level = self._levels.get(key)
        return 0.0 if level is None else max(0.0, level.value - (now - level.at) * most / self._window)


def _network(source: str) -> str:
    if ":" not in source:
        return source
    return str(ipaddress.ip_network((source.partition("%")[0], 64), strict=False))
