"""A gateway that knows the built-in agent, a worker of the test's own for it, and a phone that listens."""

import math
import os
import time
from collections.abc import Sequence

from tests.support.conversation import QUIET
from tests.support.plain_phone import PhoneCall
from tests.support.rtp_peer import Packet
from tests.support.sdk_worker import agent_table
from tests.support.tone import is_silent, level

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
TOML = f"""
[[trunk]]
name = "home"
allow = ["127.0.0.1"]
codecs = ["PCMU", "PCMA", "G722"]

[[route]]
name = "all"
destination = "worker:builtin"
{agent_table("builtin")}"""


class Ear:
    """What is said in a call in µ-law, both ways, as a capture beside the phone has it."""

    def __init__(self, call: PhoneCall) -> None:
        self.call = call
        self.sent: list[tuple[float, bytes]] = []
        """When each packet of ours left, and what is in it."""
        self._loud: list[Packet] = []
        self._seen = 0
        call.rtp.seal = self._leaves

    def _leaves(self, packet: bytes) -> bytes:
        self.sent.append((time.time(), packet[12:]))
        return packet

    @property
    def loud(self) -> list[Packet]:
        """The packets in which something was heard."""
        new, self._seen = self.call.packets[self._seen :], len(self.call.packets)
        self._loud += [packet for packet in new if packet.payload_type == 0 and not is_silent(packet.payload)]
        return self._loud

    async def hears(self, since: float, within: float = 30.0) -> Packet:
        """The first loud packet after a moment."""

        def found() -> Packet | None:
            return next((packet for packet in reversed(self.loud) if packet.at > since), None)

        await self.call.rtp.until(lambda _: found() is not None, within)
        return next(packet for packet in self.loud if packet.at > since)

    async def silence(self, within: float = 30.0) -> None:
        """Wait until the agent has finished."""
        await self.call.rtp.until(lambda rtp: rtp.packets[-1].at - (self.loud or rtp.packets)[-1].at > QUIET, within)

    async def says(self, frames: Sequence[bytes]) -> float:
        """Say something; gives when the last packet of it left in which it is no more than 30 dB below its loudest."""
        begin = len(self.sent) + self.call.waiting
        self.call.say(frames)
        await self.call.rtp.until(lambda _: len(self.sent) >= begin + len(frames), 30)
        levels = [level(frame) for frame in frames]
        return self.sent[begin + max(number for number, loud in enumerate(levels) if loud > max(levels) / 10**1.5)][0]


def percentile(values: Sequence[float], share: float) -> float:
    """By rank; NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
