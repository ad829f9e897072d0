"""Where REFER is of no use the gateway calls the target itself and joins the two; the agent hears which way it went."""

from typing import Any

import pytest
from tests.support.carrier import CARRIER, OURS, CalledPhone, CarrierWorld
from tests.support.clock import in_virtual_time
from tests.support.phones import CONFIG as PHONES
from tests.support.phones import DeskWorld
from tests.support.world import CALLER, GATEWAY, OFFHOOK, PhoneCall, notes, sdp

from offhook.call.out.outbound import OutboundCall
from offhook.call.out.wish import Wish
from offhook.route.destination_uri import AgentUri

pytestmark = pytest.mark.scenario

NUMBER = "+14155550142"
TARGET = f"tel:{NUMBER}"
OUT = f"""
[[trunk]]
name = "out"
host = "{CARRIER}"
country = "US"
caller_id = ["{OURS}"]
dial_to = "+1*"
"""
CONFIG = OFFHOOK + OUT


class TransferringWorld(CarrierWorld):
    """A gateway whose callers come by one trunk, and by another of which their targets are called."""

    def __init__(self, config: str = CONFIG, **options: Any) -> None:
        super().__init__(config, **options)

    def told(self) -> list[dict[str, Any]]:
        """What the agent was told of its transfers."""
        return [message for message in self.wire.said if message.get("type") == "transferred"]

    async def asked(self, refer: Any = 405, **message: Any) -> PhoneCall:
        """A call whose agent has just asked for a transfer, and whose other side says `refer` to the REFER."""
        call = await self.place_answered()
        call.answers_refer = refer
        self.wire.says(type="transfer", **({"target": TARGET} | message))
        await self.pass_time(0.2)
        return call

    async def rung(self, **options: Any) -> tuple[PhoneCall, CalledPhone]:
        """A transfer whose target rings."""
        call = await self.asked(**options)
        phone = self.carrier.calls[-1]
        phone.answers_reinvites = sdp(host=CARRIER, version=9)
        phone.ring()
        await self.pass_time(1)
        return call, phone

    async def is_clean(self) -> None:
        await self.pass_time(45)
        self.assert_nothing_left()
        assert len(self.signalling.placing.loops) == 0


@pytest.mark.parametrize("status", [400, 403, 405, 420, 488, 501, 503, 603])
@in_virtual_time
async def test_a_refused_refer_ends_in_a_call_of_ours(status: int) -> None:
    async with TransferringWorld() as world:
        call, phone = await world.rung(refer=status)
        assert str(phone.request.request_uri) == f"sip:{NUMBER}@{CARRIER}"
        first, second = world.engine.legs
        # The agent is with the caller until somebody has answered.
        assert first.wire is world.wire
        assert world.told() == []
        phone.answer()
        await world.pass_time(0.2)
        [result] = world.told()
        assert (result["outcome"], result["way"], result["confirmed"]) == ("completed", "bridge", True)
        assert world.wire.said[-1]["type"] == "end"
        assert world.wire.said[-1]["reason"] == "transferred"
        assert (first.hears_leg, second.hears_leg) == (second, first)
        assert not call.is_over
        await world.pass_time(20)
        phone.hang_up()
        await world.pass_time(1)
        assert call.bye is not None
        inbound, outbound = sorted(world.records, key=lambda record: record.direction)
        assert (inbound.end_reason, outbound.end_reason) == ("partner_hung_up", "callee_hung_up")
        assert (inbound.bridged_to, outbound.bridged_from) == (outbound.call_id, inbound.call_id)
        transfer = inbound.transfer
        assert (transfer["outcome"], transfer["way"], transfer["call_id"]) == ("completed", "bridge", outbound.call_id)
        assert transfer["target"] == NUMBER
        assert transfer["by"] == "ws://agent.example/voice?…"
        assert inbound.destination == TARGET
        page = world.metrics.registry
        labels = {"trunk": "acme", "outcome": "completed", "way": "bridge"}
        assert page.get_sample_value("offhook_transfers_total", labels) == 1
        await world.is_clean()


