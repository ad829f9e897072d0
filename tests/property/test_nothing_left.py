"""Calls that fail at every step of their way, and of none of them is anything left.

`make test` takes a part of them by one seed, `make prove` (OFFHOOK_PROVE=1) all: each mishap at each message of each
script, ten thousand calls at the least, by a seed of its own (OFFHOOK_SEED). A failure names the calls it can come
from; `OFFHOOK_CALLS="hold/lost/7/123,plain/late/0/5+a_bye/2/6"` plays those again.
"""

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.support.carrier import Permits
from tests.support.clock import in_virtual_time, run_virtual
from tests.support.media import FakeLeg
from tests.support.nothing_left import (
    PROVE,
    TOGETHER,
    Rough,
    chosen,
    name_of,
    named,
    nothing_is_left,
    play_in_batches,
    running,
)
from tests.support.rough import Mishap, RoughCall, RoughWorld, Script
from tests.support.rough_bridging import BRIDGE_SCRIPTS, BridgedCall, RoughBridgingWorld
from tests.support.rough_dialling import OUT_SCRIPTS, OUT_TOML, DialledCall, RoughDiallingWorld
from tests.support.rough_scripts import LONGEST_TIMED, PHONES, SCRIPTS, TOML
from tests.support.world import Book

from offhook.call.call import Call
from offhook.call.switchboard import Switchboard
from offhook.call.trace import SipTrace
from offhook.sip.dialog import Dialog

pytestmark = pytest.mark.scenario

LEAST, LEAST_OUT, LEAST_BRIDGED = (10_000, 1_000, 1_000) if PROVE else (320, 80, 80)
PARTS = 24 if PROVE else 2
REPETITIONS = 2
# The longest that anything may last: the call itself (its trunk says so), then what SIP waits for, three times over.
AFTERWARDS = LONGEST_TIMED + 200.0


@functools.cache
def lengths() -> dict[Script, int]:
    """How many messages each script has when nothing goes wrong, and some that are repeated when something does."""
    with capture_logs():
        calls = run_virtual(play([(script, ()) for script in SCRIPTS]))
    return {call.script: call.messages + REPETITIONS for call in calls}


@functools.cache
def lengths_out() -> dict[Script, int]:
    """The same of calls out."""
    with capture_logs():
        calls = run_virtual(play_out([(script, ()) for script in OUT_SCRIPTS]))
    return {call.script: call.messages + REPETITIONS for call in calls}


@functools.cache
def lengths_bridged() -> dict[Script, int]:
    """The same of calls that go on, both of them together."""
    with capture_logs():
        calls = run_virtual(play_bridged([(script, ()) for script in BRIDGE_SCRIPTS]))
    return {call.script: call.messages + REPETITIONS for call in calls}


def test_what_a_failure_names_can_be_played_again() -> None:
    scripts, mishaps = [*SCRIPTS, *OUT_SCRIPTS, *BRIDGE_SCRIPTS], (Mishap("lost", 3, 17), Mishap("a_bye", 5, 18))
    assert list(named(",".join(name_of(script, mishaps) for script in scripts), scripts)) == [
        (script, mishaps) for script in scripts
    ]


@pytest.mark.timeout(600 if PROVE else 60)
@pytest.mark.parametrize("part", range(PARTS))
def test_of_calls_that_fail_at_any_step_nothing_is_left(part: int, record_property: Any) -> None:
    play_in_batches(chosen(lengths(), LEAST)[part::PARTS], play, "in virtual time", record_property)


@pytest.mark.timeout(600 if PROVE else 60)
@pytest.mark.parametrize("part", range(PARTS))
def test_of_calls_out_that_fail_at_any_step_nothing_is_left(part: int, record_property: Any) -> None:
    calls = chosen(lengths_out(), LEAST_OUT)[part::PARTS]
    play_in_batches(calls, play_out, "out in virtual time", record_property)


