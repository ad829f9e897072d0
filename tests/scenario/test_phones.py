"""Phones that register with the gateway: who may, what strangers learn of it, and whose their calls are."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.phones import CONFIG, DeskWorld, Phone
from tests.support.world import GATEWAY, OFFHOOK

pytestmark = pytest.mark.scenario


@pytest.mark.rfc(3261, "10.3")
@pytest.mark.rfc(3261, "22.2")
@in_virtual_time
async def test_a_phone_registers_by_digest_and_is_listed_until_it_leaves() -> None:
    async with DeskWorld() as world:
        alice = await world.phone("alice")
        assert await alice.register() == 200
        [listed] = [one for one in world.signalling.phones.listed() if one["phone"] == "alice"]
        assert [contact["address"] for contact in listed["contacts"]] == [f"udp:{alice.host}:5060"]
        assert world.signalling.phones.registered() == {"desk": 1}
        assert world.network.responses(401, "REGISTER")
        assert await alice.register(expires=0) == 200
        assert world.signalling.phones.registered() == {"desk": 0}


@in_virtual_time
async def test_a_phone_that_is_silent_is_forgotten_in_time() -> None:
    async with DeskWorld() as world:
        alice = await world.phone("alice")
        assert await alice.register(expires=120) == 200
        await world.pass_time(119)
        assert world.signalling.phones.registered() == {"desk": 1}
        await world.pass_time(40)
        assert world.signalling.phones.registered() == {"desk": 0}


@in_virtual_time
async def test_a_stranger_learns_nothing() -> None:
    """An unknown user and a wrong password get the same but for the nonce, and so does a guess too many."""
    async with DeskWorld() as world:
        answers = []
        for user in ("alice", "nobody", "911"):
            thief = await world.phone(user, password="guessed", host=f"203.0.113.{len(answers) + 1}")
            assert await thief.register() == 401
            [*_, last] = [r for r in world.network.responses(401, "REGISTER") if r.to.uri == thief.address]
            names = [name for name, _ in last.headers]
            answers.append(
                (last.reason, names, [v.split("nonce")[0] for v in last.headers.get_all("WWW-Authenticate")])
            )
        assert answers[0] == answers[1] == answers[2]
        thief = await world.phone("alice", password="guessed", host="203.0.113.9")
        for _ in range(12):
            assert await thief.register() == 401
        thief.password = "alices-secret"
        # What was guessed too often is not looked at; from elsewhere the phone has its way.
        assert await thief.register() == 401
        alice = await world.phone("alice")
        assert await alice.register() == 200
        await world.pass_time(60)
        assert await thief.register() == 200


@in_virtual_time
async def test_nobody_registers_for_somebody_else() -> None:
    async with DeskWorld() as world:
        alice = await world.phone("alice")
        for user in ("bob", "nobody"):
            assert await alice.register(as_user=user) == 403
        assert world.signalling.phones.registered() == {"desk": 0}


@in_virtual_time
async def test_without_phones_nobody_registers() -> None:
    """A trunk of another kind takes none, from whatever address."""
    async with DeskWorld(OFFHOOK) as world:
        carrier = await world.phone("alice", host="192.0.2.1")
        assert await carrier.register() == 405


@in_virtual_time
async def test_a_call_of_a_phone_is_proven_and_has_its_name() -> None:
    async with DeskWorld() as world:
        alice = await world.phone("alice")
        call = alice.call(f"sip:100@{GATEWAY}", credentials=alice.credentials, from_=f"<sip:alice@{GATEWAY}>")
        await world.pass_time(1)
        assert call.is_answered
        call.hang_up()
        await world.pass_time(40)
        record = world.records[-1]
        assert (record.trunk, record.from_number, record.to_number) == ("desk", "alice", "100")


@in_virtual_time
async def test_a_phone_that_writes_another_name_into_from_has_its_own() -> None:
    async with DeskWorld() as world:
        alice = await world.phone("alice")
        call = alice.call(f"sip:100@{GATEWAY}", credentials=alice.credentials, from_="<sip:+14155550100@boss.example>")
        await world.pass_time(1)
        call.hang_up()
        await world.pass_time(40)
        assert world.records[-1].from_number == "alice"


@in_virtual_time
async def test_who_is_registered_at_an_address_opens_it_for_nobody() -> None:
    """A call from behind the same router proves itself, or is none."""
    async with DeskWorld() as world:
        alice = await world.phone("alice")
        assert await alice.register() == 200
        call = alice.call(f"sip:100@{GATEWAY}", from_=f"<sip:alice@{GATEWAY}>")
        await world.pass_time(1)
        assert not call.is_answered
        assert world.network.responses(401)
        assert world.records == []


@in_virtual_time
async def test_the_way_to_a_phone_is_kept_open() -> None:
    async with DeskWorld() as world:
        alice = await world.phone("alice")
        assert await alice.register() == 200
        await world.pass_time(290)
        kept = [at for at, target in world.stack._flows.kept_alive if target.host == alice.host]
        assert 9 <= len(kept) <= 11


@in_virtual_time
async def test_registrations_outlive_a_restart(tmp_path: object) -> None:
    async with DeskWorld(kept_in=tmp_path) as world:
        for user in ("alice", "bob"):
            phone: Phone = await world.phone(user)
            assert await phone.register(expires=600) == 200
        await world.signalling.phones.close()
    async with DeskWorld(CONFIG.replace('"bob"', '"carol"'), kept_in=tmp_path) as world:
        assert world.signalling.phones.registered() == {"desk": 1}
        await world.pass_time(700)
        assert world.signalling.phones.registered() == {"desk": 0}