@pytest.mark.parametrize(
    ("report", "outcome"),
    [("486 Busy Here", "busy"), ("603 Decline", "refused"), ("480 Unavailable", "no_answer"), ("600 Busy", "busy")],
)
@in_virtual_time
async def test_a_person_who_said_no_is_not_called_again(report: str, outcome: str) -> None:
    async with TransferringWorld() as world:
        call = await world.asked(refer=202)
        call.notify(f"SIP/2.0 {report}", "terminated;reason=noresource")
        await world.pass_time(1)
        [result] = world.told()
        assert (result["outcome"], result["way"]) == (outcome, "refer")
        assert world.carrier.calls == []
        call.hang_up()
        await world.is_clean()


@pytest.mark.parametrize("report", ["403 Forbidden", "404 Not Found", "503 Service Unavailable", "488 Not Acceptable"])
@in_virtual_time
async def test_what_the_trunk_could_not_reach_is_called(report: str) -> None:
    async with TransferringWorld() as world:
        call = await world.asked(refer=202)
        call.notify(f"SIP/2.0 {report}", "terminated;reason=noresource")
        await world.pass_time(0.2)
        world.carrier.calls[-1].answer()
        await world.pass_time(0.2)
        [result] = world.told()
        assert (result["outcome"], result["way"]) == ("completed", "bridge")
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_a_refer_that_nobody_answers_and_one_that_is_taken_in_silence() -> None:
    for refer in (None, 202):
        async with TransferringWorld() as world:
            call = await world.asked(refer=refer, timeout_ms=20_000)
            await world.pass_time(11)
            assert world.told() == []
            world.carrier.calls[-1].answer()
            await world.pass_time(0.2)
            [result] = world.told()
            assert (result["outcome"], result["way"]) == ("completed", "bridge")
            call.hang_up()
            await world.is_clean()


@pytest.mark.parametrize("refer", [None, 202, 405])
@in_virtual_time
async def test_the_two_ways_together_take_no_longer_than_one_may(refer: int | None) -> None:
    async with TransferringWorld() as world:
        call = await world.asked(refer=refer, timeout_ms=20_000)
        await world.pass_time(10)
        phone = world.carrier.calls[-1]
        phone.ring()
        await world.pass_time(9.3)
        assert world.told() == []
        await world.pass_time(0.7)
        [result] = world.told()
        assert (result["outcome"], result["way"]) == ("no_answer", "bridge")
        assert phone.cancel is not None
        assert world.records[0].transfer == {}
        call.hang_up()
        await world.pass_time(1)
        inbound = next(record for record in world.records if record.direction == "inbound")
        assert inbound.transfer["duration_ms"] <= 20_100
        await world.is_clean()


@pytest.mark.parametrize(("after", "is_called"), [(14.5, True), (15.5, False)])
@in_virtual_time
async def test_nobody_is_called_who_has_no_time_to_answer(after: float, is_called: bool) -> None:
    async with TransferringWorld() as world:
        call = await world.asked(refer=202, timeout_ms=20_000)
        call.notify("SIP/2.0 183 Session Progress")
        await world.pass_time(after)
        call.notify("SIP/2.0 503 Service Unavailable", "terminated;reason=noresource")
        await world.pass_time(0.2)
        assert [len(world.carrier.calls), len(world.told())] == ([1, 0] if is_called else [0, 1])
        if not is_called:
            [result] = world.told()
            assert (result["outcome"], result["status"], result["way"]) == ("refused", 503, "refer")
            assert "no time left" in result["hint"]
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_where_it_has_rung_somebody_was_asked() -> None:
    async with TransferringWorld() as world:
        call = await world.asked(refer=202, timeout_ms=20_000)
        call.notify("SIP/2.0 180 Ringing")
        await world.pass_time(21)
        [result] = world.told()
        assert (result["outcome"], result["way"]) == ("timed_out", "refer")
        assert world.carrier.calls == []
        call.hang_up()
        await world.is_clean()


