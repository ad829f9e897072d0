"""What an agent does in a call, and what it is told, in virtual time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.agent_line import calling
from tests.support.clock import in_virtual_time
from tests.support.speech_engines import WORD_MS, ToldEars, ToneVoice

from offhook.agent import Agent, AgentError, Call, CallEnded, Said, SpeechEnded, Turn
from offhook.agent.line import CallFacts
from offhook.speech.errors import SpeechError

pytestmark = pytest.mark.unit

GREETING = "Hello there. How can I help you today?"


def speaking(**options: object) -> tuple[Agent, ToldEars]:
    """An agent with a voice and ears of which all is known."""
    ears = ToldEars()
    return Agent("front", stt=ears, tts=ToneVoice(), **options), ears  # type: ignore[arg-type]


async def tokens(text: str, pause: float = 0.01) -> AsyncIterator[str]:
    """What a language model gives: a word at a time."""
    for word in text.split(" "):
        await asyncio.sleep(pause)
        yield word + " "


@in_virtual_time
async def test_a_greeting_is_said_and_a_call_ends_when_on_call_returns() -> None:
    agent, _ = speaking(greeting=GREETING)
    done: list[str | None] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        said = await call.say("One moment.")
        assert said == Said("One moment.", False, 2 * WORD_MS)

    @agent.on_hangup
    async def on_hangup(call: Call) -> None:
        done.append(call.end_reason)

    async with calling(agent) as caller:
        await caller.until(lambda: caller.task.done())
        assert caller.line.said == [("answer",), ("say", None), ("say", None), ("hang_up", "", False)]
        assert [(line.role, line.text) for line in caller.call.history] == [
            ("agent", GREETING),
            ("agent", "One moment."),
        ]
    assert done == ["agent_hung_up"]


@in_virtual_time
async def test_on_ringing_may_look_up_ring_on_and_reject() -> None:
    agent, _ = speaking(greeting=lambda call: f"Hello {call.data['name']}.")
    loop = asyncio.get_running_loop()
    begun = loop.time()

    @agent.on_ringing
    async def ringing(call: Call) -> None:
        if call.from_number == "+1999":
            await call.reject(486, "not you")
            return
        await call.ring(3)
        call.data["name"] = "Ada"

    @agent.on_call
    async def on_call(call: Call) -> None:
        await call.wait_until_over()

    async with calling(agent) as caller:
        await caller.until(lambda: caller.line.said)
        assert loop.time() - begun == pytest.approx(3, abs=0.1)
        await caller.until(lambda: len(caller.call.history))
        assert caller.call.history[0].text == "Hello Ada."

    async with calling(agent, facts=CallFacts("call-2", "+1999")) as caller:
        await caller.until(lambda: caller.task.done())
        assert caller.line.said == [("reject", 486, "not you")]


@in_virtual_time
async def test_a_turn_is_answered_by_a_stream_of_tokens_spoken_sentence_by_sentence() -> None:
    agent, ears = speaking()
    turns: list[Turn] = []
    said: list[Said] = []

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        turns.append(turn)
        said.append(await call.say(tokens("Sure thing. It is noon.")))

    async with calling(agent, ears) as caller:
        await asyncio.sleep(0.1)
        caller.line.press("5")
        await caller.says("What time is it?")
        await caller.until(lambda: said)
        assert agent.speech.tts().said == ["Sure thing.", "It is noon."]  # type: ignore[attr-defined]
        assert said == [Said("Sure thing. It is noon.", False, 5 * WORD_MS)]
        assert (turns[0].text, turns[0].dtmf, turns[0].interrupted) == ("What time is it?", "5", None)
        assert caller.call.history.messages(system="Be brief.") == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What time is it?"},
            {"role": "assistant", "content": "Sure thing. It is noon."},
        ]


@in_virtual_time
async def test_speech_over_the_agent_cuts_it_off_and_the_history_has_what_was_heard() -> None:
    agent, ears = speaking()
    turns: list[Turn] = []
    cancelled: list[str] = []

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        turns.append(turn)
        if len(turns) > 1:
            return
        said = await call.say("One two three four five six seven eight nine ten.")
        assert said.interrupted
        try:
            await call.say("This comes too late.")
        except asyncio.CancelledError:
            cancelled.append("yes")
            raise

    async with calling(agent, ears) as caller:
        await asyncio.sleep(0.1)
        await caller.says("Count.", then=0)
        await caller.until(lambda: caller.line.utterance)
        # Sure of it 100 ms after it began; the clear takes 20 ms: 720 ms have been played.
        await asyncio.sleep(0.6)
        await caller.says("Stop it, please.")
        await caller.until(lambda: len(turns) == 2)
        assert caller.line.said[1:] == [("say", None), ("clear",)], "what comes next is held while the caller speaks"
        assert cancelled == ["yes"]
        assert turns[1].text == "Stop it, please."
        assert turns[1].interrupted is not None
        assert turns[1].interrupted.heard == "One two three four"
        assert 700 <= turns[1].interrupted.played_ms <= 740
        assert [(line.role, line.text) for line in caller.call.history] == [
            ("caller", "Count."),
            ("agent", "One two three four"),
            ("caller", "Stop it, please."),
        ]


@in_virtual_time
async def test_a_noise_does_not_cancel_what_the_agent_is_about_to_say() -> None:
    agent, ears = speaking()
    said: list[Said] = []

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        await asyncio.sleep(2)  # a slow model
        said.append(await call.say("Here you are."))

    async with calling(agent, ears) as caller:
        await asyncio.sleep(0.1)
        await caller.says("Please do.")
        await asyncio.sleep(0.5)
        await caller.starts()
        await asyncio.sleep(2)
        assert not caller.line.utterance, "the floor is the caller's"
        await caller.stops("")
        await caller.until(lambda: said)
        assert said[0].heard == "Here you are."


@in_virtual_time
async def test_a_caller_who_goes_on_before_the_answer_is_heard_says_one_thing() -> None:
    agent, ears = speaking()
    turns: list[str] = []

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        turns.append(turn.text)
        await asyncio.sleep(1)
        await call.say("Fine.")

    async with calling(agent, ears) as caller:
        await asyncio.sleep(0.1)
        await caller.says("I want a table.")
        await caller.says("For two.")
        await caller.until(lambda: len(caller.call.history) == 3)
        assert turns == ["I want a table.", "I want a table. For two."]
        assert caller.call.history.messages() == [
            {"role": "user", "content": "I want a table. For two."},
            {"role": "assistant", "content": "Fine."},
        ]


@in_virtual_time
async def test_an_mm_hm_over_the_agent_is_no_turn_where_the_gateway_judges() -> None:
    agent, ears = speaking()
    turns: list[str] = []
    said: list[Said] = []

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        turns.append(turn.text)
        said.append(await call.say("One two three four five six seven eight nine ten eleven twelve."))

    async with calling(agent, ears, judges_barge_in=True) as caller:
        await asyncio.sleep(0.1)
        await caller.says("Count.")
        await caller.until(lambda: caller.line.utterance)
        await caller.says("Mm-hmm.", 0.3)
        await caller.until(lambda: said)
        assert turns == ["Count."]
        assert not said[0].interrupted
        await caller.says("Again.")
        await caller.until(lambda: caller.line.utterance)
        # The gateway let it pass for noise, but it was words that mean something.
        await caller.says("Wait, stop that.", 0.3)
        await caller.until(lambda: len(said) == 2)
        assert said[1].interrupted
        assert turns[:3] == ["Count.", "Again.", "Wait, stop that."]


@in_virtual_time
async def test_the_agents_own_voice_that_comes_back_is_no_turn() -> None:
    agent, ears = speaking()
    turns: list[str] = []
    said: list[Said] = []

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        turns.append(turn.text)
        said.append(await call.say("One two three four five six seven eight nine ten eleven twelve."))

    async with calling(agent, ears, judges_barge_in=True) as caller:
        await asyncio.sleep(0.1)
        await caller.says("Count.")
        await caller.until(lambda: caller.line.utterance)
        # A second later the ears hear words, and the gateway heard nobody.
        caller.line.hears(1_000)
        ears.starts()
        ears.stops("One two three.")
        await asyncio.sleep(1)
        # The last of it is recognised when the agent has finished.
        ears.starts()
        caller.line.hears(1_000)
        await caller.until(lambda: said)
        assert not said[0].interrupted
        ears.stops("Eleven twelve.")
        await asyncio.sleep(2)
        assert turns == ["Count."]
        # And then somebody speaks of whom the gateway knows nothing, but not over the agent.
        ears.starts()
        ears.stops("Thank you.")
        await caller.until(lambda: len(turns) == 2)


@in_virtual_time
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_a_noise_has_cut_off_is_said_after_all(streamed: bool) -> None:
    agent, ears = speaking()
    words = "One two three four five six seven eight nine ten."
    said: list[Said] = []
    turns: list[Turn] = []

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        turns.append(turn)
        if len(turns) == 1:
            said.append(await call.say(tokens(words) if streamed else words))

    async with calling(agent, ears) as caller:
        await asyncio.sleep(0.1)
        await caller.says("Count.", then=0)
        await caller.until(lambda: caller.line.utterance)
        await asyncio.sleep(0.6)
        # A cough: the ears make no words of it.
        await caller.says("", 0.5)
        assert said[0].interrupted
        await caller.until(lambda: len(caller.call.history) == 3)
        heard = said[0].heard.split()
        assert 2 <= len(heard) <= 8
        assert [(line.role, line.text) for line in caller.call.history] == [
            ("caller", "Count."),
            ("agent", said[0].heard),
            ("agent", " ".join(words.split()[len(heard) :])),
        ]
        await caller.says("Thank you.")
        assert turns[1].interrupted is None, "it was not by this that the caller cut anything off"


@in_virtual_time
async def test_who_said_something_is_not_talked_down_by_what_was_cut_off() -> None:
    agent, ears = speaking()
    texts: list[str] = []

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        texts.append(turn.text)
        if turn.text == "Count.":
            await call.say("One two three four five six seven eight nine ten.")
        await asyncio.sleep(5)  # a slow model

    async with calling(agent, ears) as caller:
        await asyncio.sleep(0.1)
        await caller.says("Count.", then=0)
        await caller.until(lambda: caller.line.utterance)
        await caller.says("Stop it, please.", then=4)
        assert texts == ["Count.", "Stop it, please."]
        assert [entry[0] for entry in caller.line.said] == ["answer", "say", "clear"]


@in_virtual_time
async def test_what_the_route_leaves_uninterrupted_is_said_to_its_end() -> None:
    agent, ears = speaking()
    said: list[Said] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        said.append(await call.say("One two three four five six."))
        await call.wait_until_over()

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        raise AssertionError("nothing that was said over it is a turn")

    facts = CallFacts("call-1", barge_in="off")
    async with calling(agent, ears, facts=facts, judges_barge_in=True) as caller:
        await caller.until(lambda: caller.line.utterance)
        await caller.says("I want to buy a horse.", 0.2)
        await caller.until(lambda: said)
        assert not said[0].interrupted
        assert ("clear",) not in caller.line.said


@in_virtual_time
async def test_what_may_not_be_interrupted_is_said_to_its_end() -> None:
    agent, ears = speaking()
    said: list[Said] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        said.append(await call.say("This call may be recorded for training.", barge_in="off"))
        await call.wait_until_over()

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        raise AssertionError("nothing that was said over it is a turn")

    async with calling(agent, ears) as caller:
        await caller.until(lambda: caller.line.utterance)
        await caller.says("I want to buy a horse.", 0.2)
        await caller.until(lambda: said)
        assert not said[0].interrupted
        assert ("clear",) not in caller.line.said


@in_virtual_time
async def test_ask_gives_the_answer_or_nothing() -> None:
    agent, ears = speaking()
    answers: list[Turn | None] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        answers.append(await call.ask("What is your name?", timeout=5))
        answers.append(await call.ask("And your first name?", timeout=5))
        answers.append(await call.ask("Are you there?", timeout=5))

    async with calling(agent, ears) as caller:
        await caller.until(lambda: len(agent.speech.tts().said) == 1)  # type: ignore[attr-defined]
        await asyncio.sleep(2)
        await caller.says("Lovelace.", then=0.3)
        # Over the question, and longer than the time that there is to begin.
        await caller.says("Ada, of course.", 12)
        begun = asyncio.get_running_loop().time()
        await caller.until(lambda: len(answers) == 3)
        assert [answer and answer.text for answer in answers] == ["Lovelace.", "Ada, of course.", None]
        assert answers[1] is not None
        assert answers[1].interrupted is not None
        assert 5 < asyncio.get_running_loop().time() - begun < 7


@in_virtual_time
async def test_digits_by_keys_and_by_voice() -> None:
    agent, ears = speaking()
    found: list[tuple[str, str, bool]] = []
    keys: list[str] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        for options in ({"count": 4}, {}, {"first_timeout": 3.0}, {"next_timeout": 2.0}, {"by_voice": True}):
            digits = await call.collect_digits(prompt="Your number, please, whenever you like.", **options)  # type: ignore[arg-type]
            found.append((digits.digits, digits.reason, digits.by_voice))
        await call.wait_until_over()

    @agent.on_dtmf
    async def on_dtmf(call: Call, digit: str) -> None:
        keys.append(digit)

    async with calling(agent, ears) as caller:
        line, said = caller.line, agent.speech.tts().said  # type: ignore[attr-defined]
        await caller.until(lambda: line.utterance)
        line.press("1234")
        await caller.until(lambda: len(said) == 2)
        await asyncio.sleep(5)
        line.press("55#")
        await caller.until(lambda: len(found) == 3)
        await asyncio.sleep(3)
        line.press("7")
        await caller.until(lambda: len(found) == 4)
        await asyncio.sleep(2)
        await caller.says("it's four two double one", 6)
        await caller.until(lambda: len(found) == 5)
        line.press("9")
        await caller.until(lambda: keys)
    assert found == [
        ("1234", "complete", False),
        ("55", "terminator", False),
        ("", "timeout", False),
        ("7", "timeout", False),
        ("4211", "timeout", True),
    ]
    assert keys == ["9"], "those that were asked for were nobody else's"


@in_virtual_time
async def test_an_exception_ends_the_call_with_an_apology_and_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    agent, ears = speaking(apology="Sorry, good bye.")

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        raise KeyError("nobody")

    async with calling(agent, ears) as caller, calling(agent, ears) as other:
        await asyncio.sleep(0.1)
        await other.says("Hello.")
        await other.until(lambda: other.task.done())
        assert other.line.said[1:] == [("say", "off"), ("hang_up", "the agent failed", False, "failed")]
        assert agent.speech.tts().said == ["Sorry, good bye."]  # type: ignore[attr-defined]
        assert not caller.task.done(), "the other call goes on"

    assert "on_turn of agent front failed" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("when", ["ringing", "call"])
@in_virtual_time
async def test_without_an_apology_the_caller_is_left_to_the_fallback(
    when: str,
) -> None:
    agent, _ = speaking(apology=None if when == "call" else "Sorry.")

    async def fail(call: Call) -> None:
        raise ValueError("no")

    async def stay(call: Call) -> None:
        await call.wait_until_over()

    agent.on_call(fail if when == "call" else stay)
    if when == "ringing":
        agent.on_ringing(fail)
    async with calling(agent) as caller:
        await caller.until(lambda: caller.task.done())
        assert caller.line.said[-1] == ("give_up", "the agent failed")


@in_virtual_time
async def test_an_engine_that_breaks_ends_the_call(caplog: pytest.LogCaptureFixture) -> None:
    agent, ears = speaking(apology="Sorry.")

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None: ...

    async with calling(agent, ears) as caller:
        await asyncio.sleep(0.1)
        ears.listening[-1].events.put_nowait(SpeechError("out of memory"))
        await caller.until(lambda: caller.task.done())
        assert caller.line.said[-1] == ("hang_up", "the agent failed", False, "failed")


@in_virtual_time
async def test_hang_up_waits_for_what_is_said_by_others() -> None:
    agent, _ = speaking()
    said: list[Said] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        async def speak() -> None:
            said.append(await call.say("All of this is heard."))

        call.create_task(speak())
        await asyncio.sleep(0.1)
        await call.hang_up("done")

    async with calling(agent) as caller:
        await caller.until(lambda: caller.task.done())
        assert said == [Said("All of this is heard.", False, 5 * WORD_MS)]
        assert caller.line.said[-1] == ("hang_up", "done", False)
        with pytest.raises(CallEnded):
            await caller.call.say("Anybody?")


@in_virtual_time
async def test_a_caller_who_hangs_up_cancels_everything_and_what_was_heard_is_known() -> None:
    agent, _ = speaking()
    ended: list[str] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        try:
            await call.say("One two three four five six.")
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    @agent.on_hangup
    async def on_hangup(call: Call) -> None:
        ended.append(str(call.history))

    async with calling(agent) as caller:
        await caller.until(lambda: caller.line.utterance)
        await asyncio.sleep(0.5)
        caller.line.end()
        await caller.until(lambda: caller.task.done())
    assert ended == ["cancelled", "agent: One two three"] or ended == ["cancelled", "agent: One two"]


@in_virtual_time
async def test_frames_both_ways_and_events() -> None:
    agent, _ = speaking()
    sound: list[bytes] = []
    events: list[str] = []
    played: list[Said] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        async def watch() -> None:
            events.extend([type(event).__name__ async for event in call.events()])

        call.create_task(watch())
        played.append(await call.play(bytes(1600)))
        async for frame in call.audio(16_000):
            sound.append(frame)  # noqa: PERF401  the end of the call cancels it

    async with calling(agent) as caller:
        await caller.until(lambda: played)
        await asyncio.sleep(0.1)
        caller.line.hears(1000)
        caller.line.press("1")
        await asyncio.sleep(0.1)
    assert played == [Said("", False, 100)]
    assert 31_900 <= sum(map(len, sound)) <= 32_000
    assert events == ["Said", "Key"]


@in_virtual_time
async def test_an_agent_without_engines_says_what_to_install() -> None:
    agent = Agent("front", stt="nonsense")

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None: ...

    with pytest.raises(AgentError, match="can't understand speech") as raised:
        await agent.warm_up()
    assert "moonshine" in raised.value.hint


def test_a_handler_that_is_no_coroutine_is_refused_at_once() -> None:
    agent = Agent("front")
    with pytest.raises(AgentError, match="no coroutine function"):

        @agent.on_call  # type: ignore[arg-type]
        def on_call(call: Call) -> None: ...


@in_virtual_time
async def test_noise_that_never_ends_does_not_silence_the_agent() -> None:
    agent, ears = speaking()
    said: list[Said] = []
    loop = asyncio.get_running_loop()

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        await asyncio.sleep(1)
        said.append(await call.say("Here you are."))

    async with calling(agent, ears) as caller:
        await asyncio.sleep(0.1)
        await caller.says("Please.")
        # The ears hear on where the line does not …
        ears.starts()
        await asyncio.sleep(0)
        caller.session.receive(SpeechEnded(0, 0))
        begun = loop.time()
        await caller.until(lambda: said)
        assert 3 < loop.time() - begun < 5
        ears.stops("")
        await caller.says("And again.")
        await caller.until(lambda: len(caller.call.history) == 3)
        # … and a line where music plays.
        await caller.starts()
        begun = loop.time()
        await caller.until(lambda: len(said) == 2)
        assert 20 < loop.time() - begun < 23


@in_virtual_time
async def test_words_do_not_disturb_digits_that_are_wanted_by_key() -> None:
    agent, ears = speaking()
    found: list[str] = []
    turns: list[str] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        found.append(str(await call.collect_digits(2)))
        await call.wait_until_over()

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        turns.append(turn.text)

    async with calling(agent, ears) as caller:
        await asyncio.sleep(0.1)
        caller.line.press("1")
        await caller.says("What was it, seven?")
        caller.line.press("2")
        await caller.until(lambda: found and turns)
        assert (found, turns) == (["12"], ["What was it, seven?"])


@in_virtual_time
async def test_the_greeting_waits_for_nobody() -> None:
    agent = Agent("front", greeting=GREETING, tts=ToneVoice(slow=0.3))

    @agent.on_call
    async def on_call(call: Call) -> None:
        await call.say("And this waits.")

    async with calling(agent) as caller:
        await caller.starts()
        await asyncio.sleep(0.3)
        assert caller.line.utterance == "u1"
        await asyncio.sleep(5)
        assert caller.line.utterance is None


@in_virtual_time
async def test_a_recording_is_paused_when_that_is_said_to_be_so() -> None:
    agent, _ = speaking()
    states: list[str] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        states.append(call.recording)
        states.append(await call.record("pause"))
        states.append(await call.record("resume"))
        states.append(call.recording)

    async with calling(agent) as caller:
        await caller.until(lambda: caller.task.done())
        assert states == ["off", "paused", "on", "on"]


@in_virtual_time
async def test_keys_are_masked_when_the_gateway_says_so_and_the_strictest_wish_counts() -> None:
    agent, _ = speaking()
    done: list[str] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        async with call.masked_digits():
            done.append("masked")
            async with call.masked_digits(withhold=True):
                done.append("withheld")
            async with call.masked_digits():
                done.append("masked again")

    async with calling(agent) as caller:
        await caller.until(lambda: caller.task.done())
        wishes = [said for said in caller.line.said if said[0] == "mask_digits"]
        assert done == ["masked", "withheld", "masked again"]
        assert [wish[1:] for wish in wishes] == [
            (True, False),
            (True, True),
            (True, False),
            (True, False),
            (True, False),
            (False, False),
        ]


@in_virtual_time
async def test_a_gateway_that_knows_no_masks_is_an_error_before_anything_is_asked() -> None:
    agent, _ = speaking()
    asked: list[object] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        try:
            async with call.masked_digits():
                asked.append("the card's number")
        except AgentError as error:
            asked.append(error.code)

    async with calling(agent) as caller:
        caller.line.knows_masks = False
        await caller.until(lambda: caller.task.done())
        assert asked == ["agent_settings"]
        assert caller.line.said[-1] != ("mask_digits", True, False), "and the wish is taken back"


@in_virtual_time
async def test_keys_that_cannot_be_pressed_are_refused_without_being_repeated() -> None:
    agent, _ = speaking()
    refused: list[str] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        for digits, options in (
            ("49x9", {}),
            ("", {}),
            ("1" * 65, {}),
            ("1", {"duration_ms": 39}),
            ("1", {"gap_ms": 8001}),
        ):
            with pytest.raises(ValueError, match="are"):
                await call.send_dtmf(digits, **options)
            refused.append(digits)
        await call.send_dtmf("1a#", duration_ms=40, gap_ms=8000)

    async with calling(agent) as caller:
        await caller.until(lambda: caller.task.done())
        assert len(refused) == 5
        assert ("dtmf", "1A#") in caller.line.said
