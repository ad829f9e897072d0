"""Phones that register with the gateway: who may, what strangers learn of it, and whose their calls are."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.phones import CONFIG, DeskWorld, Phone
from tests.support.world import GATEWAY, OFFHOOK

from offhook.call.end_reason import EndReason
from offhook.call.event import HangUp
from offhook.call.out.outbound import OutboundCall
from offhook.call.out.outcome import NotPlaced
from offhook.call.out.wish import Wish
from offhook.route.destination_uri import AgentUri

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


@pytest.mark.rfc(8760, "2.4")
@pytest.mark.parametrize("known", ["SHA-256", "MD5"])
@in_virtual_time
async def test_a_phone_takes_the_best_challenge_that_it_knows(known: str) -> None:
    both = CONFIG.replace('caller_id = "100"', 'caller_id = "100"\nphone_algorithms = ["SHA-256", "MD5"]')
    async with DeskWorld(both) as world:
        alice = await world.phone("alice")
        alice.algorithms = (known,)
        assert await alice.register() == 200
        [challenged, *_] = world.network.responses(401, "REGISTER")
        assert [value.get("algorithm") for value in challenged.challenges] == ["SHA-256", "MD5"]
        assert f"algorithm={known}" in (world.network.requests("REGISTER")[-1].headers.get("Authorization") or "")


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


async def ring(world: DeskWorld, *phones: Phone, to: str = "alice") -> OutboundCall:
    """A call of the bot to a phone; `phones` are those that it comes to."""
    call = await world.signalling.dialler.dial(Wish(to, AgentUri("bot"), trunk="desk"))
    assert isinstance(call, OutboundCall), call
    await world.pass_time(0.05)
    world.take_call()
    await world.pass_time(0.05)
    assert all(len(phone.calls) == 1 for phone in phones)
    return call


@in_virtual_time
async def test_a_registered_phone_is_called_where_it_is() -> None:
    async with DeskWorld() as world:
        alice = await world.phone("alice")
        missed = await world.signalling.dialler.dial(Wish("alice", AgentUri("bot")))
        assert isinstance(missed, NotPlaced)
        assert (missed.code, missed.outcome.kind) == ("not_registered", "failed")
        assert missed.outcome.end_reason == "phone_not_registered"
        assert await alice.register() == 200
        call = await ring(world, alice)
        [rung] = alice.calls
        assert str(rung.request.request_uri) == f"sip:alice@{alice.host}:5060"
        assert str(rung.request.from_.uri) == f"sip:100@{GATEWAY}"
        assert str(rung.request.to.uri) == f"sip:alice@{GATEWAY}"
        rung.ring()
        await world.pass_time(2)
        rung.answer()
        await world.pass_time(0.1)
        assert call.decided.result().kind == "answered"
        assert rung.acknowledged == 1
        rung.hang_up()
        await world.pass_time(40)
        record = world.records[-1]
        assert (record.trunk, record.to_number, record.end_reason) == ("desk", "alice", "callee_hung_up")


@in_virtual_time
async def test_a_phone_that_moves_while_the_agent_gets_ready_is_called_where_it_is_then() -> None:
    async with DeskWorld() as world:
        office = await world.phone("alice")
        home = await world.phone("alice", host="198.51.100.77")
        assert await office.register() == 200
        call = await world.signalling.dialler.dial(Wish("alice", AgentUri("bot")))
        assert isinstance(call, OutboundCall)
        await world.pass_time(0.05)
        assert await office.register(expires=0) == 200
        assert await home.register() == 200
        world.take_call()
        await world.pass_time(0.1)
        assert office.calls == []
        [rung] = home.calls
        assert str(rung.request.request_uri) == f"sip:alice@{home.host}:5060"


@in_virtual_time
async def test_a_phone_that_leaves_while_the_agent_gets_ready_is_not_there() -> None:
    async with DeskWorld() as world:
        alice = await world.phone("alice")
        assert await alice.register() == 200
        call = await world.signalling.dialler.dial(Wish("alice", AgentUri("bot")))
        assert isinstance(call, OutboundCall)
        await world.pass_time(0.05)
        assert await alice.register(expires=0) == 200
        world.take_call()
        await world.pass_time(1)
        outcome = call.decided.result()
        assert (outcome.kind, outcome.end_reason) == ("failed", "trunk_unreachable")
        assert "registered" in outcome.detail
        assert alice.calls == []


@in_virtual_time
async def test_nobody_who_is_no_phone_is_called_by_the_trunk() -> None:
    async with DeskWorld() as world:
        for to in ("carol", "+14155550142", "911", "sip:alice@203.0.113.9", "alice@203.0.113.9", "al*"):
            refused = await world.signalling.dialler.dial(Wish(to, AgentUri("bot"), trunk="desk"))
            assert isinstance(refused, NotPlaced)
            assert refused.outcome.end_reason == "dial_refused"


@pytest.mark.rfc(3261, "16.7")
@in_virtual_time
async def test_all_of_a_phones_places_ring_and_the_first_that_answers_has_the_call() -> None:
    async with DeskWorld() as world:
        phones = [await world.phone("bob", host=f"198.51.100.{last}") for last in (10, 11, 12)]
        for phone in phones:
            assert await phone.register() == 200
        call = await ring(world, *phones, to="bob")
        for phone in phones:
            phone.calls[0].ring()
        await world.pass_time(2)
        phones[1].calls[0].answer()
        await world.pass_time(0.1)
        assert call.decided.result().kind == "answered"
        assert phones[1].calls[0].acknowledged == 1
        for loser in (phones[0], phones[2]):
            cancel = loser.calls[0].cancel
            assert cancel is not None
            assert "elsewhere" in (cancel.headers.get("Reason") or "").lower() + str(cancel.headers.get_all("Reason"))
        await world.pass_time(10)
        phones[1].calls[0].hang_up()
        await world.pass_time(40)
        assert world.records[-1].end_reason == "callee_hung_up"
        world.assert_nothing_left()


@pytest.mark.rfc(3261, "13.2.2.4")
@in_virtual_time
async def test_two_places_that_answer_at_once_are_one_call() -> None:
    async with DeskWorld() as world:
        phones = [await world.phone("bob", host=f"198.51.100.{last}") for last in (10, 11)]
        for phone in phones:
            assert await phone.register() == 200
        await ring(world, *phones, to="bob")
        for phone in phones:
            phone.calls[0].answer()
        await world.pass_time(1)
        byes = [phone for phone in phones if phone.calls[0].bye is not None]
        assert len(byes) == 1
        assert all(phone.calls[0].acknowledged >= 1 for phone in phones)
        [winner] = [phone for phone in phones if phone not in byes]
        winner.calls[0].hang_up()
        await world.pass_time(40)
        assert world.records[-1].end_reason == "callee_hung_up"
        world.assert_nothing_left()


@pytest.mark.rfc(3261, "16.7")
@pytest.mark.parametrize(
    ("says", "kind", "status"),
    [((486, 480), "busy", 486), ((486, 603), "refused", 603), ((404, 486), "refused", 404), ((500, 486), "busy", 486)],
)  # fmt: skip
@in_virtual_time
async def test_the_best_refusal_of_all_places_counts(says: tuple[int, int], kind: str, status: int) -> None:
    async with DeskWorld() as world:
        phones = [await world.phone("bob", host=f"198.51.100.{last}") for last in (10, 11)]
        for phone in phones:
            assert await phone.register() == 200
        call = await ring(world, *phones, to="bob")
        for phone, code in zip(phones, says, strict=True):
            phone.calls[0].refuse(code)
            await world.pass_time(0.5)
        outcome = call.decided.result()
        assert outcome.kind == kind
        assert outcome.status in (status, *says)
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_a_call_that_is_given_up_rings_nowhere() -> None:
    async with DeskWorld() as world:
        phones = [await world.phone("bob", host=f"198.51.100.{last}") for last in (10, 11)]
        for phone in phones:
            assert await phone.register() == 200
        call = await ring(world, *phones, to="bob")
        for phone in phones:
            phone.calls[0].ring()
        await world.pass_time(1)
        call.post(HangUp(EndReason.DIAL_CANCELLED, "enough"))
        await world.pass_time(1)
        assert all(phone.calls[0].cancel is not None for phone in phones)
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_a_place_that_is_silent_does_not_keep_the_others_waiting() -> None:
    async with DeskWorld() as world:
        phones = [await world.phone("bob", host=f"198.51.100.{last}") for last in (10, 11)]
        for phone in phones:
            assert await phone.register() == 200
        silent, other = phones
        world.network.lost = lambda sender, message: sender == silent.host
        call = await ring(world, other, to="bob")
        other.calls[0].answer()
        await world.pass_time(0.1)
        assert call.decided.result().kind == "answered"
        await world.pass_time(5)
        other.calls[0].hang_up()
        await world.pass_time(60)
        world.assert_nothing_left()
