"""Hold and resumption both ways, and every other change of the media within a call (RFC 3264 section 8)."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, ECHO, OFFHOOK, TWILIO, PhoneCall, World, notes, sdp

from offhook.report.timeline import MAX_ENTRIES
from offhook.sdp.description import SessionDescription
from offhook.sip.message import Message

pytestmark = pytest.mark.scenario

FALLBACK = OFFHOOK + '\nfallback = [{ to = "ws://second.example/voice" }]\n'
MUSIC: dict[str, Any] = {"melody": "our own"}


def answers(call: PhoneCall) -> list[SessionDescription]:
    """What the gateway has answered to the caller's re-INVITEs."""
    return [SessionDescription.parse(response.body) for response in call.reinvited if response and response.body]


def ways(call: PhoneCall) -> list[str]:
    return [answer.direction_of(answer.media[0]).value for answer in answers(call)]


async def offer(world: World, call: PhoneCall, body: bytes | None) -> None:
    call.reinvite(body)
    await world.pass_time(0.1)


def told(world: World) -> list[dict[str, Any]]:
    """What the agent was told of holds."""
    return [said for said in world.wire.said if said["type"] in ("held", "resumed", "hold_failed")]


def lose_acks(world: World, first: int | None = None) -> list[Message]:
    """Lose so many ACKs, or all of them from here on; gives those that were sent."""
    sent: list[Message] = []

    def lost(sender: str, message: Message) -> bool:
        if message.cseq.method != "ACK":
            return False
        sent.append(message)
        return first is None or len(sent) <= first

    world.network.lost = lost
    return sent


# -- the caller holds


@pytest.mark.rfc(3264, "8.4")
@pytest.mark.parametrize(
    ("held", "answered"),
    [
        (sdp(way="sendonly", version=2), "recvonly"),
        (sdp(way="inactive", version=2), "inactive"),
        (sdp(host="0.0.0.0", version=2), "recvonly"),
        (sdp(host="0.0.0.0", way="sendonly", version=2), "recvonly"),
        (sdp(host="0.0.0.0", way="inactive", version=2), "inactive"),
        (sdp(version=2).replace(b"t=0 0\r\n", b"t=0 0\r\na=sendonly\r\n").replace(b"a=sendrecv\r\n", b""), "recvonly"),
    ],
)
@in_virtual_time
async def test_livekit_sip_779_each_form_of_hold_is_answered_by_the_rules_and_ends_again(
    held: bytes, answered: str
) -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        await offer(world, call, held)
        assert (world.leg.remote.hold, world.leg.remote.send) == (True, False)
        await world.pass_time(10)
        await offer(world, call, sdp(version=3))
        assert ways(call) == [answered, "sendrecv"]
        assert (world.leg.remote.hold, world.leg.remote.send, world.leg.remote.receive) == (False, True, True)
        assert [int(answer.origin.version) for answer in answers(call)] == [2, 3]
        assert call.bye is None


@pytest.mark.rfc(3264, "6.1")
@in_virtual_time
async def test_a_caller_who_only_listens_is_not_on_hold() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        await offer(world, call, sdp(way="recvonly", version=2))
        assert ways(call) == ["sendonly"]
        assert (world.leg.remote.hold, world.leg.remote.send, world.leg.remote.receive) == (False, True, False)
        assert told(world) == []


@in_virtual_time
async def test_livekit_sip_716_the_agent_is_told_of_hold_and_resumption_and_the_record_says_how_long() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        await offer(world, call, sdp(way="sendonly", version=2))
        assert told(world) == [{"type": "held", "by": "caller"}]
        await world.pass_time(29.9)
        await offer(world, call, sdp(version=3))
        assert told(world)[1:] == [{"type": "resumed", "by": "caller", "held_ms": 30_000}]
        await offer(world, call, sdp(way="inactive", version=4))
        await world.pass_time(1.9)
        call.hang_up()
        await world.pass_time(1)
        [record], [timeline] = world.records, world.timelines
        assert record.media["holds"] == 2
        assert abs(int(record.media["held_ms"] or 0) - 32_000) < 20
        assert "the caller holds the call" in notes(timeline, "media")
        assert "the caller holds the call no longer" in notes(timeline, "media")