@pytest.mark.parametrize(
    ("status", "outcome"), [(486, "busy"), (600, "busy"), (480, "no_answer"), (603, "refused"), (404, "refused")]
)
@in_virtual_time
async def test_who_does_not_take_it_leaves_the_caller_with_the_agent(status: int, outcome: str) -> None:
    async with TransferringWorld() as world:
        call, phone = await world.rung()
        phone.refuse(status)
        await world.pass_time(0.2)
        [result] = world.told()
        assert (result["outcome"], result["status"], result["way"]) == (outcome, status, "bridge")
        assert not call.is_over
        assert world.engine.legs[0].wire is world.wire
        # It may be tried again, with somebody else.
        world.wire.says(type="transfer", target="tel:+14155550177")
        await world.pass_time(0.2)
        world.carrier.calls[-1].answer()
        await world.pass_time(0.2)
        assert [one["outcome"] for one in world.told()] == [outcome, "completed"]
        call.hang_up()
        await world.pass_time(1)
        inbound = next(record for record in world.records if record.direction == "inbound")
        assert [one["outcome"] for one in inbound.transfer["earlier"]] == [outcome]
        await world.is_clean()


@in_virtual_time
async def test_nobody_answers_in_the_time_of_the_transfer() -> None:
    async with TransferringWorld() as world:
        call, phone = await world.rung(timeout_ms=15_000)
        await world.pass_time(16)
        assert phone.cancel is not None
        [result] = world.told()
        assert (result["outcome"], result["way"]) == ("no_answer", "bridge")
        assert not call.is_over
        call.hang_up()
        await world.is_clean()


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.006, 0.009, 0.012, 0.02, 0.1])
@in_virtual_time
async def test_a_caller_who_hangs_up_as_it_rings_or_is_answered(delay: float) -> None:
    async with TransferringWorld() as world:
        call, phone = await world.rung()
        phone.answer()
        await world.pass_time(delay)
        call.hang_up()
        await world.pass_time(1)
        assert call.is_over
        assert phone.bye is not None or phone.cancel is not None
        assert len(world.told()) == 1
        assert world.told()[0]["outcome"] in ("caller_gone", "completed")
        inbound = next(record for record in world.records if record.direction == "inbound")
        assert inbound.end_reason == "caller_hung_up"
        assert inbound.transfer["outcome"] == world.told()[0]["outcome"]
        await world.is_clean()


@in_virtual_time
async def test_a_caller_who_hangs_up_while_it_rings() -> None:
    async with TransferringWorld() as world:
        call, phone = await world.rung()
        call.hang_up()
        await world.pass_time(1)
        assert phone.cancel is not None
        assert world.told()[0]["outcome"] == "caller_gone"
        outbound = next(record for record in world.records if record.direction == "outbound")
        assert outbound.end_reason == "dial_cancelled"
        await world.is_clean()


@in_virtual_time
async def test_an_agent_that_leaves_meanwhile_leaves_the_caller_to_the_target() -> None:
    for answers in (True, False):
        async with TransferringWorld() as world:
            call, phone = await world.rung()
            world.wire.ends(1011, "crashed")
            await world.pass_time(0.2)
            assert not call.is_over
            # The caller is not left in silence: ringing is heard.
            leg = world.engine.legs[0]
            assert leg.waiting > 1
            await world.pass_time(20)
            assert leg.waiting > 1
            if answers:
                phone.answer()
                await world.pass_time(0.2)
                assert not call.is_over
                first, second = world.engine.legs
                assert (first.hears_leg, second.hears_leg) == (second, first)
                assert leg.waiting == 0
                call.hang_up()
            else:
                phone.refuse(486)
            await world.pass_time(1)
            assert call.is_over
            inbound = next(record for record in world.records if record.direction == "inbound")
            assert inbound.end_reason == ("caller_hung_up" if answers else "agent_lost")
            await world.is_clean()


