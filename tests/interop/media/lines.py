"""Sound through a call from end to end: as the agent gets it, as the caller gets it, as baresip gets it."""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import TypeVar

import numpy as np
from G722 import G722
from tests.interop.baresip.phone import Baresip
from tests.support.agent import Agent, AgentCall
from tests.support.impair import CLEAN, Network, Relay
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.rtp_peer import Packet
from tests.support.sip_text import PCMU, Line
from tests.support.speech import Sound
from tests.support.tone import LINEAR

FRAME_MS = 20
LATE = 0.03
"""Seconds; the gateway waits 60 ms and more for a packet."""
SETTLE = 0.5
"""Seconds in which all who talk at once get ready."""
T = TypeVar("T")


def _g722_silence() -> bytes:
    return bytes(G722(16_000, 64_000).encode(np.zeros(16_000, np.int16)))[-160:]


G722_LINE = Line(9, "G722", _g722_silence())


def line_rate(line: Line) -> int:
    """Samples a second of the sound that the codec carries."""
    return 16_000 if line.codec == "G722" else 8_000


def _a_law(code: int) -> int:
    code ^= 0x55
    exponent, mantissa = code >> 4 & 7, (code & 0x0F) << 4
    magnitude = mantissa + 8 if exponent == 0 else mantissa + 0x108 << exponent - 1
    return magnitude if code & 0x80 else -magnitude


class _Companding:
    """One of G.711's two laws, by the values of its 256 codes; a sample becomes the nearest."""

    def __init__(self, values: Sequence[int]) -> None:
        self.values = np.array(values, np.int16)
        self._order = np.argsort(self.values, kind="stable")
        ordered = self.values[self._order].astype(float)
        self._bounds = (ordered[1:] + ordered[:-1]) / 2

    def encode(self, sound: Sound) -> bytes:
        return self._order[np.searchsorted(self._bounds, sound)].astype(np.uint8).tobytes()

    def decode(self, payload: bytes) -> Sound:
        return self.values[np.frombuffer(payload, np.uint8)]


_MU = _Companding(LINEAR)
_A = _Companding([_a_law(code) for code in range(256)])


def coded(sound: Sound, line: Line) -> list[bytes]:
    """Whole frames of 20 ms as the line carries them."""
    count = len(sound) * 1000 // line_rate(line) // FRAME_MS
    sound = sound[: count * line_rate(line) * FRAME_MS // 1000]
    if line is G722_LINE:
        payload = bytes(G722(16_000, 64_000).encode(sound))
    else:
        payload = (_MU if line is PCMU else _A).encode(sound)
    return [payload[at : at + 160] for at in range(0, len(payload), 160)]


def decoded(payload: bytes, line: Line) -> Sound:
    """The sound of what the line carried."""
    if line is G722_LINE:
        return np.array(G722(16_000, 64_000).decode(payload), np.int16)
    return (_MU if line is PCMU else _A).decode(payload)


@dataclass(frozen=True, slots=True)
class Format:
    """A form of audio on an agent's wire."""

    encoding: str
    rate: int

    def __str__(self) -> str:
        return f"{self.encoding}-{self.rate}"

    def pack(self, sound: Sound) -> bytes:
        """Sound at this rate as the wire carries it."""
        return _MU.encode(sound) if self.encoding == "pcmu" else sound.astype("<i2").tobytes()

    def unpack(self, data: bytes) -> Sound:
        """The other way."""
        if self.encoding == "pcmu":
            return _MU.decode(data)
        return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16)

    @property
    def second(self) -> int:
        """Bytes of a second."""
        return self.rate * (1 if self.encoding == "pcmu" else 2)


PCM16 = Format("pcm16", 8_000)
WIDE = Format("pcm16", 16_000)
FORMATS = (Format("pcmu", 8_000), PCM16, WIDE, Format("pcm16", 24_000), Format("pcm16", 48_000))


