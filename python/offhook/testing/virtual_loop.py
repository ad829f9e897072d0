"""An event loop whose clock moves only when user code is idle, together with the lines that are attached to it.

While anything is ready to run, a thread of the loop works, or real input is awaited, time stands. Then it jumps to the
next timer or to what happens next on a line, whichever is first. `time.monotonic()` and threads of your own don't know
of it: see `time_stands`.
"""

import asyncio
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

START = 1_000.0
"""The loop's time at the beginning, in seconds. It is no clock's."""

LONGEST = 4 * 3_600.0
"""Seconds of virtual time after which nobody can be waiting for anything any more."""

_LOOK_AGAIN = 0.05
# Real seconds. A peer that was asked something has the first to begin to answer, one that answers the second to go on.
_ANSWER = 30.0
_PAUSE = 0.3
_STUCK = 5.0
_NS = 1_000_000_000


class TimedLine(Protocol):
    """What has its time from the loop: `offhook._media.Line`."""

    def run(self, until_ns: int) -> int:
        """Let time pass up to then, or until there is something to hear; the result is the time then."""


class TimeIsUp(RuntimeError):
    """The virtual time of a test has run away, or everything waits for what never comes."""


class _Peer:
    """One real descriptor: when something happened there last, in real seconds, and whether an answer is due."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        self.owes = True

    def touch(self, *, owes: bool) -> None:
        self.at, self.owes = time.monotonic(), owes

    @property
    def is_awaited(self) -> bool:
        return time.monotonic() - self.at < (_ANSWER if self.owes else _PAUSE)


class _Selector(selectors.DefaultSelector):
    """Asks the loop to let time pass where it would wait."""

    loop: "VirtualLoop"

    def __init__(self) -> None:
        super().__init__()
        self.own: set[int] = set()
        self.peers: dict[int, _Peer] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        if key.fd not in self.own:
            self.peers.setdefault(key.fd, _Peer()).touch(owes=True)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self.peers.pop(key.fd, None)
        return key

    def disown(self, fd: int) -> None:
        """It is one of ours, or nobody's business."""
        self.own.add(fd)
        self.peers.pop(fd, None)

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = self._look(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.loop.is_held or any(peer.is_awaited for peer in self.peers.values()):
            return self._look(_LOOK_AGAIN)
        if timeout is None and not self.loop.lines:
            # Only a thread that nobody told us of can still say something.
            ready = self._look(_STUCK)
            if not ready:
                raise TimeIsUp("every task waits for something that will never come")
            return ready
        self.loop.pass_time(timeout)
        return self._look(0)

    def _look(self, timeout: float) -> list[Any]:
        ready = super().select(timeout)
        for key, _ in ready:
            if key.fd in self.peers:
                self.peers[key.fd].touch(owes=False)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """See above. `asyncio.Runner(loop_factory=VirtualLoop)` runs a coroutine in one."""

    def __init__(self) -> None:
        self._selected = _Selector()
        self._selected.loop = self
        self._virtual_now = START
        self._held = 0
        self.lines: list[TimedLine] = []
        super().__init__(self._selected)
        # Its own way of waking itself is not somebody whose answer is awaited.
        for fd in list(self._selected.peers):
            self._selected.disown(fd)

    def time(self) -> float:
        """Seconds of virtual time."""
        return self._virtual_now

    @property
    def now_ns(self) -> int:
        """The time in nanoseconds, as lines have it."""
        return round(self._virtual_now * _NS)

    @property
    def is_held(self) -> bool:
        """Whether time stands because of a thread, or because somebody asked for it."""
        return self._held > 0

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Time stands until the end of the block."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def attach(self, line: TimedLine) -> None:
        """Let the line have the loop's time."""
        self.lines.append(line)

    def detach(self, line: TimedLine) -> None:
        """No more."""
        self.lines = [other for other in self.lines if other is not line]

    def disown(self, *descriptors: int) -> None:
        """Nobody is awaited on these: both ends are of this process, and what is said there is said at once."""
        for fd in descriptors:
            self._selected.disown(fd)

    def reclaim(self, *descriptors: int) -> None:
        """They are closed, or about to be: their numbers may become somebody else's."""
        self._selected.own.difference_update(descriptors)

    def pass_time(self, seconds: float | None) -> None:
        """Jump to the next timer, `seconds` from now, or to what happens on a line before."""
        if self._virtual_now - START > LONGEST:
            raise TimeIsUp(f"{LONGEST / 3_600:g} hours of virtual time have passed")
        target = self._virtual_now + (LONGEST if seconds is None else seconds)
        reached = target
        for line in self.lines:
            # Lines keep together to a millisecond where there are several.
            until = reached if len(self.lines) == 1 else min(reached, self._virtual_now + 0.001)
            until_ns = -(-until * _NS // 1)
            came_to = line.run(int(until_ns))
            reached = until if came_to >= until_ns else max(self._virtual_now, came_to / _NS)
        self._virtual_now = reached

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """As ever; time stands until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._held += 1
        future.add_done_callback(self._release)
        return future

    async def shutdown_default_executor(self, *args: Any, **options: Any) -> None:
        """As ever."""
        with self.hold():
            await super().shutdown_default_executor(*args, **options)

    def _release(self, _: object) -> None:
        self._held -= 1

    def _make_socket_transport(self, sock: Any, *args: Any, **options: Any) -> Any:
        """What is written to a peer is a question, unless it asked us."""
        transport = super()._make_socket_transport(sock, *args, **options)  # type: ignore[misc]
        fd = sock.fileno()
        if options.get("server") is not None:
            self._selected.disown(fd)
            return transport
        peers, write = self._selected.peers, transport.write

        def asked(data: Any) -> None:
            if fd in peers:
                peers[fd].touch(owes=True)
            write(data)

        transport.write = asked
        return transport

    def _start_serving(self, protocol_factory: Any, sock: Any, *args: Any, **options: Any) -> None:
        """Who listens awaits nobody in particular."""
        self._selected.disown(sock.fileno())
        super()._start_serving(protocol_factory, sock, *args, **options)  # type: ignore[misc]


@contextmanager
def time_stands() -> Iterator[None]:
    """In a test with a virtual clock: no time passes until the end of the block.

    For work that the loop can't see, such as a thread of your own that it waits for. Elsewhere it does nothing.
    """
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualLoop):
        with loop.hold():
            yield
    else:
        yield


def run_virtual(main: Any) -> Any:
    """Run a coroutine to its end in a `VirtualLoop`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
