"""Calls out by trunks of several addresses, and by several trunks: who is asked next, why, and who is not."""

import asyncio
from typing import Any, Self

import pytest
from tests.support.carrier import OURS, CalledPhone, Carrier, DiallingWorld
from tests.support.clock import in_virtual_time
from tests.support.world import notes, sdp

from offhook.call.out.outbound import OutboundCall
from offhook.call.out.outcome import NotPlaced
from offhook.sip.effects import Target
from offhook.sip.message import Request
from offhook.transport.icmp import Undelivered

pytestmark = pytest.mark.scenario

ONE, TWO, THREE = "198.51.100.1", "198.51.100.2", "198.51.100.3"

ROUTE = """
[[route]]
name = "all"
destination = "echo:"
"""

AGENT = """
[[agent]]
name = "bot"
kind = "offhook"
url = "ws://agent.example/voice"
"""


def trunk(name: str, host: str, *more: str, dial_to: str = "+1*") -> str:
    lines = [f'name = "{name}"', f'host = "{host}"', f'caller_id = "{OURS}"', f'dial_to = "{dial_to}"', *more]
    return "\n[[trunk]]\n" + "\n".join(lines) + "\n"


def udp(*hosts: str) -> tuple[Target, ...]:
    return tuple(Target("udp", host, 5060) for host in hosts)


class Edge(DiallingWorld):
    """A gateway with `trunks` and the real gate. `edges` has who is there, by address; others don't exist."""

    def __init__(self, trunks: str = "", *there: str, **options: Any) -> None:
        names = options.pop("names", {"acme.test": udp(ONE, TWO, THREE)})
        written = ROUTE + (trunks or trunk("acme", "acme.test")) + AGENT + options.pop("more", "")
        super().__init__(written, opens=False, names=names, **options)
        self._there = there or (ONE, TWO, THREE)
        self.edges: dict[str, Carrier] = {}

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        for host in self._there:
            self.edges[host] = Carrier(self.network, host)
            await self.edges[host].stack.start()
        return self

    async def place(self, **options: Any) -> OutboundCall:
        """A call whose agent is ready, so that the first INVITE is on its way."""
        call = await self.wish(**options)
        assert isinstance(call, OutboundCall), call
        await self.pass_time(0.05)
        self.take_call()
        await self.pass_time(0.05)
        return call

    def rang_at(self, host: str) -> CalledPhone:
        return self.edges[host].calls[-1]

    def asked(self) -> list[str]:
        """Who got an INVITE, in the order of the first to each."""
        seen: dict[tuple[str, str | None], str] = {}
        for host, edge in self.edges.items():
            for phone in edge.calls:
                seen[(phone.request.call_id, phone.request.via.branch)] = host
        order = [(m.call_id, m.via.branch) for m in self.network.requests("INVITE")]
        return [seen[key] for key in dict.fromkeys(order) if key in seen]

    def silence(self, *hosts: str) -> None:
        """Nothing gets to these, and nothing says so."""
        self.network.lost = lambda sender, message: False
        for host in hosts:
            self.edges[host].flows.deliver = lambda data, source: None  # type: ignore[method-assign]

    async def answer(self, host: str) -> CalledPhone:
        phone = self.rang_at(host)
        phone.ring()
        await self.pass_time(1)
        phone.answer(sdp(host=host, port=4000))
        await self.pass_time(0.1)
        return phone


async def is_talking(world: Edge, call: OutboundCall, host: str) -> None:
    """The call was answered there, its sound goes there, and it ends as any other, with nothing left of it."""
    phone = await world.answer(host)
    assert call.decided.result().kind == "answered"
    assert phone.acknowledged == 1
    assert world.engine.legs[-1].remote.address == host
    assert world.engine.legs[-1].wire is world.wire
    phone.hang_up()
    await world.pass_time(40)
    [record] = world.records
    assert (record.end_reason, record.remote_signalling) == ("callee_hung_up", f"{host}:5060")
    await world.pass_time(40)
    world.assert_nothing_left()


@in_virtual_time
async def test_one_that_says_nothing_is_left_after_its_time_and_the_account_says_so() -> None:
    async with Edge() as world:
        world.silence(ONE)
        call = await world.place()
        await world.pass_time(3.8)
        assert world.edges[TWO].calls == []
        await world.pass_time(0.3)
        noted = notes(call.timeline, "note")
        assert f"tried udp {ONE}:5060: no answer in 4 s" in noted
        assert f"goes to udp {TWO}:5060" in noted
        await is_talking(world, call, TWO)
        assert (
            world.metrics.registry.get_sample_value(
                "offhook_targets_tried_total", {"trunk": "acme", "outcome": "unreachable"}
            )
            == 1.0
        )