@in_virtual_time
async def test_a_phone_that_toggles_hold_all_day_fills_no_record_and_is_counted() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        for version in range(2, 402):
            await offer(world, call, sdp(way="sendrecv" if version % 2 else "sendonly", version=version))
        call.hang_up()
        await world.pass_time(1)
        [record], [timeline] = world.records, world.timelines
        assert record.media["holds"] == 200
        assert len([note for note in notes(timeline, "media") if "holds the call" in note]) <= 40
        # Of what is left out the beginning and the end are kept: the end says how it ended.
        assert len(timeline.entries) == MAX_ENTRIES
        assert "BYE" in [
            entry.fields["first_line"].split()[0] for entry in timeline.entries[-8:] if entry.kind == "sip"
        ]


@in_virtual_time
async def test_a_call_that_was_never_on_hold_says_nothing_of_it() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.hang_up()
        await world.pass_time(1)
        assert "holds" not in world.records[0].media


@in_virtual_time
async def test_livekit_sip_812_on_hold_no_silence_ends_the_call_and_after_it_one_does() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        world.leg.hears()
        await offer(world, call, sdp(way="sendonly", version=2))
        await world.pass_time(600)
        assert call.bye is None
        await offer(world, call, sdp(version=3))
        await world.pass_time(59)
        assert call.bye is None
        await world.pass_time(2)
        assert call.bye is not None
        await world.pass_time(1)
        assert world.records[0].end_reason == "media_timeout"


@in_virtual_time
async def test_a_call_that_arrives_on_hold_keeps_its_greeting_for_the_caller() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered(offer=sdp(way="inactive"))
        world.wire.speaks(2.0)
        await world.pass_time(5)
        assert world.leg.release_after_ms is None
        assert world.leg.waiting == 2.0, "nobody would hear it"
        assert told(world) == [{"type": "held", "by": "caller"}]
        await offer(world, call, sdp(version=2))
        await world.pass_time(3)
        assert world.leg.waiting == 0
        assert [seconds for _, seconds, _ in world.leg.played] == [2.0]


@in_virtual_time
async def test_an_agent_that_joins_a_call_on_hold_is_told() -> None:
    async with World(OFFHOOK.replace("destination", 'answer = "at-once"\ndestination')) as world:
        call = await world.place()
        assert call.is_answered
        await offer(world, call, sdp(way="sendonly", version=2))
        assert world.wire.said == []
        world.take_call()
        await world.pass_time(0.1)
        assert told(world) == [{"type": "held", "by": "caller"}]


@in_virtual_time
async def test_an_echo_lives_through_a_hold() -> None:
    async with World(ECHO) as world:
        call = await world.place_answered()
        await offer(world, call, sdp(way="sendonly", version=2))
        await offer(world, call, sdp(version=3))
        assert ways(call) == ["recvonly", "sendrecv"]
        assert world.leg.echoing


# -- other changes


@pytest.mark.rfc(3264, "8")
@in_virtual_time
async def test_a_refresh_changes_nothing_and_has_the_same_answer() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        count = len(world.leg.remotes)
        for _ in range(3):
            await offer(world, call, sdp())
        assert {response.body for response in call.reinvited if response} == {call.answer}
        assert len(world.leg.remotes) == count
        call.hang_up()
        await world.pass_time(1)
        same = "the caller offers what is agreed already: nothing changes"
        assert notes(world.timelines[0], "sdp").count(same) == 3


@pytest.mark.rfc(3264, "8")
@in_virtual_time
async def test_a_refresh_on_hold_holds_on() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        await offer(world, call, sdp(way="sendonly", version=2))
        await offer(world, call, sdp(way="sendonly", version=2))
        first, second = answers(call)
        assert bytes(first) == bytes(second)
        assert told(world) == [{"type": "held", "by": "caller"}]


@in_virtual_time
async def test_a_change_without_a_new_version_is_one_all_the_same() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        await offer(world, call, sdp(way="sendonly"))
        assert ways(call) == ["recvonly"]
        call.hang_up()
        await world.pass_time(1)
        assert "the caller offers a change without counting up its version (o=)" in notes(world.timelines[0], "sdp")


