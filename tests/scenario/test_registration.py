"""The gateway registers with a carrier, keeps that up, and takes the carrier's calls because of it."""

import asyncio
import random
from collections.abc import Callable

import pytest
from tests.support.carrier import CARRIER, Carrier, CarrierWorld
from tests.support.clock import in_virtual_time
from tests.support.world import GATEWAY, OFFHOOK, World

from offhook.sip.digest import Challenger, Verified
from offhook.sip.effects import Target
from offhook.sip.message import Request, Response

pytestmark = pytest.mark.scenario

TRUNK = f"""
[[trunk]]
name = "line"
host = "{CARRIER}"
username = "alice"
password = "s3cret"
register = true
register_expires = 60
from_domain = "acme.example"
"""
SECOND = TRUNK.replace('"line"', '"other"').replace('"alice"', '"bob"')


class Registrar:
    """Knows passwords, grants what it is asked for, `answers` otherwise where that is set."""

    def __init__(self, password: str = "s3cret", grants: int = 60) -> None:
        self.challenger = Challenger("acme.example", ("SHA-256", "MD5"), secret=b"x" * 16, rng=random.Random(1))
        self.password = password
        self.grants = grants
        self.asked: list[Request] = []
        self.answers: Callable[[Request], Response | None] | None = None
        self.contacts: dict[str, str] = {}

    def __call__(self, request: Request) -> Response | None:
        self.asked.append(request)
        if self.answers is not None:
            return self.answers(request)
        found = self.challenger.verify(request, 0.0, GATEWAY, lambda user: self.password)
        if not isinstance(found, Verified):
            values = self.challenger.challenge(0.0, GATEWAY, "REGISTER", str(request.request_uri))
            return request.response(401, to_tag="t", headers=tuple(("WWW-Authenticate", value) for value in values))
        [contact] = request.contacts
        user = str(request.to.uri).removeprefix("sip:").partition("@")[0]
        if request.expires == 0:
            self.contacts.pop(user, None)
            return request.response(200, to_tag="t")
        self.contacts[user] = str(contact.uri)
        return request.response(200, to_tag="t", headers=(("Contact", f"{contact};expires={self.grants}"),))


class RegisteringWorld(CarrierWorld):
    """A gateway with trunks that register with a carrier at 192.0.2.9."""

    async def __aenter__(self) -> "RegisteringWorld":
        await super().__aenter__()
        self.registrar = Registrar()
        self.carrier.registrar = self.registrar
        return self

    def start(self) -> None:
        self.signalling.registrations.start()

    async def calls_from_carrier(self, to: str) -> bool:
        """Whether a call of the carrier for this URI comes to anything."""
        call = self.carrier.call(to)
        await self.pass_time(0.1)
        heard = call.session.response is not None
        call.must = False
        call.hang_up()
        await self.pass_time(40)
        return heard


def state(world: World, trunk: str = "line") -> dict[str, object]:
    return world.signalling.registrations.states()[trunk]


@pytest.mark.rfc(3261, "10.2")
@in_virtual_time
async def test_it_registers_by_digest_and_refreshes_in_time() -> None:
    async with RegisteringWorld(OFFHOOK + TRUNK) as world:
        world.start()
        await world.pass_time(1)
        first, second = world.registrar.asked
        assert str(first.request_uri) == "sip:acme.example"
        assert str(first.to.uri) == str(first.from_.uri) == "sip:alice@acme.example"
        assert first.expires == 60
        assert (second.call_id, second.cseq.number) == (first.call_id, first.cseq.number + 1)
        assert second.headers.get("Authorization")
        assert state(world)["registered"] is True
        page = world.metrics.registry
        assert page.get_sample_value("offhook_registrations_total", {"trunk": "line", "outcome": "registered"}) == 1
        await world.pass_time(600)
        assert state(world)["registered"] is True
        assert 600 / 48 - 2 <= len(world.registrar.asked) / 2 <= 600 / 30 + 2
        assert len({request.call_id for request in world.registrar.asked}) == 1
        numbers = [request.cseq.number for request in world.registrar.asked]
        assert numbers == sorted(set(numbers))
        await world.signalling.registrations.close()
        assert world.registrar.contacts == {}
        assert world.registrar.asked[-1].expires == 0


@pytest.mark.rfc(5626, "4.4")
@in_virtual_time
async def test_the_way_is_kept_open() -> None:
    async with RegisteringWorld(OFFHOOK + TRUNK.replace("= 60", "= 3600")) as world:
        world.registrar.grants = 3600
        world.start()
        await world.pass_time(300)
        kept = [at for at, target in world.stack._flows.kept_alive if target.host == CARRIER]
        assert 300 / 25 - 1 <= len(kept) <= 300 / 22.5 + 1
        # A connection that is gone is told of at once: the calls would come by it.
        before = len(world.registrar.asked)
        world.stack._flows.unreached.add((CARRIER, 5060))
        await world.pass_time(26)
        assert len(world.registrar.asked) > before


