"""The ends of a call: by the caller in every state, by the agent, by nobody (design: a call's way in, step 8)."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, ECHO, GATEWAY, OFFHOOK, TWILIO, World, notes, sdp

from offhook.sip import in_dialog
from offhook.sip.message import Message, Request

pytestmark = pytest.mark.scenario


def lost(method: str, status: int | None = None) -> object:
    """Loses requests of a method, or with `status` the responses to them."""

    def loses(sender: str, message: Message) -> bool:
        if isinstance(message, Request):
            return status is None and message.method == method
        return message.status == status and message.cseq.method == method

    return loses


async def ended(world: World, reason: str, *, status: int | None) -> None:
    """One record with that reason, and nothing is left of the call."""
    await world.pass_time(5)
    [record] = world.records
    assert (record.end_reason, record.sip_status) == (reason, status)
    await world.pass_time(70)
    assert len(world.records) == 1
    world.assert_nothing_left()


# -- the caller gives up


@in_virtual_time
async def test_cancel_while_the_agent_is_dialled_closes_the_dial() -> None:
    async with World(TWILIO) as world:
        call = await world.place()
        call.hang_up()
        await world.pass_time(0.05)
        assert call.statuses == [180, 487]
        assert world.wire.close_asked == (1000, "caller_cancelled")
        assert world.wire.said == []
        await ended(world, "caller_cancelled", status=487)


@in_virtual_time
async def test_cancel_while_the_agent_thinks_tells_it_so() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place()
        world.wire.accept()
        await world.pass_time(1)
        call.hang_up()
        await world.pass_time(0.05)
        assert call.statuses == [180, 487]
        assert world.wire.said_types == ["ringing", "end"]
        assert world.wire.said[-1]["reason"] == "caller_cancelled"
        await ended(world, "caller_cancelled", status=487)


@in_virtual_time
async def test_cancel_of_a_call_that_waits_for_the_first_word() -> None:
    async with World(TWILIO + 'answer = "first-audio"\n') as world:
        call = await world.place()
        world.wire.accept()
        await world.pass_time(1)
        call.hang_up()
        await world.pass_time(0.05)
        assert call.statuses == [180, 487]
        await ended(world, "caller_cancelled", status=487)


@in_virtual_time
async def test_cancel_right_behind_the_invite_dials_nobody() -> None:
    async with World(TWILIO) as world:
        sent_together(world, "INVITE", "CANCEL")
        await world.pass_time(0.1)
        assert world.engine.wires == []
        await ended(world, "caller_cancelled", status=487)


@in_virtual_time
async def test_a_cancel_that_crosses_the_agents_readiness_wins_and_nobody_pays() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place()
        world.wire.accept()
        await world.pass_time(0.5)
        call.hang_up()
        # The CANCEL arrives 5 ms from here, and the agent is ready in the same turn of the loop.
        await world.pass_time(0.005)
        world.wire.says(type="ready")
        await world.pass_time(1)
        assert call.statuses == [180, 487]
        assert world.book.answered_ == []
        [record] = world.records
        assert (record.answer_at, record.billable_seconds) == (None, 0)
        await ended(world, "caller_cancelled", status=487)


@pytest.mark.rfc(3261, "9.2")
@in_virtual_time
async def test_a_cancel_that_crosses_the_200_comes_too_late_and_a_bye_ends_the_call() -> None:
    async with World(TWILIO) as world:
        world.network.delay = 0.1
        call = await world.place()
        await world.pass_time(0.1)
        world.wire.accept()
        await world.pass_time(0.05)
        call.hang_up()
        await world.pass_time(1)
        assert len(world.book.answered_) == 1
        await ended(world, "caller_hung_up", status=200)


@pytest.mark.rfc(3261, "15.1.2")
@in_virtual_time
async def test_a_bye_before_the_answer_does_what_a_cancel_does() -> None:
    async with World(TWILIO) as world:
        call = await world.place()
        dialog = call.session.calling.early[0]
        bye = dialog.request("BYE", ())
        world.caller.stack.perform(lambda now: in_dialog.send(call.session, dialog, bye, now))
        await world.pass_time(0.1)
        assert call.statuses == [180, 487]
        await ended(world, "caller_cancelled", status=487)


@pytest.mark.parametrize("answer", ["when-ready", "at-once"])
@in_virtual_time
async def test_bye_ends_the_agent_the_port_and_the_call(answer: str) -> None:
    async with World(TWILIO + f'answer = "{answer}"\n') as world:
        call = await world.place()
        world.take_call()
        await world.pass_time(0.05)
        world.leg.hears()
        await world.pass_time(9.5)
        call.hang_up()
        await world.pass_time(0.05)
        assert call.hung_up is not None
        assert call.hung_up.status == 200
        assert world.wire.said_types[-1] == "stop"
        assert world.wire.close_asked == (1000, "caller_hung_up")
        world.engine.assert_all_free()
        await world.pass_time(1)
        assert world.records[0].billable_seconds == 10, "a begun second counts"
        await ended(world, "caller_hung_up", status=200)


@in_virtual_time
async def test_bye_while_an_agent_answered_at_once_is_still_dialled() -> None:
    async with World(TWILIO + 'answer = "at-once"\n') as world:
        call = await world.place()
        call.hang_up()
        await world.pass_time(0.05)
        assert world.wire.is_over
        await ended(world, "caller_hung_up", status=200)


@in_virtual_time
async def test_bye_while_the_agents_last_words_are_played() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        world.wire.speaks(20)
        world.wire.ends(1000)
        await world.pass_time(3)
        call.hang_up()
        await world.pass_time(0.05)
        await ended(world, "caller_hung_up", status=200)


@in_virtual_time
async def test_what_the_caller_says_of_its_end_is_in_the_record_and_safe_to_print() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        reason = 'SIP;cause=200;text="\u202egone"'
        world.caller.stack.perform(lambda now: call.session.hang_up((("Reason", reason),), now=now))
        await world.pass_time(1)
        assert "SIP 200 (" in world.records[0].end_detail
        assert "\u202e" not in world.records[0].end_detail


@pytest.mark.rfc(3261, "13.3.1.4")
@in_virtual_time
async def test_without_ack_the_call_ends_after_32_s_and_the_agent_is_told() -> None:
    async with World(OFFHOOK) as world:
        world.network.lost = lost("ACK")  # type: ignore[assignment]
        call = await world.place()
        world.take_call()
        await world.pass_time(31)
        assert call.bye is None
        await world.pass_time(2)
        assert call.bye is not None
        assert world.wire.said[-1] == {"type": "end", "reason": "no_ack", "text": ""}
        await world.pass_time(5)
        [record] = world.records
        assert f"<sip:offhook@{GATEWAY}:5060>" in record.end_detail, "where its ACK should have gone"
        await ended(world, "no_ack", status=200)


# -- the agent ends it


@in_virtual_time
async def test_after_1000_the_queue_drains_and_the_bye_waits_for_the_far_end_buffer() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        world.leg.hears()
        spoken_at = world.network.log[-1][0]
        world.wire.speaks(3)
        await world.pass_time(0.1)
        world.wire.ends(1000)
        begins, seconds, _ = world.leg.played[0]
        await world.pass_time(3)
        assert call.bye is None
        await world.pass_time(2)
        assert call.at["bye"] == pytest.approx(begins + seconds + 0.2 + world.network.delay, abs=0.01)
        assert call.at["bye"] > spoken_at
        await ended(world, "agent_hung_up", status=200)


@in_virtual_time
async def test_a_hang_up_after_playout_and_the_close_that_follows_cut_nothing() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        world.wire.speaks(2)
        world.wire.hangs_up()
        begins, seconds, _ = world.leg.played[0]
        await world.pass_time(begins + seconds - now() + 0.05)
        assert call.bye is None
        world.wire.ends(1000)
        await world.pass_time(0.1)
        assert call.bye is None, "the phone still plays what it has"
        await world.pass_time(1)
        assert call.at["bye"] >= begins + seconds + 0.2
        await ended(world, "agent_hung_up", status=200)


@in_virtual_time
async def test_an_agent_that_dies_after_its_goodbye_has_said_goodbye() -> None:
    async with World(OFFHOOK + 'fallback = [{ on = ["lost"], to = "echo:" }]\n') as world:
        await world.place_answered()
        world.wire.hangs_up()
        await world.pass_time(0.05)
        world.wire.breaks()
        await ended(world, "agent_hung_up", status=200)
        assert any("after its goodbye" in note for note in notes(world.timelines[0], "agent"))


@in_virtual_time
async def test_hang_up_now_does_not_wait_for_the_queue() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        world.wire.speaks(30)
        await world.pass_time(0.1)
        world.wire.says(type="hangup", now=True, reason="abuse")
        await world.pass_time(0.05)
        assert call.bye is not None
        await world.pass_time(1)
        assert world.records[0].end_detail == "abuse"
        await ended(world, "agent_hung_up", status=200)


@pytest.mark.parametrize("now", [False, True])
@in_virtual_time
async def test_an_agent_that_failed_and_hangs_up_is_whom_the_record_names(now: bool) -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        world.wire.speaks(1.0)
        await world.pass_time(0.1)
        world.wire.says(type="hangup", now=now, failed=True, reason="the agent failed")
        await world.pass_time(3)
        assert call.bye is not None
        assert world.records[0].end_detail.endswith("the agent failed")
        await ended(world, "agent_failed", status=200)


@in_virtual_time
async def test_an_agent_that_fails_before_the_answer_does_not_count_as_one_that_said_no() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place()
        world.wire.accept()
        world.wire.says(type="hangup", failed=True, reason="no database")
        await world.pass_time(1)
        assert call.statuses == [180, 480]
        await ended(world, "agent_failed", status=480)


@in_virtual_time
async def test_a_queue_that_never_drains_ends_all_the_same() -> None:
    async with World(TWILIO.replace('name = "acme"\n', 'name = "acme"\nmedia_timeout = 600\n', 1)) as world:
        call = await world.place_answered()
        world.leg.drain = lambda: None  # type: ignore[method-assign]
        world.wire.ends(1000)
        await world.pass_time(100)
        assert call.bye is None
        await world.pass_time(30)
        assert call.bye is not None
        await ended(world, "agent_hung_up", status=200)


@pytest.mark.rfc(3261, "15")
@in_virtual_time
async def test_an_agent_that_ends_before_the_ack_is_followed_by_a_bye_after_it() -> None:
    async with World(OFFHOOK) as world:
        world.network.lost = lost("ACK")  # type: ignore[assignment]
        call = await world.place()
        world.take_call()
        await world.pass_time(0.1)
        world.wire.says(type="hangup", now=True)
        await world.pass_time(1)
        assert call.bye is None, "RFC 3261 15: no BYE before the ACK"
        world.network.lost = lambda sender, message: False
        await world.pass_time(1.6)
        assert call.bye is not None
        await ended(world, "agent_hung_up", status=200)


# -- nobody ends it


@in_virtual_time
async def test_no_media_ends_a_call_but_not_while_it_is_held() -> None:
    async with World(TWILIO.replace("allow =", "media_timeout = 30\nallow =")) as world:
        call = await world.place_answered()
        world.leg.hears()
        call.reinvite(sdp(way="sendonly", version=2))
        await world.pass_time(300)
        assert call.bye is None
        call.reinvite(sdp(way="sendrecv", version=3))
        await world.pass_time(29)
        assert call.bye is None
        await world.pass_time(2)
        assert call.bye is not None
        assert world.wire.said_types[-1] == "stop"
        await world.pass_time(5)
        assert "no RTP from the caller for 30 s" in world.records[0].end_detail
        await ended(world, "media_timeout", status=200)


@in_virtual_time
async def test_media_that_never_came_is_said_to_have_never_come() -> None:
    async with World(TWILIO) as world:
        await world.place_answered()
        await world.pass_time(65)
        assert world.records[0].end_detail == "the caller's RTP never arrived"
        await ended(world, "media_timeout", status=200)


@in_virtual_time
async def test_the_longest_call_counts_from_its_answer() -> None:
    async with World(TWILIO.replace("allow =", "max_duration = 100\nmedia_timeout = 90\nallow =")) as world:
        call = await world.place()
        await world.pass_time(15)
        world.wire.accept()
        await world.pass_time(0.1)
        for _ in range(9):
            world.leg.hears()
            await world.pass_time(10)
        assert call.bye is None
        world.leg.hears()
        await world.pass_time(10)
        assert call.bye is not None
        await ended(world, "max_duration", status=200)


# -- signalling's last word


@in_virtual_time
async def test_a_bye_that_nobody_answers_does_not_hold_the_record_back() -> None:
    """livekit/sip#316 and #106: the room was gone, and the phone talked on. Our BYE is repeated, and it is noted."""
    async with World(OFFHOOK) as world:
        await world.place_answered()
        world.network.lost = lost("BYE")  # type: ignore[assignment]
        world.wire.says(type="hangup", now=True)
        await world.pass_time(5)
        assert [record.end_reason for record in world.records] == ["agent_hung_up"]
        assert "our BYE has not been answered so far" in notes(world.timelines[0], "note")
        byes = [message for _, sender, message in world.network.log if is_bye(message) and sender == GATEWAY]
        assert len(byes) > 2
        await world.pass_time(60)
        world.assert_nothing_left()


