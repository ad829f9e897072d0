"""The built-in agent on a real gateway: a phone talks with it, in a person's words and in a voice's, and by keys."""

import asyncio
import time
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from tests.interop.builtin.line import PROVE, TOML
from tests.support.conversation import Talk
from tests.support.gateway import running_gateway
from tests.support.human import PHRASES, reading
from tests.support.plain_phone import PlainPhone
from tests.support.sdk_worker import working
from tests.support.speech import resampled
from tests.support.undisturbed import undisturbed

from offhook.builtin import agent as builtin
from offhook.builtin.agent import make_agent

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


def beckett() -> "array[int]":
    """A person who says: ever tried."""
    sound, rate = reading("beckett.wav")
    return array("h", resampled(sound, rate, 8_000)[:12_000].tolist())


@asynccontextmanager
async def talking(tmp_path: Path) -> AsyncIterator[Talk]:
    """A call to the agent that was answered."""
    agent = make_agent()
    with running_gateway(tmp_path, TOML) as gateway:
        async with working(agent, gateway, "builtin"), PlainPhone.open() as phone:
            call = phone.dial(gateway.udp)
            await call.answered()
            yield Talk(call, agent.speech.stt(), agent.speech.tts())


@undisturbed
async def test_a_phone_talks_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What it says is recognised while it waits.
    monkeypatch.setattr(builtin, "PATIENCE", 60.0)
    async with talking(tmp_path) as talk:
        await talk.hears_of("What would you like? Say help to hear what I can do.")
        await talk.asks(talk.plays(beckett()), "I heard ever tried")
        await talk.asks(talk.presses("3"), "key in a number")
        await talk.asks(talk.presses("415#"), "I have the number 415")
        await talk.says("Please hang up.")
        # Its last word is heard before the line is cut.
        await talk.call.hung_up()
        await talk.hears_of("and thank you for calling")


@pytest.mark.skipif(not PROVE, reason="two minutes of talk: the full count")
@undisturbed
async def test_all_that_it_can_do_by_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "PATIENCE", 60.0)
    wisdom, belief = (array("h", PHRASES[number].sound(8_000).tolist()) for number in (0, 2))
    async with talking(tmp_path) as talk:
        # It is interrupted in its greeting.
        await asyncio.sleep(2.0)
        await talk.asks(talk.says("Who is calling, please?"), "The call came by the trunk home")
        await talk.asks(talk.says("What time is it?"), f"on {datetime.now().astimezone():%A}")
        await talk.asks(talk.says("Take a number."), "Say or key in a number.")
        await talk.asks(talk.says("Four one five, five five five."), "I have the number 415555")
        await talk.asks(talk.says("Take a message."), "Press any key when you are done.")
        await asyncio.sleep(1.0)
        await talk.asks(talk.plays(wisdom), "I have your message of")
        await talk.asks(talk.says("Play it."), "it was the age of wisdom that was your message")
        await talk.asks(talk.says("Echo test."), "Press any key to stop.")
        begin = time.time()
        await talk.plays(belief)
        talk.since = begin
        await talk.hears_of("it was the epoch of belief")
        await talk.asks(talk.presses("5"), "That was the echo test.")
        monkeypatch.setattr(builtin, "PATIENCE", 4.0)
        await talk.asks(talk.says("How is the line?"), "That is a good line.")
        await talk.call.hung_up(40)
        await talk.hears_of("Are you still there? I hear nothing, so I will hang up. Goodbye.")
