"""Calls out: the agent first, then whoever is called, and what came of it as one word."""

import asyncio

import pytest
from tests.support.carrier import CALLEE, CARRIER, CONFIG, OURS, DiallingWorld
from tests.support.clock import in_virtual_time
from tests.support.world import GATEWAY, notes, sdp

from offhook.call.out.gatekeeper import Denied
from offhook.call.out.outcome import NotPlaced
from offhook.ids import TrunkName
from offhook.sdp.description import SessionDescription

pytestmark = pytest.mark.scenario


@in_virtual_time
async def test_the_agent_is_ready_before_anybody_is_called_and_speaks_on_the_true_answer() -> None:
    async with DiallingWorld() as world:
        call = await world.wish(data={"order": "4711"})
        await world.pass_time(1)
        assert world.carrier.calls == []
        world.take_call()
        await world.pass_time(0.05)
        [ringing] = [said for said in world.wire.said if said["type"] == "ringing"]
        assert (ringing["direction"], ringing["from_number"], ringing["to_number"]) == ("outbound", OURS, CALLEE)
        assert ringing["data"] == {"order": "4711"}
        [phone] = world.carrier.calls
        assert str(phone.request.request_uri) == f"sip:{CALLEE}@{CARRIER}"
        assert str(phone.request.from_.uri) == f"sip:{OURS}@{CARRIER}"
        assert phone.request.call_id == ringing["sip_call_id"]
        phone.ring()
        await world.pass_time(3)
        assert world.leg.started_at is None
        assert not [said for said in world.wire.said if said["type"] == "start"]
        phone.answer()
        await world.pass_time(0.05)
        outcome = call.decided.result()
        assert (outcome.kind, outcome.status) == ("answered", 200)
        assert world.leg.started_at is not None
        assert world.leg.released_at is not None
        assert world.leg.wire is world.wire
        assert phone.acknowledged == 1
        assert [said["type"] for said in world.wire.said] == ["ringing", "start"]
        await world.pass_time(10)
        phone.hang_up((("Reason", 'Q.850;cause=16;text="Normal call clearing"'),))
        await world.pass_time(0.1)
        [record] = world.records
        assert (record.direction, record.trunk, record.route) == ("outbound", "out", None)
        assert (record.from_number, record.to_number, record.destination) == (OURS, CALLEE, "agent:bot")
        assert (record.end_reason, record.fault, record.sip_status) == ("callee_hung_up", "none", 200)
        assert record.billable_seconds in (10, 11)
        assert record.remote_signalling == f"{CARRIER}:5060"
        assert record.local_signalling == f"{GATEWAY}:5060"
        assert record.user_agent == "carrier/1"
        assert 3000 < record.intervals["pick_up"] < 3200
        assert record.post_dial_delay_ms is not None
        assert "own" not in record.intervals
        assert world.gate.permits[0].answered_at is not None
        assert world.gate.permits[0].released_at is not None
        await world.pass_time(40)
        world.assert_nothing_left()


