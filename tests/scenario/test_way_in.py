"""The way in: when a call is answered, and when its sound may leave (design: a call's way in, steps 4 to 7)."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import ECHO, OFFHOOK, TWILIO, World, notes, sdp

from offhook.sip.message import Request

pytestmark = pytest.mark.scenario


def answering(config: str, policy: str, **more: object) -> str:
    """The route of `config` with an answer policy."""
    lines = [f'answer = "{policy}"', *(f"{name} = {value}" for name, value in more.items())]
    return config + "\n".join(lines) + "\n"


# -- ready means, by door


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
async def test_a_prompt_is_played_before_the_echo_and_not_over_it() -> None:
    async with World(ECHO.replace("echo:", "echo:welcome")) as world:
        await world.place()
        world.leg.hears()
        [(_, seconds, _)] = world.leg.played
        assert seconds > 1
        await world.pass_time(seconds - 0.2)
        assert not world.leg.echoing
        await world.pass_time(0.3)
        assert world.leg.echoing


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
        start = world.wire.said[1]["start"]
        assert start["customParameters"]["from_number"] == "+14155550199"
        assert start["customParameters"]["to_number"] == "+14155550100"
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


@in_virtual_time
async def test_an_offhook_agent_may_reject_and_no_fallback_is_tried() -> None:
    config = OFFHOOK + 'fallback = [{ on = ["refused", "late", "lost"], to = "echo:" }]\n'
    async with World(config) as world:
        call = await world.place()
        world.wire.accept()
        world.wire.says(type="reject", status=486, reason="on holiday")
        await world.pass_time(1)
        assert call.statuses == [180, 486]
        [record] = world.records
        assert (record.end_reason, record.sip_status) == ("agent_rejected", 486)
        assert "on holiday" in record.end_detail
        world.engine.assert_all_free()


@in_virtual_time
async def test_an_agent_that_hangs_up_before_the_answer_has_rejected_the_call() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place()
        world.wire.accept()
        world.wire.says(type="hangup", now=True, reason="wrong number")
        await world.pass_time(1)
        assert call.statuses == [180, 603]
        assert [record.end_reason for record in world.records] == ["agent_rejected"]


# -- answer policies


@in_virtual_time
async def test_at_once_answers_before_the_agent_is_there_and_begins_when_it_is() -> None:
    async with World(answering(TWILIO, "at-once")) as world:
        call = await world.place()
        assert call.statuses == [180, 200]
        assert world.leg.started_at is not None
        assert world.wire.said == []
        await world.pass_time(2)
        world.wire.accept()
        await world.pass_time(0.01)
        assert world.wire.said_types == ["connected", "start"]
        assert world.leg.wire is world.wire


@in_virtual_time
async def test_first_audio_answers_at_the_agents_first_word_which_is_not_lost() -> None:
    async with World(answering(TWILIO, "first-audio")) as world:
        call = await world.place()
        world.wire.accept()
        await world.pass_time(4)
        assert call.statuses == [180], "ready, but it has not spoken"
        assert world.wire.said_types == ["connected", "start"], "so that the bot has something to speak to"
        world.wire.speaks(1.5)
        await world.pass_time(0.05)
        assert call.statuses == [180, 200]
        assert sum(seconds for _, seconds, _ in world.leg.played) == 1.5
        call.hang_up()
        await world.pass_time(1)
        own = world.records[0].intervals["own"]
        assert own < 1, "the agent's silence is not our share"


@in_virtual_time
async def test_first_audio_that_comes_with_the_readiness_counts() -> None:
    async with World(answering(OFFHOOK, "first-audio")) as world:
        call = await world.place()
        world.wire.accept()
        world.wire.says(type="ready")
        world.wire.speaks(1)
        await world.pass_time(0.05)
        assert call.statuses == [180, 200]
        assert [seconds for _, seconds, _ in world.leg.played] == [1]


@in_virtual_time
async def test_first_audio_of_an_echo_is_its_own() -> None:
    async with World(answering(ECHO, "first-audio")) as world:
        call = await world.place()
        assert call.statuses == [180, 200]


@in_virtual_time
async def test_the_ringing_budget_holds_for_readiness_and_first_word_together() -> None:
    async with World(answering(TWILIO, "first-audio", ring_timeout=10)) as world:
        call = await world.place()
        await world.pass_time(7)
        world.wire.accept()
        await world.pass_time(2.9)
        assert call.statuses == [180]
        await world.pass_time(0.2)
        assert call.statuses == [180, 480]
        [record] = await finished(world)
        assert record.end_reason == "agent_late"
        assert "first audio" in record.end_detail
        world.engine.assert_all_free()


@in_virtual_time
async def test_an_agent_that_ends_before_its_first_word_has_rejected_the_call() -> None:
    async with World(answering(TWILIO, "first-audio")) as world:
        call = await world.place()
        world.wire.accept()
        await world.pass_time(1)
        world.wire.ends(1000)
        await world.pass_time(1)
        assert call.statuses == [180, 603]
        assert world.leg.started_at is None


# -- when sound may leave


@in_virtual_time
async def test_the_greeting_waits_for_the_ack() -> None:
    async with World(TWILIO) as world:
        world.network.delay = 0.1
        await world.place()
        await world.pass_time(0.1)
        world.wire.accept()
        world.wire.speaks(1)
        await world.pass_time(0.15)
        assert world.leg.started_at is not None
        assert world.leg.played == [], "the 200 is still under way"
        await world.pass_time(0.1)
        assert world.leg.played, "the ACK is here"


@in_virtual_time
async def test_the_greeting_waits_for_the_callers_first_rtp_where_that_is_sooner() -> None:
    async with World(TWILIO) as world:
        world.network.delay = 0.1
        await world.place()
        await world.pass_time(0.1)
        world.wire.accept()
        world.wire.speaks(1)
        await world.pass_time(0.12)
        world.leg.hears()
        assert world.leg.played


@in_virtual_time
async def test_the_greeting_waits_for_300_ms_at_most() -> None:
    async with World(TWILIO) as world:
        world.network.lost = lambda sender, message: isinstance(message, Request) and message.method == "ACK"
        await world.place()
        world.wire.accept()
        world.wire.speaks(1)
        await world.pass_time(0.25)
        assert world.leg.played == []
        await world.pass_time(0.1)
        assert world.leg.played


@pytest.mark.rfc(3264, "5")
@in_virtual_time
async def test_without_an_offer_the_200_offers_and_rtp_waits_for_the_ack() -> None:
    async with World(TWILIO) as world:
        world.network.delay = 0.1
        call = await world.place(offer=None)
        await world.pass_time(0.1)
        world.wire.accept()
        await world.pass_time(0.15)
        assert call.is_answered
        assert b"m=audio" in call.answer
        assert world.leg.started_at is None, "nobody knows where to send"
        await world.pass_time(0.1)
        assert world.leg.started_at is not None
        assert (world.leg.remote.address, world.leg.remote.port) == ("192.0.2.1", 4000)
        world.leg.hears()
        call.hang_up()
        await world.pass_time(1)
        [record] = world.records
        assert (record.end_reason, record.codec) == ("caller_hung_up", "PCMU")


@pytest.mark.parametrize(
    "body", [None, b"nonsense", sdp(port=0), sdp(codecs=["9 G722/8000"])], ids=["none", "garbage", "refused", "codec"]
)
@in_virtual_time
async def test_an_ack_without_a_usable_answer_ends_the_call(body: bytes | None) -> None:
    async with World(TWILIO) as world:
        call = world.caller.call(offer=None)
        call.acknowledges = body
        await world.pass_time(0.05)
        world.wire.accept()
        await world.pass_time(1)
        assert call.bye is not None
        [record] = world.records
        assert (record.end_reason, record.sip_status) == ("no_offer_answer", 200)
        assert world.wire.said_types[-1] == "stop"
        world.engine.assert_all_free()


@pytest.mark.rfc(4733, "2.5")
@in_virtual_time
async def test_the_codec_answered_is_the_codec_sent_and_digits_keep_the_offers_number() -> None:
    async with World(ECHO) as world:
        call = await world.place(offer=sdp(codecs=["8 PCMA/8000"], dtmf=96))
        assert b"m=audio 40000 RTP/AVP 8 96" in call.answer
        remote = world.leg.remote
        assert (remote.codec, remote.payload_type, remote.dtmf_send, remote.dtmf_receive) == ("PCMA", 8, 96, [96])


# -- what cannot be answered


@pytest.mark.parametrize(
    ("offer", "status", "reason"),
    [
        (sdp(codecs=["9 G722/8000"]), 488, "no_common_codec"),
        (b"nonsense", 400, "bad_sdp"),
        (sdp().replace(b"RTP/AVP", b"RTP/SAVP"), 488, "srtp_not_supported"),
        (sdp().replace(b"m=audio", b"m=image"), 488, "no_audio_offered"),
    ],
)
@in_virtual_time
async def test_an_offer_that_cannot_be_met_is_refused_before_the_agent_is_dialled(
    offer: bytes, status: int, reason: str
) -> None:
    async with World(TWILIO) as world:
        call = await world.place(offer=offer)
        assert call.statuses == [status]
        assert world.engine.wires == []
        [record] = await finished(world)
        assert (record.end_reason, record.sip_status) == (reason, status)
        world.engine.assert_all_free()


@in_virtual_time
async def test_a_number_without_route_is_404_and_the_record_names_the_nearest_route() -> None:
    async with World(ECHO + 'to = "+1212*"\n') as world:
        call = await world.place()
        assert call.statuses == [404]
        [record] = await finished(world)
        assert record.end_reason == "no_route"
        assert "'all'" in record.end_detail
        assert "+1212*" in record.end_detail
        assert world.engine.legs == []


# -- set-up in numbers


@in_virtual_time
async def test_set_up_is_measured_and_our_own_share_is_what_the_agent_did_not_take() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place()
        await world.pass_time(0.15)
        world.wire.accept()
        await world.pass_time(1)
        world.wire.says(type="ready")
        await world.pass_time(0.3)
        world.wire.speaks(0.5)
        await world.pass_time(0.2)
        world.leg.hears()
        await world.pass_time(0.1)
        call.hang_up()
        await world.pass_time(1)
        found = world.records[0].intervals
        assert found["agent_dial"] == pytest.approx(195, abs=1), "from the INVITE, 5 ms under way"
        assert found["agent_ready"] == pytest.approx(1000, abs=1)
        assert found["answer"] == pytest.approx(1195, abs=1)
        assert found["ack"] == pytest.approx(10, abs=1)
        assert found["agent_audio"] == pytest.approx(300, abs=1)
        assert found["greeting"] == pytest.approx(300, abs=1)
        assert found["caller_audio"] == pytest.approx(500, abs=1)
        assert found["own"] == pytest.approx(0, abs=1), "in virtual time only waiting takes time"
        agent = notes(world.timelines[0], "agent")
        assert agent[0].startswith("preparing ws://agent.example/voice")
        assert "first agent audio sent to the caller" in agent


async def finished(world: World) -> list:  # type: ignore[type-arg]
    """The records, once signalling has had its last word."""
    await world.pass_time(6)
    return world.records
