"""Calls that fail at every step of their way, and of none of them is anything left.

`make test` takes a part of them by one seed, `make prove` (OFFHOOK_PROVE=1) ten thousand. A failure names the calls it
can come from; `OFFHOOK_CALLS="hold/lost/7/123,plain/late/0/5+a_bye/2/6"` plays those again.
"""

import asyncio
import gc
import itertools
import os
import random
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import pytest
from structlog.testing import capture_logs
from tests.support.clock import in_virtual_time
from tests.support.media import FakeLeg
from tests.support.mishap import MISHAPS, Mishap, RoughCall, RoughWorld, Script
from tests.support.world import CALLER, Book

from offhook.call.call import Call
from offhook.call.switchboard import Switchboard
from offhook.call.trace import SipTrace
from offhook.sip.dialog import Dialog
from offhook.sip.invite import InviteSession

pytestmark = pytest.mark.scenario

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
COUNT = 10_000 if PROVE else 240
TOGETHER = 40
REPETITIONS = 2
FAILS_INSIDE = ("media_fails",)
"""Mishaps after which `internal_error` is what the record has to say."""
SEED = int(os.environ.get("OFFHOOK_SEED", "") or (random.randrange(1, 10_000) if PROVE else 1))
# The longest that anything may last: the call itself (its trunk says so), then what SIP waits for, three times over.
LONGEST_CALL = 90.0
AFTERWARDS = LONGEST_CALL + 200.0

TOML = f"""
[limits]
max_calls = 1000
max_cps = 1000

[[trunk]]
name = "acme"
allow = ["{CALLER}"]
max_duration = {LONGEST_CALL}

[[route]]
name = "offhook"
to = "offhook"
destination = "ws://agent.example/voice"
ring_timeout = 8
fallback = [{{ on = ["refused", "lost", "late"], to = "twilio+ws://bot.example/media" }}]

[[route]]
name = "twilio"
to = "twilio"
destination = "twilio+ws://bot.example/media"
answer = "first-audio"

[[route]]
name = "ringback"
to = "ringback"
destination = "ws://agent.example/voice"
early_media = "ringback"
ring_timeout = 8
fallback = [{{ on = ["refused", "lost", "late"], to = "twilio+ws://bot.example/media" }}]

[[route]]
name = "speaks-early"
to = "speaks-early"
destination = "ws://agent.example/voice"
early_media = "agent"
fallback = [{{ on = ["lost"], to = "echo:" }}]

[[route]]
name = "early"
to = "early"
destination = "ws://agent.example/voice"
answer = "at-once"

[[agent]]
name = "desk"
kind = "worker"
token = "t-desk"

[[route]]
name = "worker"
to = "worker"
destination = "worker:desk"
fallback = [{{ on = ["lost"], to = "echo:" }}]

[[route]]
name = "echo"
to = "echo"
destination = "echo:"
"""


def offers(**changes: Any) -> Any:
    return partial(RoughCall.offers, **changes)


def updates(**changes: Any) -> Any:
    return partial(RoughCall.updates, **changes)


def sends(*what: Any) -> Any:
    return lambda call: call.sends(*what)


def agent(**message: Any) -> Any:
    return lambda call: call.says(**message)


TRANSFER = agent(type="transfer", target="tel:+14155550142", timeout_ms=20_000)


def reports(status: str, state: str = "active;expires=60") -> Any:
    """What the caller's side says of a transfer."""
    fields = (("Event", "refer"), ("Subscription-State", state))
    return sends("NOTIFY", "message/sipfrag", f"SIP/2.0 {status}\r\n".encode(), *fields)


def agent_hangs_up(call: RoughCall) -> None:
    if call.wire is not None and call.wire.leg is not None:
        call.wire.speaks(0.3)
        call.wire.hangs_up()


def nobody_takes_it(call: RoughCall) -> None:
    """The agent's connection is up, and it never gets ready."""
    if call.wire is not None:
        call.wire.accept()


def speaks_early(call: RoughCall) -> None:
    """The agent says something while it rings, and takes the call later."""
    if call.wire is not None:
        call.wire.accept()
        call.wire.speaks(2.0)


def refuses(call: RoughCall) -> None:
    if call.wire is not None:
        call.wire.refuse(486, "busy")


Rough: TypeAlias = tuple[Script, tuple[Mishap, ...]]

HANG_UP = (1.0, RoughCall.hang_up)
DIGIT = ("INFO", "application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n")

READY = agent(type="ready")