@pytest.mark.parametrize(
    ("status", "reason", "kind", "ending"),
    [
        (486, "Busy Here", "busy", "callee_busy"),
        (600, "Busy Everywhere", "busy", "callee_busy"),
        (603, "Decline", "refused", "callee_refused"),
        (403, "Forbidden", "refused", "callee_refused"),
        (404, "Not Found", "refused", "callee_unknown"),
        (484, "Address Incomplete", "refused", "callee_unknown"),
        (480, "Temporarily Unavailable", "no_answer", "no_answer"),
        (408, "Request Timeout", "no_answer", "no_answer"),
        (487, "Request Terminated", "no_answer", "no_answer"),
        (488, "Not Acceptable Here", "failed", "no_common_codec"),
        (500, "Server Internal Error", "failed", "trunk_failed"),
        (503, "Service Unavailable", "failed", "trunk_failed"),
        (302, "Moved Temporarily", "failed", "trunk_failed"),
        (407, "Proxy Authentication Required", "failed", "trunk_auth_failed"),
    ],
)
@in_virtual_time
async def test_a_refusal_is_a_value(status: int, reason: str, kind: str, ending: str) -> None:
    async with DiallingWorld() as world:
        call, phone = await world.dial()
        phone.ring()
        await world.pass_time(1)
        phone.refuse(status, reason, (("Reason", 'Q.850;cause=34;text="no circuit"'),))
        await world.pass_time(0.1)
        outcome = call.decided.result()
        assert (outcome.kind, outcome.status, outcome.reason, outcome.q850) == (kind, status, reason, 34)
        assert (outcome.end_reason, outcome.detail[:3]) == (ending, str(status))
        [record] = world.records
        assert (record.end_reason, record.sip_status, record.q850, record.billable_seconds) == (ending, status, 34, 0)
        assert record.claims["causes"][0]["cause"] == 34
        assert world.wire.said[-1]["type"] == "end"
        assert world.wire.said[-1]["reason"] == ending
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_nobody_picks_up_in_time() -> None:
    async with DiallingWorld() as world:
        call, phone = await world.dial(ring_timeout=20)
        phone.ring()
        await world.pass_time(19.8)
        assert not call.decided.done()
        await world.pass_time(0.3)
        outcome = call.decided.result()
        assert (outcome.kind, outcome.status, outcome.q850) == ("no_answer", None, 19)
        assert phone.cancel is not None
        assert "Q.850;cause=19" in (phone.cancel.headers.get("Reason") or "")
        [record] = world.records
        assert record.end_detail == "it rang, and nobody answered within 20 s"
        assert record.sip_status == 487
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_a_trunk_that_says_nothing() -> None:
    async with DiallingWorld() as world:
        world.network.lost = lambda sender, message: sender == GATEWAY
        call = await world.wish()
        await world.pass_time(0.05)
        world.take_call()
        await world.pass_time(33)
        outcome = call.decided.result()
        assert (outcome.kind, outcome.end_reason, outcome.status) == ("failed", "trunk_unreachable", None)
        assert outcome.detail == "udp 192.0.2.9:5060: no answer in 32 s", "the hint says that it names the address"
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_given_up_while_it_rings() -> None:
    """livekit/sip#106: the room was gone, and the phone rang on."""
    async with DiallingWorld() as world:
        call, phone = await world.dial()
        phone.ring()
        await world.pass_time(1)
        call.give_up("by DELETE")
        await world.pass_time(0.1)
        assert phone.cancel is not None
        outcome = call.decided.result()
        assert (outcome.kind, outcome.end_reason, outcome.detail) == ("cancelled", "dial_cancelled", "by DELETE")
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_given_up_before_the_agent_is_ready_nobody_is_called() -> None:
    async with DiallingWorld() as world:
        call = await world.wish()
        await world.pass_time(0.05)
        call.give_up("by DELETE")
        await world.pass_time(0.1)
        assert call.decided.result().kind == "cancelled"
        assert world.network.requests("INVITE") == []
        [record] = world.records
        assert record.sip_status is None
        await world.pass_time(40)
        world.assert_nothing_left()


@pytest.mark.rfc(3261, "9.1")
@in_virtual_time
async def test_cancel_and_answer_cross() -> None:
    """The 200 is under way when the CANCEL leaves: it is acknowledged and ended, and nobody is left on the line."""
    async with DiallingWorld() as world:
        call, phone = await world.dial()
        phone.ring()
        await world.pass_time(1)
        phone.answer()
        call.give_up("too late")
        await world.pass_time(0.2)
        assert call.decided.result().kind == "cancelled"
        assert phone.acknowledged == 1
        assert phone.bye is not None
        [record] = world.records
        assert (record.end_reason, record.answer_at, record.billable_seconds) == ("dial_cancelled", None, 0)
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_ended_by_request_once_it_is_answered() -> None:
    async with DiallingWorld() as world:
        call, phone = await world.talk()
        call.give_up("by DELETE")
        await world.pass_time(0.1)
        assert phone.bye is not None
        [record] = world.records
        assert (record.end_reason, record.end_detail) == ("ended_by_request", "by DELETE")


