"""Whom a caller was joined to transfers that caller by REFER: the caller goes on, or the two stay joined."""

from typing import Any, Self

import pytest
from tests.support.carrier import CALLEE, CARRIER, OURS, CalledPhone, CarrierWorld
from tests.support.clock import in_virtual_time
from tests.support.media import FakeLeg
from tests.support.world import ECHO, GATEWAY, PhoneCall, sdp

from offhook.report.record import CallRecord
from offhook.sip.effects import Source
from offhook.sip.message import Request
from offhook.sip.parser import parse_datagram

pytestmark = pytest.mark.scenario

TARGET = "+14155550177"

PLAIN = (
    ECHO.replace('"echo:"', f'"tel:{CALLEE}"')
    + f"""
[[trunk]]
name = "out"
host = "{CARRIER}"
country = "US"
caller_id = ["{OURS}"]
dial_to = "+1*"
"""
)
CONFIG = PLAIN + 'refer = "accept"\nrefer_to = ["+1415*", "2*"]\n'

TRYING = ("SIP/2.0 100 Trying", "active;expires=600")


def last(status: str) -> tuple[str, str]:
    return (f"SIP/2.0 {status}", "terminated;reason=noresource")


class SentOnWorld(CarrierWorld):
    """A gateway whose callers go on to a number, whose phone may send them further."""

    def __init__(self, config: str = CONFIG, **options: Any) -> None:
        super().__init__(config, **options)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        flows = self.network.hosts[CARRIER]
        deliver = flows.deliver

        def answering(data: bytes, source: Source) -> None:
            if data.startswith(b"NOTIFY "):
                # As a phone has it that has sent the REFER by itself; its user agent here knows of none.
                self.network.send(flows, bytes(parse_datagram(data).response(200)), source.remote)
            else:
                deliver(data, source)

        flows.deliver = answering  # type: ignore[method-assign]
        return self

    async def talking(self, refer: Any = 405) -> tuple[PhoneCall, CalledPhone]:
        """Two who speak with each other; the caller's side says `refer` to a REFER of ours."""
        call = await self.place()
        call.answers_refer = refer
        far = self.carrier.calls[-1]
        far.ring()
        far.answer()
        far.answers_reinvites = sdp(host=CARRIER, version=9)
        await self.pass_time(0.5)
        assert call.is_answered
        return call, far

    async def refer(self, far: CalledPhone, to: str = f"<tel:{TARGET}>", *headers: tuple[str, str]) -> int:
        """The far side asks for a transfer; the status that answers it."""
        before = len(self._refer_answers())
        assert self.carrier.stack.perform(lambda now: far.session.ask("REFER", (("Refer-To", to), *headers), now=now))
        await self.pass_time(0.2)
        return self._refer_answers()[before].status

    def _refer_answers(self) -> list[Any]:
        sent = [m for _, sender, m in self.network.log if sender == GATEWAY and not isinstance(m, Request)]
        return [m for m in sent if m.cseq.method == "REFER"]

    def notified(self) -> list[tuple[str, str]]:
        """What the far side was told, each once, in order."""
        told = {m.cseq.number: m for sender, m in self._sent("NOTIFY") if sender == GATEWAY}
        return [(m.body.decode().strip(), m.headers.get("Subscription-State") or "") for _, m in sorted(told.items())]

    def _sent(self, method: str) -> list[tuple[str, Request]]:
        return [(who, m) for _, who, m in self.network.log if isinstance(m, Request) and m.method == method]

    async def plays(self, leg: FakeLeg, seconds: float) -> None:
        """Packets come on a leg, 50 a second."""
        for _ in range(round(seconds * 10)):
            leg.packets += 5
            await self.pass_time(0.1)

    @property
    def are_joined(self) -> bool:
        """Whether the caller and the far side hear each other."""
        first, second = self.engine.legs[:2]
        return (first.hears_leg, second.hears_leg) == (second, first)

    @property
    def held_by_us(self) -> list[bool]:
        """Whether the gateway holds the caller, and whom it called."""
        return [call.leg.holds for call in self.switchboard._calls.values()]

    async def records_of(self) -> tuple[CallRecord, list[CallRecord]]:
        """The caller's record, and those of the calls out in the order of their placing."""
        await self.pass_time(1)
        [inbound] = [record for record in self.records if record.direction == "inbound"]
        outbound = [record for record in self.records if record.direction == "outbound"]
        return inbound, sorted(outbound, key=lambda record: record.call_id)

    async def is_clean(self) -> None:
        await self.pass_time(45)
        self.assert_nothing_left()
        assert len(self.signalling.placing.loops) == 0


