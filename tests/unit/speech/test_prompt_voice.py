"""The voice without a package: what it can say, and what it refuses by name."""

import random

import numpy as np
import pytest

from offhook.speech.engines import text_to_speech
from offhook.speech.errors import SpeechError
from offhook.speech.prompt_voice import PromptTextToSpeech, phrases_of
from offhook.speech.protocol import Spoken
from offhook.speech.speakable import speakable

pytestmark = pytest.mark.unit


async def spoken(text: str, rate: int = 8_000) -> list[Spoken]:
    return [piece async for piece in PromptTextToSpeech().say(text, rate=rate)]


@pytest.mark.parametrize("seed", range(20))
def test_every_number_can_be_said(seed: int) -> None:
    chance = random.Random(seed)
    number = chance.randrange(10 ** chance.randint(1, 9))
    for text in (f"{number:,}", f"number {number}", f"{number / 100:.2f}", f"{number % 24}:{number % 60:02}"):
        assert phrases_of(speakable(text.removeprefix("number ")))


def test_the_longest_phrase_is_taken_and_a_comma_is_a_breath() -> None:
    assert phrases_of("i have the number four one, five.") == ["i have the number", "four", "one", ",", "five"]
    assert phrases_of("hello, this is offhook, and your call works.") == [
        "hello , this is offhook , and your call works"
    ]
    assert phrases_of("") == phrases_of("...") == []


async def test_a_piece_is_a_sentence_with_its_text() -> None:
    pieces = await spoken("You pressed 4, 2. Thank you! Goodbye.")
    assert [piece.text for piece in pieces] == ["You pressed 4, 2.", "Thank you!", "Goodbye."]
    assert all(300 < piece.duration_ms < 3_500 for piece in pieces)


async def test_the_wide_rate_is_the_same_sound() -> None:
    (narrow,), (wide,) = await spoken("Goodbye.", 8_000), await spoken("Goodbye.", 16_000)
    assert len(wide.pcm) == 2 * len(narrow.pcm)
    one, two = (np.frombuffer(pcm, "<i2").astype(float) for pcm in (narrow.pcm, wide.pcm))
    assert np.array_equal(one, two[::2])
    spectrum = np.abs(np.fft.rfft(two))
    # What is above 4 kHz is a mirror image: it is to be low.
    half = len(spectrum) // 2
    assert (spectrum[round(half * 1.1) :] ** 2).sum() < 0.01 * (spectrum[:half] ** 2).sum()


async def test_what_has_no_sound_is_refused_by_name_after_what_has() -> None:
    speech = PromptTextToSpeech().say("Goodbye. The purple elephant dances.", rate=8_000)
    assert (await anext(speech)).text == "Goodbye."
    with pytest.raises(SpeechError) as error:
        await anext(speech)
    assert error.value.code == "speech_refused"
    assert "'the purple elephant dances'" in str(error.value)
    with pytest.raises(SpeechError, match="24000"):
        await spoken("Goodbye.", 24_000)


async def test_it_is_an_engine_by_its_name() -> None:
    voice = text_to_speech("prompts")
    await voice.warm_up()
    await voice.close()
    assert voice.name == "prompts"
