#!/usr/bin/env python3
"""Writes the prompts: the phrases below, spoken by hibari. By hand, when they change, with `offhook[agent]` installed.

    PYTHONPATH=python python tools/prompts.py

`python/offhook/speech/prompts/prompts.ulaw` is their sound one after the other, `prompts.json` where each is, and the
SHA-256 that is printed belongs into `speech/prompt_voice.py`. hibari's licence (Apache-2.0) leaves its sound to us.
"""

import asyncio
import hashlib
import json
import re

import numpy as np

from offhook.speech.hibari import HibariTextToSpeech
from offhook.speech.number_words import cardinal
from offhook.speech.prompt_voice import FOLDER, RATE
from offhook.speech.speakable import speakable

WORDS = [
    *map(cardinal, (*range(20), *range(20, 100, 10))),
    *("hundred", "thousand", "million", "point", "minus", "plus", "oh", "o'clock", "A M", "P M", "decibels", "decibel"),
    *(
        "second",
        "seconds",
        "percent",
        "dollars",
        "cents",
        "and",
        "on",
        "at",
        "it is",
        "yes",
        "no",
        "please",
        "thank you",
    ),
    *("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
]
PHRASES = [
    *("Hello.", "Goodbye.", "I'm sorry, something went wrong here.", "Please call again later.", "One moment, please."),
    *("Please try again.", "You pressed", "Please enter a number.", "Are you still there?"),
    # The built-in agent, where it works by keys.
    *("Hello, this is offhook, and your call works.", "I hear nothing, so I will hang up."),
    *("Press 1 for the time, 2 to hear who is calling, 3 to enter a number, 4 to leave a message, 5 to hear it,",),
    *("6 for an echo test, 7 for the line, and the pound key to end.", "Goodbye, and thank you for calling."),
    *(
        "You are calling from",
        "You dialled",
        "Your number is withheld.",
        "Key in a number, and press the pound key after it.",
    ),
    *("I have the number", "I got no digits.", "Speak after the beep.", "Press any key when you are done."),
    *(
        "I heard nothing, so there is no message.",
        "I have your message of",
        "Press 5 to hear it.",
        "That was your message.",
    ),
    *("There is no message yet.", "Press 4 to leave one.", "You hear yourself from now on.", "Press any key to stop."),
    *("That was the echo test.", "I have not heard enough of you yet to say how the line is.", "I hear your voice at"),
    *("and the noise behind it at", "I hear a sound at", "but no voice that stands out of it", "That is a noisy line."),
    *("That is a quiet voice: speak up, or come closer to the microphone.", "That is so loud that it may sound harsh."),
    *("There is a lot of noise behind it.", "That is a good line."),
]
QUIET = 0.004
"""What is not louder is cut off before and behind a phrase."""


def ulaw(sound: np.ndarray) -> bytes:
    """Samples of full scale 1 as G.711 µ-law."""
    pcm = np.clip(np.rint(sound * 32_768), -32_635, 32_635).astype(int)
    magnitude = np.abs(pcm) + 0x84
    exponent = np.floor(np.log2(magnitude)).astype(int) - 7
    code = exponent << 4 | magnitude >> (exponent + 3) & 0x0F | np.where(pcm < 0, 0x80, 0)
    return (~code & 0xFF).astype(np.uint8).tobytes()


async def main() -> None:
    """Speak, trim, write."""
    voice, sound, index = HibariTextToSpeech(), b"", {}
    for text in (*WORDS, *PHRASES):
        phrase = " ".join(re.findall(r"[a-z']+|[,;:.!?]", speakable(text).lower().replace("-", " "))).rstrip(" .,;:!?")
        if phrase in index:
            continue
        pcm = b"".join([piece.pcm async for piece in voice.say(text, rate=RATE)])
        samples = np.frombuffer(pcm, "<i2") / 32_768
        loud = np.flatnonzero(np.abs(samples) > QUIET)
        part = ulaw(samples[max(0, loud[0] - 160) : loud[-1] + 320])
        index[phrase] = [len(sound), len(part)]
        sound += part
    await voice.close()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "prompts.ulaw").write_bytes(sound)
    lines = ",\n".join(f"{json.dumps(phrase)}: {place}" for phrase, place in index.items())
    (FOLDER / "prompts.json").write_text(f"{{\n{lines}\n}}\n", "utf-8")
    print(f"{len(index)} phrases, {len(sound) / RATE:.0f} s, SHA-256 {hashlib.sha256(sound).hexdigest()}")


if __name__ == "__main__":
    asyncio.run(main())
