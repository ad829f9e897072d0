"""A phone whose call is handed over from one agent's worker to another's: what it hears, and what the agents know."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.one_stream import assert_one_stream
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.rtp_peer import Packet
from tests.support.sdk_worker import agent_table, working
from tests.support.speech_engines import WORD_MS, ToldEars, ToneVoice
from tests.support.tone import decode, has_tone, is_silent, lasting
from tests.support.undisturbed import undisturbed

from offhook.agent import Agent, Call, HandedOver, Turn

pytestmark = pytest.mark.interop

FRONT, BILLING = 700.0, 1100.0
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "front"
destination = "worker:front"
hand_over_to = "worker:billing"
fallback = [{{ to = "echo:" }}]
{agent_table("front")}{agent_table("billing")}max_calls = 1
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("offhook"), TOML) as running:
        yield running


def front(results: list[HandedOver], ears: ToldEars) -> Agent:
    """An agent that hands over on its first turn, with last words of three words."""
    agent = Agent("front", greeting="Hello.", stt=ears, tts=ToneVoice(FRONT))

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        call.create_task(call.say("One moment please."))
        await asyncio.sleep(0)
        results.append(await call.hand_over("worker:billing", note=turn.text))
        if not results[-1].completed:
            await call.say("Nobody there.")

    @agent.on_hangup
    async def over(call: Call) -> None:
        results.append(HandedOver("refused", f"end_reason {call.end_reason}"))

    return agent


def billing(calls: list[Call]) -> Agent:
    """An agent that says five words and hangs up."""
    agent = Agent("billing", tts=ToneVoice(BILLING))

    @agent.on_call
    async def on_call(call: Call) -> None:
        calls.append(call)
        await call.say("I know of that already.")

    return agent


async def says(ears: ToldEars, text: str) -> None:
    """The caller says something, some time after the agent: what is heard over that on a silent line is an echo."""
    await asyncio.sleep(0.4)
    ears.starts()
    ears.stops(text)


def heard(call: PhoneCall, hz: float) -> list[Packet]:
    """The packets with an agent's voice."""
    return [packet for packet in call.packets if has_tone(packet.payload, hz)]


def clicks(packets: list[Packet]) -> int:
    """Steps between two samples that no tone of ours at this level has: it moves by less than 0.9 of its peak."""
    samples = [sample for packet in packets if packet.payload_type == 0 for sample in decode(packet.payload)]
    loudest = max(map(abs, samples))
    return sum(abs(after - before) > loudest for before, after in pairwise(samples))


@undisturbed
async def test_a_phone_hears_the_last_words_of_one_and_the_first_of_the_other_in_one_stream(gateway: Gateway) -> None:
    before = gateway.metric("offhook_hand_overs_total", trunk="acme", outcome="handed_over")
    results, calls, ears = list[HandedOver](), list[Call](), ToldEars()
    async with (
        working(front(results, ears), gateway, "front"),
        working(billing(calls), gateway, "billing"),
        PlainPhone.open() as phone,
    ):
        call = phone.dial(gateway.udp)
        await call.answered()
        await call.hears(FRONT, frames=WORD_MS // 20)
        await says(ears, "My bill is wrong.")
        await call.hung_up()
        record = gateway.record(call.call_id)
        shown = gateway.run("calls", "show", record["call_id"])
    ours, theirs = heard(call, FRONT), heard(call, BILLING)
    assert abs(20 * len(ours) - 4 * WORD_MS) <= WORD_MS / 2, "the greeting, and all of the last words"
    assert abs(20 * len(theirs) - 5 * WORD_MS) <= WORD_MS / 2
    assert ours[-1].timestamp < theirs[0].timestamp
    packets = [packet for packet in call.packets if packet.payload_type == 0]
    assert_one_stream(packets)
    between = [packet for packet in packets if ours[-1].timestamp < packet.timestamp < theirs[0].timestamp]
    assert all(is_silent(packet.payload) for packet in between[1:-1])
    assert clicks(packets) == 0
    # The caller's phone has noticed nothing but sound.
    assert [one.method for one in call.heard if not one.status] == ["BYE"]

    [taken] = calls
    assert (taken.handed_over_by, taken.hand_over_note) == ("worker:front", "My bill is wrong.")
    assert [(line.role, line.text) for line in taken.history] == [
        ("agent", "Hello."),
        ("caller", "My bill is wrong."),
        ("agent", "One moment please."),
        ("agent", "I know of that already."),
    ]
    assert (taken.from_number, taken.trunk, taken.route) == ("+14155550100", "acme", "front")
    assert results[-1].reason == "end_reason handed_over"
    assert (record["destination"], record["end_reason"]) == ("worker:billing", "agent_hung_up")
    assert record["hand_over"]["outcome"] == "handed_over"
    assert "Hand-over" in shown
    # One of a call before may be counted only now.
    wait_until(
        lambda: gateway.metric("offhook_hand_overs_total", trunk="acme", outcome="handed_over") > before,
        30,
        "uncounted",
    )


async def test_an_agent_whose_colleague_is_not_there_or_busy_still_has_the_call(gateway: Gateway) -> None:
    results, calls, ears = list[HandedOver](), list[Call](), ToldEars()
    async with working(front(results, ears), gateway, "front"), PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        await call.answered()
        await call.hears(FRONT, frames=WORD_MS // 20)
        await says(ears, "My bill is wrong.")
        await call.hears(FRONT, frames=6 * WORD_MS // 20 - 2)
        assert [result.outcome for result in results] == ["unreachable"]
        assert "no worker of 'billing' is connected" in results[0].reason
        # Now it comes, but the limit of the agent is one call.
        waiting = Agent("billing", tts=ToneVoice(BILLING))

        @waiting.on_call
        async def on_call(call: Call) -> None:
            calls.append(call)
            await call.wait_until_over()

        async with working(waiting, gateway, "billing"):
            since = len(call.packets)
            await says(ears, "Try again.")
            await call.rtp.until(lambda _: bool(calls), 30)
            other = phone.dial(gateway.udp)
            await other.answered()
            await other.hears(FRONT, frames=WORD_MS // 20)
            await says(ears, "Me, too.")
            await other.hears(FRONT, frames=6 * WORD_MS // 20 - 2)
            assert [result.outcome for result in results if not result.reason.startswith("end_")][-1] == "no_capacity"
            assert len(call.packets) > since
            other.hang_up()
            call.hang_up()


async def test_a_colleague_that_fails_with_the_call_leaves_it_to_the_routes_fallback(gateway: Gateway) -> None:
    results, ears = list[HandedOver](), ToldEars()
    failing = Agent("billing", tts=ToneVoice(BILLING), apology=None)

    @failing.on_call
    async def on_call(call: Call) -> None:
        await call.say("I know.")
        raise KeyError("a mistake of the agent's author")

    async with (
        working(front(results, ears), gateway, "front"),
        working(failing, gateway, "billing"),
        PlainPhone.open() as phone,
    ):
        call = phone.dial(gateway.udp)
        await call.answered()
        await call.hears(FRONT, frames=WORD_MS // 20)
        await says(ears, "My bill is wrong.")
        await call.hears(BILLING, frames=2 * WORD_MS // 20 - 1)
        call.say(lasting(600))
        await call.hears(600, frames=10)
        call.hang_up()
        record = gateway.record(call.call_id)
    assert (record["destination"], record["end_reason"]) == ("echo:", "caller_hung_up")
