"""Callers and agents that break off at every step of real calls, and a gateway that is then as it was before.

`make test` plays a few calls of each flow, `make prove` (OFFHOOK_PROVE=1) a thousand: by sipp, by plain sockets with
sound, and by connections that are cut. Every call has one record, and its end is the one that the flow names.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from tests.interop.sipp.broken_flows import LONGEST_CALL, SILENT, TOML, Flow, call, flows, routes
from tests.interop.sipp.scenario import Player, Scenario, read_messages
from tests.support import played, short_timers
from tests.support.gateway import REPOSITORY, Gateway, media_ports, ports, running_gateway, wait_until
from tests.support.level import SETTLE, Level, rows
from tests.support.plain_phone import PhoneCall, PlainPhone

pytestmark = pytest.mark.interop

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
OF_EACH = 14 if PROVE else 2
T1 = 0.5 if PROVE else 0.1
"""RFC 3261's, in seconds: what nobody answers is given up after 64 of it."""
SOUNDING = 60 if PROVE else 5
"""Calls with sound, by plain sockets."""
RATE = 2
"""Calls a second of each flow."""
AT_A_TIME = 6
"""Flows that are played side by side, besides the long ones: a gateway that is late takes no calls."""
BUSY = "limit_loop_lag"
MOST_BUSY = 0.2
"""Of all calls, how many may have been turned away because the machine is busy; they are placed again."""
ONE_AT_A_TIME = Lock()
"""Of those that look for a free port."""


@pytest.mark.timeout(900 if PROVE else 300)
def test_calls_that_are_broken_off_leave_nothing(tmp_path: Path, record_property: Any) -> None:
    with (
        agent_process(tmp_path) as port,
        running_gateway(
            tmp_path / "gateway",
            TOML + routes(port),
            media=media_ports(200),
            program=(short_timers.__file__,),
            environ={"T1": str(T1)},
        ) as gateway,
    ):
        before = Level.of(gateway)
        chosen = flows()
        expected = Expected()
        if PROVE:
            # What a process takes once for all its calls, it takes now.
            play_all(tmp_path / "first", gateway, [flow for flow in chosen if not flow.is_long], 1, expected)
        warm = Level.of(gateway)
        play_all(tmp_path / "flows", gateway, chosen, OF_EACH, expected)
        broken_connections(tmp_path / "cut", gateway, expected)
        settles(gateway, before)
        kinds = every_call_has_its_row(gateway, expected)
        Player(tmp_path, gateway.udp).play(Scenario("last", "mirror").set_up().tear_down())
        said = gateway.said()
        assert "Traceback" not in said
        assert gateway.metric("offhook_calls_ended_total", reason="internal_error") == 0
        # Told, not judged: whether it goes on growing is for the soak to say, which lasts longer.
        grown = Level.of(gateway).rss_kib - warm.rss_kib
        left = f"no call, port, socket, dialog, transaction, timer or row; memory {grown / 1024:+.1f} MiB"
        played.note(record_property, "of sipp and plain sockets", kinds, [], left)


class Expected:
    """The calls that were placed, by their kind, and how each kind may end."""

    def __init__(self) -> None:
        self.placed: Counter[str] = Counter()
        self.ends: dict[str, tuple[str, ...]] = {}
        self.kinds: dict[str, str] = {}
        """By Call-ID, where it does not say its kind."""

    def add(self, name: str, ends: Sequence[str], count: int) -> None:
        """So many more calls of this kind."""
        self.placed[name] += count
        self.ends[name] = tuple(ends)

    def kind(self, call_id: str) -> str:
        """Of a call: sipp's say it themselves."""
        return self.kinds.get(call_id) or re.sub(r"^\d+-\d+-", "", call_id).partition("@")[0]


def play_all(directory: Path, gateway: Gateway, chosen: Sequence[Flow], count: int, expected: Expected) -> None:
    """Play these flows, so many calls of each, and calls with sound beside them; the long ones all at once."""
    with ThreadPoolExecutor(AT_A_TIME) as some, ThreadPoolExecutor(len(chosen) + 1) as many:
        calls = [many.submit(play_flow, directory, gateway, flow, count, expected) for flow in chosen if flow.is_long]
        calls.append(many.submit(lambda: asyncio.run(with_sound(gateway, expected))))
        calls += [
            some.submit(play_flow, directory, gateway, flow, count, expected) for flow in chosen if not flow.is_long
        ]
        for one in calls:
            one.result()


def play_flow(directory: Path, gateway: Gateway, flow: Flow, count: int, expected: Expected) -> None:
    """Play so many calls of a flow to their end; those that a busy machine turns away are placed again."""
    player = Player(directory, gateway.udp, flow.source)
    for _ in range(5):
        with ONE_AT_A_TIME:
            process, where = player.start(flow.scenario, calls=count, rate=RATE, limit=120.0)
        out, _ = process.communicate(timeout=130)
        expected.add(flow.name, flow.ends, count)
        turned_away = turned_away_in(where)
        failed = re.findall(rb"Failed call +\| +\d+ +\| +(\d+)", out)
        if process.returncode == 0 or not failed or int(failed[-1]) != turned_away:
            player.judge(process.returncode, out, where)
        if not turned_away:
            return
        count = turned_away
    raise AssertionError(f"{flow.name}: {count} calls were turned away again and again: the machine is busy")


