"""The other side of a call refers us to somebody else by REFER: the agent goes on there, or the call goes on here."""

from typing import Any, Self

import pytest
from tests.support.carrier import CARRIER, OURS, CalledPhone, DiallingWorld
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, GATEWAY, OFFHOOK, PhoneCall, notes, sdp

from offhook.sip.effects import Source
from offhook.sip.message import Request
from offhook.sip.parser import parse_datagram

pytestmark = pytest.mark.scenario

TARGET = "+14155550142"

CONFIG = OFFHOOK.replace(
    'transfer_to = "*"',
    f"""transfer_to = "*"
host = "{CARRIER}"
country = "US"
caller_id = ["{OURS}"]
refer = "accept"
refer_to = ["+1415*", "+1900*", "2*"]
transfer_timeout = 20""",
)


class ReferringWorld(DiallingWorld):
    """A gateway whose trunk may refer, its caller, and the carrier by which the target is called."""

    def __init__(self, config: str = CONFIG) -> None:
        super().__init__(config)
        self.answers_notify = 200

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        flows = self.network.hosts[CALLER]
        deliver = flows.deliver

        def answering(data: bytes, source: Source) -> None:
            if data.startswith(b"NOTIFY "):
                # As a phone has it that has sent the REFER by itself; its user agent here knows of none.
                self.network.send(flows, bytes(parse_datagram(data).response(self.answers_notify)), source.remote)
            else:
                deliver(data, source)

        flows.deliver = answering  # type: ignore[method-assign]
        return self

    async def up(self) -> PhoneCall:
        call = await self.place_answered()
        self.first_wire = self.wire
        return call

    async def refer(self, call: PhoneCall, to: str | None = f"<tel:{TARGET}>", *more: tuple[str, str]) -> int:
        """Send a REFER within the call; the status that answers it."""
        dialog = call.session.dialog
        assert dialog is not None
        headers = (*((("Refer-To", to),) if to is not None else ()), *more)
        before = len(self._refer_answers())
        call.party.stack.perform(lambda now: call.session.ask("REFER", headers, now=now))
        await self.pass_time(0.05)
        return self._refer_answers()[before].status

    def _refer_answers(self) -> list[Any]:
        sent = [m for _, sender, m in self.network.log if sender == GATEWAY and not isinstance(m, Request)]
        return [m for m in sent if m.cseq.method == "REFER"]

    def notified(self) -> list[tuple[str, str]]:
        """What the referrer was told: the status line and the subscription's state, each once, in order."""
        told = {m.cseq.number: m for m in self.network.requests("NOTIFY")}
        return [(m.body.decode().strip(), m.headers.get("Subscription-State") or "") for _, m in sorted(told.items())]

    async def called(self) -> CalledPhone:
        """The agent of the call out is ready: the target rings."""
        self.take_call()
        await self.pass_time(0.05)
        return self.carrier.calls[-1]

    async def is_clean(self) -> None:
        await self.pass_time(45)
        self.assert_nothing_left()


TRYING = ("SIP/2.0 100 Trying", "active;expires=600")
RINGING = ("SIP/2.0 180 Ringing", "active;expires=600")


def last(status: str) -> tuple[str, str]:
    return (f"SIP/2.0 {status}", "terminated;reason=noresource")


@in_virtual_time
async def test_the_agent_goes_on_with_whom_the_caller_referred_us_to() -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        world.first_wire.says(type="transcript", who="caller", id="1", text="my order is late", final=True)
        await world.pass_time(0.1)
        by = ("Referred-By", '"Desk" <sip:desk@pbx.example;x=1?Subject=a>')
        assert await world.refer(call, f"<tel:{TARGET}>", by) == 202
        assert world.carrier.calls == []
        phone = await world.called()
        [ringing] = [said for said in world.wire.said if said["type"] == "ringing"]
        assert ringing["direction"] == "outbound"
        assert ringing["history"] == [{"who": "caller", "text": "my order is late"}]
        assert "<sip:desk@pbx.example>" in ringing["handed_over"]["note"]
        assert str(phone.request.request_uri) == f"sip:{TARGET}@{CARRIER}"
        assert phone.request.headers.get("Referred-By") == "<sip:desk@pbx.example>"
        phone.ring()
        await world.pass_time(1)
        assert [said for said in world.first_wire.said if said["type"] == "end"] == []
        phone.answer()
        await world.pass_time(0.1)
        assert world.notified() == [TRYING, RINGING, last("200 OK")]
        assert world.first_wire.said[-1]["type"] == "end"
        assert world.first_wire.said[-1]["reason"] == "referred"
        assert [said["type"] for said in world.wire.said] == ["ringing", "start"]
        call.hang_up()
        await world.pass_time(5)
        [first] = world.records
        assert first.end_reason == "referred"
        assert (first.transfer["target"], first.transfer["outcome"]) == (TARGET, "completed")
        assert first.transfer["referred_by"] == "<sip:desk@pbx.example>"
        phone.hang_up()
        await world.pass_time(1)
        second = world.records[-1]
        assert second.call_id == first.transfer["call_id"]
        assert second.claims["referred"]["call_id"] == first.call_id
        assert (second.end_reason, second.destination) == ("callee_hung_up", first.destination)
        await world.is_clean()


