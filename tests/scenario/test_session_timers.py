"""Session timers (RFC 4028) in whole calls: the gateway, its agent, and carriers of every kind."""

from typing import Literal

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, ECHO, OFFHOOK, PhoneCall, World, notes, sdp

from offhook.sip.message import Message, Request, Response
from offhook.sip.user_agent import UserAgentConfig

pytestmark = pytest.mark.scenario


def with_trunk(line: str, config: str = ECHO) -> str:
    """A configuration whose trunk has this line too, and whose callers may be silent for a day."""
    allow = f'allow = ["{CALLER}"]'
    return config.replace(allow, f"{allow}\nmedia_timeout = 86400\n{line}")


ACCEPTS = with_trunk("")
ASKS = with_trunk("session_timer = 90")
OFF = with_trunk('session_timer = "off"')

FORTY_MINUTES = 2400


def refreshes(world: World, host: str, *methods: str) -> list[Request]:
    """Requests within a dialog that a host has sent, re-INVITEs and UPDATEs if not said, without repetitions."""
    methods = methods or ("INVITE", "UPDATE")
    sent = {}
    for _, sender, message in world.network.log:
        if sender == host and isinstance(message, Request) and message.method in methods and message.to.tag:
            sent[message.cseq.number] = message
    return list(sent.values())


WITHOUT_UPDATE = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS")


async def carrier(
    world: World, wish: str = "", *, timer: Literal["accept", "off"] = "accept", update: bool = True
) -> PhoneCall:
    """An answered call of a carrier that asks for a timer in these words, and may know UPDATE."""
    config = UserAgentConfig(
        session_timer=timer,
        supported=("timer",) if timer == "accept" else (),
        allow=(*WITHOUT_UPDATE, "UPDATE") if update else WITHOUT_UPDATE,
    )
    phone = await world.party(CALLER, config)
    return await world.place_answered(phone, headers=(("Session-Expires", wish),) if wish else ())