@pytest.mark.rfc(3264, "8.3")
@in_virtual_time
async def test_livekit_sip_96_every_change_at_once_is_followed() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        moved = sdp(host="192.0.2.77", port=4444, codecs=["8 PCMA/8000"], dtmf=97, version=2) + b"a=ptime:40\r\n"
        await offer(world, call, moved)
        remote = world.leg.remote
        assert (remote.address, remote.port, remote.codec, remote.payload_type) == ("192.0.2.77", 4444, "PCMA", 8)
        assert (remote.ptime_ms, remote.dtmf_send, remote.dtmf_receive) == (40, 97, [97])
        assert remote.receive_payload_types == {8: "PCMA", 0: "PCMU"}, "what is under way is heard, too"
        await offer(world, call, sdp(version=3))
        assert (world.leg.remote.codec, world.leg.remote.port) == ("PCMA", 4000), (
            "a codec in use stays if it is offered"
        )
        assert call.bye is None


@pytest.mark.rfc(3264, "8.1")
@in_virtual_time
async def test_video_that_is_added_is_refused_and_the_audio_goes_on() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        await offer(world, call, sdp(version=2) + b"m=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n")
        [answer] = answers(call)
        assert [(line.kind, line.port > 0) for line in answer.media] == [("audio", True), ("video", False)]
        assert len(world.leg.remotes) == 1


@pytest.mark.rfc(3264, "8.2")
@in_virtual_time
async def test_audio_that_is_taken_out_is_a_hold_until_it_comes_back() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        await offer(world, call, sdp(port=0, version=2))
        [answer] = answers(call)
        assert [line.port for line in answer.media] == [0]
        assert (world.leg.remote.hold, world.leg.remote.send, world.leg.remote.receive) == (True, False, False)
        await offer(world, call, sdp(version=3))
        assert answers(call)[-1].media[0].port == 40_000
        assert [said["type"] for said in told(world)] == ["held", "resumed"]


@pytest.mark.rfc(3264, "8")
@in_virtual_time
async def test_an_offer_of_fax_alone_is_refused_and_the_call_stays_as_it_was() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        fax = sdp(port=0, version=2) + b"m=image 5004 udptl t38\r\n"
        await offer(world, call, fax)
        assert [response.status for response in call.reinvited if response] == [488]
        assert told(world) == []


@pytest.mark.rfc(3261, "14.2")
@in_virtual_time
async def test_a_refused_change_on_hold_leaves_it_on_hold() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        await offer(world, call, sdp(way="sendonly", version=2))
        await offer(world, call, sdp(codecs=["9 G722/8000"], version=3))
        assert [response.status for response in call.reinvited if response] == [200, 488]
        assert world.leg.remote.hold
        assert [said["type"] for said in told(world)] == ["held"]


@pytest.mark.rfc(3261, "14.2")
@pytest.mark.rfc(3264, "8.4")
@in_virtual_time
async def test_an_offerless_reinvite_may_hold_by_its_ack_and_end_the_hold() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.acknowledges = sdp(way="sendonly", version=2)
        await offer(world, call, None)
        assert world.leg.remote.hold
        call.acknowledges = sdp(version=3)
        await offer(world, call, None)
        assert not world.leg.remote.hold
        assert ways(call) == ["sendrecv", "sendrecv"], "what we offer is all that we can do"
        assert [said["type"] for said in told(world)] == ["held", "resumed"]


@in_virtual_time
async def test_an_offerless_reinvite_whose_ack_is_empty_leaves_the_call_as_it_was() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.acknowledges = None
        await offer(world, call, None)
        assert len(world.leg.remotes) == 1
        await offer(world, call, sdp(way="sendonly", version=2))
        assert world.leg.remote.hold
        assert call.bye is None