@in_virtual_time
async def test_a_referrer_that_stays_is_hung_up_on() -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        assert await world.refer(call, f"<sip:{TARGET}@{CARRIER};user=phone>") == 202
        (await world.called()).answer()
        await world.pass_time(3.5)
        assert call.bye is None
        await world.pass_time(1)
        assert call.bye is not None
        assert world.records[0].end_reason == "referred"
        world.carrier.calls[0].hang_up()
        await world.is_clean()


@pytest.mark.parametrize(("status", "reason", "kind"), [(486, "Busy Here", "busy"), (603, "Decline", "refused")])
@in_virtual_time
async def test_where_nobody_takes_it_the_call_goes_on(status: int, reason: str, kind: str) -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        assert await world.refer(call) == 202
        phone = await world.called()
        phone.ring()
        await world.pass_time(1)
        phone.refuse(status, reason)
        await world.pass_time(0.5)
        assert world.notified() == [TRYING, RINGING, last(f"{status} {reason}")]
        assert not call.is_over
        assert [said["type"] for said in world.first_wire.said] == ["ringing", "start"]
        # The next may be tried, and is told apart (RFC 3515 2.4.6).
        assert await world.refer(call) == 202
        (await world.called()).refuse(486)
        await world.pass_time(0.5)
        assert "id=" in (world.network.requests("NOTIFY")[-1].headers.get("Event") or "")
        call.hang_up()
        await world.pass_time(1)
        record = world.records[-1]
        assert (record.end_reason, record.transfer["outcome"]) == ("caller_hung_up", "busy")
        assert record.transfer["earlier"][0]["outcome"] == kind
        await world.is_clean()


@pytest.mark.parametrize("answered", [True, False])
@in_virtual_time
async def test_a_referrer_that_sends_nothing_meanwhile_is_no_lost_media(answered: bool) -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        first = world.leg
        assert await world.refer(call, f"<sip:{TARGET}@{CARRIER};user=phone>") == 202
        phone = await world.called()
        phone.ring()
        # It holds its caller by itself and says nothing of that.
        first.tells("media_timeout")
        await world.pass_time(10)
        assert call.bye is None
        assert phone.cancel is None
        if answered:
            phone.answer()
            await world.pass_time(1)
            first.tells("media_timeout")
            await world.pass_time(5)
            assert world.records[0].end_reason == "referred"
            world.carrier.calls[0].hang_up()
        else:
            phone.refuse(486)
            await world.pass_time(59)
            assert call.bye is None
            await world.pass_time(3)
            assert world.records[-1].end_reason == "media_timeout"
        await world.is_clean()


@in_virtual_time
async def test_nobody_answers() -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        assert await world.refer(call) == 202
        phone = await world.called()
        phone.ring()
        await world.pass_time(21)
        assert phone.cancel is not None
        assert world.notified()[-1][0].startswith("SIP/2.0 480")
        assert not call.is_over
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_a_referrer_that_leaves_at_once_leaves_the_call_out_behind() -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        assert await world.refer(call) == 202
        call.hang_up()
        await world.pass_time(0.5)
        assert world.notified() == [TRYING, last("100 Trying")]
        phone = await world.called()
        phone.ring()
        await world.pass_time(5)
        phone.answer()
        await world.pass_time(1)
        assert [said["type"] for said in world.wire.said] == ["ringing", "start"]
        [first] = world.records
        assert first.end_reason == "caller_hung_up"
        assert first.end_detail.startswith(f"referred to {TARGET}")
        phone.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_an_agent_that_hangs_up_meanwhile_takes_the_call_out_with_it() -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        assert await world.refer(call) == 202
        phone = await world.called()
        phone.ring()
        await world.pass_time(1)
        world.first_wire.says(type="hangup")
        await world.pass_time(3)
        assert call.is_over
        assert phone.cancel is not None
        assert world.notified()[-1] == last("100 Trying")
        await world.is_clean()


@in_virtual_time
async def test_one_at_a_time() -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        assert await world.refer(call) == 202
        assert await world.refer(call) == 500
        assert world._refer_answers()[-1].headers.get("Retry-After")
        (await world.called()).refuse(486)
        await world.pass_time(1)
        assert len(world.carrier.calls) == 1
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_while_on_hold() -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        call.reinvite(sdp(way="sendonly", version=2))
        await world.pass_time(1)
        assert await world.refer(call) == 202
        (await world.called()).answer()
        await world.pass_time(1)
        assert world.notified()[-1] == last("200 OK")
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].end_reason == "referred"
        world.carrier.calls[0].hang_up()
        await world.is_clean()


