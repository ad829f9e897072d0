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


class TimerQueue(Generic[Owner]):
    """A heap of deadlines. An owner that changed its mind is entered again and its old entry dies when it comes up.

    An entry is made only by a call of `arm` that brings an earlier time, so the owners' own timers bound the heap.
    """

    __slots__ = ("_armed", "_heap", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Owner]] = []
        self._armed: dict[int, float] = {}
        self._order = 0

    def arm(self, owner: Owner) -> None:
        """Take note of `owner.next_timeout()`; to be called after every input to the owner."""
        at = owner.next_timeout()
        if at is None:
            self._armed.pop(id(owner), None)
            return
        armed = self._armed.get(id(owner))
        # A later time needs no entry of its own: when the earlier one comes up it is asked again.
        if armed is None or at < armed:
            self._armed[id(owner)] = at
            self._order += 1
            heapq.heappush(self._heap, (at, self._order, owner))

    def next_timeout(self) -> float | None:
        """The earliest deadline, None when nobody waits."""
        heap = self._heap
        while heap:
            at, _, owner = heap[0]
            if self._armed.get(id(owner)) == at:
                wanted = owner.next_timeout()
                if wanted is not None and wanted <= at:
                    return at
                heapq.heappop(heap)
                del self._armed[id(owner)]
                self.arm(owner)
            else:
                heapq.heappop(heap)
        return None

    def pop_due(self, now: float) -> Owner | None:
        """Take one owner whose time has come; it is to be armed again after its `handle_timeout`."""
        at = self.next_timeout()
        if at is None or at > now:
            return None
        _, _, owner = heapq.heappop(self._heap)
        del self._armed[id(owner)]
        return owner

    def __len__(self) -> int:
        return len(self._armed)
