"""Whose call it is, which limit stands against it, and what is written down of those that are refused."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, ECHO, GATEWAY, OFFHOOK, World, notes, sdp

from offhook.sip.message import Response

pytestmark = pytest.mark.scenario

OTHER = "192.0.2.9"

TWO_TRUNKS = f"""
[[trunk]]
name = "acme"
allow = ["{CALLER}"]

[[trunk]]
name = "other"
allow = ["{OTHER}"]

[[route]]
name = "all"
destination = "ws://agent.example/voice"
"""


def responses(world: World) -> list[Response]:
    return [m for _, sender, m in world.network.log if sender == GATEWAY and isinstance(m, Response)]


# -- strangers and wrong settings


@in_virtual_time
async def test_strangers_learn_nothing_and_are_counted_in_one_row() -> None:
    async with World(ECHO) as world:
        stranger = await world.party("203.0.113.9")
        for _ in range(5):
            await world.place(stranger)
        assert responses(world) == []
        [row] = world.signalling.refusals.flush(0, force=True)
        assert (row.source, row.rule, row.nearest, row.count) == ("203.0.113.9", "source", "acme", 5)
        assert world.records == []
        assert len(world.switchboard._trace) == 0, "what they sent is not kept"


@in_virtual_time
async def test_strangers_may_be_told_a_status_instead() -> None:
    async with World(ECHO + "[limits]\nrefuse = 403\n") as world:
        stranger = await world.party("203.0.113.9")
        call = await world.place(stranger)
        assert call.statuses == [403]
        [row] = world.signalling.refusals.flush(0, force=True)
        assert (row.rule, row.count) == ("source", 1)


@in_virtual_time
async def test_an_allowed_source_with_a_wrong_domain_is_told_403_and_written_down() -> None:
    async with World(ECHO.replace("allow =", 'domain = "acme.sip.example"\nallow =')) as world:
        call = await world.place()
        assert call.statuses == [403]
        [row] = world.signalling.refusals.flush(0, force=True)
        assert (row.rule, row.nearest) == ("domain", "acme")
        assert GATEWAY in row.value
        assert "acme.sip.example" in row.value


# -- what SIP itself refuses


@in_virtual_time
async def test_a_call_on_its_last_hop_is_483_with_a_record() -> None:
    async with World(ECHO) as world:
        invite(world, "Max-Forwards: 0")
        await world.pass_time(0.1)
        assert [response.status for response in responses(world)] == [483]
        [record] = world.records
        assert (record.end_reason, record.sip_status, record.trunk) == ("loop_detected", 483, "acme")
        assert record.to_number == "+14155550100"
        assert notes(world.timelines[0], "sip") == [
            f"INVITE sip:+14155550100@{GATEWAY} SIP/2.0",
            "SIP/2.0 483 Too Many Hops",
        ]


@pytest.mark.rfc(3261, "8.2.2.3")
@in_virtual_time
async def test_an_extension_that_we_lack_is_420_with_a_record() -> None:
    async with World(ECHO) as world:
        invite(world, "Max-Forwards: 70", "Require: replaces")
        await world.pass_time(0.1)
        [response] = responses(world)
        assert response.status == 420
        assert response.headers.get("Unsupported") == "replaces"
        assert [(r.end_reason, r.sip_status) for r in world.records] == [("unsupported_extension", 420)]


@in_virtual_time
async def test_a_broken_invite_of_a_trunk_is_400_with_a_record_that_says_what_is_wrong() -> None:
    async with World(ECHO) as world:
        invite(world, "Max-Forwards: many")
        await world.pass_time(0.1)
        assert [response.status for response in responses(world)] == [400]
        [record] = world.records
        assert record.end_reason == "bad_request"
        assert "Max-Forwards" in record.end_detail


@in_virtual_time
async def test_the_same_invite_by_another_way_is_482_with_a_record_and_the_call_goes_on() -> None:
    async with World(OFFHOOK) as world:
        invite(world, "Max-Forwards: 70", branch="z9hG4bKone")
        invite(world, "Max-Forwards: 70", branch="z9hG4bKtwo")
        await world.pass_time(0.1)
        assert len(world.engine.wires) == 1
        assert [(r.end_reason, r.sip_status) for r in world.records] == [("merged_request", 482)]
        assert world.switchboard.calls == 1


# -- retries


@in_virtual_time
async def test_a_retry_after_a_refusal_gets_the_same_verdict_no_second_agent_and_no_second_record() -> None:
    async with World(OFFHOOK) as world:
        invite(world, "Max-Forwards: 70", branch="z9hG4bK1")
        await world.pass_time(0.05)
        world.wire.accept()
        world.wire.says(type="reject", status=486)
        await world.pass_time(2)
        for number in range(2, 6):
            invite(world, "Max-Forwards: 70", branch=f"z9hG4bK{number}")
            await world.pass_time(1)
        assert [r.status for r in responses(world) if r.status >= 200 and r.cseq.method == "INVITE"][-4:] == [486] * 4
        assert len(world.engine.wires) == 1
        assert [record.end_reason for record in world.records] == ["agent_rejected"]


@in_virtual_time
async def test_the_same_call_id_from_two_trunks_is_two_calls() -> None:
    async with World(TWO_TRUNKS) as world:
        other = await world.party(OTHER)
        first = await world.place(call_id="the-same")
        world.take_call()
        second = await world.place(other, call_id="the-same")
        world.take_call()
        await world.pass_time(0.1)
        assert (first.is_answered, second.is_answered) == (True, True)
        first.hang_up()
        await world.pass_time(1)
        assert [(record.trunk, record.end_reason) for record in world.records] == [("acme", "caller_hung_up")]
        assert second.bye is None
        second.info("application/dtmf", b"1")
        await world.pass_time(0.1)
        second.hang_up()
        await world.pass_time(1)
        assert [record.trunk for record in world.records] == ["acme", "other"]
        for timeline, host in zip(world.timelines, (CALLER, OTHER), strict=True):
            sip = [entry for entry in timeline.entries if entry.kind == "sip"]
            assert {entry.fields["remote"] for entry in sip} == {f"{host}:5060"}
        assert len(notes(world.timelines[0], "sip")) == 7
        assert len(notes(world.timelines[1], "sip")) == 9


# -- limits


@in_virtual_time
async def test_above_the_limit_it_is_503_with_retry_after_and_the_record_names_the_limit() -> None:
    async with World(OFFHOOK + "[limits]\nmax_calls = 1\n") as world:
        first = await world.place_answered()
        second = await world.place()
        assert second.statuses == [503]
        assert second.response is not None
        assert int(second.response.headers.get("Retry-After") or 0) > 0
        await world.pass_time(1)
        assert [(r.end_reason, r.end_detail) for r in world.records] == [
            ("limit_calls", "max_calls is 1, all are in use")
        ]
        first.hang_up()
        await world.pass_time(0.006)
        assert world.admission.calls == 0, "the place is free with the BYE, not with the record"
        third = await world.place()
        assert third.statuses == [180]


@in_virtual_time
async def test_a_call_that_the_agent_ends_keeps_its_place_until_the_last_word_is_out() -> None:
    async with World(OFFHOOK + "[limits]\nmax_calls = 1\n") as world:
        await world.place_answered()
        world.wire.speaks(3)
        world.wire.ends(1000)
        await world.pass_time(2)
        assert world.admission.calls == 1
        await world.pass_time(2)
        assert world.admission.calls == 0


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (OFFHOOK.replace("allow =", "max_calls = 1\nallow ="), "limit_trunk_calls"),
        (OFFHOOK.replace("allow =", "max_cps = 1\nallow ="), "limit_trunk_cps"),
        (OFFHOOK + "[limits]\nmax_cps = 1\n", "limit_cps"),
    ],
)
@in_virtual_time
async def test_every_limit_has_its_own_name(config: str, reason: str) -> None:
    async with World(config) as world:
        await world.place()
        second = await world.place()
        assert second.statuses == [503]
        await world.pass_time(1)
        assert [record.end_reason for record in world.records] == [reason]


@in_virtual_time
async def test_a_late_event_loop_takes_no_new_calls() -> None:
    async with World(ECHO) as world:
        world.loop_lag = 0.4
        call = await world.place()
        assert call.statuses == [503]
        await world.pass_time(1)
        assert world.records[0].end_reason == "limit_loop_lag"


AGENT = f"""
[[trunk]]
name = "acme"
allow = ["{CALLER}"]

