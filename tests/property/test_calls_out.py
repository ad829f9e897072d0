"""Calls out that anything happens to, over a network that loses: each has one outcome, and leaves nothing."""

import random

import pytest
from tests.support.carrier import CARRIER, CONFIG, CalledPhone, DiallingWorld
from tests.support.clock import in_virtual_time
from tests.support.world import sdp

from offhook.call.out.outbound import OutboundCall

pytestmark = pytest.mark.unit

CALLS = 40
SEEDS = range(12)

_STEPS = (
    *("ring", "ring", "early", "answer", "answer", "no audio", "refuse", "hang up", "hold", "give up"),
    *("agent ends", "agent breaks", "nothing"),
)
_NO_AUDIO = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"


async def anything(world: DiallingWorld, call: OutboundCall, chance: random.Random) -> str:
    """What the agent, the carrier and who wished the call do, in this order or another; in words, for a failure."""
    done: list[str] = []

    async def waits() -> None:
        await world.pass_time(chance.choice((0.001, 0.006, 0.05, 0.5, 3.0)))

    await waits()
    wire = world.wire
    what = chance.choices(("ready", "reject", "silent", "breaks", "given up"), (20, 1, 1, 1, 1))[0]
    done.append(f"agent {what}")
    match what:
        case "ready":
            world.take_call()
        case "reject":
            wire.accept()
            wire.says(type="reject", status=603)
        case "breaks":
            wire.accept()
            wire.breaks()
        case "given up":
            call.give_up("a test")
        case _:
            pass
    await world.pass_time(0.05)
    phones = [phone for phone in world.carrier.calls if phone.request.call_id == call.facts.sip_call_id]
    for _ in range(chance.randrange(1, 6)):
        await waits()
        step = chance.choice(_STEPS)
        done.append(step)
        phone = phones[-1] if phones else None
        if phone is not None:
            phone.must = False
        _step(step, call, phone, wire, chance)
    return ", ".join(done)


def _step(step: str, call: OutboundCall, phone: CalledPhone | None, wire: object, chance: random.Random) -> None:
    if step == "give up":
        call.give_up("a test")
    elif step == "agent ends" and not wire.is_over:  # type: ignore[attr-defined]
        wire.ends()  # type: ignore[attr-defined]
    elif step == "agent breaks" and not wire.is_over:  # type: ignore[attr-defined]
        wire.breaks()  # type: ignore[attr-defined]
    elif phone is None:
        return
    elif step == "ring":
        phone.ring(chance.choice((180, 181, 183)), reliable=chance.random() < 0.3)
    elif step == "early":
        phone.ring(183, sdp(host=CARRIER, port=4000), reliable=chance.random() < 0.5)
    elif step == "answer":
        phone.answer()
    elif step == "no audio":
        phone.answer(_NO_AUDIO)
    elif step == "refuse":
        phone.refuse(chance.choice((302, 403, 404, 407, 480, 486, 500, 503, 603)))
    elif step == "hang up":
        phone.hang_up()
    elif step == "hold":
        phone.reinvite(sdp(host=CARRIER, port=4000, way="sendonly", version=2))


@pytest.mark.parametrize("seed", SEEDS)
@in_virtual_time
async def test_each_has_one_outcome_and_leaves_nothing(seed: int) -> None:
    chance = random.Random(seed)
    async with DiallingWorld(CONFIG.replace('host = "', 'max_duration = 30\nhost = "')) as world:
        for number in range(CALLS):
            share = chance.choice((0.0, 0.0, 0.1, 0.4))
            world.network.lost = lambda sender, message, share=share: chance.random() < share  # type: ignore[misc]
            call = await world.wish(early_media=chance.random() < 0.5, ring_timeout=chance.choice((1, 5, 40)))
            assert isinstance(call, OutboundCall)
            told = await anything(world, call, chance)
            await world.pass_time(200)
            where = f"seed {seed}, call {number}: {told}"
            assert call.decided.done(), where
            assert len(world.records) == number + 1, where
            record, outcome = world.records[-1], call.decided.result()
            assert record.end_reason is not None, where
            assert (outcome.kind == "answered") == record.was_answered, where
            assert world.gate.permits[-1].released_at is not None, where
            assert (world.gate.permits[-1].answered_at is not None) == record.was_answered, where
        world.assert_nothing_left()
        assert world.signalling.screen._called == {}
