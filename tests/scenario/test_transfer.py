"""A call is transferred: what the agent asks for, what the other side answers and reports, where the caller is then."""

from typing import Any

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, ECHO, OFFHOOK, TWILIO, PhoneCall, World, notes, sdp

pytestmark = pytest.mark.scenario

TARGET = "tel:+14155550142"
FALLBACK = OFFHOOK + 'fallback = [{ on = ["lost"], to = "echo:" }]\n'


def told(world: World) -> list[dict[str, Any]]:
    """What the agent was told of its transfers."""
    return [message for message in world.wire.said if message.get("type") == "transferred"]


async def transferring(world: World, **message: Any) -> PhoneCall:
    """A call whose agent has just asked for a transfer, which the caller's side has taken."""
    call = await world.place_answered()
    world.wire.says(type="transfer", **({"target": TARGET} | message))
    await world.pass_time(0.1)
    return call


@pytest.mark.rfc(3515, "2.1")
@pytest.mark.rfc(5589, "6.1")
@in_virtual_time
async def test_livekit_sip_91_a_transfer_that_succeeds_ends_the_call() -> None:
    """Transfer by REFER was asked for, for years."""
    async with World(OFFHOOK) as world:
        call = await transferring(world)
        [refer] = call.refers
        assert refer.headers.get("Refer-To") == "<tel:+14155550142>"
        assert refer.headers.get("Referred-By") == "<sip:+14155550100@192.0.2.2>"
        call.notify("SIP/2.0 100 Trying\r\n")
        call.notify("SIP/2.0 180 Ringing\r\n")
        await world.pass_time(5)
        assert told(world) == []
        assert call.bye is None
        call.notify("SIP/2.0 200 OK\r\n", "terminated;reason=noresource")
        await world.pass_time(0.1)
        [result] = told(world)
        assert (result["outcome"], result["status"], result["confirmed"]) == ("completed", 200, True)
        assert world.wire.said[-1]["reason"] == "transferred"
        # Twilio keeps both parties silent until our BYE: it leaves at once.
        assert call.bye is not None
        assert 'text="transferred"' in (call.bye.headers.get("Reason") or "")
        await world.pass_time(5)
        [record] = world.records
        assert record.end_reason == "transferred"
        assert record.end_detail == "to +14155550142 (200 OK)"
        assert record.transfer["outcome"] == "completed"
        assert record.transfer["target"] == "+14155550142"
        assert record.transfer["duration_ms"] > 5000
        said = notes(world.timelines[0], "note")
        assert "the transfer: 180 Ringing" in said
        assert "the transfer to +14155550142: completed (200 OK)" in said
        page = world.metrics.registry
        assert (
            page.get_sample_value("offhook_transfers_total", {"trunk": "acme", "outcome": "completed", "way": "refer"})
            == 1
        )
        await world.pass_time(35)
        world.assert_nothing_left()


@pytest.mark.rfc(3515, "2.4.5")
@pytest.mark.parametrize(
    ("report", "outcome", "status"),
    [
        ("SIP/2.0 486 Busy Here", "busy", 486),
        ("SIP/2.0 600 Busy Everywhere", "busy", 600),
        ("SIP/2.0 480 Temporarily Unavailable", "no_answer", 480),
        ("SIP/2.0 408 Request Timeout", "no_answer", 408),
        ("SIP/2.0 487 Request Terminated", "no_answer", 487),
        ("SIP/2.0 404 Not Found", "refused", 404),
        ("SIP/2.0 503 Service Unavailable", "refused", 503),
        ("SIP/2.0 603 Decline", "refused", 603),
    ],
)
@in_virtual_time
async def test_on_anything_else_the_caller_is_back_with_the_agent(report: str, outcome: str, status: int) -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world)
        call.notify(report, "terminated;reason=noresource")
        await world.pass_time(0.1)
        [result] = told(world)
        assert (result["outcome"], result["status"]) == (outcome, status)
        assert str(status) in result["reason"]
        # The call goes on as it was, and may be transferred to somebody else.
        world.wire.speaks(0.5)
        world.wire.says(type="transfer", target="sip:desk@example.com")
        await world.pass_time(0.1)
        assert call.refers[1].headers.get("Refer-To") == "<sip:desk@example.com>"
        call.notify("SIP/2.0 200 OK", "terminated", f"refer;id={call.refers[1].cseq.number}")
        await world.pass_time(5)
        [record] = world.records
        assert record.end_reason == "transferred"
        assert record.transfer["target"] == "sip:desk@example.com"
        assert [attempt["outcome"] for attempt in record.transfer["earlier"]] == [outcome]