@in_virtual_time
async def test_the_callers_carrier_takes_the_caller_over() -> None:
    async with SentOnWorld() as world:
        call, far = await world.talking(refer=202)
        assert await world.refer(far) == 202
        assert world.notified() == [TRYING]
        assert [request.headers.get("Refer-To") for request in call.refers] == [f"<tel:{TARGET}>"]
        assert world.are_joined
        call.notify("SIP/2.0 200 OK", "terminated;reason=noresource")
        await world.pass_time(0.5)
        assert world.notified() == [TRYING, last("200 OK")]
        assert call.is_over
        # It may hang up by itself; if it does not, we do.
        assert far.bye is None
        await world.pass_time(5)
        assert far.bye is not None
        inbound, [outbound] = await world.records_of()
        assert (inbound.end_reason, outbound.end_reason) == ("transferred", "referred")
        assert (inbound.transfer["target"], inbound.transfer["way"]) == (TARGET, "refer")
        assert inbound.transfer["by"] == f"tel:{CALLEE}"
        assert (outbound.transfer["target"], outbound.transfer["outcome"]) == (TARGET, "completed")
        assert len(world.carrier.calls) == 1
        await world.is_clean()


@pytest.mark.parametrize("leaves", [True, False])
@in_virtual_time
async def test_a_carrier_without_refer_has_the_gateway_call(leaves: bool) -> None:
    async with SentOnWorld() as world:
        call, far = await world.talking(refer=405)
        assert await world.refer(far, f"<sip:{TARGET}@{CARRIER}>") == 202
        target = world.carrier.calls[-1]
        assert target is not far
        assert str(target.request.request_uri) == f"sip:{TARGET}@{CARRIER}"
        target.ring()
        await world.pass_time(3)
        assert world.are_joined
        target.answer()
        await world.pass_time(0.5)
        assert world.notified() == [TRYING, last("200 OK")]
        first, _, third = world.engine.legs
        assert (first.hears_leg, third.hears_leg) == (third, first)
        if leaves:
            far.hang_up()
        await world.pass_time(5)
        assert leaves or far.bye is not None
        assert not call.is_over
        call.hang_up()
        await world.pass_time(1)
        assert target.bye is not None
        inbound, outbound = await world.records_of()
        assert inbound.end_reason == "caller_hung_up"
        assert sorted(record.end_reason for record in outbound) == ["partner_hung_up", "referred"]
        sent_on = next(record for record in outbound if record.end_reason == "referred")
        reached = next(record for record in outbound if record.end_reason == "partner_hung_up")
        assert sent_on.transfer["call_id"] == inbound.transfer["call_id"] == reached.call_id
        assert inbound.bridged_to == reached.call_id
        await world.is_clean()


@pytest.mark.parametrize(
    ("status", "told"), [(486, "486 Busy Here"), (603, "603 Decline"), (480, "480 Temporarily Unavailable")]
)
@in_virtual_time
async def test_who_does_not_take_the_caller_leaves_the_two_joined(status: int, told: str) -> None:
    async with SentOnWorld() as world:
        call, far = await world.talking(refer=405)
        assert await world.refer(far) == 202
        world.carrier.calls[-1].refuse(status)
        await world.pass_time(0.5)
        assert world.notified() == [TRYING, last(told)]
        assert world.are_joined
        assert (call.is_over, far.bye) == (False, None)
        # It may be tried again.
        assert await world.refer(far, "<tel:+14155550178>") == 202
        world.carrier.calls[-1].answer()
        await world.pass_time(0.5)
        assert world.notified()[-1] == last("200 OK")
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_the_callers_carrier_reports_a_failure() -> None:
    async with SentOnWorld() as world:
        call, far = await world.talking(refer=202)
        assert await world.refer(far) == 202
        call.notify("SIP/2.0 486 Busy Here", "terminated;reason=noresource")
        await world.pass_time(0.5)
        assert world.notified() == [TRYING, last("486 Busy Here")]
        assert world.are_joined
        far.hang_up()
        await world.pass_time(1)
        assert call.is_over
        inbound, [outbound] = await world.records_of()
        assert (inbound.end_reason, outbound.end_reason) == ("partner_hung_up", "callee_hung_up")
        await world.is_clean()