@in_virtual_time
async def test_an_agent_that_says_no_and_nobody_is_called() -> None:
    async with DiallingWorld() as world:
        call = await world.wish()
        await world.pass_time(0.05)
        world.wire.accept()
        world.wire.says(type="reject", status=603, reason="not now")
        await world.pass_time(0.1)
        outcome = call.decided.result()
        assert (outcome.kind, outcome.end_reason) == ("failed", "agent_rejected")
        assert world.network.requests("INVITE") == []
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_an_agent_that_is_lost_while_it_rings() -> None:
    async with DiallingWorld() as world:
        call, phone = await world.dial()
        phone.ring()
        await world.pass_time(1)
        world.wire.breaks()
        await world.pass_time(0.1)
        assert phone.cancel is not None
        assert call.decided.result().end_reason == "agent_lost"
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_what_the_gate_denies_is_not_dialled_and_written_down() -> None:
    async with DiallingWorld() as world:
        world.gate.denies = Denied("dial_not_listed", "nobody lists it", "add it", None, TrunkName("out"))
        said = await world.wish("+442079460018")
        assert isinstance(said, NotPlaced)
        assert (said.code, said.outcome.kind, said.outcome.end_reason) == ("dial_not_listed", "failed", "dial_refused")
        [record] = world.records
        assert (record.direction, record.to_number, record.end_reason) == ("outbound", "+442079460018", "dial_refused")
        assert record.end_detail == "dial_not_listed: nobody lists it (add it)"
        assert notes(world.timelines[0], "note") == ["nobody was called: dial_not_listed: nobody lists it (add it)"]
        assert world.network.log == []
        world.assert_nothing_left()


@in_virtual_time
async def test_limits_of_the_trunk_count_calls_out() -> None:
    config = CONFIG.replace('host = "192.0.2.9"', 'host = "192.0.2.9"\nmax_calls = 1')
    async with DiallingWorld(config) as world:
        await world.talk()
        said = await world.wish()
        assert isinstance(said, NotPlaced)
        assert said.code == "limit_trunk_calls"
        assert world.gate.permits[-1].released_at is not None
        assert world.records[0].end_reason == "limit_trunk_calls"


@in_virtual_time
async def test_a_name_that_nobody_knows() -> None:
    async with DiallingWorld(CONFIG.replace('host = "192.0.2.9"', 'host = "sip.acme.example"')) as world:
        said = await world.wish()
        assert isinstance(said, NotPlaced)
        assert (said.code, said.outcome.end_reason) == ("unknown_host", "trunk_unreachable")
        assert world.gate.permits[0].released_at is not None
        world.assert_nothing_left()


@pytest.mark.rfc(3325, "5")
@in_virtual_time
async def test_numbers_and_identity_as_the_trunk_wants_them() -> None:
    config = CONFIG.replace(
        'host = "192.0.2.9"', 'host = "192.0.2.9"\nnumber_format = "e164-no-plus"\nassert_identity = true'
    )
    async with DiallingWorld(config) as world:
        _, phone = await world.dial(caller_id="+14155550101", headers=(("X-Campaign", "autumn"),))
        assert str(phone.request.request_uri) == f"sip:14155550142@{CARRIER}"
        assert str(phone.request.from_.uri) == f"sip:14155550101@{CARRIER}"
        assert phone.request.headers.get("P-Asserted-Identity") == f"<sip:14155550101@{CARRIER}>"
        assert phone.request.headers.get("X-Campaign") == "autumn"


@pytest.mark.rfc(3960, "3.3")
@in_virtual_time
async def test_sound_before_the_answer_reaches_the_agent_on_wish_alone() -> None:
    """livekit/sip#813: no early media on calls out."""
    async with DiallingWorld() as world:
        _, phone = await world.dial()
        phone.ring(183, sdp(host=CARRIER, port=4000))
        await world.pass_time(1)
        assert world.leg.started_at is None
        assert world.leg.wire is None
    async with DiallingWorld() as world:
        _, phone = await world.dial(early_media=True)
        phone.ring(183, sdp(host=CARRIER, port=4000))
        await world.pass_time(1)
        assert world.leg.started_at is not None
        assert world.leg.wire is world.wire
        # What the agent says to a ringing tone is kept for who picks up.
        assert world.leg.released_at is None
        phone.answer()
        await world.pass_time(0.1)
        assert world.leg.released_at is not None
        assert [remote.port for remote in world.leg.remotes] == [4000]