@in_virtual_time
async def test_a_report_that_comes_too_late_is_no_second_outcome() -> None:
    async with TransferringWorld() as world:
        call = await world.asked(refer=202, timeout_ms=20_000)
        await world.pass_time(11)
        phone = world.carrier.calls[-1]
        phone.answer()
        await world.pass_time(0.2)
        call.notify("SIP/2.0 200 OK", "terminated;reason=noresource")
        await world.pass_time(0.2)
        assert not call.is_over
        assert [one["outcome"] for one in world.told()] == ["completed"]
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_a_report_that_comes_while_the_gateway_calls_ends_that() -> None:
    async with TransferringWorld() as world:
        call = await world.asked(refer=202, timeout_ms=20_000)
        await world.pass_time(11)
        phone = world.carrier.calls[-1]
        phone.ring()
        await world.pass_time(1)
        call.notify("SIP/2.0 200 OK", "terminated;reason=noresource")
        await world.pass_time(1)
        assert phone.cancel is not None
        assert call.is_over
        inbound = next(record for record in world.records if record.direction == "inbound")
        assert (inbound.end_reason, inbound.transfer["way"]) == ("transferred", "refer")
        assert [(one["outcome"], one["way"]) for one in world.told()] == [("completed", "refer")]
        await world.is_clean()


@in_virtual_time
async def test_a_trunk_may_have_it_done_one_way_alone() -> None:
    bridge = CONFIG.replace('transfer_to = "*"', 'transfer_to = "*"\ntransfer = "bridge"')
    async with TransferringWorld(bridge) as world:
        call, phone = await world.rung()
        assert call.refers == []
        phone.answer()
        await world.pass_time(0.2)
        assert world.told()[0]["way"] == "bridge"
        call.hang_up()
        await world.is_clean()
    refer = CONFIG.replace('transfer_to = "*"', 'transfer_to = "*"\ntransfer = "refer"')
    async with TransferringWorld(refer) as world:
        call = await world.asked()
        assert (world.told()[0]["outcome"], world.told()[0]["way"]) == ("refused", "refer")
        assert world.carrier.calls == []
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_what_the_gateway_may_not_call_is_the_refusal_that_it_was() -> None:
    async with TransferringWorld(CONFIG.replace('dial_to = "+1*"', 'dial_to = "+44*"')) as world:
        call = await world.asked(refer=403)
        [result] = world.told()
        assert (result["outcome"], result["status"], result["way"]) == ("refused", 403, "refer")
        assert "dial_not_listed" in result["hint"]
        assert world.carrier.calls == []
        call.hang_up()
        await world.is_clean()
    async with TransferringWorld(OFFHOOK) as world:
        call = await world.asked(refer=403)
        [result] = world.told()
        assert (result["outcome"], result["status"], result["way"]) == ("refused", 403, "refer")
        assert "`host`" in result["hint"]
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_the_trunk_that_the_caller_came_by_takes_it_by_what_it_may_transfer_to() -> None:
    own = OFFHOOK.replace(
        'transfer_to = "*"', f'transfer_to = ["+1415*", "2*"]\nhost = "{CARRIER}"\ncaller_id = "{OURS}"'
    )
    async with TransferringWorld(own) as world:
        call, phone = await world.rung(target="201")
        assert str(phone.request.request_uri) == f"sip:201@{CARRIER}"
        phone.answer()
        await world.pass_time(0.2)
        assert world.told()[0]["outcome"] == "completed"
        call.hang_up()
        await world.pass_time(1)
        refused = await world.asked(target="tel:+442071838750")
        assert len(world.carrier.calls) == 1
        refused.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_headers_of_the_transfer_go_into_the_invite_and_nothing_of_the_caller_does() -> None:
    async with TransferringWorld() as world:
        call, phone = await world.rung(headers={"X-Ticket": "7", "User-to-User": "56a390f3d2b7;encoding=hex"})
        assert phone.request.headers.get("X-Ticket") == "7"
        assert phone.request.headers.get("User-to-User") == "56a390f3d2b7;encoding=hex"
        text = bytes(phone.request).decode()
        for word in (CALLER, call.session.sip_call_id, "phone/", "agent.example"):
            assert word not in text
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_a_caller_on_hold_is_taken_off_hold_for_the_target() -> None:
    async with TransferringWorld() as world:
        call = await world.place_answered()
        call.answers_refer = 405
        world.wire.says(type="hold")
        await world.pass_time(0.2)
        world.wire.says(type="transfer", target=TARGET)
        await world.pass_time(0.2)
        world.carrier.calls[-1].answer()
        await world.pass_time(0.5)
        first, second = world.engine.legs
        assert not first.remote.hold
        assert (first.hears_leg, second.hears_leg) == (second, first)
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_the_timeline_tells_why_it_went_that_way() -> None:
    async with TransferringWorld() as world:
        call, phone = await world.rung(refer=501)
        phone.refuse(486)
        await world.pass_time(0.2)
        call.hang_up()
        await world.pass_time(1)
        [said] = [notes(line, "note") for record, line in world.book.finished if record.direction == "inbound"]
        assert f"the REFER was refused: 501 Not Implemented; so the gateway calls {NUMBER}" in said
        assert f"the transfer to {NUMBER}: busy (486 Busy Here)" in said
        assert GATEWAY
        await world.is_clean()


