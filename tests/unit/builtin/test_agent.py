"""The agent in the box, in text: what it answers to what is said and pressed."""

import asyncio
import math
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from offhook.agent.rehearsal import Caller, rehearse
from offhook.builtin import agent as builtin
from offhook.builtin.line_meter import LineMeter
from offhook.builtin.recording import Recording, beep
from offhook.speech.prompt_voice import phrases_of
from offhook.speech.sentences import sentences
from offhook.speech.speakable import speakable

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)


@asynccontextmanager
async def called(*, listens: bool = True) -> AsyncIterator[Caller]:
    agent = builtin.make_agent(listens=listens, now=lambda: NOON)
    async with rehearse(agent, from_number="+14155550100", to_number="+14155550123") as caller:
        greeting = await caller.hears()
        assert "offhook" in greeting
        yield caller


def tone(seconds: float, amplitude: int, rate: int = 8_000) -> bytes:
    wave = (round(amplitude * math.sin(2 * math.pi * 300 * n / rate)) for n in range(round(seconds * rate)))
    return array("h", wave).tobytes()


def pieces(pcm: bytes, rate: int = 8_000) -> list[bytes]:
    return [pcm[at : at + rate // 25] for at in range(0, len(pcm), rate // 25)]


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("What time is it?", "It is 12:30 on Sunday."),
        ("Who's calling?", "You are calling from +14155550100. You dialled +14155550123. The call came by the trunk"),
        ("Can you hear me?", "I have not heard enough of you yet"),
        ("What can you do?", "Ask me who is calling"),
        ("Hi there.", "Hello! What would you like?"),
        ("Thanks!", "You are welcome."),
        ("Stop.", "All right."),
        ("Play my message.", "There is no message yet."),
        ("Book me a flight.", "I heard: Book me a flight."),
    ],
)
async def test_a_question_has_its_answer(said: str, answer: str) -> None:
    async with called() as caller:
        await caller.says(said)
        assert (await caller.hears()).startswith(answer)
        await caller.says("Say that again.")
        assert (await caller.hears()).startswith(answer)


async def test_goodbye_is_answered_and_ends_the_call() -> None:
    async with called() as caller:
        await caller.says("Goodbye.")
        assert (await caller.hears()).startswith("Goodbye")
        await caller.is_hung_up_on()


async def test_a_number_is_taken_by_voice_or_by_keys_and_read_back() -> None:
    async with called() as caller:
        await caller.says("Take a number.")
        assert await caller.hears() == "Say or key in a number."
        await caller.says("Four one five, five five five, oh one double zero, and 123456.")
        assert await caller.hears() == "I have the number 4155550100123456."
        await caller.says("I'll give you a number.")
        assert await caller.hears() == "Say or key in a number."
        await caller.presses("0042#")
        assert await caller.hears() == "I have the number 0042."


async def test_keys_are_a_menu_too_and_enough_without_an_ear() -> None:
    async with called(listens=False) as caller:
        await caller.presses("1")
        assert (await caller.hears()).startswith("It is 12:30")
        await caller.presses("9")
        assert (await caller.hears()).startswith("Press 1 for the time")
        await caller.presses("#")
        assert (await caller.hears()).startswith("Goodbye")
        await caller.is_hung_up_on()


async def test_by_keys_it_says_nothing_that_the_prompts_can_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "SETTLING", 0.0)
    async with called(listens=False) as caller:
        said = []
        for keys in ("1", "3", "415#", "5", "7", "0", "2", "*", "#"):
            await caller.presses(keys)
            said.append(await caller.hears())
    assert "I have the number 415." in said
    for text in said:
        # A trunk's name is nothing that could be prepared; the sentences before it are.
        for sentence in sentences(text.partition("The call came by")[0]):
            phrases_of(speakable(sentence))


async def test_after_silence_it_asks_once_and_says_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "PATIENCE", 0.02)
    async with called() as caller:
        assert await caller.hears() == "Are you still there?"
        assert "hang up" in await caller.hears()
        await caller.is_hung_up_on()


async def test_a_message_is_taken_until_a_key_and_played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "SETTLING", 0.0)
    async with called() as caller:
        await caller.says("Take a message.")
        assert "beep" in await caller.hears()
        conversation = caller.call.data["conversation"]
        while conversation._key is None:  # noqa: ASYNC110 - the beep has no text that could be heard
            await asyncio.sleep(0)
        for piece in pieces(bytes(8_000) + tone(2.0, 8_000) + bytes(8_000)):
            caller.call._session.hear(piece)
            await asyncio.sleep(0)
        await caller.presses("5")
        assert (await caller.hears()).startswith("I have your message of 3 seconds.")
        await caller.says("Play it.")
        assert await caller.hears() == "That was your message."


async def test_what_is_said_in_an_echo_test_is_no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "SETTLING", 0.0)
    async with called() as caller:
        await caller.says("Echo test.")
        assert "You hear yourself" in await caller.hears()
        conversation = caller.call.data["conversation"]
        while conversation._key is None:  # noqa: ASYNC110 - an echo has no text that could be heard
            await asyncio.sleep(0)
        await caller.says("What time is it?")
        await caller.says("One two three.")
        await caller.presses("5")
        assert await caller.hears() == "That was the echo test."
        await caller.says("Thanks, bye.")
        assert (await caller.hears()).startswith("Goodbye")


def test_a_recording_ends_after_silence_and_keeps_what_was_said() -> None:
    recording = Recording(8_000)
    taken = [recording.feed(piece) for piece in pieces(bytes(16_000) + tone(1.0, 5_000) + bytes(64_000))]
    assert taken.index(False) == pytest.approx(50 + 50 + 150, abs=1)
    assert len(recording.spoken()) / 16_000 == pytest.approx(1.6, abs=0.05)
    nothing = Recording(8_000)
    assert sum(nothing.feed(piece) for piece in pieces(bytes(160_000))) == pytest.approx(300, abs=1)
    assert nothing.spoken() == b""


def test_a_beep_begins_and_ends_softly() -> None:
    samples = array("h", beep(16_000))
    assert (len(samples), samples[0], samples[-1]) == (3_200, 0, 0)
    assert max(samples) > 8_000


@pytest.mark.parametrize(
    ("voice", "noise", "words"),
    [
        (8_000, 20, "That is a good line."),
        (8_000, 1_500, "There is a lot of noise behind it."),
        (150, 3, "That is a quiet voice"),
        (30_000, 20, "so loud"),
        (3_000, 3_000, "That is a noisy line."),
        (8_000, 0, "minus 90 dB. That is a good line."),
        (10, 0, "I have not heard enough of you yet"),
    ],
)
@pytest.mark.parametrize("listened", [1.0, 25.0])
def test_the_line_is_judged_by_what_came(voice: int, noise: int, words: str, listened: float) -> None:
    meter = LineMeter()
    for piece in pieces(tone(listened, noise) + tone(0.7, voice) + tone(1.0, noise)):
        meter.feed(piece)
    assert words in meter.report()