@pytest.mark.rfc(3262, "4")
@in_virtual_time
async def test_ringing_that_wants_prack_gets_it() -> None:
    async with DiallingWorld() as world:
        _, phone = await world.dial(early_media=True)
        phone.ring(183, sdp(host=CARRIER, port=4000), reliable=True)
        await world.pass_time(0.5)
        assert len(world.network.requests("PRACK")) == 1
        phone.answer()
        await world.pass_time(0.1)
        assert world.leg.released_at is not None


@pytest.mark.rfc(3311, "5.1")
@in_virtual_time
async def test_what_was_changed_before_the_answer_stands_after_it() -> None:
    async with DiallingWorld() as world:
        _, phone = await world.dial(early_media=True)
        phone.ring(183, sdp(host=CARRIER, port=4000), reliable=True)
        await world.pass_time(0.5)
        phone.update(sdp(host=CARRIER, port=4002, version=2))
        await world.pass_time(0.5)
        phone.answer()
        await world.pass_time(0.1)
        assert [remote.port for remote in world.leg.remotes] == [4000, 4002]
        assert world.leg.released_at is not None
        [answer] = world.network.responses(200, "UPDATE")
        offered, answered = (SessionDescription.parse(body).origin for body in (phone.offer, answer.body))
        assert answered.session_id == offered.session_id
        assert int(answered.version) == int(offered.version) + 1, "it says other than the INVITE did"


@in_virtual_time
async def test_encrypted_or_not_at_all() -> None:
    config = CONFIG.replace('host = "192.0.2.9"', 'host = "192.0.2.9"\nsrtp = "required"')
    async with DiallingWorld(config) as world:
        call, phone = await world.dial()
        assert b"RTP/SAVP" in phone.offer
        assert b"a=crypto:" in phone.offer
        phone.ring()
        await world.pass_time(1)
        phone.answer()
        await world.pass_time(0.2)
        outcome = call.decided.result()
        assert outcome.kind == "failed"
        assert phone.bye is not None
        assert world.leg.started_at is None
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_an_answer_without_sound_is_no_answer() -> None:
    async with DiallingWorld() as world:
        call, phone = await world.dial()
        phone.answer(
            b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"
        )
        await world.pass_time(0.2)
        assert (call.decided.result().kind, call.decided.result().end_reason) == ("failed", "no_offer_answer")
        assert phone.bye is not None
        [record] = world.records
        assert record.answer_at is None


@in_virtual_time
async def test_a_day_s_budget_ends_a_call() -> None:
    async with DiallingWorld() as world:
        _, phone = await world.dial()
        end = 0.0
        world.gate.permits[0].budget = lambda now: (max(0.0, end - now), "max_duration")
        end = asyncio.get_running_loop().time() + 30
        phone.answer()
        await world.pass_time(29)
        assert phone.bye is None
        await world.pass_time(2)
        assert phone.bye is not None
        assert world.records[0].end_detail == "the day's minutes are used up"


@in_virtual_time
async def test_the_wish_s_own_longest_time() -> None:
    async with DiallingWorld() as world:
        _, phone = await world.talk(max_duration=60)
        await world.pass_time(59)
        assert phone.bye is None
        await world.pass_time(2)
        assert phone.bye is not None
        assert world.records[0].end_reason == "max_duration"


@in_virtual_time
async def test_the_one_who_was_called_holds_and_resumes() -> None:
    async with DiallingWorld() as world:
        _, phone = await world.talk()
        phone.reinvite(sdp(host=CARRIER, port=4000, way="sendonly", version=2))
        await world.pass_time(0.1)
        assert [said for said in world.wire.said if said["type"] == "held"]
        phone.reinvite(sdp(host=CARRIER, port=4000, version=3))
        await world.pass_time(0.1)
        assert [said for said in world.wire.said if said["type"] == "resumed"]


