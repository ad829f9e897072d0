"""The engines without an account, as they are installed: human speech through a telephone's codec, and their own."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from tests.support.human import reading
from tests.support.speech import Sound, resampled
from tests.support.tone import decode, encode
from tests.support.understood import understood
from tests.support.words import word_errors, words, words_heard

from offhook.speech.hibari import HibariTextToSpeech
from offhook.speech.moonshine import MoonshineSpeechToText
from offhook.speech.prompt_voice import PromptTextToSpeech
from offhook.speech.protocol import SpeechStopped, SpeechToText, TextToSpeech, Transcript
from offhook.speech.script import Script

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

# Dickens, read by a person; it comes with the recogniser's package, and so does Beckett.
TALE = """It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness,
it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness,
it was the spring of hope, it was the winter of despair, we had everything before us, we had nothing before us, we were
all going direct to Heaven, we were all going direct the other way, in short, the period was so far like the present
period, that some of its noisiest authorities insisted on its being received, for good or for evil, in the superlative
degree of comparison only."""
FAIL = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ear() -> AsyncIterator[SpeechToText]:
    engine = MoonshineSpeechToText()
    await engine.warm_up()
    yield engine
    await engine.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def voice() -> AsyncIterator[TextToSpeech]:
    engine = HibariTextToSpeech()
    await engine.warm_up()
    yield engine
    await engine.close()


def by_telephone(sound: Sound, rate: int) -> bytes:
    """PCM16 at 8 kHz after G.711, as the gateway hands it on, without the silence at the end."""
    narrow = resampled(sound, rate, 8_000)
    narrow = narrow[: int(np.flatnonzero(np.abs(narrow) > 500)[-1]) + 800]
    return np.array(decode(encode(narrow.tolist())), "<i2").tobytes()


async def spoken(engine: TextToSpeech, text: str, rate: int = 8_000) -> bytes:
    return b"".join([piece.pcm async for piece in engine.say(text, rate=rate)])


@pytest.mark.parametrize(("name", "text", "most"), [("two_cities.wav", TALE, 0.1), ("beckett.wav", FAIL, 0.17)])
async def test_human_speech_is_understood_over_the_telephone(
    ear: SpeechToText, name: str, text: str, most: float
) -> None:
    started, cpu = time.perf_counter(), time.process_time()
    sound, rate = reading(name)
    errors = word_errors(text, await understood(ear, by_telephone(sound, rate)))
    seconds = len(sound) / rate
    spent = (time.process_time() - cpu) / seconds
    print(f"{name}: {errors:.1%} word errors, {spent:.3f} of a core, {time.perf_counter() - started:.1f} s in all")
    assert errors <= most


async def test_what_the_voice_says_is_understood_over_the_telephone_to_the_digit(
    ear: SpeechToText, voice: TextToSpeech
) -> None:
    prompts = PromptTextToSpeech()
    text = "Thank you for calling. Your table is booked for tomorrow evening. We look forward to seeing you."
    for rate in (8_000, 16_000):
        assert word_errors(text, await understood(ear, await spoken(voice, text, rate), rate)) <= 0.06
    for engine, text in ((voice, "Your number is **+1 415-555-0123**."), (prompts, "I have the number 14155550123.")):
        assert _digits(await understood(ear, await spoken(engine, text))).endswith("14155550123")


async def test_nothing_to_say_is_no_sound(voice: TextToSpeech) -> None:
    for text in ("", "   ", "\U0001f600", "***", "你好"):
        assert await spoken(voice, text) == b""


async def test_silence_and_noise_are_no_words(ear: SpeechToText) -> None:
    listening = ear.listen(rate=8_000)
    noise = np.random.default_rng(5).normal(0, 300, 80_000).astype("<i2").tobytes()
    listening.write(noise + bytes(32_000))
    listening.finish()
    await asyncio.sleep(0.5)
    await listening.close()
    assert [event async for event in listening] == []


async def test_speech_that_is_cancelled_is_no_work_any_more(
    voice: HibariTextToSpeech, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, third, loop = 0, asyncio.Event(), asyncio.get_running_loop()
    make = voice._sound

    def counted(*args: Any) -> Any:
        nonlocal made
        made += 1
        if made == 3:
            loop.call_soon_threadsafe(third.set)
        return make(*args)

    monkeypatch.setattr(voice, "_sound", counted)
    speech = voice.say("This is a sentence that nobody wants to hear. " * 30, rate=8_000)
    await anext(speech)
    await speech.aclose()
    assert made == 1
    reader = asyncio.create_task(spoken(voice, "This is another one that is cancelled in its middle. " * 30))
    await third.wait()
    reader.cancel()
    await asyncio.wait([reader])
    then = made
    # A thread that was at work finishes its piece.
    await asyncio.sleep(0.5)
    assert made <= then + 1


async def test_recognition_that_is_cancelled_ends_within_a_token(
    ear: MoonshineSpeechToText, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, begun = 0, asyncio.Event()
    assert ear._model is not None
    decoder, loop = ear._model._decoder, asyncio.get_running_loop()

    class Counted:
        def run(self, *args: Any) -> Any:
            nonlocal steps
            steps += 1
            loop.call_soon_threadsafe(begun.set)
            return decoder.run(*args)

    monkeypatch.setattr(ear._model, "_decoder", Counted())
    sound, rate = reading("two_cities.wav")
    listening = ear.listen(rate=8_000)
    # Its last sentence: some thirty tokens.
    listening.write(by_telephone(sound, rate)[-9 * 16_000 :])
    listening.finish()
    await begun.wait()
    await listening.close()
    then = steps
    await asyncio.sleep(0.5)
    assert steps <= then + 1


async def test_ten_callers_at_once_are_each_understood_and_answered(ear: SpeechToText, voice: TextToSpeech) -> None:
    animals = ["dog", "horse", "rabbit", "chicken", "tiger", "monkey", "elephant", "spider", "lion", "camel"]
    questions = [await spoken(voice, f"Please tell me everything about the {animal} again.") for animal in animals]
    waits: list[float] = []

    async def call(animal: str, question: bytes) -> None:
        listening = ear.listen(rate=8_000)
        listening.write(question + bytes(8_000))
        async for event in listening:
            if isinstance(event, SpeechStopped):
                stopped = time.perf_counter()
            if isinstance(event, Transcript) and event.final:
                assert animal in words(event.text), event.text
                await anext(aiter(voice.say(f"The {animal} is an animal.", rate=8_000)))
                waits.append(time.perf_counter() - stopped)
                break
        await listening.close()

    async with asyncio.timeout(120), asyncio.TaskGroup() as calls:
        for animal, question in zip(animals, questions, strict=True):
            calls.create_task(call(animal, question))
    print(
        f"ten at once, from the end of speech to the first sound: {np.median(waits):.2f} s, at most {max(waits):.2f} s"
    )


async def test_the_text_that_was_heard_is_that_of_the_sound_to_a_word(ear: SpeechToText, voice: TextToSpeech) -> None:
    text = "You can leave a message for the doctor, ask for another appointment, or call again on Monday morning."
    script, pcm = Script(), b""
    async for piece in voice.say(text, rate=8_000):
        script.add(piece)
        pcm += piece.pcm
    for share in (0.3, 0.5, 0.7, 0.9):
        played_ms = script.duration_ms * share
        claimed = words(script.heard(played_ms))
        heard = await understood(ear, pcm[: round(played_ms * 16) // 2 * 2])
        assert claimed == words(text)[: len(claimed)]
        fewest, most = words_heard(text, heard)
        assert fewest - 1 <= len(claimed) <= most + 1, (claimed, heard)


@pytest.mark.parametrize(
    ("text", "word", "heard"),
    [
        ("Your code is 4711. Thank you.", "is", "is"),
        ("It is 12:30 on Monday — isn't it?", "Monday", "monday"),
        ("Write to help@example.com at once, please.", "once,", "once"),
        ("The gateway is at 192.0.2.17, on port 5060, today.", "5060,", "5060"),
    ],
)
async def test_words_are_timed_that_are_not_spoken_as_they_are_written(
    ear: SpeechToText, voice: TextToSpeech, text: str, word: str, heard: str
) -> None:
    piece = await anext(aiter(voice.say(text, rate=8_000)))
    assert [word.text for word in piece.words] == piece.text.split()
    assert [word.start_ms for word in piece.words] == sorted(word.start_ms for word in piece.words)
    assert piece.words[-1].end_ms <= piece.duration_ms
    at = next(found for found in piece.words if found.text == word)
    # The sound up to a word's end has that word last, and the sound behind it doesn't.
    assert words(await understood(ear, piece.pcm[: at.end_ms * 16]))[-1] == heard
    assert words(await understood(ear, piece.pcm[at.end_ms * 16 :]))[0] != heard


def _digits(text: str) -> str:
    names = {"zero": "0", "oh": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5"}
    return "".join(names.get(word, "".join(re.findall(r"\d", word))) for word in words(text))
