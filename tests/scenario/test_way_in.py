"""The way in: when a call is answered, and when its sound may leave (design: a call's way in, steps 4 to 7)."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import ECHO, OFFHOOK, TWILIO, World

pytestmark = pytest.mark.scenario


@in_virtual_time
async def test_an_echo_is_ready_at_once() -> None:
    async with World(ECHO) as world:
        call = await world.place()
        assert call.statuses == [180, 200]
        assert world.leg.echoing
        world.leg.hears()
        call.hang_up()
        await world.pass_time(40)
        assert [record.end_reason for record in world.records] == ["caller_hung_up"]
        world.assert_nothing_left()


@in_virtual_time
async def test_a_twilio_bot_is_ready_with_its_upgrade_and_told_of_the_call_with_the_200() -> None:
    async with World(TWILIO) as world:
        call = await world.place()
        assert call.statuses == [180], "it rings while the bot is dialled"
        assert world.wire.said == []
        world.wire.accept()
        await world.pass_time(0.001)
        assert world.leg.started_at is not None, "RTP starts with the 200"
        assert world.leg.wire is world.wire
        assert world.wire.said_types == ["connected", "start"]
        await world.pass_time(0.05)
        assert call.statuses == [180, 200]
        assert world.leg.released_at is not None, "the ACK lets the greeting go"


@in_virtual_time
async def test_an_offhook_agent_is_told_while_the_phone_rings_and_ready_when_it_says_so() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place(from_="<sip:+14155550111@192.0.2.1>")
        world.wire.accept()
        await world.pass_time(3)
        assert call.statuses == [180]
        [ringing] = world.wire.said
        assert ringing["type"] == "ringing"
        assert ringing["from_number"] == "+14155550111"
        assert ringing["ready_within_ms"] == 20_000
        world.wire.says(type="ready")
        await world.pass_time(0.05)
        assert call.statuses == [180, 200]
        assert world.wire.said_types == ["ringing", "start"]