@in_virtual_time
async def test_the_agent_hangs_up_when_it_has_said_all() -> None:
    async with DiallingWorld() as world:
        _, phone = await world.talk()
        world.wire.ends()
        await world.pass_time(2)
        assert phone.bye is not None
        assert world.records[0].end_reason == "agent_hung_up"


@in_virtual_time
async def test_the_gateway_is_stopped_while_it_rings() -> None:
    async with DiallingWorld() as world:
        call, phone = await world.dial()
        phone.ring()
        await world.pass_time(1)
        await world.switchboard.close()
        await world.pass_time(0.1)
        assert phone.cancel is not None
        assert call.decided.result().kind == "cancelled"


@in_virtual_time
async def test_the_agent_hands_the_called_party_to_somebody_else_by_refer() -> None:
    config = CONFIG.replace('host = "192.0.2.9"', 'host = "192.0.2.9"\ntransfer_to = "+1*"')
    async with DiallingWorld(config) as world:
        _, phone = await world.talk()
        world.wire.says(type="transfer", target="tel:+14155550177")
        await world.pass_time(0.1)
        [refer] = phone.refers
        assert refer.headers.get("Refer-To") == "<tel:+14155550177>"
        phone.notify("SIP/2.0 200 OK\r\n", "terminated;reason=noresource")
        await world.pass_time(0.1)
        [told] = [said for said in world.wire.said if said["type"] == "transferred"]
        assert told["outcome"] == "completed"
        assert phone.bye is not None
        assert world.records[0].end_reason == "transferred"
        assert world.records[0].transfer["target"] == "+14155550177"


@in_virtual_time
async def test_the_agent_hands_the_call_over_to_another_agent_of_the_configuration() -> None:
    other = '[[agent]]\nname = "colleague"\nkind = "offhook"\nurl = "ws://colleague.example/"\n'
    async with DiallingWorld(CONFIG + other) as world:
        _, phone = await world.talk()
        first = world.wire
        first.says(type="hand_over", to="agent:colleague")
        await world.pass_time(0.05)
        second = world.wire
        assert second is not first
        world.take_call()
        await world.pass_time(0.1)
        assert world.leg.wire is second
        phone.hang_up()
        await world.pass_time(0.1)
        assert world.records[0].destination == "agent:colleague"
        assert world.records[0].end_reason == "callee_hung_up"


@in_virtual_time
async def test_the_agent_holds_the_called_party() -> None:
    async with DiallingWorld() as world:
        await world.talk()
        world.wire.says(type="hold")
        await world.pass_time(0.1)
        assert b"a=sendonly" in world.network.requests("INVITE")[-1].body


@pytest.mark.rfc(4028, "7.1")
@in_virtual_time
async def test_session_timers_are_asked_for_and_kept() -> None:
    async with DiallingWorld(CONFIG.replace('host = "', 'session_timer = 90\nmedia_timeout = 3600\nhost = "')) as world:
        _, phone = await world.talk()
        assert phone.request.headers.get("Session-Expires") == "90"
        await world.pass_time(300)
        assert phone.bye is None
        assert len(world.network.requests("UPDATE")) + len(world.network.requests("INVITE")) > 4


@in_virtual_time
async def test_whom_we_call_may_not_call_us_for_that() -> None:
    async with DiallingWorld() as world:
        _, phone = await world.talk()
        theirs = world.carrier.call()
        await world.pass_time(5)
        assert theirs.statuses == []
        assert len(world.book.begun) == 1
        [refusal] = world.signalling.refusals.flush(1e9, force=True)
        assert (refusal.source, refusal.rule) == (CARRIER, "source")
        phone.hang_up()
        await world.pass_time(40)
        # From here on it is not even parsed.
        assert not world.signalling.screen.gate("udp", CARRIER)
