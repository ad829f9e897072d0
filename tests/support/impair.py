"""A network that spoils a stream of packets: seed and number of a packet decide what becomes of it, no clock does.

So the same losses, delays and repetitions can be given to several listeners and compared. `Relay` stands between two
ends of RTP and spoils each direction in its own way.
"""

import asyncio
import heapq
import itertools
import random
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

PACKET = 0.02
_RTP_VERSION = 2
_HEAD_START = 0.02


@dataclass(frozen=True, slots=True)
class Network:
    """How bad a network is. Times are seconds, shares are from 0 to 1.

    `loss` strikes each packet for itself; with `burst`, the mean number of packets lost in a row, the same share is
    lost by Gilbert's two states. `jitter` delays each packet by up to so much and keeps their order, as a queue does;
    `reorder` is the share of packets that two or three others overtake. `skew` is the error of the sender's clock in
    parts of a million: above zero it runs fast.
    """

    loss: float = 0.0
    burst: float = 0.0
    jitter: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    skew: float = 0.0


CLEAN = Network()


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one packet: the delay of each copy that arrives, and whether others overtake it."""

    delays: tuple[float, ...]
    overtaken: bool


@dataclass
class Fates:
    """The fates of all packets of one direction."""

    network: Network
    seed: int
    _bad: list[bool] = field(default_factory=list, repr=False)

    def of(self, number: int) -> Fate:
        """The fate of packet `number`, counted from 0."""
        network, chance = self.network, self._chance(number, "fate")
        lost = chance.random() < network.loss
        delay = chance.random() * network.jitter
        overtaken = chance.random() < network.reorder
        repeated = chance.random() < network.duplicate
        if self._in_burst(number) if network.burst else lost:
            return Fate((), overtaken)
        delay += 2.5 * PACKET * overtaken
        return Fate((delay, delay + chance.random() * PACKET) if repeated else (delay,), overtaken)

    def lost(self, count: int) -> int:
        """How many of the first `count` packets are lost."""
        return sum(not self.of(number).delays for number in range(count))

    def _in_burst(self, number: int) -> bool:
        leave = 1 / self.network.burst
        enter = self.network.loss * leave / (1 - self.network.loss)
        while len(self._bad) <= number:
            bad = bool(self._bad) and self._bad[-1]
            turn = self._chance(len(self._bad), "burst").random() < (leave if bad else enter)
            self._bad.append(bad != turn)
        return self._bad[number]

    def _chance(self, number: int, purpose: str) -> random.Random:
        return random.Random(f"{self.seed} {purpose} {number}")


class Relay:
    """Two UDP ports in front of an RTP end: it sends to `inner`, the far end knows `outer` as its address.

    What `inner` receives leaves by `outer` to `far` as `outward` says, what `outer` receives from anywhere goes to the
    near end as `inward` says. Packets that are no RTP are lost. Nothing is kept longer than its delay.
    """

    def __init__(
        self,
        near: tuple[str, int],
        *,
        outward: Network = CLEAN,
        inward: Network = CLEAN,
        seed: int = 1,
        outer: socket.socket | None = None,
    ) -> None:
        self.near = near
        self.far: tuple[str, int] | None = None
        self._inner = _bound(near[0])
        self._outer = outer if outer is not None else _bound(near[0])
        self.inner: tuple[str, int] = self._inner.getsockname()[:2]
        self.outer: tuple[str, int] = self._outer.getsockname()[:2]
        self._outward = _Direction(Fates(outward, seed), self._send_far)
        self._inward = _Direction(Fates(inward, seed + 1), self._send_near)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._inner.fileno(), self._read, self._inner, self._outward)
        self._loop.add_reader(self._outer.fileno(), self._read, self._outer, self._inward)

    def close(self) -> None:
        """Free the sockets; what is on its way is lost."""
        for one in (self._inner, self._outer):
            self._loop.remove_reader(one.fileno())
            one.close()
        self._outward.close()
        self._inward.close()

    @property
    def lost(self) -> tuple[int, int]:
        """Packets lost so far, outward and inward."""
        return self._outward.lost, self._inward.lost

    def _read(self, own: socket.socket, way: "_Direction") -> None:
        while True:
            try:
                data = own.recv(2048)
            except BlockingIOError:
                return
            if len(data) >= 12 and data[0] >> 6 == _RTP_VERSION:
                way.take(data, self._loop)

    def _send_far(self, data: bytes) -> None:
        if self.far is not None:
            self._outer.sendto(data, self.far)

    def _send_near(self, data: bytes) -> None:
        self._inner.sendto(data, self.near)


class _Direction:
    """One way through a relay."""

    def __init__(self, fates: Fates, leave: Callable[[bytes], None]) -> None:
        self.lost = 0
        self._fates = fates
        self._leave = leave
        self._first: int | None = None
        self._began = 0.0
        self._last = 0.0
        self._queue: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def take(self, data: bytes, loop: asyncio.AbstractEventLoop) -> None:
        (sequence,) = struct.unpack_from("!H", data, 2)
        now = loop.time()
        if self._first is None:
            self._first, self._began = sequence, now
        network = self._fates.network
        number = (sequence - self._first) & 0xFFFF
        fate = self._fates.of(number)
        self.lost += not fate.delays
        # A clock that runs fast makes each packet a little earlier than the one before; the head start pays for it.
        late = max(0.0, _HEAD_START - (now - self._began) * network.skew / 1e6) if network.skew else 0.0
        for copy, delay in enumerate(fate.delays):
            due = now + late + delay
            if not (copy or fate.overtaken):
                due = self._last = max(due, self._last)
            heapq.heappush(self._queue, (due, next(self._order), data))
        self._run(loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self.close()
        while self._queue and self._queue[0][0] <= loop.time():
            self._leave(heapq.heappop(self._queue)[2])
        if self._queue:
            self._timer = loop.call_at(self._queue[0][0], self._run, loop)


def _bound(host: str) -> socket.socket:
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.setblocking(False)
    own.bind((host, 0))
    return own