@in_virtual_time
async def test_a_phone_that_registers_here_is_put_through_to_by_its_name() -> None:
    async with DeskWorld(OFFHOOK + PHONES.replace('[[route]]\nname = "all"\ndestination = "echo:"\n', "")) as world:
        alice = await world.phone("alice")
        assert await alice.register() == 200
        call = await world.place_answered()
        call.answers_refer = 405
        world.wire.says(type="transfer", target="alice")
        await world.pass_time(0.3)
        alice.calls[-1].answer()
        await world.pass_time(0.3)
        told = [message for message in world.wire.said if message.get("type") == "transferred"]
        assert [(one["outcome"], one["way"]) for one in told] == [("completed", "bridge")]
        first, second = world.engine.legs
        assert (first.hears_leg, second.hears_leg) == (second, first)
        call.hang_up()
        await world.pass_time(1)
        assert alice.calls[-1].bye is not None


BACK = PHONES.replace('destination = "echo:"', 'destination = "agent:bot"').replace(
    "phones = [", 'transfer_to = "bob"\nphones = ['
)
ON = '[[route]]\nname = "between"\nto = "bob"\ndestination = "sip:bob@desk"\npriority = 1\n'


@pytest.mark.parametrize(
    ("config", "way"),
    [
        (BACK, "bridge"),
        (BACK + ON, "refer"),
        (BACK.replace('"all"', '"all"\nto = "2*"'), "refer"),
        (BACK.replace("phones = [", 'transfer = "refer"\nphones = ['), "none"),
    ],
    ids=["comes back", "goes on", "no route", "may not be called"],
)
@in_virtual_time
async def test_a_phone_is_not_sent_to_call_the_agent_that_has_transferred_it(config: str, way: str) -> None:
    """Each round would be a call of its own, which no Max-Forwards ends."""
    async with DeskWorld(config) as world:
        alice, bob = [await world.phone(name) for name in ("alice", "bob")]
        assert (await alice.register(), await bob.register()) == (200, 200)
        call = await world.signalling.dialler.dial(Wish("alice", AgentUri("bot"), trunk="desk"))
        assert isinstance(call, OutboundCall)
        await world.pass_time(0.1)
        world.take_call()
        await world.pass_time(0.1)
        alice.calls[0].answer()
        await world.pass_time(0.3)
        world.wire.says(type="transfer", target="bob")
        await world.pass_time(0.3)
        assert (len(alice.calls[0].refers), len(bob.calls)) == (way == "refer", way == "bridge")
        if way == "none":
            [told] = [message for message in world.wire.said if message.get("type") == "transferred"]
            assert (told["outcome"], "by route 'all'" in told["reason"]) == ("refused", True)
            assert "sip:USER@TRUNK" in told["hint"]
