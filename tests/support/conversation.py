"""A phone's end of a conversation with an agent: in words, by a voice and ears that are the test's own."""

import time
from array import array
from collections.abc import Awaitable

from offhook.speech.protocol import SpeechToText, TextToSpeech

from .plain_phone import PhoneCall
from .rtp_peer import Packet, RtpPeer
from .tone import decode, frames
from .understood import understood
from .words import word_errors, words

QUIET = 0.9
"""Seconds of silence after which the agent has finished."""


class Talk:
    """The phone's end of a conversation."""

    def __init__(self, call: PhoneCall, ear: SpeechToText, voice: TextToSpeech) -> None:
        self.call, self.ear, self.voice = call, ear, voice
        self.since = 0.0
        """What came until then is not listened to any more."""

    async def hears(self) -> str:
        """What the agent says until it is silent."""

        def heard() -> list[Packet]:
            return [packet for packet in self.call.audible() if packet.at > self.since]

        def silent(rtp: RtpPeer) -> bool:
            return bool(found := heard()) and (rtp.packets[-1].at - found[-1].at > QUIET or not self.call.is_up)

        await self.call.rtp.until(silent, 30)
        packets = [packet for packet in self.call.packets if packet.at > self.since and packet.payload_type == 0]
        pcm = array("h", decode(b"".join(packet.payload for packet in packets))).tobytes()
        self.since = packets[-1].at
        return await understood(self.ear, pcm)

    async def asks(self, asking: Awaitable[None], answer: str) -> None:
        """Ask, and hear these words in the answer."""
        await asking
        await self.hears_of(answer)

    async def hears_of(self, answer: str) -> None:
        """The agent says something with these words: one of them in ten may be misheard, or one at all."""
        # A syllable of what was interrupted is no answer.
        heard, wanted = words(await self.hears()) or words(await self.hears()), words(answer)
        starts = range(max(1, len(heard) - len(wanted) + 1))
        errors = min(word_errors(answer, " ".join(heard[at : at + len(wanted)])) for at in starts)
        assert errors <= max(0.1, 1 / len(wanted)), f"{heard} and not {wanted}"

    async def says(self, text: str) -> None:
        """Say it in the voice."""
        pcm = b"".join([piece.pcm async for piece in self.voice.say(text, rate=8_000)])
        samples = array("h")
        samples.frombytes(pcm)
        await self.plays(samples)

    async def plays(self, samples: "array[int]") -> None:
        """Let it be heard."""
        while samples and abs(samples[-1]) < 300:
            samples.pop()
        sound = frames(samples)
        self.call.say(sound)
        await self._has_left()
        self.since = time.time()

    async def presses(self, keys: str) -> None:
        """Press them, each a fifth of a second."""
        self.call.press(keys)
        await self._has_left()
        self.since = time.time()

    async def _has_left(self) -> None:
        """Wait until the phone has sent all that it was given."""
        await self.call.rtp.until(lambda _: not self.call.waiting, 60)