@in_virtual_time
async def test_siphon_sip_156_who_is_transferred_knows_whom_to_talk_to() -> None:
    """A 200 without Contact: neither our answer to the call nor the REFER within it lacks one."""
    async with World(OFFHOOK) as world:
        call = await transferring(world)
        assert call.response is not None
        assert len(call.response.contacts) == 1
        assert call.refers[0].contacts == call.response.contacts


@pytest.mark.parametrize("status", [401, 403, 404, 405, 481, 501, 503, 603])
@in_virtual_time
async def test_livekit_sip_234_a_refused_refer_says_who_refused_and_what_to_change(status: int) -> None:
    """A cold transfer ended in 603, and nobody knew why."""
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.answers_refer = status
        world.wire.says(type="transfer", target=TARGET)
        await world.pass_time(0.1)
        [result] = told(world)
        assert (result["outcome"], result["status"]) == ("refused", status)
        assert f"the REFER was refused: {status}" in result["reason"]
        if status != 503:
            assert result["hint"]
        if status == 603:
            assert "Twilio" in result["hint"]
        assert not call.is_over
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].transfer["status"] == status
        assert world.records[0].end_reason == "caller_hung_up"


@pytest.mark.rfc(3261, "22.3")
@in_virtual_time
async def test_a_challenged_refer_is_answered_with_the_trunks_password() -> None:
    toml = OFFHOOK.replace('name = "acme"', 'name = "acme"\nusername = "us"\npassword = "opensesame"')
    async with World(toml) as world:
        call = await world.place_answered()
        challenge = ("WWW-Authenticate", 'Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"')
        call.answers_refer = lambda request: request.response(
            202 if "Authorization" in request.headers else 401,
            headers=[] if "Authorization" in request.headers else [challenge],
        )
        world.wire.says(type="transfer", target=TARGET)
        await world.pass_time(0.2)
        assert [("Authorization" in refer.headers) for refer in call.refers] == [False, True]
        assert 'username="us"' in (call.refers[1].headers.get("Authorization") or "")
        call.notify("SIP/2.0 200 OK", "terminated", f"refer;id={call.refers[1].cseq.number}")
        await world.pass_time(0.2)
        assert told(world)[0]["outcome"] == "completed"


@in_virtual_time
async def test_livekit_sip_237_headers_go_along_and_call_data_goes_to_the_target() -> None:
    """Headers on REFER, and User-to-User for whom the caller is handed to."""
    async with World(OFFHOOK) as world:
        call = await transferring(
            world,
            target="sip:desk@example.com",
            headers={"X-Ticket": "7; a=b", "User-to-User": "56a390f3d2b7;encoding=hex"},
        )
        [refer] = call.refers
        assert refer.headers.get("X-Ticket") == "7; a=b"
        assert refer.refer_to is not None
        assert "User-to-User=56a390f3d2b7%3Bencoding%3Dhex" in str(refer.refer_to.uri)
        assert "User-to-User" not in refer.headers


@in_virtual_time
async def test_a_tel_target_has_no_room_for_call_data_which_stays_on_the_refer() -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world, headers={"User-to-User": "56a390f3d2b7;encoding=hex"})
        assert call.refers[0].headers.get("User-to-User") == "56a390f3d2b7;encoding=hex"


@in_virtual_time
async def test_headers_of_the_transfer_go_before_those_of_all_requests() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        world.wire.says(type="headers", headers={"X-Ticket": "1", "X-Queue": "sales"})
        world.wire.says(type="transfer", target=TARGET, headers={"X-Ticket": "2"})
        await world.pass_time(0.1)
        assert call.refers[0].headers.get_all("X-Ticket") == ("2",)
        assert call.refers[0].headers.get_all("X-Queue") == ("sales",)


@pytest.mark.parametrize(
    "headers",
    [
        {"Refer-To": "<sip:x@y>"},
        {"Via": "x"},
        {"X-A": "1\r\nVia: x"},
        {"a b": "1"},
        {"r": "<sip:x@y>"},
        {"": "1"},
        {"Subject": "hello"},
    ],
)
@in_virtual_time
async def test_headers_that_are_not_the_agents_are_not_sent(headers: dict[str, str]) -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world, headers=headers)
        [result] = told(world)
        assert (result["outcome"], result["status"]) == ("refused", None)
        assert call.refers == []
        assert not call.is_over