@pytest.mark.rfc(3261, "13.3.1.4")
@in_virtual_time
async def test_a_late_ack_to_the_first_200_is_not_the_answer_to_the_offer_in_a_later_one() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place()
        acks = lose_acks(world, 2)
        world.take_call()
        await world.pass_time(0.05)
        call.acknowledges = sdp(port=4400, version=2)
        call.reinvite(None)
        await world.pass_time(3)
        assert [ack.cseq.number for ack in acks] == [1, 2, 1, 2]
        assert world.leg.remote.port == 4400


@pytest.mark.rfc(3261, "14.2")
@in_virtual_time
async def test_a_reinvite_with_its_cancel_right_behind_it_changes_nothing() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.reinvite(sdp(way="sendonly", version=2))
        invite = world.network.requests("INVITE")[-1]
        kept = [f"{name}: {value}" for name, value in invite.headers if not name.startswith(("Content", "CSeq"))]
        call.party.send(f"CANCEL {invite.request_uri} SIP/2.0", *kept, f"CSeq: {invite.cseq.number} CANCEL")
        await world.pass_time(0.5)
        assert [response.status for response in call.reinvited if response] == [487]
        assert not world.leg.remote.hold
        assert told(world) == []
        await offer(world, call, sdp(way="sendonly", version=3))
        assert (ways(call), world.leg.remote.hold) == (["recvonly"], True)


# -- the version of our SDP


def versions(world: World) -> list[tuple[int, str]]:
    """Of each description that the gateway has sent, with its direction, repetitions left out."""
    sent = [SessionDescription.parse(m.body) for _, host, m in world.network.log if host != CALLER and m.body]
    return list(dict.fromkeys((int(one.origin.version), one.direction_of(one.media[0]).value) for one in sent))


@pytest.mark.rfc(3264, "8")
@in_virtual_time
async def test_an_answer_after_an_offer_of_ours_that_was_refused_has_a_version_of_its_own() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.refuses_reinvites = True
        world.wire.says(type="hold")
        await world.pass_time(0.1)
        await offer(world, call, sdp(way="sendonly", version=2))
        assert versions(world) == [(1, "sendrecv"), (2, "sendonly"), (3, "recvonly")]


@pytest.mark.rfc(3264, "8")
@in_virtual_time
async def test_an_offer_behind_one_of_ours_that_waits_for_its_ack_has_a_version_of_its_own() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.acknowledges = sdp(version=2)
        call.reinvite(None)
        await world.pass_time(0.0075)
        world.wire.says(type="hold")
        await world.pass_time(0.5)
        assert [version for version, _ in versions(world)] == [1, 2, 3]
        assert versions(world)[-1] == (3, "sendonly")


@pytest.mark.rfc(3264, "8")
@in_virtual_time
async def test_a_hold_that_waits_while_an_offer_is_asked_for_has_a_version_of_its_own() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place()
        lose_acks(world, 1)
        world.take_call()
        await world.pass_time(0.05)
        world.wire.says(type="hold")
        await world.pass_time(0.01)
        call.acknowledges = sdp(version=2)
        call.reinvite(None)
        await world.pass_time(3)
        numbers, directions = zip(*versions(world), strict=True)
        assert directions == ("sendrecv", "sendrecv", "sendonly")
        assert sorted(set(numbers)) == list(numbers), "each is newer than the one before"
        assert told(world)[-1] == {"type": "held", "by": "agent"}


@pytest.mark.rfc(3264, "8")
@in_virtual_time
async def test_a_hold_that_waits_behind_an_update_leaves_once_and_newer_than_the_answer_to_that() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place()
        acks = lose_acks(world)
        world.take_call()
        await world.pass_time(0.05)
        world.wire.says(type="hold")
        await world.pass_time(0.01)
        call.acknowledges = sdp(way="inactive", version=3)
        call.update(sdp(way="sendonly", version=2))
        call.party.send(*bytes(acks[0]).decode().partition("\r\nContent-Length")[0].split("\r\n"))
        await world.pass_time(10)
        assert versions(world) == [(1, "sendrecv"), (3, "recvonly"), (4, "sendonly")]
        assert len(our_reinvites(world)) == 1


# -- the agent holds


