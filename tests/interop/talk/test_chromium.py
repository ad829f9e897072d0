"""The talk page in Debian's Chromium, which speaks a WAV file: the agent's answer is heard, and shown."""

import asyncio
import math
import re
from array import array
from collections.abc import AsyncGenerator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.support.chromium import chromium, tab, write_microphone
from tests.support.gateway import REPOSITORY, Gateway, running_gateway, wait_until
from tests.support.sdk_worker import agent_table, working
from tests.support.speech import read_wav, resampled
from tests.support.talker import link_of
from tests.support.undisturbed import undisturbed
from tests.support.words import word_errors, words

from offhook.agent import Agent, Call, SpeechEnded
from offhook.builtin.agent import make_agent
from offhook.speech.protocol import SpeechStarted, SpeechToText, Spoken, Transcript

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

WELCOME = REPOSITORY / "python/offhook/destination/prompts/welcome.wav"
SENTENCE = REPOSITORY / "python/offhook/phone/sounds/sentence.wav"
TOML = f"""
[[trunk]]
name = "acme"
allow = ["198.51.100.0/24"]

[[route]]
name = "front"
trunk = "acme"
destination = "worker:front"
{agent_table("front")}"""
ANSWER = "This is what a person has recorded."


class RecordedVoice:
    """Says every text as one recording of a person, so that voice activity takes it for speech."""

    name = "recorded"

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def say(self, text: str, *, rate: int) -> AsyncGenerator[Spoken, None]:
        sound, own = read_wav(WELCOME)
        yield Spoken(resampled(sound, own, rate).tobytes(), rate, text)

    async def close(self) -> None:
        """Nothing to do."""


def link(gateway: Gateway) -> str:
    return "#".join(link_of(gateway))


def spoken(path: Path) -> "array[int]":
    """A recording at 48 kHz, as a microphone has it."""
    sound, rate = read_wav(path)
    return array("h", resampled(sound, rate, 48_000).tolist())


def level(samples: "array[int]") -> float:
    """The root mean square of the loudest half second."""
    step = 24_000
    pieces = [samples[at : at + step] for at in range(0, len(samples) - step, step)]
    return max((math.sqrt(sum(sample * sample for sample in piece) / step) for piece in pieces), default=0.0)


async def understood(ear: SpeechToText, rate: int, samples: "array[int]") -> str:
    """The words of a sound."""
    import numpy as np

    pcm = resampled(np.array(samples, np.int16), rate, 16_000).tobytes()
    listening, texts, begun = ear.listen(rate=16_000), [], 0
    listening.write(pcm + bytes(32_000))
    listening.finish()
    await asyncio.sleep(0.3)
    async with asyncio.timeout(30):
        async for event in listening:
            begun += isinstance(event, SpeechStarted)
            if isinstance(event, Transcript):
                texts.append(event.text)
                if len(texts) == begun:
                    break
    await listening.close()
    return " ".join(texts)


@undisturbed
async def test_the_agent_hears_and_its_answer_is_heard_and_shown(tmp_path: Path) -> None:
    agent = Agent("front", tts=RecordedVoice())
    heard: list[int] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        async for event in call.events():
            if isinstance(event, SpeechEnded):
                heard.append(event.since_ms)
                await call.say(ANSWER, barge_in="off")
                await call.hang_up("done")

    microphone = write_microphone(tmp_path / "microphone.wav", 48_000, 3.0, spoken(SENTENCE)[:120_000], 20.0)
    with running_gateway(tmp_path, TOML) as gateway:
        async with working(agent, gateway), chromium(microphone) as browser, tab(browser, link(gateway)) as page:
            await page.calls("worker:front")
            # The token is out of the address bar.
            assert "#" not in page.page.url
            await page.waits_for("Number(document.querySelector('#mine').dataset.db) > -30")
            await page.waits_for("document.querySelector('#transcript .agent') !== null")
            await page.waits_for("Number(document.querySelector('#theirs').dataset.db) > -30")
            await page.waits_for("document.querySelector('#latency').textContent.endsWith(' s')")
            waited = float((await page.page.inner_text("#latency")).split()[0])
            await page.waits_for("document.querySelector('#state').textContent === 'The agent ended the call.'", 30)
            assert await page.lines() == [("agent", ANSWER)]
            assert re.search(r"after \d\.\d\d s", await page.page.inner_text("#transcript .agent b"))
            _, samples = await page.heard()
            assert level(samples) > 1_000
            assert heard
            assert 0.0 < waited < 10.0
            assert not await page.page.is_visible("#trouble")
            assert await page.page.is_enabled("#choice")
            assert page.errors == []
        call = await asyncio.to_thread(wait_until, lambda: over(gateway), 30, "the call has no end")
        assert (call["trunk"], call["codec"], call["end_reason"]) == ("@talk", "G722", "agent_hung_up")
        assert call["media"]["received_lost"] == 0