@in_virtual_time
async def test_where_nothing_can_be_sent_the_next_is_asked_at_once() -> None:
    async with Edge(trunk("acme", "acme.test"), TWO, THREE) as world:
        call = await world.place()
        assert world.asked() == [TWO]
        await is_talking(world, call, TWO)


def comes_back(world: Edge, request: Request, host: str = ONE, quoted: slice = slice(520)) -> None:
    """ICMP says that nothing listens at a host, and quotes what we sent as far as it has room for that."""
    world.stack._on_undelivered(Undelivered(bytes(request)[quoted], (host, 5060), "nothing listens there (ICMP)"))


@pytest.mark.rfc(3261, "18.4")
@pytest.mark.rfc(3263, "4.3")
@in_virtual_time
async def test_a_closed_port_is_left_at_once() -> None:
    async with Edge() as world:
        world.silence(ONE)
        call = await world.place()
        comes_back(world, world.network.requests("INVITE")[0])
        await world.pass_time(0.1)
        assert f"tried udp {ONE}:5060: nothing listens there (ICMP)" in notes(call.timeline, "note")
        await is_talking(world, call, TWO)


@pytest.mark.rfc(3261, "18.4")
@in_virtual_time
@pytest.mark.parametrize("forged", ["another branch", "another address", "cut", "nothing", "from the middle"])
async def test_an_icmp_error_that_does_not_prove_what_we_sent_changes_nothing(forged: str) -> None:
    async with Edge() as world:
        world.silence(ONE)
        await world.place()
        [invite, *_] = world.network.requests("INVITE")
        branch = invite.via.branch
        assert branch is not None
        if forged == "another branch":
            via = str(invite.via).replace(branch, branch[:-1] + ("0" if branch[-1] != "0" else "1"))
            comes_back(world, Request("INVITE", invite.request_uri, invite.headers.replacing("Via", via), b""))
        elif forged == "another address":
            comes_back(world, invite, host=THREE)
        else:
            end = bytes(invite).index(branch.encode()) + len(branch)
            comes_back(world, invite, quoted={"cut": slice(end), "nothing": slice(0)}.get(forged, slice(20, 520)))
        await world.pass_time(3.5)
        assert world.asked() == []


@in_virtual_time
async def test_who_has_said_a_word_is_not_left_for_an_icmp_error() -> None:
    async with Edge() as world:
        call = await world.place()
        comes_back(world, world.network.requests("INVITE")[0])
        await world.pass_time(1)
        assert world.asked() == [ONE]
        await world.answer(ONE)
        # Nor does one end what is within a call: its requests are repeated until the peer is back.
        world.silence(ONE)
        call.give_up("over")
        await world.pass_time(0.1)
        comes_back(world, world.network.requests("BYE")[0])
        await world.pass_time(1)
        assert len(world.network.requests("BYE")) > 1


@in_virtual_time
async def test_503_goes_on_and_its_retry_after_is_kept() -> None:
    async with Edge() as world:
        call = await world.place()
        world.rang_at(ONE).refuse(503, headers=(("Retry-After", "30"),))
        await world.pass_time(0.1)
        assert world.asked() == [ONE, TWO]
        await is_talking(world, call, TWO)
    async with Edge() as world:
        await world.place()
        world.rang_at(ONE).refuse(503, headers=(("Retry-After", "30"),))
        await world.pass_time(20)
        await world.place()
        assert len(world.edges[ONE].calls) == 1
        await world.pass_time(11)
        await world.place()
        assert len(world.edges[ONE].calls) == 2


@in_virtual_time
@pytest.mark.parametrize("status", [404, 408, 480, 486, 487, 500, 504, 600, 603])
async def test_what_a_person_or_a_network_decides_is_asked_of_nobody_else(status: int) -> None:
    async with Edge(trunk("acme", "acme.test") + trunk("other", THREE)) as world:
        call = await world.place()
        world.rang_at(ONE).refuse(status)
        await world.pass_time(40)
        assert world.asked() == [ONE]
        assert call.decided.result().status == status
        [record] = world.records
        assert record.sip_status == status
        world.assert_nothing_left()


@in_virtual_time
async def test_who_has_rung_is_waited_for_and_nobody_else_rings() -> None:
    async with Edge(trunk("acme", "acme.test") + trunk("other", THREE)) as world:
        call = await world.place(ring_timeout=30.0)
        world.rang_at(ONE).ring()
        await world.pass_time(31)
        assert world.asked() == [ONE]
        assert call.decided.result().kind == "no_answer"
        assert world.rang_at(ONE).cancel is not None