@in_virtual_time
async def test_siphon_sip_220_an_agent_that_leaves_early_harms_nobody() -> None:
    """The transferor's early BYE killed both parties: so there is none, whatever the agent does."""
    async with World(OFFHOOK) as world:
        call = await transferring(world)
        world.wire.ends(1000)
        await world.pass_time(20)
        assert call.bye is None
        call.notify("SIP/2.0 200 OK", "terminated")
        await world.pass_time(5)
        assert world.records[0].end_reason == "transferred"


@pytest.mark.parametrize("way", ["hangs up", "closes", "breaks"])
@in_virtual_time
async def test_an_agent_that_has_left_is_not_there_when_the_transfer_fails(way: str) -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world)
        match way:
            case "hangs up":
                world.wire.hangs_up()
            case "closes":
                world.wire.ends(1000)
            case _:
                world.wire.breaks()
        await world.pass_time(10)
        assert call.bye is None
        call.notify("SIP/2.0 486 Busy Here", "terminated")
        await world.pass_time(10)
        assert call.bye is not None
        assert world.records[0].end_reason == ("agent_lost" if way == "breaks" else "agent_hung_up")
        assert world.records[0].transfer["outcome"] == "busy"


@in_virtual_time
async def test_a_fallback_takes_the_caller_back_from_a_lost_agent() -> None:
    async with World(FALLBACK) as world:
        call = await transferring(world)
        world.wire.breaks()
        await world.pass_time(1)
        assert not world.leg.echoing
        call.notify("SIP/2.0 486 Busy Here", "terminated")
        await world.pass_time(1)
        assert call.bye is None
        assert world.leg.echoing


@in_virtual_time
async def test_an_agent_that_means_it_ends_the_call_at_once() -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world)
        world.wire.says(type="hangup", now=True)
        await world.pass_time(5)
        assert call.bye is not None
        assert world.records[0].end_reason == "agent_hung_up"
        assert world.records[0].transfer["outcome"] == "caller_gone"


@pytest.mark.rfc(3515, "2.4.4")
@in_virtual_time
async def test_jambonz_sbc_inbound_113_silence_after_the_202_leaves_nobody_in_dead_air() -> None:
    """A caller who was to be transferred stayed in silence: there is a time limit, and the agent is told."""
    async with World(OFFHOOK.replace('name = "acme"', 'name = "acme"\ntransfer_timeout = 40')) as world:
        call = await transferring(world)
        await world.pass_time(39.5)
        assert told(world) == []
        await world.pass_time(1)
        [result] = told(world)
        assert (result["outcome"], result["status"]) == ("timed_out", None)
        assert "40 s were over; there was no report" in result["reason"]
        assert not call.is_over


@in_virtual_time
async def test_a_caller_who_hangs_up_after_the_agent_has_left_is_who_ended_it() -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world)
        call.notify("SIP/2.0 180 Ringing")
        world.wire.ends(1000)
        await world.pass_time(3)
        call.hang_up()
        await world.pass_time(3)
        assert world.records[0].end_reason == "caller_hung_up"


@in_virtual_time
async def test_the_agent_may_set_the_time() -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world, timeout_ms=5000)
        call.notify("SIP/2.0 180 Ringing")
        await world.pass_time(5)
        [result] = told(world)
        assert result["outcome"] == "timed_out"
        assert "the last report was 180" in result["reason"]


@in_virtual_time
async def test_a_transfer_that_succeeds_after_all_ends_the_call_after_all() -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world, timeout_ms=5000)
        call.notify("SIP/2.0 180 Ringing")
        await world.pass_time(6)
        call.notify("SIP/2.0 200 OK", "terminated")
        await world.pass_time(5)
        assert [message["outcome"] for message in told(world)] == ["timed_out"]
        assert world.records[0].end_reason == "transferred"
        assert world.records[0].transfer["outcome"] == "completed"


@in_virtual_time
async def test_nobody_answers_the_refer() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.answers_refer = None
        world.wire.says(type="transfer", target=TARGET)
        await world.pass_time(33)
        [result] = told(world)
        assert result["outcome"] == "timed_out"
        assert len(call.refers) == 11
        assert not call.is_over