@pytest.mark.rfc(3264, "8.4")
@in_virtual_time
async def test_livekit_sip_443_the_agent_holds_the_caller_and_has_it_back() -> None:
    async with World(OFFHOOK, hold_music=MUSIC) as world:
        call = await world.place_answered()
        assert world.leg.music == "our own"
        call.acknowledges = sdp(way="recvonly", version=2)
        world.wire.says(type="hold")
        await world.pass_time(0.1)
        remote = world.leg.remote
        assert (remote.hold, remote.send, remote.receive) == (True, True, False)
        assert told(world) == [{"type": "held", "by": "agent"}]
        await world.pass_time(200)
        assert call.bye is None, "nobody expects sound of a caller on hold"
        call.acknowledges = sdp(version=3)
        world.wire.says(type="resume")
        await world.pass_time(0.1)
        remote = world.leg.remote
        assert (remote.hold, remote.send, remote.receive) == (False, True, True)
        assert told(world)[-1]["type"] == "resumed"
        assert told(world)[-1]["held_ms"] == pytest.approx(200_100, abs=50)
        offered = [SessionDescription.parse(m.body) for m in our_reinvites(world)]
        assert [offer.direction_of(offer.media[0]).value for offer in offered] == ["sendonly", "sendrecv"]
        assert [int(offer.origin.version) for offer in offered] == [2, 3]
        assert {offer.media[0].formats for offer in offered} == {("0", "101")}, "a hold changes no codec"


def our_reinvites(world: World) -> list[Any]:
    invites = [m for _, host, m in world.network.log if host != CALLER and m.cseq.method == "INVITE"]
    return [m for m in invites if not hasattr(m, "status")]


@in_virtual_time
async def test_a_hold_that_is_refused_leaves_the_call_as_it_was() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.refuses_reinvites = True
        world.wire.says(type="hold")
        await world.pass_time(0.1)
        [failed] = told(world)
        assert (failed["type"], failed["action"], failed["code"], failed["status"]) == (
            "hold_failed",
            "hold",
            "refused",
            488,
        )
        assert len(world.leg.remotes) == 1
        call.refuses_reinvites = False
        call.acknowledges = sdp(way="recvonly", version=2)
        world.wire.says(type="hold")
        await world.pass_time(0.1)
        assert told(world)[-1] == {"type": "held", "by": "agent"}


@in_virtual_time
async def test_what_is_asked_before_the_answer_or_twice_is_told_as_it_is() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place()
        world.wire.accept()
        world.wire.says(type="hold")
        await world.pass_time(0.1)
        assert told(world)[0]["code"] == "not_answered"
        world.wire.says(type="ready")
        await world.pass_time(0.1)
        world.wire.says(type="resume")
        await world.pass_time(0.1)
        assert told(world)[-1] == {"type": "resumed", "by": "agent", "held_ms": 0}
        call.acknowledges = sdp(way="recvonly", version=2)
        world.wire.says(type="hold")
        world.wire.says(type="hold")
        await world.pass_time(0.2)
        assert told(world)[2:] == [{"type": "held", "by": "agent"}] * 2
        assert len(our_reinvites(world)) == 1


@in_virtual_time
async def test_of_what_is_asked_while_an_answer_is_awaited_the_last_is_done() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.acknowledges = sdp(way="recvonly", version=2)
        for wish in ("hold", "resume", "hold", "resume"):
            world.wire.says(type=wish)
        await world.pass_time(0.005)
        call.acknowledges = sdp(version=3)
        await world.pass_time(0.5)
        assert [said["type"] for said in told(world)] == ["held", "resumed"]
        assert len(our_reinvites(world)) == 2
        assert not world.leg.remote.hold


@pytest.mark.rfc(3264, "8.4")
@in_virtual_time
async def test_both_hold_and_each_ends_its_own() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.acknowledges = sdp(way="recvonly", version=2)
        world.wire.says(type="hold")
        await world.pass_time(0.1)
        await offer(world, call, sdp(way="sendonly", version=3))
        assert ways(call)[-1] == "inactive"
        await offer(world, call, sdp(version=4))
        assert ways(call)[-1] == "sendonly"
        assert (world.leg.remote.hold, world.leg.remote.send) == (True, True), "the agent holds on"
        call.acknowledges = sdp(version=5)
        world.wire.says(type="resume")
        await world.pass_time(0.1)
        assert not world.leg.remote.hold
        assert [(said["type"], said["by"]) for said in told(world)] == [
            ("held", "agent"),
            ("held", "caller"),
            ("resumed", "caller"),
            ("resumed", "agent"),
        ]
        await world.pass_time(1)
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].media["holds"] == 2


