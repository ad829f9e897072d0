"""What those who write agents do wrong: they are told what and where, and it costs them one call."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from functools import wraps
from typing import Any

import pytest
from tests.support.agent_line import calling
from tests.support.clock import in_virtual_time
from tests.support.speech_engines import ToldEars, ToneVoice

from offhook.agent import Agent, AgentError, AnsweredBy, Call, Turn

pytestmark = pytest.mark.unit


def speaking(**options: Any) -> Agent:
    return Agent("front", stt=ToldEars(), tts=ToneVoice(), apology="Sorry.", **options)


async def failing(agent: Agent, handler: Callable[[Call], Any]) -> None:
    """A call in which `on_call` fails, to which an apology belongs."""
    agent.on_call(handler)
    async with calling(agent) as caller:
        await caller.until(lambda: caller.task.done())
        assert caller.line.said[-2:] == [("say", "off"), ("hang_up", "the agent failed", False, "failed")]


@in_virtual_time
async def test_sys_exit_in_a_handler_ends_its_call_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    agent = speaking()

    @agent.on_call
    async def on_call(call: Call) -> None:
        if call.data:
            await call.wait_until_over()
        sys.exit("no customer")

    @agent.on_hangup
    async def on_hangup(call: Call) -> None:
        sys.exit("nor afterwards")

    async with calling(agent) as caller:
        await caller.until(lambda: caller.task.done())
        assert caller.line.said[-1] == ("hang_up", "the agent failed", False, "failed")
    assert "on_call of agent front failed, which ends call call-1: SystemExit: no customer" in caplog.text
    assert "on_hangup of agent front failed" in caplog.text


@in_virtual_time
async def test_what_waits_for_something_that_was_cancelled_does_not_end_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def on_call(call: Call) -> None:
        request = asyncio.create_task(asyncio.sleep(10))
        await asyncio.sleep(1)
        request.cancel()
        await request

    await failing(speaking(), on_call)
    assert "on_call of agent front failed" in caplog.text
    assert "a task that it waited for was cancelled" in caplog.text


@in_virtual_time
async def test_a_failure_names_the_handler(caplog: pytest.LogCaptureFixture) -> None:
    def greeting(call: Call) -> str:
        raise KeyError("name")

    async with calling(speaking(greeting=greeting)) as caller:
        await caller.until(lambda: caller.task.done())
    assert "greeting of agent front failed, which ends call call-1: KeyError: 'name'" in caplog.text


@in_virtual_time
async def test_a_handler_that_cannot_be_cancelled_is_told(caplog: pytest.LogCaptureFixture) -> None:
    agent = speaking()

    @agent.on_call
    async def on_call(call: Call) -> None:
        for _ in range(20):
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                continue

    async with calling(agent) as caller:
        await asyncio.sleep(1)
        caller.line.end()
        await caller.until(lambda: caller.task.done())
    assert "on_call of agent front goes on although its call call-1 is over" in caplog.text


@in_virtual_time
async def test_who_speaks_in_on_hangup_is_told_that_nobody_is_there(caplog: pytest.LogCaptureFixture) -> None:
    agent = speaking()

    @agent.on_call
    async def on_call(call: Call) -> None: ...

    @agent.on_hangup
    async def on_hangup(call: Call) -> None:
        await call.say("Goodbye.")

    async with calling(agent) as caller:
        await caller.until(lambda: caller.task.done())
    assert "on_hangup of agent front wants to speak or listen, but call call-1 is over" in caplog.text


async def numbers() -> AsyncIterator[Any]:
    yield {"delta": "hello"}


async def answer() -> str:
    return "hello"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: None, "not NoneType: does a function return nothing"),
        (lambda: 42, "not int: for a number write str"),
        (lambda: ["one", "two"], "not list: for a number write"),
        (answer, "not coroutine: write `await`"),
        (numbers, "this one has dict in it: take the text out of each piece"),
    ],
)
@in_virtual_time
async def test_what_cannot_be_said_is_told(
    make: Callable[[], Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def on_call(call: Call) -> None:
        await call.say(make())

    await failing(speaking(), on_call)
    assert told in caplog.text


@in_virtual_time
async def test_halves_of_a_character_are_joined_or_left_out() -> None:
    agent = speaking()

    async def tokens() -> AsyncIterator[str]:
        for token in ("Done \ud83d", "\ude00 at ", "\ud800 last."):
            yield token

    @agent.on_call
    async def on_call(call: Call) -> None:
        await call.say(tokens())

    async with calling(agent) as caller:
        await caller.until(lambda: caller.task.done())
    assert agent.speech.tts().said == ["Done \U0001f600 at \ufffd last."]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda call: call.collect_digits(0), "0 digits can't be waited for"),
        (lambda call: call.record("begin"), "a recording can't be told to 'begin'"),
        (lambda call: call.say("Hello.", barge_in="never"), "barge_in = 'never': choose one of off, clear"),
    ],
)
@in_virtual_time
async def test_what_cannot_be_asked_for_is_told(
    ask: Callable[[Call], Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def on_call(call: Call) -> None:
        await ask(call)

    await failing(speaking(), on_call)
    assert told in caplog.text


async def takes_a_turn(turn: Turn) -> None: ...


async def takes_text(call: Call, text: str) -> None: ...


async def swapped(turn: "Turn", call: "Call") -> None: ...


async def takes_nothing() -> None: ...


@pytest.mark.parametrize(
    ("occasion", "handler", "told"),
    [
        ("on_turn", takes_a_turn, "takes_a_turn takes other parameters than it is given"),
        ("on_call", takes_nothing, "takes_nothing takes other parameters than it is given"),
        ("prewarm", takes_a_turn, "takes_a_turn takes other parameters than it is given"),
        ("on_turn", takes_text, "takes_text gets Turn where it has `text: str`"),
        ("on_turn", swapped, "swapped gets Call where it has `turn: Turn`"),
        ("on_answered_by", takes_text, "takes_text gets AnsweredBy where it has `text: str`"),
    ],
)
def test_a_handler_with_other_parameters_is_refused_at_once(occasion: str, handler: Any, told: str) -> None:
    with pytest.raises(AgentError) as raised:
        getattr(Agent("front"), occasion)(handler)
    assert told in str(raised.value)
    assert raised.value.hint.startswith(f"write `async def {handler.__name__}(")


def test_handlers_that_can_be_called_are_taken_as_they_are() -> None:
    agent = Agent("front")

    async def untyped(call, turn, times=1): ...  # type: ignore[no-untyped-def]

    async def anything(*given: Any) -> None: ...

    @wraps(takes_nothing)
    async def wrapped(call: Call, who: AnsweredBy) -> None: ...

    class Reception:
        async def turn(self, call: Call, turn: Turn) -> None: ...

    for handler in (untyped, anything, Reception().turn):
        assert agent.on_turn(handler) == handler
    assert agent.on_answered_by(wrapped) is wrapped


def test_a_greeting_is_made_at_once() -> None:
    async def greeting(call: Call) -> str:
        return "Hello."

    with pytest.raises(AgentError, match="no coroutine function"):
        Agent("front", greeting=greeting)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="barge_in = 'never': choose one of off"):
        Agent("front", barge_in="never")  # type: ignore[arg-type]
