"""Agents of the SDK on a real gateway, called by a phone of plain text: the worker's whole way, from RTP to RTP."""

import asyncio
import math
import re
import wave
from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.gateway import REPOSITORY, Gateway, running_gateway, wait_until
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.sdk_worker import agent_table, working
from tests.support.speech_engines import HZ, WORD_MS, ToldEars, ToneVoice
from tests.support.tone import decode, frames, has_tone, lasting, tone
from tests.support.understood import understood
from tests.support.undisturbed import undisturbed

from offhook.agent import Agent, Call, Said, Turn
from offhook.agent.loading import load_agent

pytestmark = pytest.mark.interop

SENTENCE = REPOSITORY / "python/offhook/phone/sounds/sentence.wav"
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "front"
destination = "worker:front"
fallback = [{{ to = "echo:" }}]
{agent_table("front")}"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("offhook"), TOML) as running:
        yield running


@asynccontextmanager
async def calling(gateway: Gateway) -> AsyncIterator[PhoneCall]:
    """A call that was answered."""
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, headers=["X-Account: 77"])
        await call.answered()
        yield call


def heard_ms(call: PhoneCall, hz: float = HZ) -> int:
    """How long the phone heard a tone."""
    return 20 * len([packet for packet in call.packets if has_tone(packet.payload, hz)])


async def test_the_last_word_is_heard_before_the_call_is_hung_up(gateway: Gateway) -> None:
    agent = Agent("front", greeting="One two three.", tts=ToneVoice())
    said: list[Said] = []
    calls: list[Call] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        calls.append(call)
        said.append(await call.say("Four five."))

    async with working(agent, gateway), calling(gateway) as phone:
        await phone.hung_up()
        assert abs(heard_ms(phone) - 5 * WORD_MS) <= WORD_MS / 2
        assert said == [Said("Four five.", False, 2 * WORD_MS)]
        assert (calls[0].from_number, calls[0].trunk, calls[0].route) == ("+14155550100", "acme", "front")
        assert calls[0].headers == {"X-Account": "77"}
        record = gateway.record(phone.call_id)
    assert (record["end_reason"], record["call_id"]) == ("agent_hung_up", calls[0].id)


@undisturbed
async def test_a_caller_who_speaks_over_the_agent_silences_it_and_the_words_heard_are_known(gateway: Gateway) -> None:
    ears = ToldEars()
    agent = Agent("front", stt=ears, tts=ToneVoice(), barge_in="clear")
    saying: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
    turns: list[Turn] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        saying.set_result(await call.say(" ".join(str(number) for number in range(100))))
        await call.wait_until_over()

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        turns.append(turn)
        await call.hang_up()

    async with working(agent, gateway), calling(gateway) as phone:
        await phone.hears(HZ, frames=50)
        phone.say(sentence())
        said = await asyncio.wait_for(saying, 30)
        heard = heard_ms(phone)
        assert said.interrupted
        assert abs(said.played_ms - heard) <= WORD_MS / 2
        assert abs(len(said.heard.split()) - heard / WORD_MS) <= 1
        assert loudest(ears) > 1000, "what the caller says is heard"
        ears.starts()
        ears.stops("Enough, thank you.")
        await phone.hung_up()
        assert heard_ms(phone) - heard <= WORD_MS / 2
        assert turns[0].interrupted == said


@undisturbed
async def test_a_word_in_passing_stops_nothing_and_what_a_noise_cut_off_is_said_after_all(gateway: Gateway) -> None:
    agent = Agent("front", stt=ToldEars(), tts=ToneVoice())
    words = [str(number) for number in range(100, 115)]
    said: asyncio.Queue[Said] = asyncio.Queue()
    calls: list[Call] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        calls.append(call)
        said.put_nowait(await call.say(" ".join(words)))
        said.put_nowait(await call.say(" ".join(words)))
        async for event in call.events():
            if isinstance(event, Said):
                said.put_nowait(event)

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        raise AssertionError("the ears make no words of it")

    async with working(agent, gateway), calling(gateway) as phone, asyncio.timeout(45):
        await phone.hears(HZ, frames=25)
        phone.say(sentence()[30:44])
        assert await said.get() == Said(" ".join(words), False, len(words) * WORD_MS)
        await phone.hears(HZ, frames=25, since=len(phone.packets))
        phone.say(sentence()[30:90])
        cut, rest = await said.get(), await said.get()
        assert (cut.interrupted, rest.interrupted) == (True, False)
        assert 3 <= len(cut.heard.split()) < len(words)
        assert cut.heard.split() + rest.heard.split() == words
        assert [line.text for line in calls[0].history] == [" ".join(words), cut.heard, rest.heard]
        assert abs(heard_ms(phone) - 2 * len(words) * WORD_MS) <= WORD_MS, "all of it was heard, but for half a word"
    media = gateway.record(phone.call_id)["media"]
    assert (media["interruptions"], media["ducks"] >= 2) == (1, True)


async def test_keys_both_ways(gateway: Gateway) -> None:
    agent = Agent("front", tts=ToneVoice())
    digits: list[str] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        found = await call.collect_digits(3, " ".join(["something"] * 30))
        digits.append(str(found))
        await call.send_dtmf("9#")

    async with working(agent, gateway), calling(gateway) as phone:
        await phone.hears(HZ)
        phone.press("4*1")
        await phone.hung_up()
        assert digits == ["4*1"]
        assert heard_ms(phone) < 15 * WORD_MS, "a key cuts off the prompt"
        assert sorted({packet.payload[0] for packet in phone.packets if packet.payload_type == 101}) == [9, 11]


