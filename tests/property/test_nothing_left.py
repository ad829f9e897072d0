"""Calls that fail at every step of their way, and of none of them is anything left.

`make test` takes a part of them by one seed, `make prove` (OFFHOOK_PROVE=1) all: each mishap at each message of each
script, ten thousand calls at the least, by a seed of its own (OFFHOOK_SEED). A failure names the calls it
can come from; `OFFHOOK_CALLS="hold/lost/7/123,plain/late/0/5+a_bye/2/6"` plays those again.
"""

import asyncio
import functools
import gc
import itertools
import os
import random
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import pytest
from structlog.testing import capture_logs
from tests.support import played
from tests.support.clock import in_virtual_time, run_virtual
from tests.support.media import FakeLeg
from tests.support.mishap import MISHAPS
from tests.support.rough import Mishap, RoughCall, RoughWorld, Script
from tests.support.rough_scripts import LONGEST_TIMED, PHONES, SCRIPTS, TOML
from tests.support.world import Book

from offhook.call.call import Call
from offhook.call.switchboard import Switchboard
from offhook.call.trace import SipTrace
from offhook.sip.dialog import Dialog
from offhook.sip.invite import InviteSession

pytestmark = pytest.mark.scenario

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
LEAST = 10_000 if PROVE else 320
"""Calls at the least; with `PROVE` each mishap strikes at each message of each script."""
PARTS = 24 if PROVE else 2
TOGETHER = 40
REPETITIONS = 2
FAILS_INSIDE = ("media_fails",)
"""Mishaps after which `internal_error` is what the record has to say."""
SEED = int(os.environ.get("OFFHOOK_SEED", "") or 1)
# The longest that anything may last: the call itself (its trunk says so), then what SIP waits for, three times over.
AFTERWARDS = LONGEST_TIMED + 200.0

Rough: TypeAlias = tuple[Script, tuple[Mishap, ...]]


@functools.cache
def lengths() -> dict[str, int]:
    """How many messages each script has when nothing goes wrong, and some that are repeated when something does."""
    with capture_logs():
        calls = run_virtual(play([(script, ()) for script in SCRIPTS]))
    return {call.script.name: call.messages + REPETITIONS for call in calls}


def all_of_them() -> Iterator[Rough]:
    """Each mishap at each message of each script, again and again by other seeds, in an order of its own.

    Every other call has a second one, soon after the first.
    """
    for round_ in itertools.count():
        each = [(script, kind, at) for script in SCRIPTS for kind in MISHAPS for at in range(lengths()[script.name])]
        rng = random.Random(SEED + round_)
        rng.shuffle(each)
        for number, (script, kind, at) in enumerate(each):
            first = Mishap(kind, at, SEED * 1_000_003 + round_ * 100_003 + number)
            second = Mishap(rng.choice(list(MISHAPS)), at + rng.randrange(1, 6), first.seed + 1)
            yield script, (first, second) if number % 2 else (first,)


def name_of(script: Script, mishaps: Sequence[Mishap]) -> str:
    return f"{script.name}/" + "+".join(f"{one.kind}/{one.at}/{one.seed}" for one in mishaps)


def named(text: str) -> Iterator[Rough]:
    """What `name_of` gives, separated by commas."""
    for one in filter(None, (part.strip() for part in text.split(","))):
        name, _, rest = one.partition("/")
        mishaps = [mishap.split("/") for mishap in rest.split("+")]
        script = next(known for known in SCRIPTS if known.name == name)
        yield script, tuple(Mishap(kind, int(at), int(seed)) for kind, at, seed in mishaps)


def test_what_a_failure_names_can_be_played_again() -> None:
    mishaps = (Mishap("lost", 3, 17), Mishap("a_bye", 5, 18))
    assert list(named(",".join(name_of(script, mishaps) for script in SCRIPTS))) == [(one, mishaps) for one in SCRIPTS]


def asked_for() -> list[Rough]:
    asked = list(named(os.environ.get("OFFHOOK_CALLS", "")))
    once = len(MISHAPS) * sum(lengths().values()) if PROVE else 0
    return asked or list(itertools.islice(all_of_them(), max(LEAST, once)))


@pytest.mark.timeout(600 if PROVE else 60)
@pytest.mark.parametrize("part", range(PARTS))
def test_of_calls_that_fail_at_any_step_nothing_is_left(part: int, record_property: Any) -> None:
    calls = asked_for()[part::PARTS]
    for at in range(0, len(calls), TOGETHER):
        batch = calls[at : at + TOGETHER]
        with capture_logs():
            try:
                run_virtual(play(batch))
            except BaseException as error:
                error.add_note("OFFHOOK_CALLS=" + shlex.quote(",".join(name_of(*one) for one in batch)))
                raise
    struck = [mishap.kind for _, mishaps in calls for mishap in mishaps]
    nothing = "no port, timer, dialog, transaction, place, task, row or object"
    played.note(record_property, "in virtual time", (script.name for script, _ in calls), struck, nothing)


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


async def play(batch: Sequence[Rough]) -> list[RoughCall]:
    """These calls in one gateway, until nothing can happen any more."""
    async with RoughWorld(TOML, PHONES, ports=2 * TOGETHER) as world:
        before = running()
        calls = [RoughCall(world, script, mishaps, n, f"call-{n}") for n, (script, mishaps) in enumerate(batch)]
        await world.place_all(calls)
        await world.pass_time(AFTERWARDS)
        last = RoughCall(world, SCRIPTS[0], (), len(calls), "after-all-of-them")
        await world.place_all([last])
        assert last.phone is not None
        assert last.phone.is_answered, "the next caller notices nothing"
        await world.pass_time(100.0)
        nothing_is_left(world, before)
        for record in world.records:
            # One whose Call-ID was garbled is nobody's.
            call = world.network.calls.get(record.sip_call_id or "")
            is_meant = call is not None and any(mishap.kind in FAILS_INSIDE for mishap in call.mishaps)
            assert record.end_reason != "internal_error" or is_meant, f"{call}: {record.end_detail}"
        return calls


def running() -> set[object]:
    """The tasks of this loop, and its timers."""
    loop: Any = asyncio.get_running_loop()
    return asyncio.all_tasks() | {timer for timer in loop._scheduled if not timer.cancelled()}


def nothing_is_left(world: RoughWorld, before: set[object]) -> None:
    assert world.uncaught == []
    world.assert_nothing_left()
    for agent in (world.signalling.user_agent, *(party.user_agent for party in world.parties.values())):
        assert agent.open_dialogs == len(agent.transactions) == 0
        assert agent.next_timeout() is None, "a timer of SIP"
    assert sum(worker.calls for worker in world.signalling.workers) == 0, "a place at a worker"
    assert running() == before, "a task, or a timer of the loop"
    begun, finished = ([one.call_id for one in rows] for rows in (world.book.begun, world.records))
    assert len(finished) == len(set(finished)), "a record that is finished twice"
    assert set(begun) <= set(finished), "a row without an end"
    assert all(record.end_reason for record in world.records)
    world.engine.forget_errors()
    gc.collect()
    ours = [one for one in gc.get_objects() if isinstance(one, Call | InviteSession)]
    kept = [one for one in ours if isinstance(one, Call) or not one.is_caller]
    assert kept == [], "somebody still holds a call that is over"