@pytest.mark.parametrize(
    ("refer_to", "status"),
    [
        ("<tel:+19005550100>", 603),  # premium, though the list has it
        (f"<sip:+19005550100@{CARRIER}>", 603),
        (f"<sip:911@{CARRIER}>", 603),
        (f"<sip:20011@{GATEWAY};user=phone;tgrp=evil>", 603),
        ("<tel:911>", 603),
        ("<tel:+442071234567>", 603),  # not in the list
        (f"<sip:{TARGET}@evil.example>", 603),  # another host than the trunk's
        (f"<sip:{TARGET}@{CARRIER};maddr=192.0.2.66>", 603),
        (f"<sip:{TARGET}@{CARRIER};method=BYE>", 603),
        ("<mailto:desk@example.com>", 416),
        (None, 400),
        (f"<tel:{TARGET}>, <tel:{TARGET}>", 400),
        (f"<sip:{TARGET}@{CARRIER}?Replaces=a%0d%0aX-Evil:%201;to-tag=b;from-tag=c>", 400),
        ("<sip:%0d%0aX-Evil@192.0.2.9>", 603),
    ],
)
@in_virtual_time
async def test_what_is_refused(refer_to: str | None, status: int) -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        assert await world.refer(call, refer_to) == status
        await world.pass_time(1)
        assert world.network.requests("NOTIFY") == []
        assert world.gate.asked == []
        assert not call.is_over
        call.hang_up()
        await world.pass_time(1)
        assert any(f"refused with {status}" in note for note in notes(world.timelines[-1]))
        await world.is_clean()


@in_virtual_time
async def test_two_refer_to_fields() -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        assert await world.refer(call, f"<tel:{TARGET}>", ("Refer-To", f"<tel:{TARGET}>")) == 400
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_of_headers_in_refer_to_replaces_is_passed_on_and_nothing_else() -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        replaces = "12345%40pbx%3Bto-tag%3Dt1%3Bfrom-tag%3Df1"
        to = f"<sip:201@{CARRIER}?Replaces={replaces}&P-Asserted-Identity=%3Csip:boss@x%3E&X-Evil=1>"
        assert await world.refer(call, to) == 202
        phone = await world.called()
        assert phone.request.headers.get("Replaces") == "12345@pbx;to-tag=t1;from-tag=f1"
        assert phone.request.headers.get("X-Evil") is None
        assert phone.request.headers.get("P-Asserted-Identity") is None
        phone.refuse(486)
        await world.pass_time(1)
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_without_reports() -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        assert await world.refer(call, f"<tel:{TARGET}>", ("Refer-Sub", "false"), ("Require", "norefersub")) == 202
        assert world._refer_answers()[-1].headers.get("Refer-Sub") == "false"
        (await world.called()).answer()
        await world.pass_time(6)
        assert world.network.requests("NOTIFY") == []
        assert call.bye is not None
        world.carrier.calls[0].hang_up()
        await world.is_clean()


@in_virtual_time
async def test_a_trunk_that_may_not_is_refused_as_a_method_that_is_not_served() -> None:
    refusing = CONFIG.replace('refer = "accept"\n', "").replace('refer_to = ["+1415*", "+1900*", "2*"]\n', "")
    async with ReferringWorld(refusing) as world:
        call = await world.up()
        assert await world.refer(call) == 405
        assert "REFER" not in (world._refer_answers()[-1].headers.get("Allow") or "")
        assert call.response is not None
        assert call.response.headers.get("Allow-Events") is None
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_refer_is_offered_where_it_is_served() -> None:
    async with ReferringWorld() as world:
        call = await world.up()
        assert call.response is not None
        assert "REFER" in (call.response.headers.get("Allow") or "")
        assert call.response.headers.get("Allow-Events") == "refer"
        assert "norefersub" in (call.response.headers.get("Supported") or "")
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_a_referrer_that_knows_no_subscription_is_told_no_more() -> None:
    async with ReferringWorld() as world:
        world.answers_notify = 481
        call = await world.up()
        assert await world.refer(call) == 202
        (await world.called()).answer()
        await world.pass_time(6)
        assert world.notified() == [TRYING]
        assert world.records[0].end_reason == "referred"
        world.carrier.calls[0].hang_up()
        await world.is_clean()


@pytest.mark.parametrize("which", range(24))
@in_virtual_time
async def test_whatever_message_is_lost_nothing_is_left(which: int) -> None:
    """Each message once from the REFER on: repetitions bring what matters through, and both calls come to their end."""
    async with ReferringWorld() as world:
        call = await world.up()
        count = -1

        def lost(sender: str, message: object) -> bool:
            nonlocal count
            count += 1
            return count == which

        world.network.lost = lost
        dialog = call.session.dialog
        assert dialog is not None
        headers = (("Refer-To", f"<tel:{TARGET}>"),)
        call.party.stack.perform(lambda now: call.session.ask("REFER", headers, now=now))
        await world.pass_time(2)
        world.take_call()
        await world.pass_time(2)
        [phone] = world.carrier.calls
        phone.ring()
        await world.pass_time(1)
        phone.answer()
        await world.pass_time(10)
        assert call.is_over
        assert world.records[0].end_reason == "referred"
        phone.hang_up()
        await world.is_clean()
        assert [record.end_reason for record in world.records] == ["referred", "callee_hung_up"]