@in_virtual_time
async def test_who_may_not_refer_is_refused() -> None:
    async with SentOnWorld(PLAIN) as world:
        call, far = await world.talking(refer=202)
        assert await world.refer(far) == 405
        assert call.refers == []
        assert world.are_joined
        call.hang_up()
        await world.is_clean()


@pytest.mark.parametrize(
    ("config", "to", "rule"),
    [
        # The caller's trunk lists nobody, or somebody else.
        (CONFIG.replace('transfer_to = "*"\n', ""), f"<tel:{TARGET}>", "dial_not_listed"),
        (CONFIG.replace('transfer_to = "*"', 'transfer_to = "+1212*"'), f"<tel:{TARGET}>", "dial_not_listed"),
        # The trunk that asks may not name it.
        (CONFIG, "<tel:+442071838750>", "dial_not_listed"),
        (CONFIG, "<tel:+14155550177;phone-context=+1>", "target"),
        (CONFIG, "<sip:+14155550177@elsewhere.example>", "target"),
        (CONFIG, "<sip:2001@elsewhere.example>", "target"),
        (CONFIG.replace('"2*"]', '"2*", "*"]'), "<tel:911>", "dial_emergency"),
        (CONFIG.replace('"2*"]', '"2*", "*"]'), f"<sip:911@{CARRIER}>", "dial_emergency"),
        (CONFIG.replace('"2*"]', '"2*", "*"]'), f"<sip:9-1-1@{CARRIER};user=phone>", "dial_emergency"),
        (CONFIG.replace('"2*"]', '"2*", "*"]'), "<tel:+1911>", "target"),
        # It might forward the caller's line, and no call of the gateway's has such a target either.
        (CONFIG.replace('"2*"]', '"2*", "*"]'), f"<sip:*721555@{CARRIER}>", "dial_no_number"),
        (CONFIG.replace('"2*"]', '"2*", "*"]'), f"<sip:%2A72@{CARRIER}>", "dial_no_number"),
        (CONFIG.replace('"2*"]', '"2*", "*"]'), "<tel:+19005550100>", "dial_premium"),
        (CONFIG, f"<sip:{TARGET}@{CARRIER}?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>", "refer_replaces"),
    ],
)
@in_virtual_time
async def test_where_the_caller_may_not_go(config: str, to: str, rule: str) -> None:
    async with SentOnWorld(config) as world:
        call, far = await world.talking(refer=202)
        assert await world.refer(far, to) == 603
        assert (call.refers, len(world.carrier.calls), world.notified()) == ([], 1, [])
        assert world.are_joined
        call.hang_up()
        inbound, [outbound] = await world.records_of()
        assert inbound.transfer == {}
        assert outbound.transfer["rule"] == rule
        await world.is_clean()


@in_virtual_time
async def test_an_emergency_number_is_refused_whoever_lists_it() -> None:
    # The far trunk may name it, the caller's may not be sent there.
    config = CONFIG.replace('"2*"]', '"2*", "911"]\nemergency_to = "911"')
    async with SentOnWorld(config) as world:
        call, far = await world.talking(refer=202)
        assert await world.refer(far, "<tel:911>") == 603
        assert (call.refers, len(world.carrier.calls)) == ([], 1)
        call.hang_up()
        _, [outbound] = await world.records_of()
        assert outbound.transfer["rule"] == "dial_emergency"
        await world.is_clean()


