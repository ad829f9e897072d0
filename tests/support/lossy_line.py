"""A call over a line that loses packets, in virtual time: two media cores in memory, as `offhook.testing` has them.

Both ends are ours: what one encodes, the other orders, conceals and decodes, and its RTCP reports tell what was lost.
"""

from dataclasses import dataclass

import numpy as np

from offhook._media import EngineConfig, LegConfig, Line, MediaStats, NetworkConfig, OpusWishes, RemoteMedia, RtpLeg

from .speech import Sound

_SECOND = 1_000_000_000
_BEGIN = _SECOND
_PAYLOAD_TYPES = {"PCMU": 0, "PCMA": 8, "G722": 9, "opus": 107}
_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class Coding:
    """What a line speaks, and what the peer asks of it if that is Opus."""

    codec: str
    opus: OpusWishes | None = None

    @property
    def rate(self) -> int:
        """Samples a second of what is heard."""
        return 8_000 if self.codec.startswith("PCM") else 16_000


class LossyCall:
    """A telephone and the gateway's leg, which hear each other over a network; `seed` decides what it loses."""

    def __init__(self, coding: Coding, network: NetworkConfig, seed: int) -> None:
        self.line = Line(_engine("10.0.0.1"), _engine("10.0.0.2"), network, seed=seed, start_ns=_BEGIN)
        self.now = _BEGIN
        self.phone = self.line.phone.open_leg(_leg("10.0.0.1"))
        self.gateway = self.line.gateway.open_leg(_leg("10.0.0.2"))
        self._heard: list[bytes] = []
        for own, peer in ((self.phone, self.gateway), (self.gateway, self.phone)):
            own.set_remote(_agreed(coding, peer))
            own.start(release_after_ms=0)
        self.pass_time(0.5)

    def pass_time(self, seconds: float) -> None:
        """Let the call go on."""
        until = self.now + round(seconds * _SECOND)
        while self.now < until:
            self.now = self.line.run(until)
            for event in self.line.gateway.drain_events(_EVENTS):
                if event.kind == "audio" and event.pcm16 is not None:
                    self._heard.append(event.pcm16)
            self.line.phone.drain_events(_EVENTS)

    def say(self, sound: Sound, rate: int) -> None:
        """The phone says something, which nobody listens to."""
        self.phone.play(sound.tobytes(), rate)
        self.pass_time(len(sound) / rate)

    def carry(self, sound: Sound, rate: int) -> Sound:
        """What the gateway has got of what the phone says, and half a second more."""
        self._heard.clear()
        self.gateway.tap(True)
        self.say(sound, rate)
        self.pass_time(0.5)
        self.gateway.tap(False)
        return np.frombuffer(b"".join(self._heard), "<i2").astype(np.int16)

    @property
    def stats(self) -> MediaStats:
        """What the gateway's leg has counted."""
        return self.gateway.stats()

    @property
    def lost(self) -> float:
        """The share of all packets to the gateway that the network has lost."""
        (sent, lost), _ = self.line.carried
        return lost / sent


def _engine(address: str) -> EngineConfig:
    return EngineConfig(
        addresses=[address], port_min=30_000, port_max=30_003, threads=1, quarantine_ms=0,
        max_legs=2, max_wires=2, dial_threads=1, dial_queue=1,
    )  # fmt: skip


def _leg(peer: str) -> LegConfig:
    return LegConfig(remote=(peer, 30_000), signalling_address=peer)


def _agreed(coding: Coding, peer: RtpLeg) -> RemoteMedia:
    address, port = peer.local_address
    number = _PAYLOAD_TYPES[coding.codec]
    return RemoteMedia(
        address=address, port=port, codec=coding.codec, payload_type=number,
        receive_payload_types={number: coding.codec}, opus=coding.opus,
    )  # fmt: skip
