"""The built-in agent on a real gateway: a phone talks with it, in a person's words and in a voice's, and by keys."""

import asyncio
import time
from array import array
from collections.abc import AsyncIterator, Awaitable
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.support.gateway import running_gateway
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.rtp_peer import Packet, RtpPeer
from tests.support.speech import read_wav, resampled
from tests.support.tone import decode, frames
from tests.support.words import word_errors, words

from offhook.agent.worker import Gateway as Dialled
from offhook.agent.worker import Worker
from offhook.builtin.agent import make_agent
from offhook.speech.protocol import SpeechStarted, SpeechToText, TextToSpeech, Transcript

pytestmark = pytest.mark.interop

TOML = """
[[trunk]]
name = "home"
allow = ["127.0.0.1"]

[[route]]
name = "all"
destination = "worker:builtin"

[[agent]]
name = "builtin"
kind = "worker"
token = "a-token-of-the-tests"
"""
QUIET = 0.9
"""Seconds of silence after which the agent has finished."""


class Talk:
    """The phone's end of a conversation."""

    def __init__(self, call: PhoneCall, ear: SpeechToText, voice: TextToSpeech) -> None:
        self.call, self.ear, self.voice = call, ear, voice
        self.waits: list[float] = []
        self._said_at = 0.0

    async def hears(self) -> str:
        """What the agent says until it is silent."""

        def heard() -> list[Packet]:
            return [packet for packet in self.call.audible() if packet.at > self._said_at]

        def silent(rtp: RtpPeer) -> bool:
            return bool(found := heard()) and (rtp.packets[-1].at - found[-1].at > QUIET or not self.call.is_up)

        await self.call.rtp.until(silent, 30)
        self.waits.append(heard()[0].at - self._said_at)
        packets = [packet for packet in self.call.packets if packet.at > self._said_at and packet.payload_type == 0]
        pcm = array("h", decode(b"".join(packet.payload for packet in packets))).tobytes()
        return await understood(self.ear, pcm)

    async def asks(self, asking: Awaitable[None], answer: str) -> None:
        """Ask, and hear these words in the answer."""
        await asking
        await self.hears_of(answer)

    async def hears_of(self, answer: str) -> None:
        """The agent says something with these words: one of them in ten may be misheard, or one at all."""
        heard, wanted = words(await self.hears()), words(answer)
        starts = range(max(1, len(heard) - len(wanted) + 1))
        errors = min(word_errors(answer, " ".join(heard[at : at + len(wanted)])) for at in starts)
        assert errors <= max(0.1, 1 / len(wanted)), f"{heard} and not {wanted}"

    async def says(self, text: str) -> None:
        """Say it in the voice."""
        pcm = b"".join([piece.pcm async for piece in self.voice.say(text, rate=8_000)])
        samples = array("h")
        samples.frombytes(pcm)
        await self.plays(samples)

    async def plays(self, samples: "array[int]") -> None:
        """Let it be heard."""
        while samples and abs(samples[-1]) < 300:
            samples.pop()
        sound = frames(samples)
        self.call.say(sound)
        await asyncio.sleep(0.02 * len(sound))
        self._said_at = time.time()

    async def presses(self, keys: str) -> None:
        """Press them, each a fifth of a second."""
        self.call.press(keys)
        await asyncio.sleep(0.2 * len(keys))
        self._said_at = time.time()


async def understood(ear: SpeechToText, pcm: bytes) -> str:
    """The words of a sound."""
    listening, texts, begun = ear.listen(rate=8_000), [], 0
    listening.write(pcm + bytes(8_000))
    listening.finish()
    await asyncio.sleep(0.3)
    async with asyncio.timeout(20):
        async for event in listening:
            begun += isinstance(event, SpeechStarted)
            if isinstance(event, Transcript):
                texts.append(event.text)
                if len(texts) == begun:
                    break
    await listening.close()
    return " ".join(texts)


def beckett() -> "array[int]":
    """A person who says: ever tried."""
    package = find_spec("moonshine_voice")
    assert package is not None, "pip install 'offhook[agent]'"
    assert package.submodule_search_locations
    sound, rate = read_wav(Path(package.submodule_search_locations[0]) / "assets/beckett.wav")
    return array("h", resampled(sound, rate, 8_000)[:12_000].tolist())


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Talk]:
    with running_gateway(tmp_path, TOML) as gateway:
        agent = make_agent()
        await agent.warm_up()
        worker = Worker(agent, Dialled.of(gateway.http, "a-token-of-the-tests"))
        serving = asyncio.create_task(worker.run())
        try:
            async with asyncio.timeout(10):
                await worker.is_connected.wait()
            async with PlainPhone.open() as phone:
                call = phone.dial(gateway.udp)
                await call.answered()
                yield Talk(call, agent.speech.stt(), agent.speech.tts())
        finally:
            serving.cancel()
            await asyncio.wait({serving})
            await agent.speech.close()


async def test_a_phone_talks_with_it(talk: Talk) -> None:
    await talk.hears_of("What would you like? Say help to hear what I can do.")
    await talk.asks(talk.says("What time is it?"), f"on {datetime.now().astimezone():%A}")
    await talk.asks(talk.plays(beckett()), "I heard ever tried")
    await talk.asks(talk.presses("3"), "key in a number")
    await talk.asks(talk.presses("415#"), "I have the number 415")
    await talk.says("Please hang up.")
    # Its last word is heard before the line is cut.
    await talk.call.hung_up()
    await talk.hears_of("and thank you for calling")
    print("from the last word to the answer:", " ".join(f"{wait:.2f}" for wait in talk.waits[1:3]), "s")
