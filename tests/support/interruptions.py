"""Callers who speak over an agent, and what a capture beside their phone says about it: when they were let speak.

The agent sends µ-law to a µ-law line, so what leaves is its own bytes until the gateway changes them; each of its
frames is loud. So a packet tells by itself whether it is the sound of the agent, lowered, or none. Times are those of
the kernel for what came, and for what was sent those just before the system call.
"""

import math
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .agent import AgentCall
from .line_sounds import FRAME, RATE, Sound, Source
from .plain_phone import PhoneCall
from .rtp_peer import FADE, Packet
from .speech import read_wav, resampled, speech
from .tone import LINEAR, encode, level

MARK_EVERY = 25
"""Frames of an utterance between two marks."""
_PCM = np.array(LINEAR, np.float64) / 32768
"""The value of each µ-law byte, full scale 1."""
_CODES = np.frombuffer(encode(range(-32768, 32768)), np.uint8)
"""The µ-law byte of each value of 16 bits."""


def recordings() -> list[Sound]:
    """Voices, full scale 1: the WAV files in the directory `OFFHOOK_SPEECH`, else our own prompts."""
    directory = os.environ.get("OFFHOOK_SPEECH")
    if directory is None:
        return [speech(RATE) / 32768]
    found = []
    for path in sorted(Path(directory).glob("*.wav")):
        sound, rate = read_wav(path)
        found.append(resampled(sound, rate, RATE) / 32768)
    return found


def levels(sound: Sound) -> Sound:
    """The level of each frame in dBov."""
    whole = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    return np.asarray(10 * np.log10((whole**2).mean(axis=1) + 1e-12))


@cache
def phrases(seconds: float) -> list[list[bytes]]:
    """What callers say, each from its first loud frame on (20 dB below the loud ones), at -23 dBov, as µ-law frames."""
    found = []
    for sound in recordings():
        each = levels(sound)
        loud = float(np.percentile(each, 95))
        at = 0
        while at < len(each):
            if each[at] <= loud - 20:
                at += 1
                continue
            part = sound[at * FRAME : at * FRAME + round(seconds * RATE)]
            # A word alone is no interruption, and may be one frame of a breath.
            if len(part) >= seconds * RATE * 0.9 and (each[at : at + 30] > loud - 25).mean() > 0.7:
                found.append(frames_of(part * 10 ** ((-23 + 3 - loud) / 20)))
                at += round(seconds * RATE / FRAME)
            while at < len(each) and each[at] > loud - 25:
                at += 1
    return found


def coded(sound: Sound) -> bytes:
    """Sound whose full scale is 1 as µ-law."""
    return _CODES[np.clip(sound * 32768, -32768, 32767).astype(int) + 32768].tobytes()


def frames_of(sound: Sound) -> list[bytes]:
    """The same by frames."""
    whole = coded(sound)
    return [whole[at : at + FRAME].ljust(FRAME, b"\xff") for at in range(0, len(whole), FRAME)]


@cache
def agent_frames() -> list[bytes]:
    """Our own synthetic voice at -23 dBov without its pauses: each frame is loud from end to end."""
    sound = speech(RATE) / 32768
    each = levels(sound)
    loud = float(np.percentile(each, 90))
    kept = [sound[at * FRAME : (at + 1) * FRAME] for at in range(len(each)) if each[at] > loud - 15]
    found = frames_of(np.concatenate(kept) * 10 ** ((-23 + 3 - loud) / 20))
    return [frame for frame in found if level(frame[80:]) > 300 and level(frame[:80]) > 300]


@dataclass(frozen=True, slots=True)
class Echo:
    """The far end returns what it gets: `delay` seconds later, `loss` decibels lower."""

    delay: float
    loss: float


@dataclass(frozen=True, slots=True)
class Beside:
    """What the line carries beside the caller's voice."""

    echo: Echo | None = None
    noise: Source | None = None