@in_virtual_time
async def test_503_behind_a_ringing_is_the_end() -> None:
    async with Edge(trunk("acme", "acme.test") + trunk("other", THREE)) as world:
        call = await world.place()
        world.rang_at(ONE).ring()
        await world.pass_time(1)
        world.rang_at(ONE).refuse(503)
        await world.pass_time(1)
        assert world.asked() == [ONE]
        assert (call.decided.result().kind, call.decided.result().end_reason) == ("failed", "trunk_failed")


@in_virtual_time
async def test_one_that_was_left_and_answers_late_is_told_goodbye() -> None:
    async with Edge() as world:
        # Everything of the first takes five seconds each way.
        heard = world.edges[ONE].flows.deliver
        held: list[tuple[bytes, object]] = []
        world.edges[ONE].flows.deliver = lambda data, source: held.append((data, source))  # type: ignore[method-assign]
        call = await world.place()
        await world.pass_time(4.5)
        assert world.asked() == [TWO]
        world.edges[ONE].flows.deliver = heard  # type: ignore[method-assign]
        heard(*held[0])  # type: ignore[arg-type]
        late = world.rang_at(ONE)
        late.answer(sdp(host=ONE, port=4000))
        await world.pass_time(0.1)
        assert late.acknowledged == 1
        assert late.bye is not None
        assert not call.decided.done()
        await is_talking(world, call, TWO)


@in_virtual_time
async def test_one_that_was_left_and_rings_late_gets_cancel() -> None:
    async with Edge() as world:
        heard = world.edges[ONE].flows.deliver
        held: list[tuple[bytes, object]] = []
        world.edges[ONE].flows.deliver = lambda data, source: held.append((data, source))  # type: ignore[method-assign]
        call = await world.place()
        await world.pass_time(4.5)
        world.edges[ONE].flows.deliver = heard  # type: ignore[method-assign]
        heard(*held[0])  # type: ignore[arg-type]
        world.rang_at(ONE).ring()
        await world.pass_time(0.1)
        assert world.rang_at(ONE).cancel is not None
        assert call.rang_at is None
        await is_talking(world, call, TWO)


@in_virtual_time
async def test_when_all_are_down_the_call_fails_within_the_time_of_one_and_names_them() -> None:
    async with Edge() as world:
        world.silence(ONE, TWO, THREE)
        call = await world.place()
        await world.pass_time(45)
        outcome = call.decided.result()
        assert (outcome.kind, outcome.end_reason) == ("failed", "trunk_unreachable")
        assert f"udp {ONE}:5060: no answer in 4 s; udp {TWO}:5060: no answer in 4 s" in outcome.detail
        [record] = world.records
        assert record.end_at is not None
        assert record.end_at - record.setup_at < 41_000
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_the_next_call_goes_where_the_last_one_ended_up_until_the_first_is_due_again() -> None:
    async with Edge() as world:
        world.silence(ONE)
        await world.place()
        await world.pass_time(4.2)
        assert world.asked() == [TWO]
        assert world.signalling.targets_down() == {"acme": 1}
        await world.place()
        assert world.asked() == [TWO, TWO]
        rows = world.signalling.health.rows(asyncio.get_running_loop().time())
        assert {row.target.host: row.state for row in rows} == {ONE: "down", TWO: "up", THREE: "up"}


@in_virtual_time
async def test_hanging_up_while_a_silent_one_is_waited_for_asks_nobody_else() -> None:
    async with Edge() as world:
        world.silence(ONE)
        call = await world.place()
        call.give_up("changed my mind")
        await world.pass_time(40)
        assert world.asked() == []
        assert call.decided.result().kind == "cancelled"
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_a_target_of_the_other_ip_version_gets_an_offer_of_its_own() -> None:
    six = "2001:db8::9"
    names = {"acme.test": udp(ONE, six)}
    listens = '\n[media]\nlisten = ["192.0.2.2", "2001:db8::2"]\n'
    async with Edge(trunk("acme", "acme.test") + listens, six, names=names) as world:
        call = await world.place()
        assert b"c=IN IP6 2001:db8::2" in world.rang_at(six).offer
        phone = world.rang_at(six)
        phone.answer(sdp(host=six, port=4000))
        await world.pass_time(0.1)
        assert call.decided.result().kind == "answered"
        assert world.engine.legs[-1].wire is world.wire


# -- several trunks