@in_virtual_time
async def test_a_challenge_to_our_bye_is_its_answer() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        challenge = (("WWW-Authenticate", 'Digest realm="carrier", nonce="n", qop="auth"'),)
        session = call.session

        def refuses(transaction: object, now: float) -> None:
            in_dialog.answer(session, transaction, 401, now, challenge)  # type: ignore[arg-type]

        type(session).on_bye, kept = (lambda self, t, now: refuses(t, now)), type(session).on_bye  # type: ignore[method-assign]
        try:
            world.wire.says(type="hangup", now=True)
            await world.pass_time(1)
        finally:
            type(session).on_bye = kept  # type: ignore[method-assign]
        [record] = world.records
        assert record.end_reason == "agent_hung_up"
        assert "SIP/2.0 401 Unauthorized" in notes(world.timelines[0], "sip")
        secrets = [e.fields["text"] for e in world.timelines[0].entries if e.kind == "sip"]
        assert not any("Authorization: Digest" in text for text in secrets), "no credentials for a stranger's realm"


@in_virtual_time
async def test_both_hang_up_at_once() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        world.wire.says(type="hangup", now=True)
        call.hang_up()
        await ended(world, "agent_hung_up", status=200)


@in_virtual_time
async def test_an_echo_call_of_a_second_leaves_nothing() -> None:
    async with World(ECHO) as world:
        for _ in range(30):
            call = await world.place()
            call.hang_up()
            await world.pass_time(1)
        await world.pass_time(70)
        assert len(world.records) == 30
        world.assert_nothing_left()


def is_bye(message: Message) -> bool:
    return isinstance(message, Request) and message.method == "BYE"


def now() -> float:
    import asyncio

    return asyncio.get_running_loop().time()


def sent_together(world: World, *methods: str) -> None:
    """Requests of one transaction that arrive in one turn of the loop."""
    body = sdp()
    for method in methods:
        lines = [
            f"{method} sip:+14155550100@{GATEWAY} SIP/2.0",
            f"Via: SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bKtogether",
            "Max-Forwards: 70",
            f"From: <sip:+14155550199@{CALLER}>;tag=t",
            f"To: <sip:+14155550100@{GATEWAY}>",
            "Call-ID: together",
            f"CSeq: 1 {method}",
            f"Contact: <sip:caller@{CALLER}>",
        ]
        if method == "INVITE":
            world.caller.send(*lines, "Content-Type: application/sdp", body=body)
        else:
            world.caller.send(*lines)
