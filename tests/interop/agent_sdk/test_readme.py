"""The Python that stands in the README and in docs/start does what is said there, as it is printed."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest
from tests.support.agents_python import agents_python
from tests.support.chat_model import ANSWER, chat_model
from tests.support.conversation import Talk
from tests.support.gateway import python_path, running_gateway, wait_until
from tests.support.plain_phone import PlainPhone
from tests.support.sdk_worker import agent_table
from tests.support.snippets import pages, snippets
from tests.support.undisturbed import undisturbed

from offhook.builtin.agent import make_agent

pytestmark = pytest.mark.interop

ENVIRON = {**os.environ, **python_path()}
TOML = f"""
[[trunk]]
name = "home"
allow = ["127.0.0.1"]

[[route]]
name = "all"
destination = "worker:front-desk"
{agent_table("front-desk")}"""
# What a reader has around the three lines that ask a model.
AROUND = """
import os
from openai import AsyncOpenAI
from offhook import Agent, Call, Turn

agent, llm, MODEL = Agent("hotel", greeting="Hello."), AsyncOpenAI(), os.environ["MODEL"]

@agent.on_turn
async def reply(call: Call, turn: Turn) -> None:
"""
DRIVER = """
import asyncio
from agent import agent
from offhook.agent.rehearsal import rehearse

async def main():
    async with rehearse(agent, patience=20) as caller:
        for words in WORDS:
            print(await caller.hears())
            await caller.says(words)
        print(await caller.hears())

asyncio.run(main())
"""


def call_in_words(folder: Path, agent: str, *words: str, python: Path | str = sys.executable, **environ: str) -> str:
    """Call an agent in words, and give what it says."""
    (folder / "agent.py").write_text(agent)
    driver = DRIVER.replace("WORDS", repr(words))
    done = subprocess.run(
        [python, "-c", driver], cwd=folder, env=ENVIRON | environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_pages_have_no_other_python_than_what_is_run_here() -> None:
    found = {page: len(snippets(page)) for page in pages("README.md", "docs/start")}
    assert found == {
        "README.md": 3,
        "docs/start/first-agent.md": 2,
        "docs/start/first-call.md": 0,
        "docs/start/words.md": 0,
    }


@pytest.mark.timeout(600)
@undisturbed
async def test_the_agent_of_the_readme_takes_a_message_of_a_phone(tmp_path: Path) -> None:
    code = snippets("README.md")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    (tmp_path / "agent.py").write_text(code)
    other = make_agent()
    await other.warm_up()
    with running_gateway(tmp_path, TOML, arguments=("agent.py",)) as gateway:
        async with PlainPhone.open() as phone:
            call = phone.dial(gateway.udp)
            await call.answered()
            talk = Talk(call, other.speech.stt(), other.speech.tts())
            await talk.hears_of("How can I help")
            await talk.asks(talk.says("What time is it?"), "I can take a message")
            await talk.asks(talk.says("The meeting is at ten."), "I wrote down the meeting is at ten")
            await talk.says("Thank you. That is all. Goodbye.")
            await call.hung_up()
            await talk.hears_of("Thank you for calling")
        record = gateway.record(call.call_id)
        wait_until(lambda: "heard of it: Thank you. I wrote down" in gateway.said(), 30, gateway.said)
    await other.speech.close()
    assert (record["destination"], record["end_reason"]) == ("worker:front-desk", "agent_hung_up")


def test_the_test_of_the_readme_passes_for_its_agent(tmp_path: Path) -> None:
    agent, _, test = snippets("README.md")
    (tmp_path / "agent.py").write_text(agent)
    (tmp_path / "test_agent.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "offhook.testing.plugin", "."]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRON, capture_output=True, text=True, timeout=120)
    assert "1 passed" in done.stdout, done.stdout


def test_the_first_agent_says_back_what_it_hears(tmp_path: Path) -> None:
    said = call_in_words(tmp_path, snippets("docs/start/first-agent.md")[0], "What a day", "Bye")
    assert said.splitlines()[-2:] == ["You said: What a day", "Goodbye."]


@pytest.mark.parametrize("page", ["README.md", "docs/start/first-agent.md"])
def test_three_lines_ask_a_language_model(page: str, tmp_path: Path) -> None:
    lines = snippets(page)[1]
    assert len(lines.splitlines()) == 3
    with chat_model() as model:
        agent = AROUND + (lines if lines.startswith(" ") else indent(lines, "    "))
        said = call_in_words(tmp_path, agent, "When is check-out?", python=agents_python(), **model.environ)
    assert said.splitlines() == ["Hello.", ANSWER]
    [asked] = model.asked
    assert [message["content"] for message in asked["messages"][1:]] == ["Hello.", "When is check-out?"]