def told(world: Edge, kind: str) -> list[dict[str, Any]]:
    """What the agent was told."""
    return [message for message in world.wire.said if message.get("type") == kind]


TWO_TRUNKS = trunk("second", TWO, "priority = 20") + trunk("first", ONE, "priority = 10")


@in_virtual_time
async def test_the_trunk_with_the_lowest_priority_is_asked_first() -> None:
    async with Edge(TWO_TRUNKS, ONE, TWO) as world:
        call = await world.place()
        assert (world.asked(), call.trunk.name) == ([ONE], "first")
        await is_talking(world, call, ONE)


@in_virtual_time
@pytest.mark.parametrize("trouble", ["gone", "silent", "503", "unknown"])
async def test_a_trunk_that_cannot_be_had_hands_the_call_to_the_next(trouble: str) -> None:
    first = trunk("first", "no.test" if trouble == "unknown" else ONE, "priority = 10", "max_calls = 9")
    there = (TWO,) if trouble in ("gone", "unknown") else (ONE, TWO)
    async with Edge(trunk("second", TWO, "priority = 20", "max_calls = 9") + first, *there) as world:
        if trouble == "silent":
            world.silence(ONE)
        call = await world.place()
        if trouble == "503":
            world.rang_at(ONE).refuse(503)
        await world.pass_time(4.2 if trouble == "silent" else 0.2)
        assert call.trunk.name == "second"
        told = " ".join(notes(call.timeline, "note"))
        assert "'second'" in told or "no address of no.test is known" in told
        assert world.admission.calls == 1
        await is_talking(world, call, TWO)
        assert world.records[0].trunk == "second"


@in_virtual_time
async def test_the_agent_is_told_which_trunk_the_call_has_gone_by() -> None:
    first = trunk("first", ONE, "priority = 10").replace(OURS, "+14155550177")
    async with Edge(trunk("second", TWO, "priority = 20") + first, ONE, TWO) as world:
        call = await world.place()
        [ringing] = told(world, "ringing")
        assert (ringing["trunk"], ringing["from_number"]) == ("first", "+14155550177")
        world.rang_at(ONE).refuse(503)
        await world.pass_time(0.2)
        await world.answer(TWO)
        [start] = told(world, "start")
        session = call.leg.session
        assert (start["trunk"], start["from_number"], start["sip_call_id"]) == ("second", OURS, session.sip_call_id)
        assert "to_number" not in start
        world.rang_at(TWO).hang_up()
        await world.pass_time(40)
        [record] = world.records
        assert (record.trunk, record.from_number) == ("second", OURS)


@in_virtual_time
async def test_a_call_that_stays_with_its_trunk_has_nothing_new_at_its_start() -> None:
    async with Edge(TWO_TRUNKS, ONE, TWO) as world:
        await world.place()
        await world.answer(ONE)
        assert [set(start) for start in told(world, "start")] == [{"type", "audio"}]


@in_virtual_time
async def test_a_trunk_at_its_limit_is_passed_over() -> None:
    trunks = trunk("first", ONE, "priority = 1", "max_calls = 1") + trunk("second", TWO, "priority = 2")
    async with Edge(trunks, ONE, TWO) as world:
        await world.place()
        call = await world.place()
        assert (world.asked(), call.trunk.name) == ([ONE, TWO], "second")
        assert any("another trunk could not be taken" in note for note in notes(call.timeline, "note"))


@pytest.mark.parametrize("limit", ["max_calls = 1", "max_cps = 1", "max_spend_per_day = 0.1"])
@pytest.mark.parametrize("whose", ["agent", "key"])
@in_virtual_time
async def test_a_call_that_changes_trunks_is_one_call_to_the_limits_of_who_asked(limit: str, whose: str) -> None:
    rated = ("priority = 1", 'rates = { "+1" = 0.1 }')
    limits = f"outbound = {{ {limit} }}\n"
    key = f'[[key]]\nname = "crm"\nsha256 = "{"0" * 64}"\n'
    more = f"{limits}{key}" if whose == "agent" else f"{key}{limits}"
    trunks = trunk("first", ONE, *rated) + trunk("second", TWO, "priority = 2", *rated[1:])
    async with Edge(trunks, ONE, TWO, more=more) as world:
        call = await world.place(key="crm")
        world.rang_at(ONE).refuse(503)
        await world.pass_time(0.2)
        assert (world.asked(), call.trunk.name) == ([ONE, TWO], "second")
        refused = await world.wish(key="crm")
        assert isinstance(refused, NotPlaced), "it is still on, and counts once"
        phone = await world.answer(TWO)
        phone.hang_up()
        await world.pass_time(40)
        assert [record.end_reason for record in world.records] == ["dial_refused", "callee_hung_up"]
        world.assert_nothing_left()


