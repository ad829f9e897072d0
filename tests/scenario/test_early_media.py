"""Sound before the answer: 183 with SDP, by itself and with PRACK, and what becomes of it (RFC 3960)."""

import wave
from pathlib import Path

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, ECHO, OFFHOOK, World, notes, sdp

from offhook.sip.message import Message, Request
from offhook.sip.user_agent import UserAgentConfig

pytestmark = pytest.mark.scenario


def early(setting: str, *, base: str = OFFHOOK, trunk: str = "", route: str = "") -> str:
    """A gateway whose route has sound before the answer."""
    base = base.replace('name = "acme"\n', f'name = "acme"\n{trunk}\n', 1)
    return f'{base}early_media = "{setting}"\n{route}'


def is_plain_prack(message: Message) -> bool:
    return isinstance(message, Request) and message.method == "PRACK" and not message.body


@pytest.mark.rfc(3960, "2")
@in_virtual_time
async def test_180_without_sdp_is_the_default() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        assert call.early == [(180, b"")]
        assert [after for _, after in world.leg.starts] == [300]


@pytest.mark.rfc(3960, "3.2")
@in_virtual_time
async def test_ringback_flows_from_the_183_on_and_the_200_repeats_its_sdp() -> None:
    """livekit/sip#549: wants to choose the tone heard while waiting."""
    async with World(early("ringback")) as world:
        call = await world.place()
        (status, described), *others = call.early
        assert (status, others) == (183, [])
        assert b"m=audio" in described
        assert [after for _, after in world.leg.starts] == [None]
        await world.pass_time(12)
        # Five seconds a ring, for ever, in halves that follow each other without a gap.
        begins = [begin for begin, _, _ in world.leg.played]
        ends = [begin + seconds for begin, seconds, _ in world.leg.played]
        assert begins[1:] == pytest.approx(ends[:-1])
        assert sum(seconds for _, seconds, _ in world.leg.played) >= 12
        world.take_call()
        await world.pass_time(0.05)
        assert call.statuses == [183, 200]
        assert call.answer == described
        # What is left of the ringing is dropped, and the agent waits for the ACK as ever.
        assert world.leg.clears == 1
        assert [after for _, after in world.leg.starts] == [None, 300]
        assert not world.leg.deaf
        heard = len(world.leg.played)
        await world.pass_time(20)
        assert len(world.leg.played) == heard
        call.hang_up()
        await world.pass_time(5)
        assert "sound before the answer: ringback" in notes(world.timelines[0])


@in_virtual_time
async def test_the_agents_first_sound_ends_the_ringback_and_none_of_it_is_lost() -> None:
    async with World(early("ringback", route='answer = "first-audio"\n')) as world:
        call = await world.place()
        world.take_call()
        await world.pass_time(3)
        assert call.statuses == [183]
        assert world.wire.said_types == ["ringing", "start"]
        assert world.leg.wire is None
        world.wire.speaks(4.0)
        await world.pass_time(0.5)
        assert call.statuses == [183, 200]
        assert world.wire.said_types == ["ringing", "start"]
        assert world.leg.played[-1][1] == 4.0
        call.hang_up()
        await world.pass_time(70)
        assert world.records[0].intervals["greeting"] < 400
        world.assert_nothing_left()


@in_virtual_time
async def test_the_ringback_goes_on_until_the_first_sound_of_the_agent_that_follows_a_lost_one() -> None:
    second = 'fallback = [{ on = ["lost"], to = "ws://second.example/" }]\n'
    async with World(early("ringback", route='answer = "first-audio"\n' + second)) as world:
        call = await world.place()
        world.take_call()
        await world.pass_time(3)
        world.wire.breaks()
        await world.pass_time(4)
        world.take_call()
        await world.pass_time(4)
        assert call.statuses == [183]
        begins = [begin for begin, _, _ in world.leg.played]
        ends = [begin + seconds for begin, seconds, _ in world.leg.played]
        assert begins[1:] == pytest.approx(ends[:-1])
        assert ends[-1] - begins[0] >= 11
        assert world.leg.clears == 0
        world.wire.speaks(4.0)
        await world.pass_time(0.5)
        assert call.statuses == [183, 200]
        assert world.leg.played[-1][1] == 4.0
        assert world.leg.clears == 1
        call.hang_up()
        await world.pass_time(70)
        world.assert_nothing_left()