def over(gateway: Gateway) -> dict[str, Any] | None:
    """The last call, once its record is whole."""
    call = gateway.calls()[0]
    return call if call["end_reason"] else None


@undisturbed
async def test_the_built_in_agent_understands_a_person_and_is_understood(tmp_path: Path) -> None:
    package = find_spec("moonshine_voice")
    assert package is not None, "pip install 'offhook[agent]'"
    assert package.submodule_search_locations
    recording, rate = read_wav(Path(package.submodule_search_locations[0]) / "assets/beckett.wav")
    person = array("h", resampled(recording, rate, 48_000)[:72_000].tolist())
    # Behind the greeting, which takes some eight seconds.
    microphone = write_microphone(tmp_path / "microphone.wav", 48_000, 12.0, person, 30.0)
    agent = make_agent()
    with running_gateway(tmp_path, TOML) as gateway:
        async with working(agent, gateway), chromium(microphone) as browser, tab(browser, link(gateway)) as page:
            await page.calls("worker:front")
            await page.waits_for("document.querySelector('#transcript .caller:not(.open)') !== null", 40)
            finished = "[...document.querySelectorAll('#transcript .caller ~ .agent:not(.open)')]"
            await page.waits_for(f"{finished}.some((line) => line.textContent.includes('I heard'))", 40)
            lines = await page.lines()
            asked = next(text for who, text in lines if who == "caller")
            answer = " ".join(
                text for who, text in lines[[who for who, _ in lines].index("caller") :] if who == "agent"
            )
            assert word_errors("ever tried", asked) <= 0.5, lines
            assert "i heard" in " ".join(words(answer)), lines
            rate, samples = await page.heard()
            await page.page.click("#call")
            await page.waits_for("document.querySelector('#state').textContent === 'You hung up.'")
            text = await understood(agent.speech.stt(), rate, samples)
            # The greeting and the answer, as they came out of the loudspeaker.
            said = " ".join(text for who, text in lines if who == "agent")
            print(f"shown: {said!r}\nheard: {text!r}\nlatency: {await page.page.inner_text('#latency')}")
            assert word_errors(said, text) <= 0.2
            assert page.errors == []


async def test_it_says_in_words_what_keeps_it_from_calling(tmp_path: Path) -> None:
    resolver = "--host-resolver-rules=MAP talk.test 127.0.0.1"
    with running_gateway(tmp_path, TOML.replace('"worker:front"', '"echo:"')) as gateway:
        page_url, token = link_of(gateway)
        async with chromium(None, [resolver]) as browser:
            async with tab(browser, f"{page_url}#{token}", allowed=False) as page:
                await page.page.click("#call:enabled")
                await page.waits_for("!document.querySelector('#trouble').hidden")
                assert "The microphone is blocked" in await page.trouble()
                assert await page.page.inner_text("#call") == "Call"
            port = gateway.http.rpartition(":")[2]
            async with tab(browser, f"http://talk.test:{port}/talk#{token}") as page:
                await page.waits_for("!document.querySelector('#trouble').hidden")
                assert "The microphone needs localhost or HTTPS" in await page.trouble()
                assert f"http://localhost:{port}/talk" in await page.trouble()
                assert await page.page.is_disabled("#call")
            async with tab(browser, f"{page_url}#wrong") as page:
                await page.waits_for("!document.querySelector('#trouble').hidden")
                assert "offhook run" in await page.trouble()
            async with tab(browser, page_url) as page:
                await page.waits_for("!document.querySelector('#trouble').hidden")
                assert "The link is not complete" in await page.trouble()
            async with tab(browser, f"{page_url}#{token}") as page:
                await page.calls("echo:")
                gateway.kill()
                await page.waits_for("!document.querySelector('#trouble').hidden")
                assert "The connection to the gateway broke" in await page.trouble()