@pytest.mark.timeout(600 if PROVE else 60)
@pytest.mark.parametrize("part", range(PARTS))
def test_of_bridged_calls_that_fail_at_any_step_nothing_is_left(part: int, record_property: Any) -> None:
    calls = chosen(lengths_bridged(), LEAST_BRIDGED)[part::PARTS]
    play_in_batches(calls, play_bridged, "bridged in virtual time", record_property)


def no_port_back(leg: FakeLeg) -> None:
    leg.closed = True


def a_task_goes_on(board: Switchboard, call: Call) -> None:
    asyncio.get_running_loop().create_task(asyncio.sleep(10_000))


def a_timer_of_nobody(*_: object) -> bool:
    asyncio.get_running_loop().call_later(10_000, print)
    return True


def a_timer_goes_on(call: Call) -> None:
    asyncio.get_running_loop().call_later(10_000, call.post, None)


@pytest.mark.parametrize(
    ("owner", "name", "instead"),
    [
        (FakeLeg, "close", no_port_back),
        (Switchboard, "ended", a_task_goes_on),
        (Call, "_release", a_timer_goes_on),
        (SipTrace, "forget", lambda *_: None),
        (Dialog, "step", a_timer_of_nobody),
        (Book, "finish", lambda book, record, timeline: None),
    ],
)
@in_virtual_time
async def test_what_is_left_is_found(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, instead: Any) -> None:
    monkeypatch.setattr(owner, name, instead)
    with capture_logs(), pytest.raises(AssertionError):
        await play([(script, ()) for script in SCRIPTS[:3]])


@in_virtual_time
async def test_what_is_left_of_a_call_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Permits, "release", lambda *_: None)
    with capture_logs(), pytest.raises(AssertionError):
        await play_out([(script, ()) for script in OUT_SCRIPTS[:3]])


async def play(batch: Sequence[Rough]) -> list[RoughCall]:
    """These calls in one gateway, until nothing can happen any more."""
    async with RoughWorld(TOML, PHONES, ports=2 * TOGETHER) as world:
        before = running()
        calls = [RoughCall(world, script, mishaps, n, f"call-{n}") for n, (script, mishaps) in enumerate(batch)]
        await world.place_all(calls)
        await world.pass_time(AFTERWARDS)
        await the_next_caller_notices_nothing(world, len(calls))
        nothing_is_left(world, before)
        return calls


async def play_out(batch: Sequence[Rough]) -> list[DialledCall]:
    """The same of calls that the gateway places."""
    async with RoughDiallingWorld(OUT_TOML, ports=2 * TOGETHER) as world:
        before = running()
        calls = [DialledCall(world, script, mishaps, n, f"out-{n}") for n, (script, mishaps) in enumerate(batch)]
        await world.place_all(calls)
        await world.pass_time(AFTERWARDS)
        await the_next_caller_notices_nothing(world, len(calls))
        for call in calls:
            call.lets_go()
        nothing_is_left(world, before)
        world.every_permit_is_back()
        return calls


async def play_bridged(batch: Sequence[Rough]) -> list[BridgedCall]:
    """The same of calls that go on to somebody, or are put through."""
    async with RoughBridgingWorld(ports=4 * TOGETHER) as world:
        before = running()
        calls = [BridgedCall(world, script, mishaps, n, f"on-{n}") for n, (script, mishaps) in enumerate(batch)]
        await world.place_all(calls)
        await world.pass_time(AFTERWARDS)
        await the_next_caller_notices_nothing(world, len(calls))
        nothing_is_left(world, before)
        world.every_permit_is_back()
        assert len(world.signalling.placing.loops) == 0
        return calls


async def the_next_caller_notices_nothing(world: RoughWorld, number: int) -> None:
    last = RoughCall(world, SCRIPTS[0], (), number, "after-all-of-them")
    await world.place_all([last])
    assert last.phone is not None
    assert last.phone.is_answered
    await world.pass_time(100.0)