@in_virtual_time
async def test_an_echo_that_answers_with_its_first_sound_rings_for_no_time() -> None:
    async with World(early("ringback", base=ECHO, route='answer = "first-audio"\n')) as world:
        call = await world.place_answered()
        assert call.statuses == [183, 200]
        assert world.leg.echoing


@pytest.mark.rfc(3262, "5")
@in_virtual_time
async def test_with_prack_the_200_waits_for_it_and_the_record_says_so() -> None:
    async with World(early("ringback")) as world:
        world.network.lost = lambda sender, message: isinstance(message, Request) and message.method == "PRACK"
        call = await world.place()
        assert world.network.responses(183)[0].rseq is not None
        world.take_call()
        await world.pass_time(1)
        assert call.statuses == [183]
        assert world.book.answered_ == []
        world.network.lost = lambda sender, message: False
        await world.pass_time(2)
        assert call.statuses == [183, 200]
        assert len(world.book.answered_) == 1
        assert len(world.network.requests("ACK")) == 1
        assert world.wire.said_types == ["ringing", "start"]
        call.hang_up()
        await world.pass_time(70)
        assert "the 200 waits for the PRACK of what rang" in notes(world.timelines[0])
        world.assert_nothing_left()


@pytest.mark.rfc(3262, "3")
@in_virtual_time
async def test_a_183_whose_prack_never_comes_ends_the_call_as_no_prack() -> None:
    async with World(early("ringback")) as world:
        world.network.lost = lambda sender, message: isinstance(message, Request) and message.method == "PRACK"
        call = await world.place()
        world.take_call()
        await world.pass_time(33)
        assert call.statuses == [183, 504]
        assert [record.end_reason for record in world.records] == ["no_prack"]
        assert not world.records[0].was_answered
        await world.pass_time(70)
        world.assert_nothing_left()


@in_virtual_time
async def test_who_gives_up_while_sound_waits_for_its_prack_was_never_answered() -> None:
    async with World(early("ringback")) as world:
        world.network.lost = lambda sender, message: isinstance(message, Request) and message.method == "PRACK"
        call = await world.place()
        world.take_call()
        await world.pass_time(0.5)
        call.hang_up()
        await world.pass_time(5)
        assert call.statuses == [183, 487]
        assert [(record.end_reason, record.was_answered) for record in world.records] == [("caller_cancelled", False)]
        await world.pass_time(70)
        world.assert_nothing_left()


@pytest.mark.parametrize(
    ("prack", "statuses"),
    [("auto", {183: True}), ("always", {183: True}), ("required", {183: False})],
)
@in_virtual_time
async def test_the_trunk_says_what_is_reliable(prack: str, statuses: dict[int, bool]) -> None:
    async with World(early("ringback", trunk=f'prack = "{prack}"')) as world:
        call = await world.place_answered()
        assert {a.status: a.rseq is not None for s in statuses for a in world.network.responses(s)} == statuses
        assert call.is_answered


@pytest.mark.rfc(3262, "5")
@in_virtual_time
async def test_an_invite_without_an_offer_is_heard_once_the_prack_has_answered() -> None:
    async with World(early("ringback")) as world:
        call = await world.place(offer=None)
        assert call.early[0][0] == 183
        assert [len(prack.body) > 0 for prack in world.network.requests("PRACK")] == [True]
        assert [after for _, after in world.leg.starts] == [None]
        assert len(world.leg.played) == 2
        world.take_call()
        await world.pass_time(0.05)
        assert call.statuses == [183, 200]
        assert call.answer == b""
        assert world.network.requests("ACK")[0].body == b""
        assert [after for _, after in world.leg.starts] == [None, 300]


@pytest.mark.rfc(3262, "5")
@pytest.mark.parametrize("answer", [b"", b"v=0\r\nnothing of use", sdp(codecs=("18 G729/8000",))])
@in_virtual_time
async def test_a_183_whose_prack_does_not_answer_its_offer_ends_the_call(answer: bytes) -> None:
    async with World(early("ringback")) as world:
        call = world.caller.call(offer=None)
        call.acknowledges = answer
        await world.pass_time(1)
        assert call.statuses == [183, 488]
        assert [record.end_reason for record in world.records] == ["no_offer_answer"]
        await world.pass_time(70)
        world.assert_nothing_left()