@pytest.mark.rfc(5589, "6.1")
@in_virtual_time
async def test_a_bye_right_after_the_202_is_a_transfer_that_nobody_confirmed() -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world)
        call.hang_up()
        await world.pass_time(3)
        [result] = told(world)
        assert (result["outcome"], result["confirmed"]) == ("completed", False)
        [record] = world.records
        assert record.end_reason == "transferred"
        assert record.end_detail.startswith("to +14155550142 (unconfirmed: ")
        await world.pass_time(35)
        world.assert_nothing_left()


@in_virtual_time
async def test_a_caller_who_hangs_up_while_the_target_rings_is_gone() -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world)
        call.notify("SIP/2.0 100 Trying")
        call.notify("SIP/2.0 180 Ringing")
        await world.pass_time(8)
        call.hang_up()
        await world.pass_time(3)
        [result] = told(world)
        assert result["outcome"] == "caller_gone"
        assert "the last report was 180" in result["reason"]
        assert world.records[0].end_reason == "caller_hung_up"


@pytest.mark.parametrize("comes_back", [True, False])
@in_virtual_time
async def test_the_callers_silence_meanwhile_is_no_lost_media(comes_back: bool) -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world)
        # On hold elsewhere, a caller sends nothing. The core tells that once, until something comes again.
        world.leg.tells("media_timeout")
        assert world.leg._silence is not None
        world.leg._silence.cancel()
        await world.pass_time(10)
        assert call.bye is None
        call.notify("SIP/2.0 486 Busy Here", "terminated")
        await world.pass_time(59)
        assert call.bye is None
        if comes_back:
            world.leg.hears()
        await world.pass_time(5)
        assert [record.end_reason for record in world.records] == ([] if comes_back else ["media_timeout"])


@pytest.mark.parametrize("comes_back", [True, False])
@in_virtual_time
async def test_a_caller_whose_time_of_silence_is_up_soon_after_a_transfer_has_failed_has_a_whole_one(
    comes_back: bool,
) -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world)
        call.notify("SIP/2.0 486 Busy Here", "terminated")
        await world.pass_time(0.5)
        world.leg.tells("media_timeout")
        assert world.leg._silence is not None
        world.leg._silence.cancel()
        await world.pass_time(58)
        assert call.bye is None
        if comes_back:
            world.leg.hears()
        await world.pass_time(5)
        assert [record.end_reason for record in world.records] == ([] if comes_back else ["media_timeout"])


@in_virtual_time
async def test_a_caller_who_was_put_on_hold_for_a_transfer_that_fails_is_not_lost_media() -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world)
        world.leg.tells("media_timeout")
        call.reinvite(sdp(way="sendonly", version=2))
        await world.pass_time(1)
        call.notify("SIP/2.0 486 Busy Here", "terminated")
        await world.pass_time(600)
        assert call.bye is None
        call.reinvite(sdp(version=3))
        await world.pass_time(61)
        assert [record.end_reason for record in world.records] == ["media_timeout"]


@in_virtual_time
async def test_one_at_a_time() -> None:
    async with World(OFFHOOK) as world:
        call = await transferring(world)
        world.wire.says(type="transfer", target="tel:+14155550143")
        await world.pass_time(0.1)
        assert len(call.refers) == 1
        assert [m["code"] for m in world.wire.said if m["type"] == "error"] == ["transfer_open"]
        call.notify("SIP/2.0 200 OK", "terminated")
        await world.pass_time(1)
        assert [message["outcome"] for message in told(world)] == ["completed"]


@in_virtual_time
async def test_an_agent_that_transfers_for_ever_is_stopped() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.answers_refer = 603
        for _ in range(25):
            world.wire.says(type="transfer", target=TARGET)
            await world.pass_time(0.1)
        assert len(call.refers) == 20
        assert "has tried 20 transfers" in told(world)[-1]["reason"]


@in_virtual_time
async def test_who_has_said_goodbye_transfers_nobody() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        world.wire.hangs_up()
        await world.pass_time(0.05)
        world.wire.says(type="transfer", target=TARGET)
        await world.pass_time(0.05)
        assert [message["reason"] for message in told(world)] == ["the agent has ended the call"]
        assert call.refers == []


@in_virtual_time
async def test_before_the_answer_there_is_nobody_to_transfer() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place()
        world.wire.accept()
        world.wire.says(type="transfer", target=TARGET)
        world.wire.says(type="ready")
        await world.pass_time(0.1)
        assert call.is_answered
        assert call.refers == []
        assert [(m["outcome"], m["reason"]) for m in told(world)] == [("refused", "the call is not answered")]


