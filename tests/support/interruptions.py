"""Callers who speak over an agent, and what a capture beside their phone says about it: when they were let speak.

The agent sends µ-law to a µ-law line, so what leaves is its own bytes until the gateway changes them; each of its
frames is loud. So a packet tells by itself whether it is the sound of the agent, lowered, or none. Times are those of
the kernel for what came, and for what was sent those just before the system call.
"""

import math
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .agent import AgentCall
from .plain_phone import PhoneCall
from .rtp_peer import FADE, Packet
from .speech import read_wav, resampled, speech
from .tone import LINEAR, encode, level

RATE = 8000
FRAME = 160
Sound = NDArray[np.float64]
_PCM = np.array(LINEAR, np.float64) / 32768
"""The value of each µ-law byte, full scale 1."""


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
    return 10 * np.log10((whole**2).mean(axis=1) + 1e-12)


@cache
def phrases(seconds: float = 1.2) -> list[list[bytes]]:
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


def frames_of(sound: Sound) -> list[bytes]:
    """µ-law frames of sound whose full scale is 1."""
    coded = encode(np.clip(sound * 32768, -32768, 32767))
    return [coded[at : at + FRAME].ljust(FRAME, b"\xff") for at in range(0, len(coded), FRAME)]


@cache
def agent_frames() -> list[bytes]:
    """Our own synthetic voice at -23 dBov without its pauses: each frame is loud from end to end."""
    sound = speech(RATE) / 32768
    each = levels(sound)
    loud = float(np.percentile(each, 90))
    kept = [sound[at * FRAME : (at + 1) * FRAME] for at in range(len(each)) if each[at] > loud - 15]
    found = frames_of(np.concatenate(kept) * 10 ** ((-23 + 3 - loud) / 20))
    return [frame for frame in found if level(frame[80:]) > 300 and level(frame[:80]) > 300]


@dataclass
class Echo:
    """The far end returns what it gets: `delay` seconds later, `loss` decibels lower."""

    delay: float
    loss: float


@dataclass
class Caller:
    """A call whose agent speaks on and on. `noise(n)` is what the line carries in frame `n` beside the caller."""

    call: PhoneCall
    bot: AgentCall
    echo: Echo | None = None
    noise: Callable[[int], Sound] | None = None
    sent: list[float] = field(default_factory=list)
    """When each packet of ours was sent."""

    def __post_init__(self) -> None:
        self._said: list[bytes] = []
        self._utterances = 0
        self.call.rtp.seal = self._leaves
        self._frames = 0

    def _leaves(self, packet: bytes) -> bytes:
        """Every packet of the call passes here just before it is sent: the line is mixed now."""
        said = packet[12:]
        if self._said:
            said = self._said.pop(0)
        if self.echo is not None or self.noise is not None:
            sound = _PCM[np.frombuffer(said, np.uint8)]
            if self.noise is not None:
                sound = sound + self.noise(self._frames)
            if self.echo is not None:
                sound = sound + self._returned() * 10 ** (-self.echo.loss / 20)
            said = encode(np.clip(sound * 32768, -32768, 32767))
        self._frames += 1
        self.sent.append(time.time())
        return packet[:12] + said

    def _returned(self) -> Sound:
        """What came so long ago."""
        assert self.echo is not None
        back = len(self.call.packets) - 1 - round(self.echo.delay / 0.02)
        if back < 0:
            return np.zeros(FRAME)
        return _PCM[np.frombuffer(self.call.packets[back].payload, np.uint8)]

    async def speaks(self, seconds: float, **fields: Any) -> list[bytes]:
        """The agent says an utterance; gives its frames."""
        self._utterances += 1
        every = agent_frames()
        start = random.Random(self._utterances).randrange(len(every))
        count = round(seconds / 0.02)
        said = [every[(start + at) % len(every)] for at in range(count)]
        await self.bot.say(type="utterance", id=f"u{self._utterances}", **fields)
        await self.bot.play(said, together=25)
        return said

    def interrupts(self, phrase: Sequence[bytes]) -> int:
        """The caller says this with the next packet; gives the number of that packet."""
        self._said.extend(phrase)
        return len(self.sent)


@dataclass(frozen=True, slots=True)
class Cut:
    """What the capture says of an utterance: seconds from the caller's first loud packet until a packet came that was
    lowered, and until one came without sound. None: it never did. `frames` of the utterance were heard."""

    ducked: float | None
    cleared: float | None
    frames: int


def judge(packets: Sequence[Packet], said: Sequence[bytes], began: float) -> Cut:
    """Follow an utterance through a capture that begins with or before it."""
    at = next(index for index, packet in enumerate(packets) if packet.payload == said[0])
    ducked = cleared = None
    heard = 0
    for packet, frame in zip(packets[at:], said, strict=False):
        if not packet.payload[FADE:].strip(b"\xff"):
            cleared = packet.at - began
            break
        heard += 1
        # The last half: within the first the gain may still be falling.
        if ducked is None and packet.at > began and level(packet.payload[80:]) < 0.5 * level(frame[80:]):
            ducked = packet.at - began
    return Cut(ducked, cleared, heard)


def percentile(values: Sequence[float], share: float) -> float:
    """By rank; NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