@in_virtual_time
async def test_without_an_offer_and_without_prack_there_is_no_sound_and_the_timeline_says_why() -> None:
    async with World(early("ringback")) as world:
        world.caller.user_agent._capabilities._supported = ()
        call = await world.place_answered(offer=None)
        assert call.early == [(180, b"")]
        call.hang_up()
        await world.pass_time(5)
        assert any("takes no PRACK" in note for note in notes(world.timelines[0]))


@in_virtual_time
async def test_a_wav_file_is_played_over_and_over(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "wait.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * 8000 * 3))
    async with World(early(str(tmp_path / "wait.wav"))) as world:
        call = await world.place()
        await world.pass_time(8)
        assert {seconds for _, seconds, _ in world.leg.played} == {1.5}
        assert 8 <= sum(seconds for _, seconds, _ in world.leg.played) <= 12
        call.hang_up()
        await world.pass_time(70)
        assert call.statuses == [183, 487]
        world.assert_nothing_left()


@in_virtual_time
async def test_the_agent_speaks_before_it_takes_the_call() -> None:
    """livekit/sip#102: callers hang up while nothing is heard."""
    async with World(early("agent")) as world:
        call = await world.place()
        assert call.early == [(180, b"")]
        world.wire.accept()
        world.wire.speaks(2.0)
        await world.pass_time(0.05)
        assert [status for status, _ in call.early] == [180, 183]
        assert world.leg.deaf
        assert [seconds for _, seconds, _ in world.leg.played] == [2.0]
        # What the caller says is nothing to the agent before the answer.
        world.leg.hears()
        assert not world.wire._heard
        world.wire.says(type="ready")
        await world.pass_time(0.05)
        assert call.statuses == [180, 183, 200]
        assert call.answer == call.early[1][1]
        assert world.leg.clears == 0
        assert [after for _, after in world.leg.starts] == [None, 0]
        assert not world.leg.deaf
        assert world.wire._heard
        assert world.wire.said_types == ["ringing", "start"]
        assert world.wire.said[0]["early_media"] is True


@in_virtual_time
async def test_an_agent_whose_route_keeps_it_quiet_is_heard_after_the_answer() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place()
        world.wire.accept()
        world.wire.speaks(2.0)
        await world.pass_time(0.05)
        assert world.leg.played == []
        assert world.wire.said[0]["early_media"] is False
        world.wire.says(type="ready")
        await world.pass_time(0.5)
        assert [seconds for _, seconds, _ in world.leg.played] == [2.0]
        assert call.statuses == [180, 200]


@in_virtual_time
async def test_an_agent_that_spoke_early_and_is_lost_is_not_heard_behind_the_next() -> None:
    fallback = '[[route.fallback]]\nto = "echo:"\n'
    async with World(early("agent", route=fallback)) as world:
        call = await world.place()
        world.wire.accept()
        world.wire.speaks(5.0)
        await world.pass_time(0.05)
        world.wire.breaks()
        await world.pass_time(0.1)
        assert call.statuses == [180, 183, 200]
        assert world.leg.clears == 1
        assert world.leg.echoing


@in_virtual_time
async def test_an_agent_that_spoke_early_and_rejects_the_call_has_said_why() -> None:
    async with World(early("agent")) as world:
        call = await world.place()
        world.wire.accept()
        world.wire.speaks(1.0)
        await world.pass_time(1.5)
        world.wire.says(type="reject", status=486)
        await world.pass_time(0.1)
        assert call.statuses == [180, 183, 486]
        await world.pass_time(70)
        world.assert_nothing_left()


@pytest.mark.rfc(3262, "5")
@in_virtual_time
async def test_an_offer_in_a_prack_moves_the_sound() -> None:
    async with World(early("ringback")) as world:
        call = world.caller.call()
        world.network.lost = lambda sender, message: is_plain_prack(message)
        call.offers_in_prack = sdp(port=4100, version=2)
        await world.pass_time(1)
        (answer,) = [a for a in world.network.responses(200, "PRACK") if a.body]
        assert b"m=audio" in answer.body
        assert world.leg.remote.port == 4100
        world.take_call()
        await world.pass_time(0.1)
        assert call.statuses == [183, 200]
        assert call.answer == b""


@in_virtual_time
async def test_an_offer_in_a_prack_that_can_not_be_taken_changes_nothing() -> None:
    async with World(early("ringback")) as world:
        call = world.caller.call()
        world.network.lost = lambda sender, message: is_plain_prack(message)
        call.offers_in_prack = sdp(codecs=("18 G729/8000",), version=2)
        await world.pass_time(1)
        assert [a.body for a in world.network.responses(200, "PRACK")][-1] == b""
        assert world.leg.remote.port == 4000
        world.take_call()
        await world.pass_time(0.1)
        assert call.statuses == [183, 200]
        assert call.answer == call.early[0][1]


@pytest.mark.rfc(3311, "5.2")
@in_virtual_time
async def test_an_update_before_the_answer_moves_the_sound() -> None:
    async with World(early("ringback")) as world:
        call = await world.place()
        offer = sdp(port=4300, version=2)
        call.party.stack.perform(lambda now: call.session.update(offer, now=now))
        await world.pass_time(0.5)
        assert [len(a.body) > 0 for a in world.network.responses(200, "UPDATE")] == [True]
        assert world.leg.remote.port == 4300
        world.take_call()
        await world.pass_time(0.1)
        assert call.statuses == [183, 200]
        # Our side of it has not changed, so the 200 says what the 183 said.
        assert call.answer == call.early[0][1]
        assert world.leg.remote.port == 4300


@in_virtual_time
async def test_the_media_timeout_of_the_ringing_is_none_of_the_calls() -> None:
    trunk = "media_timeout = 5\n"
    async with World(early("ringback", trunk=trunk, route="ring_timeout = 30\n")) as world:
        call = await world.place()
        await world.pass_time(12)
        world.take_call()
        await world.pass_time(4)
        assert call.statuses == [183, 200]
        assert world.records == []
        await world.pass_time(2)
        assert [record.end_reason for record in world.records] == ["media_timeout"]


@pytest.mark.parametrize("route", ["", 'early_media = "ringback"\n'])
@pytest.mark.parametrize("is_ready", [False, True])
@in_virtual_time
async def test_an_agent_that_hangs_up_while_it_rings_does_not_take_the_call(route: str, is_ready: bool) -> None:
    async with World(OFFHOOK + 'answer = "first-audio"\n' + route) as world:
        call = await world.place()
        world.wire.accept()
        if is_ready:
            world.wire.says(type="ready")
        await world.pass_time(1)
        world.wire.says(type="hangup", reason="closed")
        await world.pass_time(0.1)
        assert call.statuses[-1] == 603
        await world.pass_time(70)
        [record] = world.records
        assert (record.end_reason, record.end_detail) == ("agent_rejected", "the agent asked to hang up: closed")
        world.assert_nothing_left()


@in_virtual_time
async def test_an_agent_that_says_one_thing_and_hangs_up_is_heard_to_its_end() -> None:
    async with World(early("ringback", route='answer = "first-audio"\n')) as world:
        call = await world.place()
        world.take_call()
        world.wire.speaks(4.0)
        world.wire.says(type="hangup")
        await world.pass_time(3)
        assert call.statuses == [183, 200]
        assert call.bye is None
        await world.pass_time(3)
        assert call.bye is not None
        assert world.leg.played[-1][1] == 4.0
        await world.pass_time(1)
        assert world.records[0].end_reason == "agent_hung_up"


def ringing(world: World) -> dict[str, object]:
    """What the agent was told while the phone rings."""
    [message] = [said for said in world.wire.said if said["type"] == "ringing"]
    return message


@pytest.mark.parametrize(
    ("offer", "supported", "promised"),
    [(b"", (), True), (None, ("100rel",), True), (None, (), False)],
)
@in_virtual_time
async def test_an_agent_is_promised_early_media_only_where_there_can_be_some(
    offer: bytes | None, supported: tuple[str, ...], promised: bool
) -> None:
    async with World(early("agent")) as world:
        caller = await world.party(CALLER, UserAgentConfig(supported=supported))
        call = await world.place(caller, offer=offer)
        world.wire.accept()
        await world.pass_time(0.1)
        assert ringing(world)["early_media"] is promised
        world.wire.speaks(1.0)
        await world.pass_time(1)
        assert call.statuses == ([180, 183] if promised else [180])
        call.hang_up()
        await world.pass_time(1)
        assert ("the agent is heard before the answer" in notes(world.timelines[0])) is promised


@in_virtual_time
async def test_the_agent_counts_as_heard_early_once_the_prack_says_where() -> None:
    async with World(early("agent")) as world:
        call = await world.place(offer=None, headers=(("Supported", "100rel"),))
        world.network.lost = lambda sender, message: isinstance(message, Request) and message.method == "PRACK"
        world.wire.accept()
        world.wire.speaks(1.0)
        await world.pass_time(1)
        assert call.statuses == [180, 183]
        call.hang_up()
        await world.pass_time(1)
        assert "the agent is heard before the answer" not in notes(world.timelines[0])
        await world.pass_time(70)
        world.assert_nothing_left()


@pytest.mark.parametrize("setting", ["ringback", "agent"])
@in_virtual_time
async def test_who_arrives_on_hold_hears_nothing_early_until_it_listens(setting: str) -> None:
    async with World(early(setting)) as world:
        call = await world.place(offer=sdp(way="inactive"))
        world.wire.accept()
        world.wire.speaks(2.0)
        await world.pass_time(3)
        assert call.statuses[-1] == 183
        assert world.leg.played == []
        call.update(sdp(version=2))
        await world.pass_time(1)
        assert world.leg.played
        assert world.leg.wire is (world.wire if setting == "agent" else None)
        call.hang_up()
        await world.pass_time(70)
        world.assert_nothing_left()


@pytest.mark.rfc(3311, "5.1")
@in_virtual_time
async def test_a_hold_while_it_rings_stops_the_ringback_until_it_ends() -> None:
    async with World(early("ringback")) as world:
        call = await world.place(headers=(("Supported", "100rel"),))
        await world.pass_time(2)
        call.update(sdp(way="sendonly", version=2))
        await world.pass_time(6)
        assert world.leg.waiting == 0
        call.update(sdp(version=3))
        await world.pass_time(6)
        assert world.leg.waiting > 0, "it rings again"
        call.update(sdp(way="sendonly", version=4))
        await world.pass_time(1)
        world.take_call()
        await world.pass_time(1)
        assert call.statuses == [183, 200]
        assert world.wire.said_types == ["ringing", "start", "held"]
        world.wire.speaks(2.0)
        await world.pass_time(1)
        assert world.leg.waiting == 2.0
        call.reinvite(sdp(version=5))
        await world.pass_time(3)
        assert world.leg.played[-1][1] == 2.0
        assert world.wire.said_types[-1] == "resumed"
        call.hang_up()
        await world.pass_time(70)
        assert "sound before the answer: ringback" in notes(world.timelines[0])
        world.assert_nothing_left()


@in_virtual_time
async def test_keys_pressed_before_the_answer_are_taken() -> None:
    async with World(early("ringback")) as world:
        call = await world.place(headers=(("Supported", "100rel"),))
        world.leg.keys("5")
        call.info("application/dtmf-relay", b"Signal=7\r\nDuration=100\r\n")
        await world.pass_time(0.5)
        assert [digit for digit, _, _ in world.leg.pressed] == ["5", "7"]
        assert call.statuses == [183]
        world.take_call()
        await world.pass_time(0.5)
        assert call.statuses == [183, 200]
        call.hang_up()
        await world.pass_time(70)
        pressed = [entry for entry in notes(world.timelines[0], "media") if entry.startswith("DTMF digit")]
        assert pressed == ["DTMF digit as telephone event", "DTMF digit by INFO"]
        world.assert_nothing_left()


@in_virtual_time
async def test_an_agent_that_declines_in_words_is_heard_and_then_the_call_is_refused() -> None:
    async with World(early("agent")) as world:
        call = await world.place()
        world.wire.accept()
        world.wire.speaks(3.0)
        await world.pass_time(0.5)
        world.wire.hangs_up()
        await world.pass_time(1)
        assert call.statuses == [180, 183]
        await world.pass_time(2)
        assert call.statuses == [180, 183, 603]
        await world.pass_time(70)
        assert [record.end_reason for record in world.records] == ["agent_rejected"]
        world.assert_nothing_left()
