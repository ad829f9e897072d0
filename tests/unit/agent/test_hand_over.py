"""`call.hand_over`: what it asks for, what it waits for, and what the agent that takes the call knows."""

import asyncio
import json
from typing import Any

import pytest
from tests.support.agent_line import calling
from tests.support.clock import in_virtual_time
from tests.support.speech_engines import ToldEars, ToneVoice

from offhook.agent import Agent, Call, HandedOver, Turn
from offhook.agent.history import Line
from offhook.agent.protocol import Kind, Record, unpack
from offhook.agent.rehearsal import rehearse
from offhook.agent.wire_line import WireLine

pytestmark = pytest.mark.unit

TO = "worker:billing"


def handing_over(**options: Any) -> tuple[Agent, ToldEars, list[HandedOver]]:
    """An agent that hands over on its first turn, and says what came of it."""
    ears, results = ToldEars(), list[HandedOver]()
    agent = Agent("front", stt=ears, tts=ToneVoice())

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        if results:
            return
        await call.say("One moment.")
        results.append(await call.hand_over(TO, **options))
        await call.say("Nobody is there.")

    return agent, ears, results


@in_virtual_time
async def test_it_is_asked_for_once_the_last_words_are_played_and_what_is_said_meanwhile_is_no_turn() -> None:
    agent, ears, results = handing_over(note="a refund", timeout=20)
    async with calling(agent) as caller:
        await caller.until(lambda: bool(ears.listening))
        ears.starts()
        ears.stops("Billing, please.")
        await caller.until(lambda: caller.line.said and caller.line.said[-1][0] == "hand_over")
        assert caller.line.said[-1] == ("hand_over", TO, "a refund", 20)
        ears.starts()
        ears.stops("Hello?")
        await asyncio.sleep(2)
        assert results == []
        assert [line.text for line in caller.call.history if line.role == "caller"] == ["Billing, please.", "Hello?"]
        caller.line.handed_over("no_capacity", reason="2 full")
        await caller.until(lambda: bool(results))
        assert results == [HandedOver("no_capacity", "2 full")]
        assert not results[0].completed


@in_virtual_time
async def test_a_call_that_ends_meanwhile_is_an_outcome_and_so_is_a_gateway_that_knows_nothing_of_it() -> None:
    agent = Agent("front", tts=ToneVoice())
    results: list[HandedOver] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        results.append(await call.hand_over(TO, timeout=20))
        for wrong in ({"to": ""}, {"to": "x" * 257}, {"to": TO, "note": "n" * 4097}, {"to": TO, "timeout": 181}):
            with pytest.raises(ValueError, match=r"characters|seconds"):
                await call.hand_over(**wrong)  # type: ignore[arg-type]
        call.create_task(call.hand_over(TO))
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="one at a time"):
            await call.hand_over(TO)
        await call.wait_until_over()

    @agent.on_hangup
    async def over(call: Call) -> None:
        results.append(await call.hand_over(TO))

    async with calling(agent) as caller:
        await asyncio.sleep(70)
        assert results == [HandedOver("timed_out", "the gateway does not answer: it may be too old for that")]
        caller.line.end("caller_hung_up")
        await caller.until(lambda: len(results) == 2)
        assert results[1].outcome == "caller_gone"


async def test_on_the_wire() -> None:
    written: list[bytes] = []
    ringing = {
        "type": "ringing",
        "call_id": "1",
        "handed_over": {"by": "worker:front-desk", "note": "a refund"},
        "history": [{"who": "caller", "text": "Hi."}, {"who": "agent", "text": "Hello, ho", "interrupted": True}, 7],
    }
    line = WireLine(1, ringing, 8_000, written.append)
    assert (line.facts.handed_over_by, line.facts.note) == ("worker:front-desk", "a refund")
    assert line.facts.history == (Line("caller", "Hi."), Line("agent", "Hello, ho", True))
    plain = WireLine(2, {"type": "ringing", "handed_over": 7, "history": 7}, 8_000, written.append).facts
    assert (plain.handed_over_by, plain.history) == (None, ())
    line.hand_over(TO, "", None)
    line.hand_over(TO, "a refund", 2.5)
    assert [json.loads(record.payload) for message in written for record in unpack(message)] == [
        {"type": "hand_over", "to": TO},
        {"type": "hand_over", "to": TO, "note": "a refund", "timeout_ms": 2500},
    ]
    told: list[object] = []

    class Told:
        def receive(self, event: object) -> None:
            told.append(event)

        def hear(self, pcm: bytes) -> None: ...

    line.listener = Told()
    for message in ({"outcome": "handed_over"}, {"outcome": "of a later version", "reason": "who knows"}):
        line.receive(Record(Kind.CONTROL, 1, 0, json.dumps({"type": "handed_over"} | message).encode()))
    assert told == [HandedOver("handed_over"), HandedOver("refused", "who knows")]


async def test_rehearsed_on_both_sides() -> None:
    front = Agent("front", greeting="Hello.")
    billing = Agent("billing", greeting=lambda call: "" if call.handed_over_by else "Billing.")
    results: list[HandedOver] = []

    @front.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        results.append(await call.hand_over(TO, note="a refund"))
        await call.say("They are all busy.")

    @billing.on_call
    async def on_call(call: Call) -> None:
        await call.say(f"You come from {call.handed_over_by} with {call.hand_over_note}.")
        await call.say(f"You said: {call.history[-2].text}")
        await call.wait_until_over()

    async with rehearse(front) as caller:
        await caller.hears()
        await caller.says("Billing, please.")
        assert await caller.is_handed_over("no_capacity") == (TO, "a refund")
        assert await caller.hears() == "They are all busy."
        await caller.says("Again.")
        await caller.is_handed_over()
        await caller.is_hung_up_on()
        assert caller.call.end_reason == "handed_over"
        history = list(caller.call.history)
    async with rehearse(billing, handed_over_by="worker:front", note="a refund", history=history) as caller:
        assert await caller.hears() == "You come from worker:front with a refund."
        assert await caller.hears() == "You said: Again."
        messages = caller.call.history.messages()
        assert messages[0] == {"role": "assistant", "content": "Hello."}
