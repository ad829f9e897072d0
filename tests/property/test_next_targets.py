"""Calls out to several addresses and trunks that do anything: at most one phone talks, and nobody is left ringing."""

import os
import random
from collections.abc import Callable

import pytest
from tests.scenario.test_next_target import ONE, THREE, TWO, Edge, trunk, udp
from tests.support.carrier import CalledPhone, Carrier
from tests.support.clock import in_virtual_time
from tests.support.world import sdp

from offhook.sip.effects import Target

pytestmark = pytest.mark.scenario

ADDRESSES = (ONE, TWO, THREE, "198.51.100.4", "198.51.100.5")
MANNERS = ("answers", "answers", "rings", "silent", "gone", "503", "503 late", "486", "100 alone", "slow", "rings late")
SEEDS = range(400 if os.environ.get("OFFHOOK_PROVE") == "1" else 60)


def play(edge: Carrier, manner: str, draw: random.Random, after: Callable[[float, Callable[[], None]], None]) -> None:
    """Have somebody there do so with each call, `slow` ones after their word has been given up."""
    heard, taken = edge.flows.deliver, edge.calls
    pause = draw.uniform(4.2, 9.0) if manner in ("slow", "rings late") else draw.uniform(0.0, 0.5)

    def act(phone: CalledPhone) -> None:
        phone.must = False
        if manner in ("answers", "slow"):
            phone.answer(sdp(host=edge.host, port=4000))
        elif manner in ("rings", "rings late"):
            phone.ring()
            after(draw.uniform(0.5, 8.0), lambda: phone.answer(sdp(host=edge.host, port=4000)))
        elif manner != "100 alone":
            phone.refuse(int(manner.split()[0]))

    def deliver(data: bytes, source: object) -> None:
        before = len(taken)
        if manner == "silent":
            return
        if manner in ("slow", "rings late") and data.startswith(b"INVITE"):
            # Not even a 100 gets out before.
            after(pause, lambda: later(data, source))
            return
        heard(data, source)  # type: ignore[arg-type]
        for phone in taken[before:]:
            after(pause + (3.0 if manner == "503 late" else 0.0), lambda phone=phone: act(phone))  # type: ignore[misc]

    def later(data: bytes, source: object) -> None:
        before = len(taken)
        heard(data, source)  # type: ignore[arg-type]
        for phone in taken[before:]:
            act(phone)

    edge.flows.deliver = deliver  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", SEEDS)
def test_at_most_one_phone_talks_and_nothing_is_left(seed: int) -> None:
    draw = random.Random(seed)
    manners = {host: draw.choice(MANNERS) for host in ADDRESSES}

    @in_virtual_time
    async def played() -> None:
        import asyncio

        names: dict[str, tuple[Target, ...]] = {"acme.test": udp(*ADDRESSES[:3]), "other.test": udp(*ADDRESSES[3:])}
        trunks = trunk("acme", "acme.test", "priority = 1") + trunk("other", "other.test", "priority = 2")
        there = [host for host, manner in manners.items() if manner != "gone"]
        async with Edge(trunks, *(there or ["198.51.100.9"]), names=names, chance=draw.random) as world:
            loop = asyncio.get_running_loop()
            for host in there:
                play(world.edges[host], manners[host], draw, lambda delay, action: loop.call_later(delay, action))
            call = await world.place(ring_timeout=40.0)
            gives_up = draw.random() < 0.2
            if gives_up:
                await world.pass_time(draw.uniform(0.0, 12.0))
                call.give_up("changed my mind")
            await world.pass_time(45)
            phones = [phone for edge in world.edges.values() for phone in edge.calls]
            answered = [phone for phone in phones if phone.acknowledged]
            talking = [phone for phone in answered if phone.bye is None]
            outcome = call.decided.result()
            assert len(talking) == (outcome.kind == "answered" and not gives_up), (manners, outcome)
            # No call is lost where somebody would have taken it, and nobody before has said no or waits on.
            would = any(manner == "answers" for manner in manners.values())
            ends = any(manner in ("486", "rings", "100 alone") for manner in manners.values())
            if would and not ends and not gives_up:
                assert outcome.kind == "answered", (manners, outcome)
            for phone in talking:
                phone.must = False
                phone.hang_up()
            await world.pass_time(120)
            assert all(phone.session.is_over for phone in phones), manners
            world.assert_nothing_left()
            assert not world.signalling.screen._called

    played()
