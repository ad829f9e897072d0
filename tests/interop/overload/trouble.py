"""What may happen beside a call: a flood, an agent that reads nothing or is killed; each in a process of its own.

Also the control: a bare timer that shows whether the machine itself could keep time while a call was measured.
"""

import asyncio
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Any

_SPAWN = multiprocessing.get_context("spawn")


@contextmanager
def process(work: Any, *arguments: Any) -> Iterator[multiprocessing.process.BaseProcess]:
    """Run a function of this module beside the test; it is killed at the end if it still runs."""
    running = _SPAWN.Process(target=work, args=arguments, daemon=True)
    running.start()
    try:
        yield running
    finally:
        running.kill()
        running.join(5)


def event() -> Event:
    """A flag that processes share."""
    return _SPAWN.Event()


def flood(targets: list[tuple[str, int]], per_second: int, source: str, payload: bytes, begun: Event) -> None:
    """Send datagrams from a stranger, to each target in turn, for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind((source, 0))
        began, sent = time.monotonic(), 0
        begun.set()
        while True:
            due = int((time.monotonic() - began) * per_second)
            while sent < due:
                own.sendto(payload, targets[sent % len(targets)])
                sent += 1
            time.sleep(0.001)


def agent(port: int, reads: bool, begun: Event) -> None:
    """A Twilio-like agent that takes every call and says nothing. One that does not read leaves all in its socket."""
    from websockets.asyncio.server import ServerConnection, serve

    async def take(connection: ServerConnection) -> None:
        if not reads:
            connection.transport.pause_reading()
            await asyncio.sleep(3600)
        async for _ in connection:
            pass

    async def run() -> None:
        async with serve(take, "127.0.0.1", port, compression=None, ping_interval=None):
            begun.set()
            await asyncio.sleep(3600)

    asyncio.run(run())


def metronome(late: Any, begun: Event, stop: Event) -> None:
    """Wake every 20 ms and keep the longest that it took: what the machine does to anybody's timer."""
    due = time.monotonic()
    begun.set()
    while not stop.is_set():
        due += 0.02
        time.sleep(max(0.0, due - time.monotonic()))
        late.value = max(late.value, time.monotonic() - due)


@contextmanager
def control() -> Iterator[tuple[Any, Event]]:
    """How late a bare timer woke at worst (`.value`, in seconds), and a flag that it runs: it takes a while."""
    late, begun, stop = _SPAWN.Value("d", 0.0), event(), event()
    with process(metronome, late, begun, stop):
        yield late, begun
        stop.set()
