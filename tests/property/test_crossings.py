"""Wishes of caller and agent that cross each other, in any order and at any distance: a call stays a call.

A failure names its seed; `OFFHOOK_SEED=17 python -m pytest tests/property/test_crossings.py` plays from there on.
"""

import os
import random
from collections.abc import Callable

import pytest
from tests.support.clock import in_virtual_time
from tests.support.media import FakeWire
from tests.support.world import GATEWAY, OFFHOOK, PhoneCall, World, sdp

from offhook.call.state import CallState
from offhook.sdp.description import SessionDescription

pytestmark = pytest.mark.scenario

SEED = int(os.environ.get("OFFHOOK_SEED", "0"))
CALLS = 1_000 if os.environ.get("OFFHOOK_PROVE") else 90
PARTS = 3

PRACK = ("auto", "always", "required")
ROUTES = (
    "",
    'answer = "first-audio"',
    'answer = "at-once"',
    'early_media = "ringback"',
    'early_media = "agent"',
    'early_media = "ringback"\nanswer = "first-audio"',
)
FALLBACKS = ("", 'fallback = [{ to = "ws://second.example/" }, { to = "echo:" }]')
OFFERS = (b"", b"", None, sdp(way="inactive"))
OTHER = "ws://other.example/"
CHANGES = frozenset({"accept", "ready", "agent holds", "agent resumes", "update", "reinvite", "offerless"})

# Longer than anything that a call waits for: playout, a transfer, ringing.
LONGEST_WAIT = 750.0


def config(chance: random.Random) -> str:
    """A gateway of one route, in which silence and duration end nothing."""
    trunk = f'name = "acme"\nmedia_timeout = 3600\nprack = "{chance.choice(PRACK)}"\n'
    route = f'{chance.choice(ROUTES)}\n{chance.choice(FALLBACKS)}\nring_timeout = 10\nhand_over_to = ["{OTHER}"]\n'
    return OFFHOOK.replace('name = "acme"\n', trunk, 1) + route


class Crossing:
    """One call, its agents and what they wish by chance."""

    def __init__(self, world: World, call: PhoneCall, chance: random.Random) -> None:
        self.world, self.call, self.chance = world, call, chance
        self.done: list[str] = []
        self.version = 1
        self.ends_nothing = chance.random() < 0.5

    @property
    def wires(self) -> list[FakeWire]:
        return [wire for wire in self.world.engine.wires if not wire.is_over]

    def act(self) -> None:
        """Somebody does something."""
        wishes: dict[str, Callable[[], None]] = {}
        if self.wires:
            wire = self.chance.choice(self.wires)
            wishes |= self.of_agent(wire) if wire._connected else {"accept": wire.accept, "refuse": wire.refuse}
        if not self.call.is_over:
            wishes |= self.of_caller()
        if self.ends_nothing:
            wishes = {name: wish for name, wish in wishes.items() if name in CHANGES}
        if wishes:
            name = self.chance.choice(sorted(wishes))
            self.done.append(name)
            wishes[name]()

    def of_agent(self, wire: FakeWire) -> dict[str, Callable[[], None]]:
        def hang_up() -> None:
            wire.says(type="hangup")
            if wire.leg is not None:
                wire.leg.hang_up_after_playout()

        return {
            "ready": lambda: wire.says(type="ready"),
            "speak": lambda: wire.speaks(self.chance.uniform(0.1, 3.0)),
            "agent holds": lambda: wire.says(type="hold"),
            "agent resumes": lambda: wire.says(type="resume"),
            "transfer": lambda: wire.says(type="transfer", target="tel:+14155550123"),
            "hand over": lambda: wire.says(type="hand_over", to=OTHER),
            "hang up": hang_up,
            "hang up now": lambda: wire.says(type="hangup", now=True),
            "close": lambda: wire.ends(1000),
            "break": wire.breaks,
        }

    def of_caller(self) -> dict[str, Callable[[], None]]:
        self.version += 1
        way = self.chance.choice(("sendrecv", "sendonly", "inactive"))
        call = self.call
        offer = sdp(way=way, version=self.version, port=4000 + 2 * self.version)
        # What it answers next, which may be nothing.
        answer = sdp(
            way=self.chance.choice(("sendrecv", "recvonly")), version=self.version, port=4001 + 2 * self.version
        )
        call.acknowledges = answer if self.chance.random() < 0.9 else None
        call.refuses_reinvites = self.chance.random() < 0.1
        wishes: dict[str, Callable[[], None]] = {}
        if self.world.engine.legs:
            wishes["key"] = lambda: self.world.leg.keys("5")
        if call.session.dialog is not None:
            wishes["update"] = lambda: call.update(offer)
        if call.is_answered:
            wishes["reinvite"] = lambda: call.reinvite(offer)
            wishes["offerless"] = lambda: call.reinvite(None)
        if call.is_answered and call.refers:
            wishes["busy"] = lambda: call.notify("SIP/2.0 486 Busy Here", "terminated")
            wishes["transferred"] = lambda: call.notify("SIP/2.0 200 OK", "terminated")
        return wishes


