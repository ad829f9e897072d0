"""Hold, as an agent sees it and asks for it, in virtual time; in a rehearsal; and on the wire."""

import asyncio
import json

import pytest
from tests.support.agent_line import calling
from tests.support.clock import in_virtual_time
from tests.support.speech_engines import WORD_MS, ToldEars, ToneVoice

from offhook.agent import Agent, Call, Digits, Held, HoldFailed, Resumed, Said, Turn
from offhook.agent.line import HoldRefused, UtteranceOver
from offhook.agent.protocol import Kind, Record, unpack
from offhook.agent.rehearsal import rehearse
from offhook.agent.wire_line import WireLine
from offhook.speech.protocol import Spoken

pytestmark = pytest.mark.unit

LONG = "This is a sentence of a good many words, and the caller leaves before its end."


def agent_of(**options: object) -> Agent:
    return Agent("front", stt=ToldEars(), tts=ToneVoice(), **options)  # type: ignore[arg-type]


@in_virtual_time
async def test_what_a_caller_who_leaves_does_not_hear_is_said_when_it_is_back() -> None:
    agent, said, events = agent_of(), list[Said](), list[object]()

    @agent.on_call
    async def on_call(call: Call) -> None:
        call.create_task(listen(call))
        said.append(await call.say(LONG))
        await call.wait_until_over()

    async def listen(call: Call) -> None:
        async for event in call.events():
            events.append(event)

    async with calling(agent) as caller:
        await asyncio.sleep(4.2 * WORD_MS / 1000)
        caller.line.holds()
        assert caller.call.is_held
        await asyncio.sleep(0.1)
        [cut] = said
        assert (cut.heard, cut.interrupted, cut.held) == ("This is a sentence", True, True)
        await asyncio.sleep(300)
        assert caller.line.utterance is None
        caller.line.resumes()
        assert not caller.call.is_held
        await asyncio.sleep(1.5)
        assert caller.line.utterance == "u2", "the rest of it, a moment after the return"
        await asyncio.sleep(10)
        assert [line.text for line in caller.call.history] == ["This is a sentence", LONG[19:]]
    assert Held("caller") in events
    assert Resumed("caller", 0) in events
    assert not any(type(event).__name__ == "Interrupted" for event in events), "the caller has not spoken"


@in_virtual_time
async def test_an_agent_that_does_not_resume_says_no_more_of_it() -> None:
    agent = agent_of(resumes=False)

    @agent.on_call
    async def on_call(call: Call) -> None:
        await call.say(LONG)
        await call.wait_until_over()

    async with calling(agent) as caller:
        await asyncio.sleep(1)
        caller.line.holds()
        await asyncio.sleep(1)
        caller.line.resumes()
        await asyncio.sleep(10)
        assert [said[0] for said in caller.line.said] == ["answer", "say"]


@in_virtual_time
async def test_what_is_begun_on_hold_waits_for_the_caller_however_long_that_takes() -> None:
    agent = agent_of()
    said: list[Said] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        await asyncio.sleep(1)
        said.append(await call.say("Are you still there?"))

    async with calling(agent) as caller:
        caller.line.holds()
        await asyncio.sleep(600)
        assert said == []
        caller.line.resumes()
        await caller.until(lambda: caller.task.done())
        assert said == [Said("Are you still there?", False, 4 * WORD_MS)]


@in_virtual_time
async def test_questions_wait_for_a_caller_on_hold_with_their_time() -> None:
    agent = agent_of()
    answers: list[Turn | Digits | None] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        answers.append(await call.ask("Yes or no?", timeout=5))
        answers.append(await call.collect_digits(2, first_timeout=5))

    async with calling(agent) as caller:
        await asyncio.sleep(3)
        caller.line.holds()
        await asyncio.sleep(60)
        assert answers == []
        caller.line.resumes()
        await asyncio.sleep(4.5)
        assert answers == [], "it has all of the time again"
        await asyncio.sleep(1)
        assert answers == [None]
        caller.line.holds()
        await asyncio.sleep(60)
        caller.line.resumes()
        await asyncio.sleep(1)
        caller.line.press("42")
        await caller.until(lambda: caller.task.done())
        assert str(answers[1]) == "42"


@in_virtual_time
async def test_the_agent_holds_the_caller_and_knows_that_nobody_hears_it() -> None:
    agent = agent_of()
    states: list[bool] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        states.append(call.is_held)
        await call.hold()
        states.append(call.is_held)
        await call.resume()
        states.append(call.is_held)

    async with calling(agent) as caller:
        await caller.until(lambda: caller.task.done())
        assert states == [False, True, False]
        assert caller.line.said[:3] == [("answer",), ("hold",), ("resume",)]


