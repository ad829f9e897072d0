"""The real engine over loopback, under both drivers: what it is for is sockets, so its tests have them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from tests.support.gateway import ports
from tests.support.rtp_peer import RtpPeer

from offhook._media import EngineConfig, LegConfig, MediaEvent, RemoteMedia, WireConfig
from offhook.media.leg import RtpLeg
from offhook.media.plane import MediaPlane
from offhook.media.wire import Wire

_PORTS = 40
_LIMIT = 30.0


@pytest.fixture(params=["linux", "portable"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    monkeypatch.setenv("OFFHOOK_MEDIA_DRIVER", name)
    return name


@dataclass
class Events:
    """What an owner was told, and a way to wait for more."""

    told: list[MediaEvent] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, event: MediaEvent) -> None:
        self.told.append(event)
        self._changed.set()

    def kinds(self) -> list[str]:
        return [event.kind for event in self.told]

    def of(self, kind: str) -> list[MediaEvent]:
        return [event for event in self.told if event.kind == kind]

    async def wait(self, kind: str, count: int = 1, within: float = _LIMIT) -> MediaEvent:
        async with asyncio.timeout(within):
            while len(self.of(kind)) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.of(kind)[count - 1]


async def until(condition: Callable[[], bool]) -> None:
    """Ask until it is so: the media threads tell nobody of what they count."""
    async with asyncio.timeout(_LIMIT):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def in_order(frames: list[bytes], sound: bytes) -> int:
    """How many of these frames are in the sound, each behind the one before.

    A busy machine sends unevenly, and what is late is made up for: some are cut, or other sound stands for them.
    """
    found, at = 0, 0
    for frame in frames:
        place = sound.find(frame[:60], at)
        if place >= 0:
            found, at = found + 1, place + 60
    return found


@dataclass
class Call:
    """One leg with its caller."""

    plane: MediaPlane
    leg: RtpLeg
    peer: RtpPeer
    events: Events

    def answer(self, **changes: object) -> None:
        """What a 200 does: the media agreed on is set, RTP starts."""
        self.set_remote(**changes)
        self.leg.start()

    def set_remote(self, **changes: object) -> None:
        host, port = self.peer.address
        values: dict[str, object] = {
            "address": host,
            "port": port,
            "codec": "PCMU",
            "payload_type": 0,
            "receive_payload_types": {0: "PCMU", 8: "PCMA"},
            "dtmf_send": 96,
            "dtmf_receive": (101,),
            "signalling_address": "127.0.0.1",
        }
        self.leg.set_remote(RemoteMedia(**{**values, **changes}))  # type: ignore[arg-type]

    def dial(self, url: str, dialect: str, **changes: object) -> tuple[Wire, Events]:
        events = Events()
        config = WireConfig(url, dialect, **changes)  # type: ignore[arg-type]
        wire = self.plane.open_wire(config, leg=self.leg, on_event=events.add, on_error=events.errors.append)
        return wire, events


@pytest_asyncio.fixture
async def plane(driver: str) -> AsyncIterator[MediaPlane]:
    # A range of its own, since ports of the engine before may still rest.
    first = ports(_PORTS)
    async with MediaPlane(EngineConfig(port_min=first, port_max=first + _PORTS - 1, quarantine_ms=0)) as plane:
        assert plane.stats().driver == driver
        yield plane
    assert plane.stats().internal_errors == 0
    assert (plane.stats().legs, plane.stats().wires) == (0, 0), "nothing leaks"


@pytest_asyncio.fixture
async def place_call(plane: MediaPlane) -> AsyncIterator[Callable[..., Call]]:
    peers: list[RtpPeer] = []

    def place(**changes: object) -> Call:
        peer, events = RtpPeer(), Events()
        peers.append(peer)
        config = LegConfig(**changes)  # type: ignore[arg-type]
        leg = plane.open_leg(config, on_event=events.add, on_error=events.errors.append)
        peer.target = leg.local_address
        return Call(plane, leg, peer, events)

    yield place
    for peer in peers:
        peer.close()


@pytest_asyncio.fixture
async def call(place_call: Callable[..., Call]) -> Call:
    return place_call()