@pytest.mark.parametrize("answers", [True, False])
@in_virtual_time
async def test_a_far_side_that_leaves_at_once_leaves_the_caller_to_the_target(answers: bool) -> None:
    async with SentOnWorld() as world:
        call, far = await world.talking(refer=405)
        assert await world.refer(far) == 202
        target = world.carrier.calls[-1]
        target.ring()
        far.hang_up()
        await world.pass_time(3)
        assert not call.is_over
        # Not in silence.
        assert world.engine.legs[0].waiting > 1
        if answers:
            target.answer()
            await world.pass_time(0.5)
            first, _, third = world.engine.legs
            assert (first.hears_leg, third.hears_leg) == (third, first)
            call.hang_up()
        else:
            target.refuse(486)
        await world.pass_time(1)
        assert call.is_over
        inbound, _ = await world.records_of()
        assert inbound.end_reason == ("caller_hung_up" if answers else "partner_hung_up")
        assert inbound.transfer["outcome"] == ("completed" if answers else "busy")
        await world.is_clean()


@pytest.mark.parametrize("accepts", [True, False])
@in_virtual_time
async def test_a_far_side_that_leaves_while_the_carrier_is_at_it(accepts: bool) -> None:
    async with SentOnWorld() as world:
        call, far = await world.talking(refer=202)
        assert await world.refer(far) == 202
        far.hang_up()
        await world.pass_time(1)
        assert not call.is_over
        call.notify(f"SIP/2.0 {'200 OK' if accepts else '486 Busy Here'}", "terminated;reason=noresource")
        await world.pass_time(1)
        assert call.is_over
        inbound, [outbound] = await world.records_of()
        assert inbound.end_reason == ("transferred" if accepts else "partner_hung_up")
        assert outbound.end_reason == "callee_hung_up"
        await world.is_clean()


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.006, 0.009, 0.012, 0.02, 0.1])
@pytest.mark.parametrize("who", ["caller", "far"])
@in_virtual_time
async def test_a_bye_that_crosses_the_answer(delay: float, who: str) -> None:
    async with SentOnWorld() as world:
        call, far = await world.talking(refer=405)
        assert await world.refer(far) == 202
        target = world.carrier.calls[-1]
        target.ring()
        await world.pass_time(1)
        target.answer()
        await world.pass_time(delay)
        if who == "caller":
            call.hang_up()
        else:
            far.hang_up()
        await world.pass_time(6)
        if who == "far":
            assert not call.is_over
            first, _, third = world.engine.legs
            assert (first.hears_leg, third.hears_leg) == (third, first)
            call.hang_up()
            await world.pass_time(1)
        assert target.bye is not None or target.cancel is not None
        finals = [told for told in world.notified() if told[0] != TRYING[0]]
        assert len(finals) <= 1
        inbound, _ = await world.records_of()
        assert inbound.end_reason == "caller_hung_up"
        await world.is_clean()


@in_virtual_time
async def test_a_caller_who_leaves_meanwhile_ends_it_for_all() -> None:
    async with SentOnWorld() as world:
        call, far = await world.talking(refer=405)
        assert await world.refer(far) == 202
        world.carrier.calls[-1].ring()
        await world.pass_time(1)
        call.hang_up()
        await world.pass_time(1)
        assert world.carrier.calls[-1].cancel is not None
        assert far.bye is not None
        inbound, outbound = await world.records_of()
        assert inbound.end_reason == "caller_hung_up"
        assert sorted(record.end_reason for record in outbound) == ["dial_cancelled", "partner_hung_up"]
        await world.is_clean()


PLATFORM = (
    CONFIG.replace(f'"tel:{CALLEE}"', '"agent:desk"').replace('dial_to = "+1*"', 'dial_to = ["+1*", "front-desk"]')
    + """
[[agent]]
name = "desk"
kind = "vapi"
trunk = "out"
dial = "front-desk"
"""
)


