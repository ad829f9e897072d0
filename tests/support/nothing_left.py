"""What may still be there when all calls are over, and the calls to find it with: each mishap at each message."""

import asyncio
import gc
import itertools
import os
import random
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from structlog.testing import capture_logs

from offhook.call.call import Call
from offhook.sip.invite import InviteSession

from . import played
from .clock import run_virtual
from .mishap import LEG_IS_GONE, MISHAPS
from .rough import Mishap, RoughWorld, Script

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
SEED = int(os.environ.get("OFFHOOK_SEED", "") or 1)
TOGETHER = 40
"""Calls in one gateway."""
FAILS_INSIDE = ("media_fails",)
"""Mishaps after which `internal_error` is what the record has to say."""
NOTHING = "no port, timer, dialog, transaction, place, task, row or object"

Rough: TypeAlias = tuple[Script, tuple[Mishap, ...]]


def all_of_them(lengths: Mapping[Script, int]) -> Iterator[Rough]:
    """Each mishap at each message of each script, again and again by other seeds, in an order of its own.

    Every other call has a second one, soon after the first.
    """
    for round_ in itertools.count():
        each = [(script, kind, at) for script in lengths for kind in MISHAPS for at in range(lengths[script])]
        rng = random.Random(SEED + round_)
        rng.shuffle(each)
        for number, (script, kind, at) in enumerate(each):
            first = Mishap(kind, at, SEED * 1_000_003 + round_ * 100_003 + number)
            second = Mishap(rng.choice(list(MISHAPS)), at + rng.randrange(1, 6), first.seed + 1)
            yield script, (first, second) if number % 2 else (first,)


def chosen(lengths: Mapping[Script, int], least: int) -> list[Rough]:
    """The calls that OFFHOOK_CALLS names, or so many; where all is proven, each mishap at each message at the least."""
    once = len(MISHAPS) * sum(lengths.values()) if PROVE else 0
    named_ones = list(named(os.environ.get("OFFHOOK_CALLS", ""), list(lengths)))
    return named_ones or list(itertools.islice(all_of_them(lengths), max(least, once)))


def name_of(script: Script, mishaps: Sequence[Mishap]) -> str:
    """As OFFHOOK_CALLS has it."""
    return f"{script.name}/" + "+".join(f"{one.kind}/{one.at}/{one.seed}" for one in mishaps)


def named(text: str, scripts: Sequence[Script]) -> Iterator[Rough]:
    """What `name_of` gives, separated by commas; calls of other scripts are passed over."""
    by_name = {script.name: script for script in scripts}
    for one in filter(None, (part.strip() for part in text.split(","))):
        name, _, rest = one.partition("/")
        mishaps = [mishap.split("/") for mishap in rest.split("+")]
        if name in by_name:
            yield by_name[name], tuple(Mishap(kind, int(at), int(seed)) for kind, at, seed in mishaps)


def play_in_batches(calls: Sequence[Rough], play: Callable[[Sequence[Rough]], Any], who: str, record: Any) -> None:
    """Play these calls, so many together, and note them; a failure names those it can come from."""
    for at in range(0, len(calls), TOGETHER):
        batch = calls[at : at + TOGETHER]
        with capture_logs():
            try:
                run_virtual(play(batch))
            except BaseException as error:
                error.add_note("OFFHOOK_CALLS=" + shlex.quote(",".join(name_of(*one) for one in batch)))
                raise
    struck = [mishap.kind for _, mishaps in calls for mishap in mishaps]
    played.note(record, who, (script.name for script, _ in calls), struck, NOTHING)


def running() -> set[object]:
    """The tasks of this loop, and its timers."""
    loop: Any = asyncio.get_running_loop()
    return asyncio.all_tasks() | {timer for timer in loop._scheduled if not timer.cancelled()}


def nothing_is_left(world: RoughWorld, before: set[object]) -> None:
    """Fail if something is; `before` is what ran when the world was new."""
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
    kept = [one for one in ours if isinstance(one, Call) or one.core is world.signalling.user_agent]
    assert kept == [], "somebody still holds a call that is over"
    meant = sum(mishap.kind in FAILS_INSIDE for call in world.network.calls.values() for mishap in call.mishaps)
    for record in world.records:
        if record.end_reason != "internal_error":
            continue
        # One whose Call-ID was garbled is nobody's, and of two calls that come at once either may get the other's leg.
        call = world.network.calls.get(record.sip_call_id or "")
        is_meant = call is not None and any(mishap.kind in FAILS_INSIDE for mishap in call.mishaps)
        assert is_meant or record.end_detail == LEG_IS_GONE, f"{call}: {record.end_detail}"
        meant -= 1
    assert meant >= 0, "more calls have failed inside than were made to"