class Talk:
    """A call to an agent that speaks `offhook.v1`, both ends in the test's hands."""

    def __init__(self, call: PhoneCall, bot: AgentCall, line: Line, form: Format) -> None:
        self.call = call
        self.bot = bot
        self.line = line
        self.form = form

    @classmethod
    async def begin(
        cls, phone: PlainPhone, agent: Agent, gateway: tuple[str, int], line: Line, form: Format,
        *, outward: Network = CLEAN, inward: Network = CLEAN, seed: int = 1,
    ) -> "Talk":  # fmt: skip
        """Set it up; `outward` is the network from the caller to the gateway, `inward` the way back.

        The caller is silent, and sends nothing, until it says something.
        """
        through = None if outward == inward == CLEAN else partial(Relay, outward=outward, inward=inward, seed=seed)
        call = phone.dial(gateway, line=line, relay=through, talk=False)
        try:
            bot = await agent.call()
        except TimeoutError:
            said = [(heard.first_line, heard.headers.get("reason")) for heard in call.heard]
            raise AssertionError(f"the agent got no call: {said}") from None
        await bot.text("ringing")
        await bot.say(type="ready", audio={"encoding": form.encoding, "rate": form.rate})
        await call.answered()
        return cls(call, bot, line, form)

    async def to_agent(self, sound: Sound) -> Sound:
        """Say something at the caller's end; what the agent has got of it, and a second more."""
        begin, seconds = len(self.bot.audio), len(sound) / line_rate(self.line)
        self.call.say(coded(sound, self.line))
        # Others who begin now have sound to encode and send, too: nobody's first packets are to wait for that.
        await asyncio.sleep(SETTLE)
        self.call.start_talking()
        data = await self.bot.hears(begin + round((seconds + 1) * self.form.second), within=seconds + 15)
        return self.form.unpack(data[begin:])

    async def to_caller(self, sound: Sound, chunks: Iterable[tuple[float, int]] | None = None) -> Sound:
        """Say something at the agent's end; what the caller has got of it, and a second more.

        `chunks` are the seconds to wait and the milliseconds to send then; without, all is sent at once.
        """
        begin, seconds = len(self.call.packets), len(sound) / self.form.rate
        data, sent = self.form.pack(sound), 0
        for wait, ms in chunks or itertools.repeat((0.0, 1_000)):
            if sent >= len(data):
                break
            await asyncio.sleep(wait)
            size = self.form.second * ms // 1000
            await self.bot.socket.send(data[sent : sent + size])
            sent += size
        packets = begin + round((seconds + 1) * 1000 / FRAME_MS)
        await self.call.rtp.until(lambda peer: len(peer.packets) >= packets, within=seconds + 15)
        return by_timestamp(self.call.packets[begin:], self.line)

    async def end(self) -> None:
        """Hang up."""
        self.call.hang_up()
        await self.bot.over()


def by_timestamp(packets: Sequence[Packet], line: Line) -> Sound:
    """The sound of packets in the places that their timestamps give them; silence between."""
    packets = [packet for packet in packets if packet.payload_type == line.payload_type]
    first = packets[0].timestamp
    payload = bytearray()
    for packet in packets:
        at = (packet.timestamp - first) & 0xFFFFFFFF
        assert at < 8_000 * 120, f"the timestamps jump: {at}"
        payload += bytes(itertools.islice(itertools.cycle(line.silence), max(0, at - len(payload))))
        payload[at : at + len(packet.payload)] = packet.payload
    return decoded(bytes(payload), line)


async def to_baresip(listener: Baresip, line: Line, sound: Sound, network: Network, seed: int) -> tuple[Sound, float]:
    """Say something to a phone that is baresip, through a network; what its listener hears, and how late we were."""
    relay = partial(Relay, outward=network, seed=seed)
    async with PlainPhone.open() as phone:
        call = phone.dial((phone.host, listener.port), "phone", line=line, relay=relay, talk=False)
        await call.answered()
        call.say(coded(sound, line))
        await asyncio.sleep(SETTLE)
        call.start_talking()
        await asyncio.sleep(len(sound) / line_rate(line) + 1)
        return by_timestamp(call.packets, line), call.late


def in_time(measure: Callable[[], tuple[T, float]]) -> tuple[T, float]:
    """What was measured at the first try in which our own packets left in time, of three at most; else at the best.

    Packets that leave late are rightly taken for lost, which says something of this machine alone. How late they were
    (seconds) comes with it.
    """
    tries: list[tuple[float, T]] = []
    while not tries or (tries[-1][0] > LATE and len(tries) < 3):
        found, late = measure()
        tries.append((late, found))
    late, found = min(tries, key=itemgetter(0))
    return found, late