@pytest.mark.rfc(4488, "4")
@in_virtual_time
async def test_a_trunk_that_reports_nothing_says_by_its_bye_that_it_is_done() -> None:
    async with World(OFFHOOK.replace('name = "acme"', 'name = "acme"\ntransfer_reports = false')) as world:
        call = await world.place_answered()
        call.answers_refer = lambda request: request.response(202, headers=[("Refer-Sub", "false")])
        world.wire.says(type="transfer", target=TARGET)
        await world.pass_time(0.1)
        assert call.refers[0].headers.get("Refer-Sub") == "false"
        await world.pass_time(25)
        call.hang_up()
        await world.pass_time(3)
        assert (told(world)[0]["outcome"], told(world)[0]["confirmed"]) == ("completed", False)
        assert world.records[0].end_reason == "transferred"


# -- where a call may go (the trunk says)


@pytest.mark.parametrize(
    ("target", "refer_to"),
    [
        ("tel:+1-415-555-0142", "<tel:+14155550142>"),
        ("(415) 555-0142", "<tel:+14155550142>"),
        ("+44 20 7946 0000", "<tel:+442079460000>"),
        ("2001", f"<sip:2001@{CALLER}:5060>"),
        ("sip:desk@example.com;transport=tls", "<sip:desk@example.com;transport=tls>"),
        ("sips:desk@example.com", "<sips:desk@example.com>"),
    ],
)
@in_virtual_time
async def test_aplisay_191_a_bare_number_is_read_by_the_trunks_country(target: str, refer_to: str) -> None:
    """A bare number was passed where a SIP URI was needed."""
    async with World(OFFHOOK.replace('name = "acme"', 'name = "acme"\ncountry = "US"')) as world:
        call = await transferring(world, target=target)
        assert call.refers[0].headers.get("Refer-To") == refer_to


@in_virtual_time
async def test_a_trunk_may_want_its_numbers_as_sip_uris() -> None:
    async with World(OFFHOOK.replace('name = "acme"', 'name = "acme"\ntransfer_domain = "pbx.example"')) as world:
        call = await transferring(world)
        assert call.refers[0].headers.get("Refer-To") == "<sip:+14155550142@pbx.example;user=phone>"


@in_virtual_time
async def test_an_agent_talked_into_it_can_not_transfer_where_the_trunk_says_no() -> None:
    toml = OFFHOOK.replace('transfer_to = "*"', 'transfer_to = ["+1415*", "sip:*@example.com"]')
    async with World(toml) as world:
        call = await world.place_answered()
        for target in ("tel:+442079460000", "sip:+442079460000@evil.example", "2001", "tel:+88213300000"):
            world.wire.says(type="transfer", target=target)
            await world.pass_time(0.1)
        assert [message["outcome"] for message in told(world)] == ["refused"] * 4
        assert all("transfer_to" in message["hint"] for message in told(world))
        assert call.refers == []
        world.wire.says(type="transfer", target="sip:desk@example.com")
        await world.pass_time(0.1)
        assert len(call.refers) == 1


# -- doors and other ways


@in_virtual_time
async def test_twilios_dialect_has_no_transfer() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        world.wire.says(event="transfer", target=TARGET)
        await world.pass_time(0.1)
        assert call.refers == []
        assert not call.is_over


@pytest.mark.rfc(3515, "2.4.2")
@in_virtual_time
async def test_a_caller_who_wants_us_to_transfer_is_refused_and_the_record_says_so() -> None:
    async with World(ECHO) as world:
        call = await world.place_answered()
        dialog = call.session.dialog
        assert dialog is not None
        answers: list[Any] = []
        world.caller.stack.perform(
            lambda now: call.session.ask(
                "REFER",
                (("Refer-To", "<sip:premium@example.com>"),),
                done=lambda response, cause, at: answers.append(response),
                now=now,
            )
        )
        await world.pass_time(0.2)
        assert answers[0].status == 405
        assert "REFER" not in answers[0].headers.get("Allow")
        call.hang_up()
        await world.pass_time(1)
        said = notes(world.timelines[0], "note")
        asked = "the caller's side asks us to transfer the call to <sip:premium@example.com>: refused with 405"
        assert asked in said


@in_virtual_time
async def test_the_gateway_stops_in_the_middle_of_one() -> None:
    async with World(OFFHOOK) as world:
        await transferring(world)
        await world.switchboard.close()
        await world.pass_time(0.1)
        assert world.records[0].end_reason == "gateway_shutdown"
        assert world.records[0].transfer["outcome"] == "caller_gone"
