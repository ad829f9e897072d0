"""A newcomer's first call: `offhook run` without any file, and baresip. A person speaks and understands the answer."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.interop.baresip.phone import Baresip
from tests.interop.builtin.line import PROVE, QUIET
from tests.support.figures import Figures
from tests.support.gateway import Gateway, wait_until
from tests.support.hosts import Host
from tests.support.human import PHRASES
from tests.support.speech import Sound, write_wav
from tests.support.understood import understood
from tests.support.undisturbed import undisturbed
from tests.support.words import words, wrong_words

from offhook.speech.hibari import HibariTextToSpeech
from offhook.speech.moonshine import MoonshineSpeechToText
from offhook.speech.protocol import TextToSpeech

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

GREETING = "Hello, this is offhook, and your call works. What would you like? Say help to hear what I can do."
ANSWER = "I heard: {}. That is nothing I can do. Say help to hear what is."
GOODBYE = "Goodbye, and thank you for calling."
ASKED = PHRASES if PROVE else PHRASES[1:2]
RATES = {"PCMU": 8_000, "G722": 16_000}
LOUD = 300


@pytest.fixture(scope="module")
def newcomer() -> Iterator[Host]:
    """A machine on which nothing else listens on the ports that are the default."""
    host = Host("newcomer")
    yield host
    host.close()


@pytest.fixture(scope="module")
def gateway(newcomer: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """`offhook run`, and its agent is loaded."""
    running = Gateway(tmp_path_factory.mktemp("offhook"), None)
    try:
        with newcomer:
            running.start()
            wait_until(lambda: running.metric("offhook_workers", agent="builtin") == 1, 90, running.said)
        yield running
    finally:
        running.stop()


@dataclass
class Talk:
    """A call by baresip: what it heard of each answer, in order."""

    phone: Baresip
    rate: int
    directory: Path
    heard: list[Sound] = field(default_factory=list)
    _at: int = 0

    def hears(self) -> None:
        """Let the agent finish what it says."""

        def over() -> bytes | None:
            pcm = self.phone.heard_so_far()[2 * self._at :]
            sound = np.frombuffer(pcm, "<i2").astype(int)
            loud = np.flatnonzero(np.abs(sound) > LOUD)
            # Each look reads the file.
            time.sleep(0.1)
            return pcm if len(loud) and len(sound) - loud[-1] > QUIET * self.rate else None

        pcm = wait_until(over, 60, lambda: f"silence or no end; so far {len(self.heard)} answers")
        assert pcm is not None, "waited for"
        self._heard(np.frombuffer(pcm, "<i2").astype(np.int16))

    def hears_the_end(self) -> None:
        """The agent hangs up; all that was heard until then."""
        self.phone.wait_for("CALL_CLOSED")
        self._heard(np.array(self.phone.heard()[self._at :], np.int16))

    def says(self, sound: Sound) -> None:
        """Say something, and be silent after it."""
        path = self.directory / f"said-{len(self.heard)}.wav"
        write_wav(path, np.concatenate([sound, np.zeros(60 * self.rate, np.int16)]), self.rate)
        self.phone.says(path)

    def _heard(self, sound: Sound) -> None:
        self.heard.append(sound)
        self._at += len(sound)


async def talks(newcomer: Host, gateway: Gateway, voice: TextToSpeech, directory: Path) -> dict[str, list[Sound]]:
    """What each of two phones heard at the same time: the greeting, the answer to each question, and the goodbye."""
    goodbyes = {
        rate: b"".join([piece.pcm async for piece in voice.say("Goodbye.", rate=rate)]) for rate in RATES.values()
    }
    with newcomer, ExitStack() as stack:
        found = {}
        for codec, rate in RATES.items():
            phone = stack.enter_context(Baresip(directory / codec, [0] * 60 * rate, codec=codec, alone=True))
            found[codec] = Talk(phone, rate, directory / codec)
            phone.dial("hello", ("127.0.0.1", gateway.udp[1]))
        for talk in found.values():
            talk.hears()
        for phrase in ASKED:
            for talk in found.values():
                talk.says(phrase.sound(talk.rate))
            for talk in found.values():
                talk.hears()
        for talk in found.values():
            talk.says(np.frombuffer(goodbyes[talk.rate], "<i2").astype(np.int16))
        for talk in found.values():
            talk.hears_the_end()
    return {codec: talk.heard for codec, talk in found.items()}


@undisturbed
async def test_what_it_says_to_a_person_is_understood_to_a_word(
    newcomer: Host, gateway: Gateway, figures: Figures, tmp_path: Path
) -> None:
    ear, voice = MoonshineSpeechToText(), HibariTextToSpeech()
    await asyncio.gather(ear.warm_up(), voice.warm_up())
    meant = [GREETING, *(ANSWER.format(phrase.text) for phrase in ASKED), GOODBYE]
    before = len(gateway.calls())
    for codec, sounds in (await talks(newcomer, gateway, voice, tmp_path)).items():
        wrong = []
        for text, sound in zip(meant, sounds, strict=True):
            heard = await understood(ear, sound.tobytes(), RATES[codec])
            wrong.append(wrong_words(text, heard))
            print(f"{codec}: {wrong[-1]} of {len(words(text))} wrong in {heard!r}")
        figures.note(
            "baresip: a person asks, the answer is recorded and recognised",
            codec=codec, answers=len(meant), words=sum(len(words(text)) for text in meant), wrong=sum(wrong),
            most_in_an_answer=max(wrong),
        )  # fmt: skip
        assert max(wrong) <= 1
    await asyncio.gather(ear.close(), voice.close())

    def ended() -> list[dict[str, Any]] | None:
        calls = gateway.calls()[: -before or None]
        return calls if len(calls) == len(RATES) and all(call["end_reason"] for call in calls) else None

    records = wait_until(ended, 30, "a call has no end")
    assert {record["codec"] for record in records} == set(RATES)
    assert {record["end_reason"] for record in records} == {"agent_hung_up"}