@in_virtual_time
async def test_an_agent_that_is_lost_while_it_holds_gives_the_caller_back_to_the_next() -> None:
    async with World(FALLBACK) as world:
        call = await world.place_answered()
        call.acknowledges = sdp(way="recvonly", version=2)
        world.wire.says(type="hold")
        await world.pass_time(0.1)
        call.acknowledges = sdp(version=3)
        world.wire.breaks()
        await world.pass_time(0.1)
        world.take_call()
        await world.pass_time(0.1)
        assert not world.leg.remote.hold
        assert len(world.engine.wires) == 2
        assert world.wire.said_types == ["ringing", "start"]
        assert call.bye is None


@in_virtual_time
async def test_the_end_of_the_call_is_the_end_of_a_hold() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.acknowledges = sdp(way="recvonly", version=2)
        world.wire.says(type="hold")
        await world.pass_time(10)
        call.hang_up()
        await world.pass_time(40)
        assert world.records[0].end_reason == "caller_hung_up"
        assert world.records[0].media["held_ms"] == pytest.approx(10_000, abs=50)
        world.assert_nothing_left()


@pytest.mark.parametrize(
    ("trunk", "route", "music"),
    [(None, None, "our own"), ("silence", None, None), (None, "silence", None), ("silence", "melody", "our own")],
)
@in_virtual_time
async def test_what_a_held_caller_hears_is_the_routes_choice_or_else_the_trunks(
    trunk: str | None, route: str | None, music: object
) -> None:
    config = OFFHOOK if trunk is None else OFFHOOK.replace('name = "acme"', f'name = "acme"\nhold_music = "{trunk}"')
    config = config if route is None else config + f'hold_music = "{route}"\n'
    async with World(config, hold_music=MUSIC) as world:
        await world.place_answered()
        assert world.leg.music == music


@pytest.mark.rfc(3261, "14.1")
@in_virtual_time
async def test_both_hold_at_once_and_both_get_their_way() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.acknowledges = sdp(way="inactive", version=3)
        world.wire.says(type="hold")
        call.reinvite(sdp(way="sendonly", version=2))
        await world.pass_time(15)
        statuses = [m.status for _, _, m in world.network.log if hasattr(m, "status") and m.cseq.method == "INVITE"]
        assert statuses.count(491) >= 1
        assert {(said["type"], said["by"]) for said in told(world)} == {("held", "caller"), ("held", "agent")}
        assert (world.leg.remote.send, world.leg.remote.receive) == (False, False)
        versions = [int(SessionDescription.parse(m.body).origin.version) for m in ours(world)]
        assert versions == sorted(versions)
        call.hang_up()
        await world.pass_time(40)
        world.assert_nothing_left()


def ours(world: World) -> list[Any]:
    """All SDP that the gateway has sent, in order."""
    return [m for _, host, m in world.network.log if host != CALLER and m.body.startswith(b"v=0")]


@pytest.mark.rfc(3311, "5.2")
@in_virtual_time
async def test_an_update_holds_as_a_reinvite_does() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        for way, version in (("sendonly", 2), ("sendrecv", 3)):
            body = sdp(way=way, version=version)
            world.caller.stack.perform(lambda now, body=body: call.session.update(body, now=now))
            await world.pass_time(1)
        assert [said["type"] for said in told(world)] == ["held", "resumed"]
        assert ways(call) == ["recvonly", "sendrecv"]


@in_virtual_time
async def test_no_ack_to_the_answer_of_a_hold_and_the_call_ends_as_it_should() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        world.network.lost = lambda host, message: host == CALLER and getattr(message, "method", "") == "ACK"
        await offer(world, call, sdp(way="sendonly", version=2))
        await world.pass_time(40)
        assert world.records[0].end_reason == "no_ack"
        world.assert_nothing_left()