@in_virtual_time
async def test_who_names_a_trunk_means_that_one() -> None:
    async with Edge(TWO_TRUNKS, TWO) as world:
        call = await world.place(trunk="first")
        await world.pass_time(1)
        assert world.asked() == []
        assert call.decided.result().end_reason == "trunk_unreachable"


@in_virtual_time
async def test_only_trunks_that_list_the_number_are_asked_whatever_happens() -> None:
    trunks = trunk("first", ONE) + trunk("second", TWO, dial_to="+44*")
    async with Edge(trunks, TWO) as world:
        call = await world.place()
        await world.pass_time(1)
        assert world.asked() == []
        assert call.decided.result().kind == "failed"


@in_virtual_time
async def test_a_trunk_whose_addresses_are_all_down_goes_last() -> None:
    async with Edge(TWO_TRUNKS, TWO) as world:
        await world.place()
        call = await world.place()
        assert call.trunk.name == "second"
        assert [m.request_uri.host for m in world.network.requests("INVITE")] == [ONE, TWO, TWO]


@in_virtual_time
async def test_weights_are_kept_by_chance() -> None:
    trunks = trunk("heavy", ONE, "weight = 3") + trunk("light", TWO, "weight = 1")
    numbers = iter([0.1, 0.9, 0.5, 0.74, 0.76] * 4)
    async with Edge(trunks, ONE, TWO, chance=lambda: next(numbers)) as world:
        names = []
        for _ in range(5):
            call = await world.place()
            names.append(call.trunk.name)
            next(numbers)
        assert set(names) == {"heavy", "light"}


@in_virtual_time
async def test_a_call_that_changed_trunks_is_judged_by_the_lists_of_the_one_it_has() -> None:
    trunks = trunk("first", ONE, "priority = 1", 'transfer_to = "+1*"') + trunk("second", TWO, "priority = 2")
    async with Edge(trunks, TWO) as world:
        call = await world.place()
        await world.answer(TWO)
        assert call.trunk.name == "second"
        assert call.transfers._trunk.name == call.referral._trunk.name == "second"


# -- OPTIONS

PINGED = trunk("acme", "acme.test", "options_interval = 10")


def pings(world: Edge) -> dict[str, int]:
    """OPTIONS that each address was sent, repetitions left out."""
    sent = {(m.call_id, m.via.branch) for m in world.network.requests("OPTIONS")}
    return {"calls": len(sent)}


def states(world: Edge) -> dict[str, str]:
    return {told["address"]: told["state"] for told in world.signalling.target_states().get("acme", [])}


@in_virtual_time
async def test_an_address_that_stops_answering_options_is_known_before_a_call_finds_out() -> None:
    async with Edge(PINGED) as world:
        world.signalling.pings.start()
        await world.pass_time(12)
        assert states(world) == {ONE: "up", TWO: "up", THREE: "up"}
        heard = world.edges[ONE].flows.deliver
        world.silence(ONE)
        await world.pass_time(15)
        assert states(world)[ONE] == "down"
        await world.place()
        assert world.asked() == [TWO]
        assert len(world.network.requests("INVITE")) == 1
        world.edges[ONE].flows.deliver = heard  # type: ignore[method-assign]
        await world.pass_time(12)
        assert states(world)[ONE] == "up"
        await world.place()
        assert world.asked() == [TWO, ONE]
        await world.signalling.pings.close()


@in_virtual_time
async def test_who_has_never_answered_options_is_not_down_for_that() -> None:
    async with Edge(PINGED) as world:
        world.silence(ONE)
        world.signalling.pings.start()
        await world.pass_time(60)
        assert states(world).get(ONE, "up") == "up"
        await world.signalling.pings.close()


@in_virtual_time
async def test_an_address_where_nothing_gets_is_down_at_the_first_options() -> None:
    async with Edge(PINGED, TWO, THREE) as world:
        world.signalling.pings.start()
        await world.pass_time(6)
        assert states(world) == {ONE: "down", TWO: "up", THREE: "up"}
        # To that address alone, whatever came of it: nobody else gets its OPTIONS.
        assert pings(world) == {"calls": 3}
        await world.signalling.pings.close()


@in_virtual_time
async def test_without_an_interval_nobody_is_asked() -> None:
    async with Edge() as world:
        world.signalling.pings.start()
        await world.pass_time(100)
        assert world.network.requests("OPTIONS") == []
