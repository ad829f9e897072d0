"""Within a call: re-INVITE, hold, and who may speak in it."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, ECHO, GATEWAY, OFFHOOK, TWILIO, World, notes, sdp

from offhook._media import MediaError
from offhook.sip import in_dialog
from offhook.sip.digest import Credentials

pytestmark = pytest.mark.scenario

DIGEST = """
[[trunk]]
name = "acme"
inbound = { username = "acme", password = "opensesame" }

[[route]]
name = "all"
destination = "ws://agent.example/voice"

[limits]
max_calls = 9
"""


# -- re-INVITE


@pytest.mark.rfc(3264, "8.4")
@in_virtual_time
async def test_hold_and_resume_keep_the_call_and_the_leg() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        call.reinvite(sdp(way="sendonly", version=2))
        await world.pass_time(0.1)
        assert [response.status for response in call.reinvited if response] == [200]
        assert (world.leg.remote.hold, world.leg.remote.send) == (True, False)
        call.reinvite(sdp(version=3))
        await world.pass_time(0.1)
        assert (world.leg.remote.hold, world.leg.remote.send) == (False, True)
        assert len(world.engine.legs) == 1
        assert call.bye is None


@pytest.mark.rfc(3264, "8.3")
@in_virtual_time
async def test_a_reinvite_may_change_codec_and_address() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        assert world.leg.remote.codec == "PCMU"
        call.reinvite(sdp(codecs=["8 PCMA/8000"], dtmf=96, port=4100, version=2))
        await world.pass_time(0.1)
        remote = world.leg.remote
        assert (remote.codec, remote.payload_type, remote.port, remote.dtmf_receive) == ("PCMA", 8, 4100, [96])
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].codec == "PCMA"


@pytest.mark.parametrize(
    ("offered", "named"),
    [
        (["0 PCMU/8000", "8 PCMA/8000"], ("PCMU", 0)),
        (["8 PCMA/8000", "0 PCMU/8000"], ("PCMU", 0)),
        (["18 G729/8000", "8 PCMA/8000"], ("PCMA", 8)),
        (["9 G722/8000", "0 PCMU/8000"], ("PCMU", 0)),
        (["97 PCMA/8000"], ("PCMA", 97)),
    ],
)
@pytest.mark.rfc(3264, "6.1")
@in_virtual_time
async def test_livekit_sip_95_the_answer_names_one_codec_and_that_is_sent(
    offered: list[str], named: tuple[str, int]
) -> None:
    """In the call as at its beginning: the codec that the answer names first is the only one, and it is ours."""
    async with World(TWILIO) as world:
        call = await world.place_answered(offer=sdp(codecs=offered))

        def spoken(answer: bytes) -> None:
            media = next(line for line in answer.split(b"\r\n") if line.startswith(b"m=audio"))
            codecs = [int(word) for word in media.split()[3:] if int(word) != 101]
            assert codecs == [named[1]]
            assert (world.leg.remote.codec, world.leg.remote.payload_type) == named

        spoken(call.answer)
        call.reinvite(sdp(codecs=["0 PCMU/8000"], version=2))
        await world.pass_time(0.1)
        assert (world.leg.remote.codec, world.leg.remote.payload_type) == ("PCMU", 0)
        call.reinvite(sdp(codecs=offered, version=3))
        await world.pass_time(0.1)
        assert call.reinvited[-1] is not None
        spoken(call.reinvited[-1].body)


@in_virtual_time
async def test_an_offer_within_a_multipart_is_answered_in_the_invite_and_later() -> None:
    async with World(ECHO) as world:
        kind, body = "multipart/mixed;boundary=part", _with_isup(sdp(codecs=["8 PCMA/8000"]))
        world.caller.send(
            f"INVITE sip:+14155550100@{GATEWAY} SIP/2.0",
            f"Via: SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bKparts",
            f"From: <sip:+14155550199@{CALLER}>;tag=parts",
            f"To: <sip:+14155550100@{GATEWAY}>",
            f"Contact: <sip:caller@{CALLER}>",
            "Call-ID: parts",
            "CSeq: 1 INVITE",
            "Max-Forwards: 70",
            f"Content-Type: {kind}",
            body=body,
        )
        await world.pass_time(0.1)
        assert world.leg.remote.codec == "PCMA"
        # Nobody acknowledges a call that is no session of the caller's.
        await world.pass_time(40)
        assert [record.end_reason for record in world.records] == ["no_ack"]

        call = await world.place_answered()
        dialog = call.session.dialog
        assert dialog is not None
        body = _with_isup(sdp(codecs=["8 PCMA/8000"], version=2))
        again = dialog.request("INVITE", (("Content-Type", kind),), body)
        world.caller.stack.perform(lambda now: in_dialog.send(call.session, dialog, again, now))
        await world.pass_time(0.1)
        assert world.leg.remote.codec == "PCMA"


def _with_isup(offer: bytes) -> bytes:
    isup = b"Content-Type: application/isup;version=itu-t92+\r\n\r\n\x01\x00\x49"
    return b"--part\r\nContent-Type: application/sdp\r\n\r\n" + offer + b"\r\n--part\r\n" + isup + b"\r\n--part--\r\n"


@pytest.mark.rfc(3261, "14.2")
@in_virtual_time
async def test_a_reinvite_that_cannot_be_met_leaves_the_call_as_it_was() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        call.reinvite(sdp(codecs=["9 G722/8000"], version=2))
        await world.pass_time(0.1)
        assert [response.status for response in call.reinvited if response] == [488]
        assert len(world.leg.remotes) == 1
        call.reinvite(sdp(version=3))
        await world.pass_time(0.1)
        assert [response.status for response in call.reinvited if response] == [488, 200]


@pytest.mark.rfc(3264, "8.3.1")
@in_virtual_time
async def test_a_new_address_that_another_call_has_gets_another_port_of_ours() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        world.leg.moves_to = (world.leg.local_address[0], 40098)
        call.reinvite(sdp(port=4100, version=2))
        await world.pass_time(0.1)
        [answer] = [response for response in call.reinvited if response]
        assert b"m=audio 40098 " in answer.body
        assert world.leg.remote.port == 4100
        call.hang_up()
        await world.pass_time(1)
        assert any("our end of the media moves to " in note for note in notes(world.timelines[0], "sdp"))


@in_virtual_time
async def test_where_no_port_is_left_for_a_new_address_the_call_stays_as_it_was() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        world.leg.misplaced = MediaError("of 8 media ports none is fit", code="no_port")
        call.reinvite(sdp(port=4100, version=2))
        await world.pass_time(0.1)
        assert [response.status for response in call.reinvited if response] == [503]
        assert len(world.leg.remotes) == 1
        world.leg.misplaced = None
        call.reinvite(sdp(version=3))
        await world.pass_time(0.1)
        assert [response.status for response in call.reinvited if response] == [503, 200]


@pytest.mark.rfc(3261, "14.2")
@in_virtual_time
async def test_a_reinvite_without_offer_gets_ours_and_the_ack_answers_it() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        call.acknowledges = sdp(codecs=["8 PCMA/8000"], port=4200, version=2)
        call.reinvite(None)
        await world.pass_time(0.1)
        [response] = call.reinvited
        assert response is not None
        assert b"m=audio 40000" in response.body
        assert (world.leg.remote.codec, world.leg.remote.port) == ("PCMA", 4200)
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].end_reason == "caller_hung_up"


@in_virtual_time
async def test_a_reinvite_after_the_end_is_481() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        dialog = call.session.dialog
        assert dialog is not None
        call.hang_up()
        await world.pass_time(5)
        request = dialog.request("INVITE", (("Contact", f"<sip:caller@{CALLER}>"),))
        world.caller.stack.perform(lambda now: in_dialog.send(call.session, dialog, request, now))
        await world.pass_time(0.1)
        statuses = [m.status for _, sender, m in world.network.log if sender == GATEWAY and hasattr(m, "status")]
        assert statuses[-1] == 481
        assert len(world.records) == 1


@in_virtual_time
async def test_who_spoke_when_is_in_the_timeline_and_does_not_fill_it() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        for begin in range(0, 300_000, 3_000):
            world.leg.tells("speech_started", position=8 * begin)
            world.leg.tells("speech_ended", position=8 * (begin + 1_200), duration_ms=1_200)
            await world.pass_time(0.1)
        call.hang_up()
        await world.pass_time(1)
        told = notes(world.timelines[0], "media")
        assert told.count("the caller speaks") == told.count("the caller has spoken") == 20
        spoken = [e.fields for e in world.timelines[0].entries if e.fields.get("note") == "the caller has spoken"]
        assert {fields["duration_ms"] for fields in spoken} == {1_200}
        assert world.timelines[0].dropped == 0


# -- who may speak in it


@in_virtual_time
async def test_a_stranger_with_the_right_tags_ends_nothing() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        mallory = await world.party("203.0.113.66")
        dialog = call.session.dialog
        assert dialog is not None
        mallory.send(
            f"BYE sip:offhook@{GATEWAY} SIP/2.0",
            "Via: SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKevil",
            "Max-Forwards: 70",
            f"From: <sip:a@{CALLER}>;tag={dialog.local_tag}",
            f"To: <sip:b@{GATEWAY}>;tag={dialog.remote_tag}",
            f"Call-ID: {call.session.sip_call_id}",
            "CSeq: 9 BYE",
        )
        await world.pass_time(1)
        assert world.records == []
        assert [message for _, sender, message in world.network.log if sender == "203.0.113.66"] == []
        answered_to = [m for _, s, m in world.network.log if s == GATEWAY and m.cseq.method == "BYE"]
        assert answered_to == []


@in_virtual_time
async def test_a_caller_with_a_password_is_challenged_once_and_believed_from_another_port() -> None:
    async with World(DIGEST) as world:
        call = await world.place(credentials=Credentials("acme", "opensesame", frozenset({GATEWAY})))
        await world.pass_time(0.05)
        world.take_call()
        await world.pass_time(0.05)
        assert call.statuses == [180, 200]
        # A phone behind NAT speaks from another port now.
        world.caller.flows.port = 40321
        call.hang_up()
        await world.pass_time(1)
        assert call.hung_up is not None
        assert call.hung_up.status == 200
        [record] = world.records
        assert record.end_reason == "caller_hung_up"
        sip = notes(world.timelines[0], "sip")
        assert "SIP/2.0 401 Unauthorized" in sip, "the challenge is part of the story"
        assert record.intervals["trying"] < 1, "and of nobody's set-up time"
        assert "response=" not in str(world.timelines[0].as_dict())


@in_virtual_time
async def test_a_wrong_password_is_written_down_once_with_the_trunk() -> None:
    async with World(DIGEST) as world:
        call = await world.place(credentials=Credentials("acme", "wrong", frozenset({GATEWAY})))
        await world.pass_time(1)
        assert call.statuses == [401]
        [row] = world.signalling.refusals.flush(0, force=True)
        assert (row.source, row.rule, row.nearest) == (CALLER, "auth_failed", "acme")
        assert "wrong_password" in row.value
        assert world.records == []


@in_virtual_time
async def test_without_credentials_nobody_is_blamed() -> None:
    async with World(DIGEST) as world:
        call = await world.place()
        assert call.statuses == [401]
        assert world.signalling.refusals.total == 0


# -- what the media plane is told


@in_virtual_time
async def test_the_old_way_to_hold_sends_nothing_and_waits_for_nothing() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        call.reinvite(sdp(host="0.0.0.0", version=2))
        await world.pass_time(0.1)
        assert (world.leg.remote.address, world.leg.remote.hold, world.leg.remote.send) == ("0.0.0.0", True, False)
        await world.pass_time(300)
        assert call.bye is None


@in_virtual_time
async def test_what_the_trunk_says_of_its_media_reaches_the_leg() -> None:
    config = TWILIO.replace("allow =", 'nat = true\nmedia_allow = ["198.51.100.0/24"]\nallow =')
    async with World(config) as world:
        await world.place_answered()
        remote = world.leg.remote
        assert (remote.nat, remote.media_allow, remote.signalling_address) == (True, ["198.51.100.0/24"], CALLER)
        assert not remote.allow_loopback


@in_virtual_time
async def test_a_peer_without_an_address_of_its_own_is_heard_first() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered(offer=sdp(host="phone.invalid"))
        assert call.is_answered
        assert (world.leg.remote.address, world.leg.remote.port) == ("0.0.0.0", 9)
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].remote_media is None