[[agent]]
name = "front-desk"
kind = "twilio"
url = "wss://bot.example/media"
token = "opensesame"
max_calls = 1

[[route]]
name = "all"
destination = "agent:front-desk"
"""


@in_virtual_time
async def test_an_agent_with_all_its_calls_refuses_and_is_free_again_with_the_end() -> None:
    async with World(AGENT) as world:
        first = await world.place_answered()
        assert ("Authorization", "Bearer opensesame") in world.wire.config.headers
        second = await world.place()
        assert second.statuses == [180, 503]
        assert second.response is not None
        assert second.response.headers.get("Retry-After")
        await world.pass_time(1)
        assert world.records[0].end_reason == "limit_agent_calls"
        assert "front-desk" in world.records[0].end_detail
        first.hang_up()
        await world.pass_time(0.1)
        third = await world.place_answered()
        assert third.is_answered
        assert "opensesame" not in str(world.book.finished) + str([t.as_dict() for t in world.timelines])


@in_virtual_time
async def test_a_full_agent_leaves_the_call_to_the_fallback() -> None:
    async with World(AGENT + 'fallback = [{ on = ["refused"], to = "echo:" }]\n') as world:
        await world.place_answered()
        second = await world.place()
        assert second.is_answered
        assert world.leg.echoing


@in_virtual_time
async def test_without_a_free_port_it_is_503() -> None:
    async with World(OFFHOOK, ports=1) as world:
        await world.place()
        second = await world.place()
        assert second.statuses == [503]
        assert second.response is not None
        assert second.response.headers.get("Retry-After") == "5"
        await world.pass_time(1)
        assert [record.end_reason for record in world.records] == ["no_port"]
        assert world.admission.calls == 1
        assert len(world.engine.wires) == 1, "no agent is dialled for a call without a port"


# -- drain


@in_virtual_time
async def test_while_draining_new_calls_get_503_and_running_ones_go_on() -> None:
    async with World(OFFHOOK) as world:
        first = await world.place_answered()
        world.signalling.drain()
        second = await world.place()
        assert second.statuses == [503]
        world.caller.send(
            f"OPTIONS sip:{GATEWAY} SIP/2.0",
            f"Via: SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bKo",
            "Max-Forwards: 70",
            f"From: <sip:{CALLER}>;tag=o",
            f"To: <sip:{GATEWAY}>",
            "Call-ID: o",
            "CSeq: 1 OPTIONS",
        )
        await world.pass_time(30)
        assert responses(world)[-1].status == 503
        assert first.bye is None
        world.leg.hears()
        first.hang_up()
        await world.switchboard.idle()
        assert [record.end_reason for record in world.records] == ["draining", "caller_hung_up"]


@in_virtual_time
async def test_a_second_stop_hangs_up_what_is_left_and_tells_the_agents() -> None:
    async with World(OFFHOOK) as world:
        from offhook.call.end_reason import EndReason

        answered = await world.place_answered()
        told = world.wire
        ringing = await world.place()
        world.switchboard.hang_up_all(EndReason.GATEWAY_SHUTDOWN, "stopped")
        await world.switchboard.idle()
        assert answered.bye is not None
        assert ringing.statuses == [180, 503]
        assert told.said[-1]["reason"] == "gateway_shutdown"
        assert told.close_asked == (1001, "gateway_shutdown")
        assert [record.end_reason for record in world.records] == ["gateway_shutdown"] * 2
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_what_still_runs_when_the_gateway_closes_has_its_record() -> None:
    async with World(OFFHOOK) as world:
        await world.place_answered()
        await world.place()
        world.caller.call()
    assert [record.end_reason for record in world.records] == ["gateway_shutdown"] * 2


def invite(world: World, *headers: str, branch: str = "z9hG4bKinvite") -> None:
    """An INVITE written by hand: the same Call-ID, From tag and CSeq each time."""
    world.caller.send(
        f"INVITE sip:+14155550100@{GATEWAY} SIP/2.0",
        f"Via: SIP/2.0/UDP {CALLER}:5060;branch={branch}",
        *headers,
        f"From: <sip:+14155550199@{CALLER}>;tag=hand",
        f"To: <sip:+14155550100@{GATEWAY}>",
        "Call-ID: by-hand",
        "CSeq: 1 INVITE",
        f"Contact: <sip:caller@{CALLER}>",
        "Content-Type: application/sdp",
        body=sdp(),
    )
