"""The pytest plugin in a project of its own."""

import os
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from tests.support.desk import desk
from tests.support.gateway import python_path

from offhook.testing import CallerFor

pytestmark = pytest.mark.interop

PROJECT = """
import asyncio
import time
from offhook import Agent, Call, Turn

agent = Agent("front", greeting="Hello, this is the front desk.")

@agent.on_turn
async def reply(call: Call, turn: Turn) -> None:
    await call.say(f"You said: {turn.text}")

async def test_that_passes(caller_for):
    async with caller_for(agent, line="mobile") as caller:
        await caller.hears("front desk")
        await caller.waits(60)

class TestInAClass:
    async def test_that_fails_by_an_assertion_of_its_own(self, caller_for):
        async with caller_for(agent) as caller:
            await caller.hears("front desk")
            await caller.says("What a day")
            heard = await caller.hears("You said")
            assert "night" in heard

def test_of_another_kind():
    assert True
"""


def test_it_runs_the_tests_that_ask_for_a_caller_and_reports_their_calls(tmp_path: Path) -> None:
    (tmp_path / "test_front.py").write_text(PROJECT)
    command = ["-q", "-p", "offhook.testing.plugin", "-p", "no:cacheprovider", "-n", "1", "--basetemp", "made"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *command],
        cwd=tmp_path,
        env={**os.environ, **python_path()},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert "1 failed, 2 passed" in done.stdout, done.stdout
    assert 'assert "night" in heard' in done.stdout
    assert "caller: What a day" in done.stdout
    assert "agent: You said: What a day" in done.stdout
    (sound,) = (tmp_path / "made").rglob("call-1.wav")
    with wave.open(str(sound), "rb") as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 8_000)
        assert file.getnframes() > 5 * 8_000


async def test_with_real_engines_words_are_those_that_were_recognised(caller_for: CallerFor) -> None:
    async with caller_for(desk(), speech="real") as caller:
        assert "help" in await caller.hears()
        await caller.says("A table for two, please")
        answer = await caller.hears("what time")
        assert "table" in answer
        # Time stands while an engine works.
        assert answer.latency_ms is not None
        assert answer.latency_ms < 2_500
        assert "two" in caller.call.history[1].text