SCRIPTS = [
    Script("plain", "echo", (HANG_UP,)),
    Script("agent", "offhook", (HANG_UP,)),
    Script("worker", "worker", ((1.5, RoughCall.hang_up),)),
    Script("first audio", "twilio", (HANG_UP,)),
    Script("at once", "early", (HANG_UP,)),
    Script("no offer", "offhook", (HANG_UP,), offers=False),
    Script("no route", "nobody", (HANG_UP,)),
    Script("cancelled", "offhook", ((0.05, RoughCall.hang_up),)),
    Script("cancelled late", "offhook", ((3.0, RoughCall.hang_up),), agent=nobody_takes_it),
    Script("never ready", "offhook", ((25.0, RoughCall.hang_up),), agent=nobody_takes_it),
    Script("refused", "offhook", (HANG_UP,), agent=refuses),
    Script("agent hangs up", "offhook", ((0.8, agent_hangs_up), (3.0, RoughCall.hang_up))),
    Script("too long", "echo", ((LONGEST_CALL + 5.0, RoughCall.hang_up),)),
    Script("ringback", "ringback", ((1.0, READY), HANG_UP), agent=nobody_takes_it),
    Script("ringback never ready", "ringback", ((12.0, RoughCall.hang_up),), agent=nobody_takes_it),
    Script("ringback no offer", "ringback", ((1.0, READY), HANG_UP), agent=nobody_takes_it, offers=False),
    Script("ringback gives up", "ringback", ((0.5, RoughCall.hang_up),), agent=nobody_takes_it),
    Script(
        "ringback update",
        "ringback",
        ((0.5, updates(port=4900)), (0.5, READY), (0.5, updates()), HANG_UP),
        agent=nobody_takes_it,
    ),
    Script("speaks early", "speaks-early", ((1.0, READY), HANG_UP), agent=speaks_early),
    Script(
        "hold",
        "offhook",
        (
            (0.6, offers(way="sendonly")),
            (0.4, offers()),
            (0.4, offers(host="0.0.0.0")),
            (0.4, offers(way="inactive")),
            (0.4, offers()),
            HANG_UP,
        ),
    ),
    Script(
        "the agent holds",
        "offhook",
        (
            (0.6, agent(type="hold")),
            (0.4, offers(way="recvonly")),
            (0.4, agent(type="resume")),
            (0.4, offers()),
            HANG_UP,
        ),
    ),
    Script("on hold to the end", "offhook", ((0.6, agent(type="hold")), (0.5, offers(way="inactive")), HANG_UP)),
    Script(
        "changes",
        "offhook",
        ((0.6, offers(codecs=["8 PCMA/8000"])), (0.4, offers(port=4900)), (0.4, RoughCall.asks_for_offer), HANG_UP),
    ),
    Script(
        "held from both sides",
        "offhook",
        (
            (0.6, agent(type="hold")),
            (0.0, offers(way="sendonly")),
            (3.0, agent(type="resume")),
            (0.0, offers()),
            (3.0, RoughCall.hang_up),
        ),
    ),
    Script(
        "updates",
        "offhook",
        (
            (0.6, updates(way="sendonly")),
            (0.3, updates()),
            # Both at once: one of them waits for the other.
            (0.3, updates(way="inactive")),
            (0.0, offers()),
            HANG_UP,
        ),
    ),
    Script(
        "requests",
        "offhook",
        (
            (0.6, sends(*DIGIT)),
            (0.2, sends("OPTIONS")),
            (0.2, sends("UPDATE")),
            (0.2, sends("MESSAGE", "text/plain", b"hello")),
            (0.2, sends("REFER", "", b"", ("Refer-To", "<sip:other@192.0.2.1>"))),
            HANG_UP,
        ),
    ),
    Script(
        "transferred",
        "offhook",
        (
            (0.6, TRANSFER),
            (0.2, reports("100 Trying")),
            (0.5, reports("180 Ringing")),
            (2.0, reports("200 OK", "terminated;reason=noresource")),
            HANG_UP,
        ),
    ),
    Script(
        "not transferred",
        "offhook",
        (
            (0.6, TRANSFER),
            (0.5, reports("486 Busy Here", "terminated;reason=noresource")),
            # The second one nobody reports on.
            (0.5, TRANSFER),
            (25.0, RoughCall.hang_up),
        ),
    ),
    Script("handed over", "offhook", ((0.6, TRANSFER), (0.3, RoughCall.hang_up))),
]


async def lengths() -> dict[str, int]:
    """How many messages each script has when nothing goes wrong, and some that are repeated when something does."""
    calls = await play([(script, ()) for script in SCRIPTS])
    return {call.script.name: call.messages + REPETITIONS for call in calls}


def all_of_them(lengths: Mapping[str, int]) -> Iterator[Rough]:
    """Each mishap at each message of each script, again and again by other seeds, in an order of its own.

    Every other call has a second one, soon after the first.
    """
    for round_ in itertools.count():
        each = [(script, kind, at) for script in SCRIPTS for kind in MISHAPS for at in range(lengths[script.name])]
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


async def asked_for() -> list[Rough]:
    asked = list(named(os.environ.get("OFFHOOK_CALLS", "")))
    return asked or list(itertools.islice(all_of_them(await lengths()), COUNT))


@in_virtual_time
async def test_of_calls_that_fail_at_any_step_nothing_is_left() -> None:
    calls = await asked_for()
    for at in range(0, len(calls), TOGETHER):
        batch = calls[at : at + TOGETHER]
        with capture_logs():
            try:
                await play(batch)
            except BaseException as error:
                error.add_note("OFFHOOK_CALLS=" + shlex.quote(",".join(name_of(*one) for one in batch)))
                raise


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
    async with RoughWorld(TOML, ports=2 * TOGETHER) as world:
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
            call = world.network.calls[record.sip_call_id or ""]
            is_meant = any(mishap.kind in FAILS_INSIDE for mishap in call.mishaps)
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