async def test_a_rejected_call_gets_the_status_that_the_agent_chose(gateway: Gateway) -> None:
    agent = Agent("front", greeting="Hello.", tts=ToneVoice())

    @agent.on_ringing
    async def ringing(call: Call) -> None:
        await call.ring(0.3)
        await call.reject(486, "closed on Sundays")

    async with working(agent, gateway), PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        assert (await call.final()).status == 486
        assert "closed on Sundays" in gateway.record(call.call_id)["end_detail"]


async def test_an_agent_that_fails_leaves_the_caller_to_the_fallback(gateway: Gateway) -> None:
    agent = Agent("front", tts=ToneVoice(), apology=None)

    @agent.on_dtmf
    async def on_dtmf(call: Call, digit: str) -> None:
        raise ValueError(digit)

    @agent.on_call
    async def on_call(call: Call) -> None:
        await call.wait_until_over()

    async with working(agent, gateway) as worker, calling(gateway) as phone:
        phone.press("1")
        async with asyncio.timeout(30):
            await worker.idle()
        # Until the fallback has taken over, nobody says it back.
        phone.say(lasting(440))
        await phone.hears(440, frames=20)
        assert phone.is_up


async def test_an_agent_that_fails_and_apologises_is_whom_the_record_names(gateway: Gateway) -> None:
    agent = Agent("front", tts=ToneVoice())

    @agent.on_call
    async def on_call(call: Call) -> None:
        raise KeyError("table")

    async with working(agent, gateway), calling(gateway) as phone:
        await phone.hung_up()
        record = gateway.record(phone.call_id)
        assert (record["end_reason"], record["fault"]) == ("agent_failed", "agent")


async def test_frames_go_round(gateway: Gateway) -> None:
    agent = load_agent(REPOSITORY / "examples" / "raw_frames.py")
    async with working(agent, gateway), calling(gateway) as phone:
        await asyncio.sleep(0.2)
        phone.say(tone(900, 2.0))
        await phone.hears(900, frames=20)
        phone.press("#")
        await phone.hung_up()
        assert "the caller pressed #" in str(gateway.record(phone.call_id))


async def test_calls_go_to_the_fallback_while_no_worker_is_there(gateway: Gateway) -> None:
    async with calling(gateway) as phone:
        phone.say(lasting(440))
        await phone.hears(440, frames=20)


async def test_an_agent_pauses_the_recording_of_its_call(tmp_path: Path) -> None:
    agent = Agent("front", tts=ToneVoice())
    states: list[str] = []

    @agent.on_call
    async def on_call(call: Call) -> None:
        await call.say("One.")
        states.extend([call.recording, await call.record("pause"), await call.record("resume")])

    with running_gateway(tmp_path, TOML.replace("fallback", "record = true\nfallback")) as gateway:
        async with working(agent, gateway), calling(gateway) as phone:
            await phone.hung_up()
    assert states == ["on", "paused", "on"]


AGENT = """
from offhook import Agent

agent = Agent("beside", rate=8000)

@agent.on_call
async def on_call(call):
    print(f"a call from {call.from_number}", flush=True)
    await call.play("tone.wav", barge_in="off")
"""


async def test_one_command_runs_gateway_and_agent(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(AGENT)
    samples = array("h", (round(8000 * value) for value in _sine(700, 0.5)))
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    toml = '[[trunk]]\nname = "local"\nallow = ["127.0.0.1"]\n[[route]]\nname = "r"\ndestination = "worker:beside"\n'
    with running_gateway(tmp_path, toml, arguments=("agent.py",)) as gateway:
        # It is ready when the agent is, not before.
        async with PlainPhone.open() as phone, asyncio.timeout(60):
            call = phone.dial(gateway.udp)
            await call.answered()
            await call.hung_up()
            assert abs(heard_ms(call, 700) - 500) <= 100
        wait_until(lambda: "a call from +14155550100" in gateway.said(), 30, gateway.said)
        assert "agent   beside" in gateway.said()


def _sine(hz: float, seconds: float) -> Iterator[float]:

    return (math.sin(2 * math.pi * hz * n / 8000) for n in range(round(8000 * seconds)))


def sentence() -> list[bytes]:
    """A spoken sentence as frames of the line."""
    with wave.open(str(SENTENCE)) as file:
        assert file.getframerate() == 8000
        return frames(array("h", file.readframes(file.getnframes())))


def loudest(ears: ToldEars) -> int:
    return max(map(abs, array("h", bytes(ears.listening[0].sound))))


@pytest.mark.timeout(120)
async def test_an_agent_with_the_offline_engines_says_back_what_it_understood(gateway: Gateway) -> None:
    agent = load_agent(REPOSITORY / "examples" / "parrot.py")
    calls: list[Call] = []

    @agent.on_ringing
    async def ringing(call: Call) -> None:
        calls.append(call)

    async with working(agent, gateway), calling(gateway) as phone:
        await until(lambda: len(calls[0].history) == 1)
        begin = len(phone.packets)
        phone.say(sentence())
        await until(lambda: any(line.role == "agent" for line in list(calls[0].history)[1:]))
        heard = b"".join(packet.payload for packet in phone.packets[begin:] if packet.payload_type == 0)
        recognised = await understood(agent.speech.stt(), array("h", decode(heard)).tobytes())
    question, answer = (line.text for line in list(calls[0].history)[1:3])
    assert len(question.split()) >= 3
    assert answer == f"You said: {question}"
    assert words_missing(answer, recognised) <= 2, "a word each way, on a telephone line"


def words_missing(text: str, heard: str) -> int:
    """How many words of a text were not heard."""
    there = re.findall(r"\w+", heard.lower())
    return sum(word not in there for word in re.findall(r"\w+", text.lower()))


async def until(condition: Callable[[], object], within: float = 40.0) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(within):
        while True:
            if condition():
                return
            await asyncio.sleep(0.05)