def stuck(world: World) -> list[str]:
    """What calls that are still there wait for, though it can come no more."""
    found = []
    for call in world.switchboard._calls.values():
        if call.state not in (CallState.ANSWERED, CallState.ENDED):
            found.append(f"it is {call.state.value}")
        if call._farewell:
            found.append(f"its agent has left: {call._farewell}")
        if call.transfers.is_open or call.hand_overs.is_open or call.leg.is_asking:
            found.append("something asked for has no outcome")
    return found


def apart(world: World, call: PhoneCall) -> list[str]:
    """What the two sides of a call that is up believe differently of its sound, and versions that are used twice."""
    found = []
    dialog = call.session.dialog
    if not call.is_over and call.is_answered and dialog is not None and dialog.offers.local:
        theirs, remote = SessionDescription.parse(dialog.offers.local), world.leg.remote
        if theirs.media[0].port != remote.port:
            found.append(f"the caller is at port {theirs.media[0].port}, its sound goes to {remote.port}")
    newest, known = 0, set()
    for body in [message.body for _, host, message in world.network.log if host == GATEWAY and message.body]:
        if body.startswith(b"v=0") and body not in known:
            known.add(body)
            before, newest = newest, int(SessionDescription.parse(body).origin.version)
            if newest <= before:
                found.append(f"SDP that is new has version {newest} after {before}")
    return found


async def play(seed: int) -> None:
    chance = random.Random(seed)
    async with World(config(chance)) as world:
        if chance.random() < 0.3:
            world.network.lost = lambda sender, message: chance.random() < 0.15
        call = await world.place(offer=chance.choice(OFFERS))
        crossing = Crossing(world, call, chance)
        if chance.random() < 0.8 and crossing.wires:
            world.take_call()
            await world.pass_time(0.05)
        for _ in range(chance.randint(3, 25)):
            crossing.act()
            await world.pass_time(chance.choice((0.0, 0.001, 0.01, 0.1, 1.0, 3.0)))
        told = f"seed {seed}: {', '.join(crossing.done)}"
        world.network.lost = lambda sender, message: False
        await world.pass_time(LONGEST_WAIT)
        assert stuck(world) == [], told
        assert apart(world, call) == [], told
        call.hang_up()
        await world.pass_time(200)
        assert world.faults == {}, told
        [record] = world.records
        assert record.end_reason != "internal_error", f"{told}: {record.end_detail}"
        world.assert_nothing_left()


@pytest.mark.parametrize("part", range(PARTS))
@in_virtual_time
async def test_of_what_crosses_in_a_call_nothing_is_lost_and_nothing_left(part: int) -> None:
    for seed in range(SEED + part, SEED + CALLS, PARTS):
        await play(seed)