@pytest.mark.rfc(4028, "10")
@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("wish", ["90;refresher=uas", "90;refresher=uac", "90"])
@in_virtual_time
async def test_livekit_sip_494_forty_minutes_refreshed_by_either_side_and_method(wish: str, update: bool) -> None:
    async with World(ACCEPTS) as world:
        call = await carrier(world, wish, update=update)
        await world.pass_time(FORTY_MINUTES)
        assert (call.bye, call.is_over) == (None, False)
        call.hang_up()
        await world.pass_time(1)
        by_us = wish.endswith("uas")
        ours, theirs = refreshes(world, "192.0.2.2"), refreshes(world, "192.0.2.1")
        assert (len(ours), len(theirs)) == ((FORTY_MINUTES // 45, 0) if by_us else (0, FORTY_MINUTES // 45))
        # The carrier knows of us that we take UPDATE.
        assert {request.method for request in ours or theirs} == {"UPDATE" if update or not by_us else "INVITE"}
        (record,) = world.records
        assert (record.end_reason, record.session_interval) == ("caller_hung_up", 90)
        assert record.session_refreshes == FORTY_MINUTES // 45
        who = "we refresh" if by_us else "the caller's side refreshes"
        assert f"session timer: 90 s from the caller's INVITE on, {who}" in notes(world.timelines[0])
        assert len(world.engine.legs) == 1


@pytest.mark.rfc(4028, "10")
@in_virtual_time
async def test_livekit_sip_582_a_carrier_whose_own_refresh_gets_lost_is_refreshed_by_us() -> None:
    """At 15 minutes its re-INVITE never arrives; ours does, so nobody hangs up, then or later."""

    def lost(sender: str, message: Message) -> bool:
        return sender == CALLER and isinstance(message, Request) and message.method != "ACK" and answered

    answered = False
    async with World(ACCEPTS) as world:
        world.network.lost = lost
        call = await carrier(world, "1800;refresher=uac")
        answered = True
        await world.pass_time(890)
        assert refreshes(world, "192.0.2.2") == []
        # The carrier repeats it for 32 s, gives up, and would hang up; ours comes before the end of the interval.
        await world.pass_time(5)
        call.session.timer.end()
        await world.pass_time(1800)
        assert call.bye is None
        assert len(refreshes(world, "192.0.2.2")) == 2


@pytest.mark.rfc(4028, "10")
@in_virtual_time
async def test_meet_935_a_device_that_refreshes_nothing_is_let_go_in_time_and_so_is_the_agent() -> None:
    """It is gone without a BYE: nobody answers, and neither carrier nor agent is paid for a call that is none."""
    async with World(with_trunk("", OFFHOOK)) as world:
        call = await world.place_answered(headers=(("Session-Expires", "90;refresher=uac"),))
        world.network.lost = lambda sender, message: sender == CALLER
        call.session.timer.end()
        await world.pass_time(59)
        assert world.records == []
        await world.pass_time(10)
        (record,) = world.records
        assert record.end_reason == "session_expired"
        assert (
            record.end_detail == "no refresh within the 90 s agreed: none of the peer came, and ours was not answered"
        )
        assert record.end_at is not None
        assert record.answer_at is not None
        assert record.end_at - record.answer_at == 60_000
        (bye, *_) = refreshes(world, "192.0.2.2", "BYE")
        assert [reason.cause for reason in bye.reasons] == [102, 408]
        assert world.wire.is_over
        await world.pass_time(100)
        world.assert_nothing_left()


@pytest.mark.rfc(4028, "10")
@in_virtual_time
async def test_a_carrier_that_has_forgotten_the_call_says_so_at_the_refresh() -> None:
    async with World(ACCEPTS) as world:
        call = await carrier(world, "90;refresher=uas")
        call.party.stack.perform(lambda now: call.session.drop(now))
        await world.pass_time(60)
        (record,) = world.records
        assert record.end_reason == "session_expired"
        assert record.end_detail.startswith("the peer answered our refresh with 481")


@pytest.mark.rfc(4028, "10")
@in_virtual_time
async def test_a_carrier_that_refuses_refreshes_keeps_its_sound_until_the_interval_is_over() -> None:
    async with World(ACCEPTS) as world:
        call = await carrier(world, "90;refresher=uas", update=False)
        call.refuses_reinvites = True
        call.session.timer.end()
        await world.pass_time(59)
        assert not call.is_over
        await world.pass_time(2)
        (record,) = world.records
        assert record.end_detail == "no refresh within the 90 s agreed: ours got 488 Not Acceptable Here"


@pytest.mark.rfc(4028, "9")
@pytest.mark.parametrize("timer", ["accept", "off"])
@in_virtual_time
async def test_a_trunk_that_asks_refreshes_those_that_do_not(timer: Literal["accept", "off"]) -> None:
    """With a carrier that knows no timers nothing ends for a refusal: only silence, or a 481, does that."""
    async with World(ASKS) as world:
        call = await carrier(world, timer=timer, update=False)
        response = call.response
        assert isinstance(response, Response)
        assert response.headers.get("Session-Expires") == "90;refresher=uas"
        call.refuses_reinvites = timer == "off"
        await world.pass_time(FORTY_MINUTES)
        assert not call.is_over
        assert len(refreshes(world, "192.0.2.2")) == FORTY_MINUTES // 45


@pytest.mark.rfc(4028, "9")
@in_virtual_time
async def test_a_trunk_without_timers_takes_refreshes_as_what_they_are() -> None:
    async with World(OFF) as world:
        call = await carrier(world, "90;refresher=uac", timer="off")
        call.reinvite(sdp())
        await world.pass_time(1000)
        assert [response.status for response in call.reinvited if response] == [200]
        assert not call.is_over


@pytest.mark.rfc(4028, "6")
@in_virtual_time
async def test_an_interval_too_small_has_a_record_that_says_so() -> None:
    async with World(ACCEPTS) as world:
        call = await world.place(headers=(("Session-Expires", "30"),))
        assert call.statuses == [422]
        (record,) = world.records
        assert (record.end_reason, record.sip_status) == ("session_interval_too_small", 422)


@pytest.mark.rfc(4028, "7.4")
@in_virtual_time
async def test_a_refresh_in_a_hold_leaves_the_hold() -> None:
    async with World(ACCEPTS) as world:
        call = await carrier(world, "90;refresher=uas", update=False)
        call.reinvite(sdp(way="sendonly", version=2))
        call.acknowledges = sdp(way="sendonly", version=2)
        await world.pass_time(200)
        assert (world.leg.remote.hold, world.leg.remote.send) == (True, False)
        offers = {request.body for request in refreshes(world, "192.0.2.2")}
        assert len(offers) == 1
        assert b"a=recvonly" in offers.pop()
        assert not call.is_over


@pytest.mark.rfc(4028, "7.4")
@pytest.mark.parametrize("takes_it", [True, False])
@in_virtual_time
async def test_a_hold_of_the_agent_that_meets_a_refresh_is_asked_for_after_it(takes_it: bool) -> None:
    """The answer to the refresh is none to the hold, so the agent is told what became of that, and nothing before."""
    async with World(with_trunk("", OFFHOOK)) as world:
        call = await carrier(world, "90;refresher=uas", update=False)
        world.network.delay = 0.5
        while not refreshes(world, "192.0.2.2"):
            await world.pass_time(0.1)
        world.wire.says(type="hold")
        await world.pass_time(0.2)
        holds = [said["type"] for said in world.wire.said if said["type"] in ("held", "hold_failed")]
        assert holds == []
        await world.pass_time(0.6)
        call.refuses_reinvites = not takes_it
        call.acknowledges = sdp(way="recvonly", version=2)
        await world.pass_time(3)
        holds = [said["type"] for said in world.wire.said if said["type"] in ("held", "hold_failed")]
        assert holds == ["held" if takes_it else "hold_failed"]
        assert world.leg.remote.hold is takes_it
        assert [request.body.count(b"a=sendonly") for request in refreshes(world, "192.0.2.2")] == [0, 1]


@pytest.mark.rfc(4028, "7.4")
@in_virtual_time
async def test_an_answer_to_a_refresh_may_move_the_sound() -> None:
    """A carrier that has moved the call meanwhile says so in its answer, and a plain one changes nothing."""
    async with World(ACCEPTS) as world:
        call = await carrier(world, "90;refresher=uas", update=False)
        await world.pass_time(50)
        assert (world.leg.remote.port, len(world.engine.legs)) == (4000, 1)
        call.acknowledges = sdp(port=4444, version=2)
        await world.pass_time(45)
        assert (world.leg.remote.port, len(world.engine.legs)) == (4444, 1)
        assert not call.is_over


@pytest.mark.rfc(4028, "7.4")
@in_virtual_time
async def test_an_answer_to_a_refresh_without_sdp_leaves_the_sound_as_it_is() -> None:
    async with World(ACCEPTS) as world:
        call = await carrier(world, "90;refresher=uas", update=False)
        call.acknowledges = None
        await world.pass_time(200)
        assert (world.leg.remote.port, call.is_over) == (4000, False)
