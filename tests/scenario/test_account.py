"""The call's record and timeline: what a person finds afterwards, and what must not be found there."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, ECHO, GATEWAY, OFFHOOK, TWILIO, UTC_START, World, notes

pytestmark = pytest.mark.scenario


@in_virtual_time
async def test_the_record_of_a_call_that_went_well() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place(headers=[("X-Queue", "sales")])
        await world.pass_time(0.95)
        world.take_call()
        await world.pass_time(0.05)
        world.leg.hears()
        await world.pass_time(7.95)
        call.hang_up()
        await world.pass_time(1)
        [record] = world.records
        assert record.direction == "inbound"
        assert (record.trunk, record.route, record.destination) == ("acme", "all", "ws://agent.example/voice?…")
        assert (record.from_number, record.to_number) == ("+14155550199", "+14155550100")
        assert record.setup_at == UTC_START + 5
        assert record.ring_at == UTC_START + 5
        assert record.answer_at == UTC_START + 1000
        assert record.end_at == UTC_START + 9005
        assert record.post_dial_delay_ms == 0
        assert record.billable_seconds == 9
        assert (record.end_reason, record.sip_status, record.q850, record.fault) == ("caller_hung_up", 200, 16, "none")
        assert record.sip_call_id == call.session.sip_call_id
        dialog = call.session.dialog
        assert dialog is not None
        assert (record.local_tag, record.remote_tag) == (dialog.remote_tag, dialog.local_tag)
        assert (record.transport, record.codec) == ("udp", "PCMU")
        assert (record.remote_signalling, record.local_signalling) == (f"{CALLER}:5060", f"{GATEWAY}:5060")
        assert (record.remote_media, record.local_media) == (f"{CALLER}:4000", f"{GATEWAY}:40000")
        assert record.user_agent == "phone"
        assert record.media["received_packets"] == 50
        assert record.wire["sent_messages"] == 3
        assert (record.node, record.version) == ("edge", "1")


@in_virtual_time
async def test_start_and_answer_are_written_early() -> None:
    async with World(OFFHOOK) as world:
        await world.place()
        [begun] = world.book.begun
        assert (begun.end_reason, begun.answer_at, begun.sip_status) == (None, None, None)
        assert world.book.answered_ == []
        world.take_call()
        await world.pass_time(0.05)
        [answered] = world.book.answered_
        assert answered.answer_at is not None
        assert answered.end_reason is None
        assert answered.call_id == begun.call_id


@in_virtual_time
async def test_the_timeline_tells_the_call_in_order() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place()
        world.take_call()
        await world.pass_time(0.5)
        world.leg.hears()
        await world.pass_time(0.5)
        call.hang_up()
        await world.pass_time(1)
        [timeline] = world.timelines
        assert timeline.call_id == world.records[0].call_id
        assert notes(timeline, "sip") == [
            f"INVITE sip:+14155550100@{GATEWAY} SIP/2.0",
            "SIP/2.0 100 Trying",
            "SIP/2.0 180 Ringing",
            "SIP/2.0 200 OK",
            f"ACK sip:offhook@{GATEWAY}:5060 SIP/2.0",
            f"BYE sip:offhook@{GATEWAY}:5060 SIP/2.0",
            "SIP/2.0 200 OK",
        ]
        assert notes(timeline, "state") == ["preparing", "answered", "ended"]
        assert any("PCMU" in note for note in notes(timeline, "sdp"))
        assert f"first RTP from {CALLER} port 4000" in notes(timeline, "media")
        times = [entry.at_ms for entry in timeline.entries]
        assert times[0] == 0
        assert times == sorted(times)


@in_virtual_time
async def test_what_follows_the_refusal_is_still_in_the_timeline() -> None:
    async with World(ECHO + 'to = "+1212*"\n') as world:
        await world.place()
        await world.pass_time(1)
        assert notes(world.timelines[0], "sip")[-2:] == [
            "SIP/2.0 404 Not Found",
            f"ACK sip:+14155550100@{GATEWAY} SIP/2.0",
        ]


@in_virtual_time
async def test_no_secret_of_the_configuration_is_in_record_timeline_or_log(capsys: pytest.CaptureFixture[str]) -> None:
    for config in (TWILIO, OFFHOOK):
        async with World(config) as world:
            call = await world.place()
            world.wire.refuse(401, "bad token")
            await world.pass_time(1)
            assert call.statuses == [180, 480]
            told = f"{world.records} {[timeline.as_dict() for timeline in world.timelines]}"
            assert "s3cret" not in told
            assert "s3cret" not in str(call.response)
    printed = capsys.readouterr()
    assert "s3cret" not in printed.out + printed.err


@in_virtual_time
async def test_credentials_are_not_passed_on_to_the_agent_whatever_the_pattern() -> None:
    async with World(OFFHOOK.replace("allow =", 'pass_headers = ["A*", "P*", "X-*"]\nallow =')) as world:
        await world.place(headers=[("Authorization", 'Digest username="x"'), ("X-Queue", "sales")])
        world.wire.accept()
        await world.pass_time(0.05)
        headers = world.wire.said[0]["headers"]
        assert headers["X-Queue"] == "sales"
        assert "Authorization" not in headers


@in_virtual_time
async def test_bytes_that_are_no_text_harm_nobody() -> None:
    async with World(OFFHOOK) as world:
        body = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=\xff\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
        world.caller.send(
            f"INVITE sip:+14155550100@{GATEWAY} SIP/2.0",
            f"Via: SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bKbytes",
            "Max-Forwards: 70",
            f'From: "caf\udce9 \udcff" <sip:+14155550199@{CALLER}>;tag=b',
            f"To: <sip:+14155550100@{GATEWAY}>",
            "Call-ID: bytes",
            "CSeq: 1 INVITE",
            f"Contact: <sip:caller@{CALLER}>",
            "User-Agent: phone \udcff",
            "X-Note: \udcfe",
            "Content-Type: application/sdp",
            body=body,
        )
        await world.pass_time(0.05)
        world.take_call()
        await world.pass_time(0.05)
        assert world.wire.said_types == ["ringing", "start"]
        world.wire.says(type="hangup", now=True)
        await world.pass_time(40)
        assert [record.end_reason for record in world.records] == ["agent_hung_up"]


@in_virtual_time
async def test_a_clock_that_is_set_back_makes_no_negative_call() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        await world.pass_time(5)
        world.wall_offset -= 3_600_000
        call.hang_up()
        await world.pass_time(1)
        [record] = world.records
        assert record.billable_seconds in (5, 6)
        assert record.answer_at is not None
        assert record.setup_at <= record.answer_at <= (record.end_at or 0)


@in_virtual_time
async def test_metrics_count_calls_by_how_they_ended() -> None:
    async with World(ECHO) as world:
        call = await world.place()
        sample = world.metrics.registry.get_sample_value
        assert sample("offhook_calls_active", {"trunk": "acme"}) == 1
        call.hang_up()
        await world.pass_time(1)
        assert sample("offhook_calls_active", {"trunk": "acme"}) == 0
