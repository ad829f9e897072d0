"""The timers of RFC 3261 section 17 and RFC 6026 as data, and a queue that says who is to be woken next."""

import heapq
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar


class Timer(Enum):
    """The RFC's names: what each one does is said in the machine that owns it."""

    A = "A"
    B = "B"
    D = "D"
    E = "E"
    F = "F"
    G = "G"
    H = "H"
    I = "I"  # noqa: E741 - the RFC's name
    J = "J"
    K = "K"
    L = "L"
    M = "M"
    PATIENCE = "patience"
    """Ours: how long a target may say nothing while others could be asked."""


@dataclass(frozen=True, slots=True)
class TimerValues:
    """T1, T2 and T4 in seconds (RFC 3261 table 4); every other timer follows from them and from the transport."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    d: float = 32.0

    @property
    def transaction(self) -> float:
        """64*T1: timers B, F, H, J (unreliable), L and M, and how long a missing ACK is waited for."""
        return 64 * self.t1

    def completed_client_invite(self, *, reliable: bool) -> float:
        """Timer D: how long retransmissions of a final response to INVITE are answered with ACK."""
        return 0.0 if reliable else max(self.d, self.transaction)

    def absorb(self, *, reliable: bool) -> float:
        """Timers I and K: how long stray ACKs (I) or responses (K) are swallowed."""
        return 0.0 if reliable else self.t4

    def completed_server(self, *, reliable: bool) -> float:
        """Timer J: how long retransmissions of a request other than INVITE get its response again."""
        return 0.0 if reliable else self.transaction


DEFAULT_TIMERS = TimerValues()


class Timed(Protocol):
    """Anything that wants to be woken: a transaction, an INVITE session."""

    def next_timeout(self) -> float | None:
        """When to be woken, on the clock that `now` is read from; None for never."""
        ...


def earliest(*times: float | None) -> float | None:
    """The first of these; None if there is none. A session is asked for it after every message."""
    first = None
    for at in times:
        if at is not None and (first is None or at < first):
            first = at
    return first


Owner = TypeVar("Owner", bound=Timed)

LEFT_OVER = 64
"""Entries without an owner that are never worth clearing out."""


class TimerQueue(Generic[Owner]):
    """A heap of deadlines. An owner that changed its mind is entered again, and its old entry is left without it.

    So whoever wants nothing any more is freed at once, however far away his time was; and entries without an owner are
    cleared out before they are more than the others.
    """

    __slots__ = ("_armed", "_heap", "_order", "_owners")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._owners: dict[int, Owner] = {}
        self._armed: dict[int, tuple[float, int]] = {}
        self._order = 0

    def arm(self, owner: Owner) -> None:
        """Take note of `owner.next_timeout()`; to be called after every input to the owner."""
        at = owner.next_timeout()
        entry = self._armed.get(id(owner))
        # A later time needs no entry of its own: when the earlier one comes up it is asked again.
        if entry is not None and at is not None and at >= entry[0]:
            return
        if entry is not None:
            self._disarm(owner)
        if at is None:
            return
        self._order += 1
        self._armed[id(owner)] = at, self._order
        self._owners[self._order] = owner
        heapq.heappush(self._heap, (at, self._order))

    def next_timeout(self) -> float | None:
        """The earliest deadline, None when nobody waits."""
        heap = self._heap
        while heap:
            at, order = heap[0]
            owner = self._owners.get(order)
            if owner is None:
                heapq.heappop(heap)
                continue
            wanted = owner.next_timeout()
            if wanted is not None and wanted <= at:
                return at
            heapq.heappop(heap)
            self._disarm(owner)
            self.arm(owner)
        return None

    def pop_due(self, now: float) -> Owner | None:
        """Take one owner whose time has come; it is to be armed again after its `handle_timeout`."""
        at = self.next_timeout()
        if at is None or at > now:
            return None
        _, order = heapq.heappop(self._heap)
        owner = self._owners[order]
        self._disarm(owner)
        return owner

    def _disarm(self, owner: Owner) -> None:
        _, order = self._armed.pop(id(owner))
        del self._owners[order]
        if len(self._heap) > 2 * len(self._owners) + LEFT_OVER:
            self._heap[:] = [entry for entry in self._heap if entry[1] in self._owners]
            heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._armed)
