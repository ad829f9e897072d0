"""Whose handshake goes on next: a bound for each source and for all, a rate for what they cost, known peers first."""

from collections import Counter, OrderedDict, deque

from offhook.transport.limits import TransportLimits

_STRANGERS_TURN = 4
"""Every fourth turn is that of the sources that no trunk lists, if one of them waits."""


class HandshakeQueue:
    """Handshakes of peers that connect to us, each by a key. Nothing here knows TLS: it counts and chooses.

    `enter` when a connection stands, `ask` when its peer has begun, `due` to learn who goes on, `leave` at the end.
    Sources take turns, so one that opens many connections only delays itself.
    """

    def __init__(self, limits: TransportLimits, now: float) -> None:
        self._limits = limits
        self._inside: dict[int, tuple[str, bool]] = {}
        self._per_source: Counter[str] = Counter()
        self._unknown = 0
        self._known_waiting: OrderedDict[str, deque[int]] = OrderedDict()
        self._unknown_waiting: OrderedDict[str, deque[int]] = OrderedDict()
        self._tokens = float(limits.handshake_burst)
        self._filled_at = now
        self._turn = 0

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self, key: int, source: str, *, known: bool) -> bool:
        """Note an unfinished handshake; False if its source, or all together, have too many."""
        limits = self._limits
        if (
            len(self._inside) >= limits.max_handshakes
            or self._per_source[source] >= limits.max_handshakes_per_source
            or (not known and self._unknown >= limits.max_handshakes // 2)
        ):
            return False
        self._inside[key] = (source, known)
        self._per_source[source] += 1
        self._unknown += not known
        return True

    def leave(self, key: int) -> None:
        """A handshake is over, or its connection is gone. May be repeated."""
        entry = self._inside.pop(key, None)
        if entry is None:
            return
        source, known = entry
        self._per_source[source] -= 1
        if self._per_source[source] <= 0:
            del self._per_source[source]
        self._unknown -= not known
        waiting = self._known_waiting if known else self._unknown_waiting
        queue = waiting.get(source)
        if queue is not None and key in queue:
            queue.remove(key)
            if not queue:
                del waiting[source]

    def ask(self, key: int) -> None:
        """The peer has begun: it waits for its turn."""
        entry = self._inside.get(key)
        if entry is not None:
            source, known = entry
            (self._known_waiting if known else self._unknown_waiting).setdefault(source, deque()).append(key)

    def due(self, now: float) -> list[int]:
        """Whose turn it is now, at most `handshake_burst` of them."""
        self._fill(now)
        found: list[int] = []
        while self._tokens >= 1 and (self._known_waiting or self._unknown_waiting):
            self._tokens -= 1
            self._turn += 1
            unknown_first = self._turn % _STRANGERS_TURN == 0
            first, second = (
                (self._unknown_waiting, self._known_waiting)
                if unknown_first
                else (self._known_waiting, self._unknown_waiting)
            )
            found.append(_next(first or second))
        return found

    def next_timeout(self, now: float) -> float | None:
        """When `due` has somebody to name; None while nobody waits."""
        if not self._known_waiting and not self._unknown_waiting:
            return None
        self._fill(now)
        return now + max(0.0, (1 - self._tokens) / self._limits.handshakes_per_second)

    def _fill(self, now: float) -> None:
        gained = (now - self._filled_at) * self._limits.handshakes_per_second
        self._tokens = min(float(self._limits.handshake_burst), self._tokens + gained)
        self._filled_at = now


def _next(waiting: OrderedDict[str, deque[int]]) -> int:
    source, queue = waiting.popitem(last=False)
    key = queue.popleft()
    if queue:
        # To the end: the others come first.
        waiting[source] = queue
    return key