@in_virtual_time
async def test_a_refused_hold_is_an_error_and_the_call_goes_on() -> None:
    agent = agent_of()
    errors: list[HoldFailed] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        with pytest.raises(HoldFailed) as refused:
            await call.hold()
        errors.append(refused.value)
        assert not call.is_held
        first = call.create_task(call.hold())
        await asyncio.sleep(0.01)
        with pytest.raises(HoldFailed) as busy:
            await call.resume()
        errors.append(busy.value)
        first.cancel()
        await call.say("Well then.")

    async with calling(agent, hold_status=488) as caller:
        await caller.until(lambda: caller.task.done())
        assert [(error.reason, error.status) for error in errors] == [("refused", 488), ("busy", None)]
        assert caller.call.history.messages()[-1]["content"] == "Well then."


@in_virtual_time
async def test_a_call_that_ends_on_hold_leaves_nobody_waiting() -> None:
    agent = agent_of()

    @agent.on_call
    async def on_call(call: Call) -> None:
        await call.say("Hello?")

    async with calling(agent) as caller:
        caller.line.holds()
        await asyncio.sleep(5)
        caller.line.end()
        await caller.until(lambda: caller.task.done(), within=1)


# -- in a rehearsal


async def test_a_rehearsed_caller_holds_and_is_held() -> None:
    agent = Agent("front", greeting="Hello.")

    @agent.on_turn
    async def reply(call: Call, turn: Turn) -> None:
        try:
            await call.hold()
        except HoldFailed as error:
            await call.say(f"No hold, {error.status}.")
            return
        assert (await call.say("Nobody hears this.")).held
        await call.resume()
        await call.say("Here I am again.")

    async with rehearse(agent) as caller:
        assert await caller.hears() == "Hello."
        await caller.says("Hold the line")
        assert await caller.hears() == "Here I am again."
        assert not caller.is_held
        await caller.holds()
        assert caller.call.is_held
        await caller.resumes()
        assert not caller.call.is_held
        caller.refuses_hold(403)
        await caller.says("Hold the line")
        assert await caller.hears() == "No hold, 403."


# -- on the wire


class _Told:
    def __init__(self) -> None:
        self.events: list[object] = []
        self.written: list[bytes] = []
        self.line = WireLine(5, {"type": "ringing", "call_id": "c", "barge_in": "auto"}, 8_000, self.written.append)
        self.line.listener = self

    def receive(self, event: object) -> None:
        self.events.append(event)

    def hear(self, pcm: bytes) -> None:
        """Nothing is said."""

    def told(self, **message: object) -> None:
        self.line.receive(Record(Kind.CONTROL, 5, 0, json.dumps(message).encode()))

    def said(self) -> list[str]:
        records = [record for message in self.written for record in unpack(message)]
        return [json.loads(record.payload)["type"] for record in records if record.kind == Kind.CONTROL]


@in_virtual_time
async def test_the_words_of_the_wire() -> None:
    told = _Told()
    told.line.hold("hold")
    told.told(type="held", by="agent")
    told.told(type="held", by="caller")
    told.told(type="resumed", by="caller", held_ms=1234)
    told.told(type="hold_failed", action="resume", code="refused", status=491, message="no")
    told.told(type="hold_failed", action="resume", code="no_answer", status=None, message="nothing")
    told.told(type="hold_failed", action="of a later version", code="x", status=None, message="")
    assert told.said() == ["hold"]
    assert told.events == [
        Held("agent"),
        Held("caller"),
        Resumed("caller", 1234),
        HoldRefused("resume", "refused", 491, "no"),
        HoldRefused("resume", "no_answer", None, "nothing"),
    ]


@in_virtual_time
async def test_an_utterance_that_a_hold_cuts_off_is_over_and_the_next_is_sent() -> None:
    told = _Told()
    pcm = bytes(16_000)
    told.line.begin("u1", Spoken(pcm, 8_000, "Hello there."), None)
    await told.line.send(pcm)
    told.told(type="cleared", played_ms=400, dropped_ms=600, marks=[])
    told.told(type="interrupted", utterance="u1", played_ms=400, by="hold")
    assert told.events == [UtteranceOver("u1", 400.0, True, True)]
    assert told.said() == ["utterance", "utterance_end"], "what is under way is dropped until then"
