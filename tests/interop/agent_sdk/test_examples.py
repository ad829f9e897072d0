"""Every example of an agent does what it says: called in memory, or by a line in virtual time."""

import asyncio
import os
import subprocess

import pytest
from tests.support.agent_line import calling
from tests.support.agents_python import agents_python
from tests.support.chat_model import chat_model
from tests.support.clock import in_virtual_time
from tests.support.gateway import REPOSITORY, python_path
from tests.support.speech_engines import ToldEars, ToneVoice, sine

from offhook.agent.engines import Speech
from offhook.agent.loading import load_agent
from offhook.agent.rehearsal import rehearse

pytestmark = pytest.mark.interop

EXAMPLES = REPOSITORY / "examples"


async def test_the_parrot_says_back_what_it_heard() -> None:
    async with rehearse(load_agent(EXAMPLES / "parrot.py")) as caller:
        assert (await caller.hears()).startswith("Hello!")
        await caller.says("Polly wants a cracker.")
        assert await caller.hears() == "You said: Polly wants a cracker."
        await caller.says("Good bye then.")
        assert await caller.hears() == "Goodbye!"
        await caller.is_hung_up_on()


async def test_the_menu_takes_keys_and_words() -> None:
    async with rehearse(load_agent(EXAMPLES / "digits_menu.py")) as caller:
        assert await caller.hears() == "Welcome to the bank."
        assert "account number" in await caller.hears()
        await caller.presses("9999")
        assert await caller.hears() == "There is no account 9 9 9 9."
        await caller.hears()
        await caller.says("four seven double one")
        assert await caller.hears() == "Account 4 7 1 1 has 4,000 dollars. Goodbye."
        await caller.is_hung_up_on()


@in_virtual_time
async def test_the_menu_gives_up_after_silence() -> None:
    agent = load_agent(EXAMPLES / "digits_menu.py")
    agent.speech = Speech(ToldEars(), voice := ToneVoice())
    async with calling(agent) as caller:
        await caller.until(lambda: caller.task.done())
        assert voice.said[-2:] == ["Let's leave it at that.", "Goodbye."]
        assert voice.said.count("I didn't get that.") == 3


async def test_the_desk_puts_callers_through_and_takes_them_back() -> None:
    async with rehearse(load_agent(EXAMPLES / "front_desk.py")) as caller:
        await caller.hears()
        await caller.says("Somebody in support, please.")
        assert "support" in await caller.hears()
        assert await caller.is_transferred("busy", status=486) == "2001"
        assert "Nobody in support is free" in await caller.hears()
        await caller.says("Sales then.")
        await caller.hears()
        assert await caller.is_transferred() == "tel:+14155550142"
        assert caller.call.end_reason == "transferred"


async def test_reception_gives_a_caller_to_billing_which_knows_what_was_said() -> None:
    async with rehearse(load_agent(EXAMPLES / "reception.py")) as caller:
        await caller.hears()
        await caller.says("I want a refund.")
        assert "my colleague" in await caller.hears()
        given = await caller.is_handed_over()
        assert given == ("worker:billing", "I want a refund.")
        assert caller.call.end_reason == "handed_over"
        history = list(caller.call.history)
    billing = load_agent(EXAMPLES / "billing.py")
    async with rehearse(billing, handed_over_by="worker:front-desk", note=given[1], history=history) as caller:
        assert await caller.hears() == "Billing here. My colleague told me: I want a refund."
        await caller.says("Order 4711.")
        assert await caller.hears() == "I have noted: I want a refund. Order 4711."
        await caller.says("Bye.")
        assert await caller.hears() == "Thank you for calling."
        await caller.is_hung_up_on()


async def test_reception_takes_a_message_where_nobody_is_in_billing() -> None:
    async with rehearse(load_agent(EXAMPLES / "reception.py")) as caller:
        await caller.hears()
        await caller.says("My bill is wrong.")
        await caller.hears()
        await caller.is_handed_over("no_capacity")
        assert await caller.hears() == "My colleague is busy. Please leave a message."
        await caller.says("Call me at ten.")
        assert await caller.hears() == "Thank you. We will call you back."
        await caller.is_hung_up_on()


@in_virtual_time
async def test_raw_frames_come_back_a_second_later() -> None:
    async with calling(load_agent(EXAMPLES / "raw_frames.py")) as caller:
        await asyncio.sleep(0.1)
        for at in range(0, 32_000, 320):
            caller.session.hear(sine(8_000, 2_000)[at : at + 320])
            await asyncio.sleep(0.02)
        assert caller.line.utterance is not None
        caller.line.press("5")
        await caller.until(lambda: caller.task.done())
        assert caller.line.said[-1] == ("hang_up", "the caller pressed 5", True)
        assert bytes(caller.line.sound) == sine(8_000, 2_000)[: 50 * 320]


DRIVER = """
import asyncio
from pathlib import Path
from offhook.agent.loading import load_agent
from offhook.agent.rehearsal import rehearse

async def main():
    async with rehearse(load_agent(Path("examples/llm_agent.py")), patience=20) as caller:
        print(await caller.hears())
        await caller.says("When is check-out?")
        print(await caller.hears())

asyncio.run(main())
"""


def test_a_language_model_is_asked_with_the_history_and_its_stream_is_spoken() -> None:
    with chat_model() as model:
        environ = {**os.environ, **python_path(), **model.environ}
        done = subprocess.run(
            [agents_python(), "-c", DRIVER], cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Hotel Offhook, good day! How can I help?",
        "Check-out is at noon. Anything else?",
    ]
    [asked] = model.asked
    assert (asked["model"], asked["stream"]) == ("tiny", True)
    assert asked["messages"] == [
        {
            "role": "system",
            "content": "You answer the phone of a small hotel, in two sentences at most and without lists. "
            "Caller: +14155550100",
        },
        {"role": "assistant", "content": "Hotel Offhook, good day! How can I help?"},
        {"role": "user", "content": "When is check-out?"},
    ]


def test_every_agent_among_the_examples_is_here() -> None:
    agents = {path.name for path in EXAMPLES.glob("*.py") if "from offhook import" in path.read_text()}
    assert agents == {
        "parrot.py",
        "digits_menu.py",
        "llm_agent.py",
        "raw_frames.py",
        "front_desk.py",
        "reception.py",
        "billing.py",
    }
