"""The transcript of a call with the SDK's own engines lies where its words are in the recording."""

import json
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.interop.builtin.line import TOML, Ear
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.human import PHRASES
from tests.support.plain_phone import PlainPhone
from tests.support.sdk_worker import working
from tests.support.speech import Sound
from tests.support.tone import frames
from tests.support.words import word_errors

from offhook.agent import Agent, Call, Turn
from offhook.recording.shelf import Shelf, read_transcript

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

RECORDED = TOML.replace('destination = "worker:builtin"', 'destination = "worker:builtin"\nrecord = true')
SAID = PHRASES[1:4]


def parrot() -> Agent:
    agent = Agent("builtin", greeting="Good morning. I am listening.", stt="moonshine", tts="hibari", barge_in="off")

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        await call.say("Thank you very much for that.")

    return agent


def stretches(side: Sound) -> list[tuple[int, int]]:
    """Where somebody speaks, in milliseconds; what is less than 0.6 s apart is one."""
    loud = np.flatnonzero(np.abs(side.astype(int)) > 700)
    gaps = np.flatnonzero(np.diff(loud) > 0.6 * 8000)
    begins, ends = loud[[0, *(gaps + 1)]], loud[[*gaps, -1]]
    return [(int(begin) // 8, int(end) // 8) for begin, end in zip(begins, ends, strict=True)]


async def talked(gateway: Gateway) -> tuple[str, float]:
    """One call with the parrot: its Call-ID, and the longest that the phone kept a packet waiting, in seconds."""
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        ear = Ear(call)
        await call.answered()
        await ear.hears(0.0)
        await ear.silence()
        for phrase in SAID:
            over = await ear.says(frames(phrase.sound(8_000).tolist()))
            await ear.hears(over)
            await ear.silence()
        call.hang_up()
    return call.call_id, max(b - a for (a, _), (b, _) in pairwise(ear.sent))


async def test_each_line_lies_where_its_words_are_heard(tmp_path: Path) -> None:
    with running_gateway(tmp_path, '[recording]\ntranscript = "jsonl"\n' + RECORDED) as gateway:
        async with working(parrot(), gateway, "builtin"):
            for _ in range(3):
                call_id, late = await talked(gateway)
                if late < 0.2:
                    break
                # A machine that lets a phone stutter so is no measure of anything.
                print(f"the phone was late by {late:.1f} s")
            record = gateway.record(call_id)
        shelf = Shelf(gateway.directory / "data" / "recordings")
        wait_until((shelf.directory / record["recording"]["file"]).exists, 30, "no recording")
        stored = shelf.find(record["call_id"])
    lines = [json.loads(line) for line in read_transcript(stored, None).splitlines()]
    assert [line["who"] for line in lines] == ["agent", *["caller", "agent"] * len(SAID)]
    with wave.open(str(stored.path)) as sound:
        sides = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").reshape(-1, 2).T
    for who, side in zip(("caller", "agent"), sides, strict=True):
        own = [line for line in lines if line["who"] == who]
        found = stretches(side)
        assert len(found) == len(own), (found, own)
        off = [(line["from_ms"] - begin, line["to_ms"] - end) for line, (begin, end) in zip(own, found, strict=True)]
        print(f"{who}: begins and ends, in ms beside the sound: {off}")
        # How an utterance ended is told once it has been played.
        assert all(-600 <= begin <= 600 and -600 <= end <= 1_500 for begin, end in off), off
    heard = [line["text"] for line in lines if line["who"] == "caller"]
    assert all(word_errors(phrase.text, text) <= 0.5 for phrase, text in zip(SAID, heard, strict=True)), heard
    assert all(line["text"].startswith(("Good morning.", "Thank you")) for line in lines if line["who"] == "agent")
