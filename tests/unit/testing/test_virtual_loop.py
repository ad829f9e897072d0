"""The loop whose clock moves only when user code is idle."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from offhook.testing.virtual_loop import START, TimeIsUp, VirtualLoop, run_virtual, time_stands

pytestmark = pytest.mark.unit


class Line:
    """Something happens on it at these times; `told` is when the loop was told."""

    def __init__(self, *at: float) -> None:
        self.at = [round((START + seconds) * 1e9) for seconds in at]
        self.asked: list[int] = []
        self.on: Callable[[], None] = lambda: None

    def run(self, until_ns: int) -> int:
        self.asked.append(until_ns)
        if self.at and self.at[0] <= until_ns:
            at = self.at.pop(0)
            self.on()
            return at
        return until_ns


def loop() -> VirtualLoop:
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualLoop)
    return running


def test_an_hour_takes_no_time_and_timers_come_in_order() -> None:
    async def main() -> list[float]:
        woken: list[float] = []

        async def wake(after: float) -> None:
            await asyncio.sleep(after)
            woken.append(loop().time() - START)

        await asyncio.gather(*map(wake, (3_600, 0.02, 60)))
        return woken

    begun = time.monotonic()
    assert run_virtual(main()) == pytest.approx([0.02, 60, 3_600])
    assert time.monotonic() - begun < 5


def test_time_goes_no_further_than_to_what_happens_on_a_line() -> None:
    async def main() -> list[float]:
        line, came = Line(0.5, 0.7), []
        line.on = lambda: loop().call_soon(lambda: came.append(loop().time() - START)) and None
        loop().attach(line)
        await asyncio.sleep(1)
        came.append(loop().time() - START)
        loop().detach(line)
        return came

    assert run_virtual(main()) == pytest.approx([0.5, 0.7, 1.0])


def test_time_stands_while_a_thread_works() -> None:
    async def main() -> tuple[float, float]:
        ticking = asyncio.create_task(asyncio.sleep(0.01))
        await asyncio.to_thread(time.sleep, 0.2)
        worked = loop().time() - START
        await ticking
        return worked, loop().time() - START

    worked, slept = run_virtual(main())
    assert worked == 0
    assert slept == pytest.approx(0.01)


def test_time_stands_while_a_peer_owes_an_answer_and_goes_on_after_it() -> None:
    asked, end = socket.socketpair()

    def answer() -> None:
        with end:
            end.recv(100)
            time.sleep(0.2)
            end.sendall(b"yes")

    async def main() -> tuple[bytes, float, float]:
        reader, writer = await asyncio.open_connection(sock=asked)
        threading.Thread(target=answer).start()
        writer.write(b"well?")
        said = await reader.readexactly(3)
        answered = loop().time() - START
        await asyncio.sleep(30)
        slept = loop().time() - START
        writer.close()
        return said, answered, slept

    begun = time.monotonic()
    assert run_virtual(main()) == (b"yes", 0, pytest.approx(30))
    assert time.monotonic() - begun < 10


def test_a_server_in_the_same_loop_holds_nothing_up() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await asyncio.sleep(5)
            writer.write(line)
        writer.close()

    async def main() -> float:
        ours, theirs = socket.socketpair()
        await loop().connect_accepted_socket(lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader(), serve), ours)
        loop().disown(ours.fileno(), theirs.fileno())
        reader, writer = await asyncio.open_connection(sock=theirs)
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()
        await writer.wait_closed()
        return loop().time() - START

    assert run_virtual(main()) == pytest.approx(5)


def test_time_stands_where_somebody_asks_for_it() -> None:
    async def main() -> float:
        done = asyncio.Event()
        running = loop()
        late = running.call_later(1, lambda: None)
        with time_stands():
            threading.Timer(0.2, running.call_soon_threadsafe, [done.set]).start()
            await done.wait()
        late.cancel()
        return running.time() - START

    assert run_virtual(main()) == 0


def test_what_runs_away_is_told() -> None:
    async def main() -> Any:
        loop().attach(Line())
        await asyncio.Event().wait()

    with pytest.raises(TimeIsUp, match="hours of virtual time"):
        run_virtual(main())