def turned_away_in(where: Path) -> int:
    """How many calls of a run of sipp had 503."""
    log = where / "messages.log"
    came = read_messages(log.read_text(errors="replace")) if log.exists() else []
    busy = (text for _, way, text in came if way == "in" and text.startswith("SIP/2.0 503"))
    return len({found[1] for text in busy if (found := re.search(r"^Call-ID: *(\S+)", text, re.M | re.I))})


async def with_sound(gateway: Gateway, expected: Expected) -> None:
    """Calls of plain sockets that talk: three at a time, each to its end."""
    turn = asyncio.Semaphore(3)
    async with PlainPhone.open() as phone:

        async def one(number: int) -> None:
            name, to, ends, action = SOUNDS[number % len(SOUNDS)]
            async with turn:
                dialled = phone.dial(gateway.udp, to)
                await action(dialled)
                await dialled.close()
            # One that a busy machine has turned away was placed again, under another Call-ID.
            attempts = [call_id for call_id, placed in phone.calls.items() if placed is dialled]
            expected.add(name, ends, len(attempts))
            for call_id in attempts:
                expected.kinds[call_id] = name
                del phone.calls[call_id]

        async with asyncio.TaskGroup() as tasks:
            for number in range(SOUNDING):
                tasks.create_task(one(number))


async def talks(dialled: PhoneCall) -> None:
    """Says something and goes."""
    await dialled.answered()
    await asyncio.sleep(0.6)


async def listens(dialled: PhoneCall) -> None:
    """Stays until the other side hangs up."""
    await dialled.answered()
    await dialled.hung_up()


async def gives_up(dialled: PhoneCall) -> None:
    """Cancels while it rings."""
    await asyncio.sleep(0.2)
    dialled.cancel()
    assert (await dialled.final()).status == 487


async def falls_silent(dialled: PhoneCall) -> None:
    """Its sound stops, and it is still there for the BYE."""
    await dialled.answered()
    await asyncio.sleep(0.4)
    if dialled._line is not None:
        dialled._line.cancel()
    await dialled.hung_up()


SOUNDS: list[tuple[str, str, tuple[str, ...], Callable[[PhoneCall], Any]]] = [
    ("sound-talks", "echo", ("caller_hung_up",), talks),
    ("sound-agent-leaves", "leave", ("agent_hung_up",), listens),
    ("sound-cancelled", "late", ("caller_cancelled",), gives_up),
    ("sound-falls-silent", "mirror", SILENT, falls_silent),
    ("sound-agent-dies", "die", ("agent_lost",), listens),
]


@contextmanager
def agent_process(directory: Path) -> Iterator[int]:
    """The agents, each of another character; the port that they listen on."""
    port = ports(1)
    with (directory / "agent.log").open("wb") as log:
        script = REPOSITORY / "tests/soak/agent.py"
        process = subprocess.Popen([sys.executable, str(script), str(port)], stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def broken_connections(directory: Path, gateway: Gateway, expected: Expected) -> None:
    """Calls by TCP whose connection is cut while they ring, and while they are up."""
    sipp = Player(directory, gateway.tcp)
    stays = [
        (
            call("cut-ringing", "late").invite().expect(180).pause(60_000),
            "SIP/2.0 180",
            ("transport_failed", "no_ack", *SILENT),
        ),
        (call("cut").set_up().pause(60_000), "ACK sip:", SILENT),
    ]
    for flow, mark, ends in stays:
        process, where = sipp.start(flow, transport="tcp", calls=OF_EACH, rate=10)
        log = where / "messages.log"

        def are_there(log: Path = log, mark: str = mark) -> bool:
            said = log.read_text(errors="replace") if log.exists() else ""
            return said.count(mark) + turned_away_in(log.parent) >= OF_EACH

        try:
            wait_until(are_there, 40, f"{flow.name}: the calls are not where they are to be cut")
        finally:
            process.kill()
            process.communicate()
        expected.add(flow.name, ends, OF_EACH)


def settles(gateway: Gateway, before: Level) -> None:
    """Wait until nothing is held any more, and no descriptor or thread is open that was not before."""
    level = before

    def clean() -> bool:
        nonlocal level
        level = Level.of(gateway)
        return not any(level.held.values()) and level.descriptors <= before.descriptors

    wait_until(clean, LONGEST_CALL + 2 * 64 * T1 + SETTLE, lambda: f"left: {level}, before: {before}")
    assert level.threads <= before.threads + 32, "dial threads are kept for a while; no others"


def every_call_has_its_row(gateway: Gateway, expected: Expected) -> list[str]:
    """One row for each call, ended as its flow says, or turned away by a busy machine; the kind of each call."""
    placed = expected.placed.total()
    found = wait_until(
        lambda: done if len(done := rows(gateway)) >= placed else None, 30, lambda: f"{len(rows(gateway))} rows"
    )
    kinds = Counter(expected.kind(call_id) for call_id, _, _ in found)
    assert kinds == expected.placed
    odd = [
        (expected.kind(call_id), reason, detail)
        for call_id, reason, detail in found
        if reason not in (BUSY, *expected.ends[expected.kind(call_id)])
    ]
    assert odd == [], f"{len(odd)} of {placed} calls have not ended as they should"
    busy = [call_id for call_id, reason, _ in found if reason == BUSY]
    assert len(busy) <= 2 + MOST_BUSY * placed, f"{len(busy)} of {placed} calls were turned away: the machine is busy"
    told = sum(gateway.metric("offhook_calls_ended_total", reason=reason) for reason in {row[1] or "" for row in found})
    assert told == placed, "the metrics count as the records do"
    return list(kinds.elements())