@in_virtual_time
async def test_its_calls_come_in_because_we_are_registered() -> None:
    """From its address; of two accounts there the contact tells which one is called. Not before, and not after."""
    async with RegisteringWorld(OFFHOOK + TRUNK + SECOND) as world:
        assert not await world.calls_from_carrier(f"sip:+14155550100@{GATEWAY}")
        world.start()
        await world.pass_time(2)
        contacts = dict(world.registrar.contacts)
        assert len(set(contacts.values())) == 2
        for user, trunk in (("bob", "other"), ("alice", "line"), ("bob", "other")):
            assert await world.calls_from_carrier(contacts[user])
            assert world.records[-1].trunk == trunk
        assert await world.calls_from_carrier(f"sip:+14155550100@{GATEWAY}")
        assert world.records[-1].trunk == "line"
        # Somebody else who has read our contact is a stranger still.
        count = len(world.records)
        stranger = await world.party("203.0.113.66")
        stranger.call(contacts["alice"])
        await world.pass_time(1)
        assert len(world.records) == count
        await world.signalling.registrations.close()


@in_virtual_time
async def test_a_registration_that_lapses_takes_no_more_calls() -> None:
    async with RegisteringWorld(OFFHOOK + TRUNK) as world:
        world.start()
        await world.pass_time(2)
        contact = world.registrar.contacts["alice"]
        world.registrar.answers = lambda request: request.response(403, to_tag="t")
        await world.pass_time(200)
        assert state(world)["registered"] is False
        problem = state(world)["problem"]
        assert isinstance(problem, dict)
        assert problem["code"] == "forbidden"
        assert not await world.calls_from_carrier(contact)
        world.registrar.answers = None
        await world.pass_time(4000)
        assert state(world)["registered"] is True
        assert await world.calls_from_carrier(world.registrar.contacts["alice"])


@in_virtual_time
async def test_a_wrong_password_is_not_tried_again_and_again() -> None:
    async with RegisteringWorld(OFFHOOK + TRUNK) as world:
        world.registrar.password = "other"
        world.start()
        await world.pass_time(3600)
        problem = state(world)["problem"]
        assert isinstance(problem, dict)
        assert problem["code"] == "wrong_password"
        assert "`password`" in problem["hint"]
        assert len(world.registrar.asked) <= 2 * 6
        page = world.metrics.registry
        outcome = {"trunk": "line", "outcome": "wrong_password"}
        assert 1 <= (page.get_sample_value("offhook_registrations_total", outcome) or 0) <= 6


@pytest.mark.rfc(3261, "10.2")
@in_virtual_time
async def test_who_stops_while_it_registers_leaves_nothing_behind() -> None:
    """The registrar is slow: it hears the first REGISTER once the gateway has begun to stop."""
    async with RegisteringWorld(OFFHOOK + TRUNK) as world:
        world.registrar.answers = lambda request: None
        world.start()
        await world.pass_time(0.4)
        assert len(world.registrar.asked) == 1
        world.registrar.answers = None
        await world.signalling.registrations.close()
        assert world.registrar.contacts == {}
        assert [request.expires for request in world.registrar.asked] == [60, 60, 60, 0, 0]
        await world.pass_time(40)
        assert world.registrar.contacts == {}


@pytest.mark.rfc(3263, "4.3")
@in_virtual_time
async def test_a_registrar_that_is_dead_gives_way_to_the_next() -> None:
    """After `target_timeout`, not after the 32 s of SIP; the way in is open for both."""
    there = (Target("udp", "192.0.2.66", 5060), Target("udp", CARRIER, 5060))
    config = OFFHOOK + TRUNK.replace(f'"{CARRIER}"', '"carrier.test"')
    async with RegisteringWorld(config, names={"carrier.test": there}) as world:
        dead = Carrier(world.network, "192.0.2.66")
        await dead.stack.start()
        dead.registrar = lambda request: None
        world.start()
        await world.pass_time(3.8)
        assert world.registrar.asked == []
        await world.pass_time(1)
        assert state(world)["registered"] is True
        assert state(world)["registrar"] == f"udp:{CARRIER}:5060"
        assert await world.calls_from_carrier(world.registrar.contacts["alice"])


@in_virtual_time
async def test_a_registrar_that_says_nothing_is_told_by_its_address() -> None:
    async with RegisteringWorld(OFFHOOK + TRUNK) as world:
        world.carrier.registrar = lambda request: None
        world.start()
        await world.pass_time(33)
        problem = state(world)["problem"]
        assert problem["code"] == "no_answer"
        assert problem["message"].startswith(f"udp {CARRIER}:5060: ")


@in_virtual_time
async def test_trunks_do_not_all_register_at_once() -> None:
    many = "".join(TRUNK.replace('"line"', f'"line{i}"').replace('"alice"', f'"user{i}"') for i in range(8))
    async with RegisteringWorld(OFFHOOK + many) as world:
        started = asyncio.get_running_loop().time()
        world.start()
        await world.pass_time(10)
        sent = [at for at, _, message in world.network.log if isinstance(message, Request)]
        assert len(world.registrar.contacts) == 8
        assert max(sent) - started >= 3