# -- the agent goes on hold


def leaves_by_word(world: World) -> None:
    world.wire.says(type="hangup", reason="done")


def leaves_by_closing(world: World) -> None:
    world.wire.ends(1000)


@pytest.mark.parametrize("leaves", [leaves_by_word, leaves_by_closing])
@pytest.mark.parametrize("holder", ["caller", "agent"])
@in_virtual_time
async def test_an_agent_that_leaves_on_hold_ends_the_call_at_once(leaves: Callable[[World], None], holder: str) -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        if holder == "caller":
            await offer(world, call, sdp(way="sendonly", version=2))
        else:
            call.acknowledges = sdp(way="recvonly", version=2)
            world.wire.says(type="hold")
            await world.pass_time(0.1)
        # What stands still never says that it has been played.
        world.leg.drain = lambda: None  # type: ignore[method-assign]
        leaves(world)
        await world.pass_time(0.1)
        assert call.bye is not None
        await world.pass_time(70)
        [record] = world.records
        assert record.end_reason == "agent_hung_up"
        assert record.end_detail is not None
        assert record.end_detail.endswith("(on hold: what it said last was not heard)")
        world.assert_nothing_left()


@in_virtual_time
async def test_a_greeting_that_nobody_has_heard_does_not_keep_an_agent_that_leaves() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered(offer=sdp(way="inactive"))
        world.wire.speaks(2.0)
        world.wire.says(type="hangup")
        await world.pass_time(0.1)
        assert call.bye is not None
        await world.pass_time(1)
        assert world.records[0].end_reason == "agent_hung_up"


@pytest.mark.parametrize("leaves", [leaves_by_word, leaves_by_closing])
@in_virtual_time
async def test_a_hold_that_crosses_with_the_agents_goodbye_ends_the_call(leaves: Callable[[World], None]) -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        world.wire.speaks(20.0)
        world.leg.drain = lambda: None  # type: ignore[method-assign]
        leaves(world)
        await world.pass_time(1)
        assert call.bye is None, "its last words are being played"
        await offer(world, call, sdp(way="sendonly", version=2))
        assert call.bye is not None
        await world.pass_time(1)
        assert world.records[0].end_reason == "agent_hung_up"


@in_virtual_time
async def test_an_agent_that_says_goodbye_and_is_lost_has_no_follower() -> None:
    async with World(FALLBACK) as world:
        call = await world.place_answered()
        world.wire.speaks(3.0)
        world.wire.hangs_up()
        await world.pass_time(1)
        world.wire.breaks()
        await world.pass_time(1)
        assert call.bye is None, "what it said last is played to its end"
        await world.pass_time(3)
        assert call.bye is not None
        assert len(world.engine.wires) == 1
        await world.pass_time(1)
        assert world.records[0].end_reason == "agent_hung_up"


@in_virtual_time
async def test_the_longest_duration_counts_on_hold() -> None:
    async with World(OFFHOOK.replace('name = "acme"\n', 'name = "acme"\nmax_duration = 120\n', 1)) as world:
        call = await world.place_answered()
        await offer(world, call, sdp(way="sendonly", version=2))
        await world.pass_time(119)
        assert call.bye is None
        await world.pass_time(2)
        assert call.bye is not None
        await world.pass_time(70)
        [record] = world.records
        assert record.end_reason == "max_duration"
        assert int(record.media["held_ms"] or 0) > 119_000
        world.assert_nothing_left()


@in_virtual_time
async def test_an_agent_that_leaves_in_a_transfer_is_not_there_for_who_comes_back_on_hold() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        world.wire.says(type="transfer", target="tel:+14155550123")
        await world.pass_time(0.1)
        await offer(world, call, sdp(way="sendonly", version=2))
        world.leg.drain = lambda: None  # type: ignore[method-assign]
        world.wire.says(type="hangup")
        await world.pass_time(5)
        assert call.bye is None
        call.notify("SIP/2.0 486 Busy Here", "terminated")
        await world.pass_time(0.1)
        assert call.bye is not None
        await world.pass_time(1)
        assert world.records[0].end_reason == "agent_hung_up"