@dataclass
class Caller:
    """A call whose agent speaks on and on."""

    call: PhoneCall
    bot: AgentCall
    beside: Beside
    sent: list[float] = field(default_factory=list)
    """When each packet of ours was sent."""

    def __post_init__(self) -> None:
        self._said: list[bytes] = []
        self._frames = self._utterances = 0
        self.call.rtp.seal = self._leaves

    def _leaves(self, packet: bytes) -> bytes:
        """Every packet of the call passes here just before it is sent: the line is mixed now."""
        said = self._said.pop(0) if self._said else packet[12:]
        beside = self.beside
        if beside != Beside():
            sound = _PCM[np.frombuffer(said, np.uint8)]
            if beside.noise is not None:
                sound = sound + beside.noise(self._frames)
            if beside.echo is not None:
                sound = sound + self._returned(beside.echo)
            said = coded(sound)
        self._frames += 1
        self.sent.append(time.time())
        return packet[:12] + said

    def _returned(self, echo: Echo) -> Sound:
        """What came so long ago."""
        back = len(self.call.packets) - 1 - round(echo.delay / 0.02)
        if back < 0:
            return np.zeros(FRAME)
        came = np.frombuffer(self.call.packets[back].payload, np.uint8)
        return np.asarray(_PCM[came] * 10 ** (-echo.loss / 20))

    @property
    def utterance(self) -> str:
        """The name of the last one."""
        return f"u{self._utterances}"

    async def speaks(self, seconds: float, **fields: Any) -> list[bytes]:
        """The agent says an utterance, with a mark `NAME/n` behind each `MARK_EVERY` frames; gives its frames."""
        self._utterances += 1
        every = agent_frames()
        start = random.Random(self._utterances).randrange(len(every))
        count = round(seconds / 0.02)
        said = [every[(start + at) % len(every)] for at in range(count)]
        await self.bot.say(type="utterance", id=self.utterance, **fields)
        for at in range(0, count, MARK_EVERY):
            await self.bot.play(said[at : at + MARK_EVERY], together=MARK_EVERY)
            await self.bot.mark(f"{self.utterance}/{at // MARK_EVERY}")
        return said

    def interrupts(self, phrase: Sequence[bytes]) -> int:
        """The caller says this with the next packet; gives the number of that packet."""
        self._said.extend(phrase)
        return len(self.sent)

    def marks(self) -> tuple[list[str], list[str]]:
        """The marks of the last utterance: those that were played, and those that were dropped."""
        own = f"{self.utterance}/"
        played = [str(message.body["name"]) for message in self.bot.of("mark")]
        dropped = [str(name) for message in self.bot.of("cleared") for name in message.body["marks"]]
        return [name for name in played if name.startswith(own)], [name for name in dropped if name.startswith(own)]


@dataclass(frozen=True, slots=True)
class Cut:
    """What the capture says of an utterance: seconds from the caller's first loud packet until a packet came that was
    lowered, and until one came without sound. None: it never did. `frames` of the utterance were heard."""

    ducked: float | None
    cleared: float | None
    frames: int


def judge(packets: Sequence[Packet], said: Sequence[bytes], began: float) -> Cut:
    """Follow an utterance through a capture that begins with or before it."""
    places = {packet.payload: packet.sequence for packet in reversed(packets)}
    # Its first frames may have been lowered.
    first = next(places[frame] - index for index, frame in enumerate(said[:50]) if frame in places)
    ducked = cleared = None
    heard = 0
    for packet in packets:
        # By its number, since a phone on a machine that stands still loses some.
        number = (packet.sequence - first + 0x8000 & 0xFFFF) - 0x8000
        if not 0 <= number < len(said):
            continue
        if not packet.payload[FADE:].strip(b"\xff"):
            cleared = packet.at - began
            heard = number
            break
        heard = number + 1
        # The last half: within the first the gain may still be falling.
        if ducked is None and packet.at > began and level(packet.payload[80:]) < 0.5 * level(said[number][80:]):
            ducked = packet.at - began
    return Cut(ducked, cleared, heard)


def percentile(values: Sequence[float], share: float) -> float:
    """By rank; NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