@pytest.mark.parametrize("way", ["refer", "bridge"])
@in_virtual_time
async def test_an_agent_on_a_platform_sends_its_caller_on(way: str) -> None:
    async with SentOnWorld(PLATFORM) as world:
        call, far = await world.talking(refer=202 if way == "refer" else 405)
        assert str(far.request.request_uri) == f"sip:front-desk@{CARRIER}"
        assert await world.refer(far) == 202
        if way == "refer":
            call.notify("SIP/2.0 200 OK", "terminated;reason=noresource")
        else:
            world.carrier.calls[-1].answer()
        await world.pass_time(0.5)
        assert world.notified() == [TRYING, last("200 OK")]
        far.hang_up()
        await world.pass_time(1)
        assert call.is_over == (way == "refer")
        if way == "bridge":
            first, _, third = world.engine.legs
            assert (first.hears_leg, third.hears_leg) == (third, first)
            call.hang_up()
        inbound, outbound = await world.records_of()
        assert inbound.transfer["by"] == "agent:desk"
        assert inbound.end_reason == ("transferred" if way == "refer" else "caller_hung_up")
        assert "referred" in [record.end_reason for record in outbound]
        await world.is_clean()


@in_virtual_time
async def test_a_second_refer_waits_for_the_first() -> None:
    async with SentOnWorld() as world:
        call, far = await world.talking(refer=405)
        assert await world.refer(far) == 202
        assert await world.refer(far, "<tel:+14155550178>") == 500
        assert len(world.carrier.calls) == 2
        call.hang_up()
        await world.is_clean()


@pytest.mark.parametrize("answers", [True, False])
@in_virtual_time
async def test_a_far_side_that_holds_the_caller_before_it_asks(answers: bool) -> None:
    async with SentOnWorld() as world:
        call, far = await world.talking(refer=405)
        far.reinvite(sdp(host=CARRIER, way="sendonly", version=5))
        await world.pass_time(0.5)
        assert world.held_by_us == [True, False]
        assert await world.refer(far) == 202
        target = world.carrier.calls[-1]
        if answers:
            target.answer()
            await world.pass_time(0.5)
            first, _, third = world.engine.legs
            assert (first.hears_leg, third.hears_leg) == (third, first)
        else:
            target.refuse(486)
            await world.pass_time(0.5)
            far.reinvite(sdp(host=CARRIER, version=6))
            await world.pass_time(0.5)
            assert world.are_joined
        # Whoever is with the caller now is heard.
        assert not world.held_by_us[0]
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_who_takes_over_a_caller_who_holds_hears_the_callers_music_once_it_comes() -> None:
    async with SentOnWorld() as world:
        call, far = await world.talking()
        first, second = world.engine.legs
        far.answers_reinvites = sdp(host=CARRIER, way="recvonly", version=10)
        call.reinvite(sdp(way="sendonly", version=2))
        await world.plays(first, 1)
        assert (first.remote.hold, second.remote.hold) == (False, False)
        assert await world.refer(far) == 202
        target = world.carrier.calls[-1]
        target.answers_reinvites = sdp(host=CARRIER, port=4300, way="recvonly", version=2)
        target.answer(sdp(host=CARRIER, port=4300))
        await world.pass_time(1)
        third = world.engine.legs[-1]
        assert third.hears_leg is first
        assert (first.remote.hold, third.remote.hold) == (True, True)
        await world.plays(first, 1)
        assert (first.remote.hold, third.remote.hold) == (False, False)
        call.hang_up()
        await world.is_clean()


@pytest.mark.rfc(3892, "2.2")
@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ('"Ada" <sip:ada@pbx.example;user=phone>;cid="1@pbx.example"', "<sip:ada@pbx.example>"),
        ("<tel:+14155550177;phone-context=x>", "<tel:+14155550177>"),
        ("<sip:a%0d%0aX-Evil%3a1@pbx.example?X=1>", "<sip:a%0D%0AX-Evil%3A1@pbx.example>"),
        (None, None),
    ],
)
@in_virtual_time
async def test_whom_we_call_for_a_refer_learns_who_sent_it_and_nothing_else_of_it(
    given: str | None, passed: str | None
) -> None:
    async with SentOnWorld() as world:
        call, far = await world.talking()
        headers = () if given is None else (("Referred-By", given), ("X-Other", "1"))
        assert await world.refer(far, f"<tel:{TARGET}>", *headers) == 202
        invite = world.carrier.calls[-1].request
        assert invite.headers.get("Referred-By") == passed
        assert "X-Other" not in invite.headers
        call.hang_up()
        await world.is_clean()
