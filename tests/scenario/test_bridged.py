"""A call that comes in goes on to a number: two calls, each the other's agent, and what crosses between them."""

from typing import Any

import pytest
from tests.support.carrier import CALLEE, CARRIER, OURS, CalledPhone, CarrierWorld
from tests.support.clock import in_virtual_time
from tests.support.media import FakeLeg
from tests.support.world import CALLER, ECHO, GATEWAY, PhoneCall, notes, sdp

from offhook.report.record import CallRecord
from offhook.report.timeline import Timeline

pytestmark = pytest.mark.scenario

OUT = f"""
[[trunk]]
name = "out"
host = "{CARRIER}"
country = "US"
caller_id = ["{OURS}", "+14155550101"]
dial_to = ["+1*", "desk"]
"""

CONFIG = ECHO.replace('"echo:"', f'"tel:{CALLEE}"') + OUT


class BridgingWorld(CarrierWorld):
    """A gateway whose calls go on to a number, by the trunk of a carrier whose phones are in the test's hand."""

    def __init__(self, config: str = CONFIG, **options: Any) -> None:
        super().__init__(config, **options)

    async def ringing(self, **options: Any) -> tuple[PhoneCall, CalledPhone]:
        """A call that has reached whom it goes on to, whose phone rings."""
        call = await self.place(**options)
        assert self.carrier.calls, (call.statuses, self.records)
        phone = self.carrier.calls[-1]
        phone.ring()
        await self.pass_time(1)
        return call, phone

    async def talking(self, **options: Any) -> tuple[PhoneCall, CalledPhone]:
        """Two who speak with each other."""
        call, phone = await self.ringing(**options)
        phone.answer()
        phone.answers_reinvites = sdp(host=CARRIER, version=9)
        await self.pass_time(0.2)
        assert call.is_answered
        return call, phone

    async def plays(self, leg: FakeLeg, seconds: float) -> None:
        """Packets come on a leg, 50 a second."""
        for _ in range(round(seconds * 10)):
            leg.packets += 5
            await self.pass_time(0.1)

    async def of(self, direction: str) -> tuple[CallRecord, Timeline]:
        """The record of the first call (`inbound`) or of the second one (`outbound`), and its timeline."""
        await self.pass_time(1)
        [found] = [(record, timeline) for record, timeline in self.book.finished if record.direction == direction]
        return found

    @property
    def held_by_us(self) -> list[bool]:
        """Whether the gateway holds the caller, and whom it called."""
        return [call.leg.holds for call in self.switchboard._calls.values()]

    async def is_clean(self) -> None:
        await self.pass_time(45)
        self.assert_nothing_left()
        assert len(self.signalling.placing.loops) == 0


@in_virtual_time
async def test_a_call_goes_on_to_a_number_and_the_two_hear_each_other() -> None:
    async with BridgingWorld() as world:
        call, phone = await world.ringing()
        assert str(phone.request.request_uri) == f"sip:{CALLEE}@{CARRIER}"
        assert call.statuses == [180]
        assert not call.is_answered
        phone.answer()
        await world.pass_time(0.2)
        assert call.is_answered
        first, second = world.engine.legs
        assert (first.hears_leg, second.hears_leg) == (second, first)
        assert first.started_at is not None
        assert second.started_at is not None
        await world.pass_time(10)
        phone.hang_up()
        await world.pass_time(0.2)
        assert call.bye is not None
        inbound, timeline = await world.of("inbound")
        outbound, _ = await world.of("outbound")
        assert (inbound.end_reason, outbound.end_reason) == ("partner_hung_up", "callee_hung_up")
        assert (inbound.destination, outbound.destination) == (f"tel:{CALLEE}", f"call:{inbound.call_id}")
        assert (inbound.bridged_to, outbound.bridged_from) == (outbound.call_id, inbound.call_id)
        assert (inbound.bridged_from, outbound.bridged_to) == (None, None)
        assert (outbound.trunk, outbound.from_number, outbound.to_number) == ("out", OURS, CALLEE)
        assert inbound.billable_seconds == outbound.billable_seconds == 11
        assert f"call {outbound.call_id} goes out by trunk 'out'" in notes(timeline, "agent")
        assert inbound.end_detail.startswith(f"call {outbound.call_id}: callee_hung_up")
        await world.is_clean()


@pytest.mark.parametrize(
    ("status", "said", "ending"),
    [
        (486, 486, "callee_busy"),
        (600, 600, "callee_busy"),
        (603, 603, "callee_refused"),
        (404, 404, "callee_unknown"),
        (480, 480, "no_answer"),
        # What the trunk says of us is nothing that the caller could change.
        (403, 603, "callee_refused"),
        (401, 502, "trunk_auth_failed"),
        (302, 502, "trunk_failed"),
        (503, 502, "trunk_failed"),
    ],
)
@in_virtual_time
async def test_whom_it_goes_on_to_refuses_and_so_is_the_caller(status: int, said: int, ending: str) -> None:
    async with BridgingWorld() as world:
        call, phone = await world.ringing()
        phone.refuse(status, headers=(("Reason", 'Q.850;cause=34;text="no circuit"'),))
        await world.pass_time(0.2)
        assert call.statuses == [180, said]
        assert call.response is not None
        assert call.response.headers.get_all("Reason") == ('Q.850;cause=34;text="no circuit"',)
        inbound, outbound = (await world.of("inbound"))[0], (await world.of("outbound"))[0]
        assert (inbound.end_reason, inbound.sip_status) == (ending, said)
        assert (outbound.end_reason, outbound.sip_status) == (ending, status)
        assert inbound.bridged_to == outbound.call_id
        await world.is_clean()


@in_virtual_time
async def test_nobody_answers_in_the_ringing_time_of_the_route() -> None:
    async with BridgingWorld(CONFIG.replace('destination = "tel', 'ring_timeout = 15\ndestination = "tel')) as world:
        call, phone = await world.ringing()
        await world.pass_time(15)
        assert phone.cancel is not None
        assert call.statuses == [180, 480]
        assert [(await world.of(way))[0].end_reason for way in ("inbound", "outbound")] == ["no_answer", "no_answer"]
        await world.is_clean()


@in_virtual_time
async def test_a_caller_who_gives_up_takes_the_other_call_along() -> None:
    async with BridgingWorld() as world:
        call, phone = await world.ringing()
        call.hang_up()
        await world.pass_time(0.2)
        assert phone.cancel is not None
        assert call.statuses == [180, 487]
        assert [(await world.of(way))[0].end_reason for way in ("inbound", "outbound")] == [
            "caller_cancelled",
            "dial_cancelled",
        ]
        await world.is_clean()


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.004, 0.006, 0.008, 0.011, 0.016, 0.03])
@in_virtual_time
async def test_a_cancel_that_crosses_the_answer_leaves_nobody_behind(delay: float) -> None:
    async with BridgingWorld() as world:
        call, phone = await world.ringing()
        phone.answer()
        await world.pass_time(delay)
        call.hang_up()
        await world.pass_time(1)
        assert call.is_over
        assert phone.bye is not None or phone.cancel is not None
        assert phone.session.is_over
        assert len(world.records) == 2
        await world.is_clean()


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.005, 0.007, 0.02])
@in_virtual_time
async def test_both_hang_up_at_once(delay: float) -> None:
    async with BridgingWorld() as world:
        call, phone = await world.talking()
        call.hang_up()
        await world.pass_time(delay)
        if phone.bye is None:
            phone.hang_up()
        await world.pass_time(1)
        inbound, outbound = (await world.of("inbound"))[0], (await world.of("outbound"))[0]
        assert inbound.end_reason == "caller_hung_up"
        assert outbound.end_reason in ("callee_hung_up", "partner_hung_up")
        await world.is_clean()


@in_virtual_time
async def test_the_cause_that_one_side_gives_reaches_the_other() -> None:
    async with BridgingWorld() as world:
        call, phone = await world.talking()
        phone.hang_up((("Reason", 'Q.850;cause=27;text="out of order"'),))
        await world.pass_time(0.2)
        assert call.bye is not None
        assert call.bye.headers.get_all("Reason") == ('Q.850;cause=27;text="out of order"',)
        await world.is_clean()


@in_virtual_time
async def test_who_is_held_hears_it_and_both_may_hold() -> None:
    async with BridgingWorld() as world:
        call, phone = await world.talking()
        first, second = world.engine.legs
        phone.answers_reinvites = sdp(host=CARRIER, way="recvonly", version=4)
        call.reinvite(sdp(way="sendonly", version=2))
        await world.pass_time(0.2)
        assert world.held_by_us == [False, True]
        call.acknowledges = sdp(way="inactive", version=3)
        phone.reinvite(sdp(host=CARRIER, way="inactive", version=5))
        await world.pass_time(0.2)
        assert world.held_by_us == [True, True]
        # Who holds answers an offer without giving up the hold.
        phone.answers_reinvites = sdp(host=CARRIER, way="inactive", version=6)
        call.reinvite(sdp(version=4))
        await world.pass_time(0.2)
        assert world.held_by_us == [True, False]
        call.acknowledges = sdp(version=5)
        phone.reinvite(sdp(host=CARRIER, version=7))
        await world.pass_time(0.2)
        assert world.held_by_us == [False, False]
        assert (first.remote.hold, second.remote.hold) == (False, False)
        assert (first.hears_leg, second.hears_leg) == (second, first)
        call.hang_up()
        assert (await world.of("inbound"))[0].media["holds"] >= 2
        await world.is_clean()


@pytest.mark.rfc(3264, "8.4")
@pytest.mark.parametrize("holder", ["caller", "callee"])
@in_virtual_time
async def test_who_is_held_hears_the_music_of_who_holds_as_long_as_it_comes(holder: str) -> None:
    async with BridgingWorld() as world:
        call, phone = await world.talking()
        legs = world.engine.legs
        holding, held = legs if holder == "caller" else reversed(legs)
        call.acknowledges = sdp(way="recvonly", version=3)
        phone.answers_reinvites = sdp(host=CARRIER, way="recvonly", version=4)
        if holder == "caller":
            call.reinvite(sdp(way="sendonly", version=2))
        else:
            phone.reinvite(sdp(host=CARRIER, way="sendonly", version=5))
        await world.pass_time(2)
        # Nothing comes: there is music of our own.
        assert (holding.remote.hold, held.remote.hold) == (True, True)
        await world.plays(holding, 1)
        assert (holding.remote.hold, holding.remote.receive, holding.remote.send) == (False, True, False)
        assert (held.remote.hold, held.remote.send, held.remote.receive) == (False, True, False)
        assert held.hears_leg is holding
        # It ends before the hold does; who holds is not taken for dead.
        await world.pass_time(200)
        assert (holding.remote.hold, held.remote.hold) == (True, True)
        await world.plays(holding, 1)
        assert (holding.remote.hold, held.remote.hold) == (False, False)
        call.acknowledges = sdp(version=5)
        phone.answers_reinvites = sdp(host=CARRIER, version=6)
        if holder == "caller":
            call.reinvite(sdp(version=4))
        else:
            phone.reinvite(sdp(host=CARRIER, version=7))
        await world.plays(holding, 1)
        assert [(leg.remote.hold, leg.remote.send, leg.remote.receive) for leg in legs] == [(False, True, True)] * 2
        call.hang_up()
        _, timeline = await world.of("inbound" if holder == "caller" else "outbound")
        assert [note for note in notes(timeline, "media") if note.startswith("who is held")] == [
            "who is held hears what comes from who holds",
            "who is held hears the gateway's music, as nothing comes from who holds",
            "who is held hears what comes from who holds",
        ]
        await world.is_clean()


@pytest.mark.parametrize("way", ["inactive", "both"])
@in_virtual_time
async def test_nothing_is_heard_of_who_holds_without_music_or_of_two_who_hold_each_other(way: str) -> None:
    async with BridgingWorld() as world:
        call, phone = await world.talking()
        first, second = world.engine.legs
        phone.answers_reinvites = sdp(host=CARRIER, way="recvonly", version=4)
        call.reinvite(sdp(way="sendonly", version=2))
        await world.plays(first, 1)
        assert (first.remote.hold, second.remote.hold) == (False, False)
        call.acknowledges = sdp(way="inactive", version=3)
        if way == "both":
            phone.reinvite(sdp(host=CARRIER, way="inactive", version=5))
        else:
            call.reinvite(sdp(way="inactive", version=3))
        for leg in (first, second):
            await world.plays(leg, 1)
        assert (first.remote.hold, second.remote.hold) == (True, True)
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_what_is_heard_before_the_answer_is_heard_where_the_route_wishes() -> None:
    early = CONFIG.replace('destination = "tel', 'early_media = "agent"\ndestination = "tel')
    async with BridgingWorld(early) as world:
        call = await world.place()
        phone = world.carrier.calls[-1]
        phone.ring(183, sdp(host=CARRIER, port=4100))
        await world.pass_time(0.5)
        assert call.statuses == [180, 183]
        assert call.early[-1][1]
        first, second = world.engine.legs
        assert (first.hears_leg, second.hears_leg) == (second, None)
        phone.answer(sdp(host=CARRIER, port=4100))
        await world.pass_time(0.2)
        assert (first.hears_leg, second.hears_leg) == (second, first)
        call.hang_up()
        await world.pass_time(1)
        assert phone.bye is not None
        await world.is_clean()


@in_virtual_time
async def test_without_that_wish_the_caller_hears_ringing() -> None:
    async with BridgingWorld() as world:
        call = await world.place()
        world.carrier.calls[-1].ring(183, sdp(host=CARRIER, port=4100))
        await world.pass_time(0.5)
        assert call.statuses == [180]
        assert world.engine.legs[0].hears_leg is None
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_nothing_of_one_side_leaks_to_the_other() -> None:
    own = CONFIG.replace('destination = "tel', 'pass_headers = ["X-Ticket", "Subject"]\ndestination = "tel')
    secrets = (
        ("X-Ticket", "4711"),
        ("X-Inner", "10.0.0.7"),
        ("Subject", "billing"),
        ("Organization", "inner"),
        ("User-to-User", "56a390;encoding=hex"),
        ("P-Asserted-Identity", "<sip:+14155550199@10.0.0.7>"),
        ("Record-Route", "<sip:10.0.0.7;lr>"),
    )
    async with BridgingWorld(own) as world:
        call, phone = await world.talking(headers=secrets)
        invite = phone.request
        text = bytes(invite).decode()
        for word in (
            CALLER,
            "10.0.0.7",
            call.session.sip_call_id,
            "User-Agent: phone",
            call.session.local_tag,
            "inner",
            "56a390",
        ):
            assert word not in text, word
        assert (invite.headers.get("X-Ticket"), invite.headers.get("Subject")) == ("4711", "billing")
        assert invite.headers.get("User-Agent") == "offhook/1"
        answer = bytes(call.response or b"").decode()
        for word in (CARRIER, "carrier/1", phone.session.sip_call_id):
            assert word not in answer, word
        call.hang_up()
        await world.is_clean()


@pytest.mark.rfc(3261, "16.6")
@in_virtual_time
async def test_the_hops_are_counted_on_and_end() -> None:
    async with BridgingWorld() as world:
        call, phone = await world.ringing(max_forwards=12)
        assert phone.request.max_forwards == 11
        call.hang_up()
        await world.pass_time(1)
        last = await world.place(max_forwards=1)
        await world.pass_time(1)
        assert last.statuses[-1] == 483
        assert len(world.carrier.calls) == 1
        assert world.records[-1].end_reason == "loop_detected"
        assert "Max-Forwards" in world.records[-1].end_detail
        await world.is_clean()


@pytest.mark.rfc(7989, "6")
@in_virtual_time
async def test_a_session_has_one_id_from_end_to_end_and_is_known_when_it_comes_back() -> None:
    async with BridgingWorld() as world:
        call, phone = await world.ringing()
        said = phone.request.session_id
        assert said is not None
        assert said.local == call.session.letterhead.session_id.local
        back = await world.place(headers=(("Session-ID", f"{said.local};remote={'0' * 32}"),))
        await world.pass_time(0.2)
        assert back.statuses[-1] == 482
        assert len(world.carrier.calls) == 1
        phone.answer()
        await world.pass_time(0.2)
        assert call.is_answered
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_a_circle_whose_marks_are_lost_comes_to_its_end() -> None:
    async with BridgingWorld() as world:
        calls = [await world.place() for _ in range(7)]
        await world.pass_time(0.2)
        assert [call.statuses[-1] for call in calls] == [180] * 5 + [482] * 2
        assert len(world.carrier.calls) == 5
        for call in calls[:5]:
            call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_what_no_trunk_may_dial_is_not_dialled_for_a_caller_either() -> None:
    async with BridgingWorld(CONFIG.replace(CALLEE, "+442071838750")) as world:
        call = await world.place()
        await world.pass_time(0.2)
        assert call.statuses[-1] == 403
        assert world.carrier.calls == []
        inbound, outbound = (await world.of("inbound"))[0], (await world.of("outbound"))[0]
        assert (inbound.end_reason, outbound.end_reason) == ("dial_refused", "dial_refused")
        assert "dial_not_listed" in inbound.end_detail
        assert inbound.bridged_to == outbound.call_id
        await world.is_clean()


@in_virtual_time
async def test_a_sip_address_goes_by_the_trunk_that_has_its_host() -> None:
    async with BridgingWorld(CONFIG.replace(f"tel:{CALLEE}", f"sip:desk@{CARRIER}")) as world:
        call, phone = await world.talking()
        assert str(phone.request.request_uri) == f"sip:desk@{CARRIER}"
        call.hang_up()
        await world.pass_time(1)
        assert (await world.of("outbound"))[0].to_number == "desk"
        await world.is_clean()
    async with BridgingWorld(CONFIG.replace(f"tel:{CALLEE}", "sip:desk@elsewhere.example")) as world:
        call = await world.place()
        await world.pass_time(0.2)
        assert call.statuses[-1] == 403
        assert "elsewhere.example" in (await world.of("inbound"))[0].end_detail
        await world.is_clean()


@in_virtual_time
async def test_a_person_follows_an_agent_that_is_lost_and_an_agent_a_person_who_is_busy() -> None:
    agent = CONFIG.replace(f'"tel:{CALLEE}"', '"ws://agent.example/voice"')
    to_person = agent.replace(OUT, f'fallback = [{{ on = ["lost", "refused"], to = "tel:{CALLEE}" }}]\n{OUT}')
    async with BridgingWorld(to_person) as world:
        call = await world.place_answered()
        world.wire.ends(1011, "crashed")
        await world.pass_time(0.2)
        phone = world.carrier.calls[-1]
        phone.answer()
        await world.pass_time(0.2)
        first, second = world.engine.legs
        assert (first.hears_leg, second.hears_leg) == (second, first)
        assert not call.is_over
        call.hang_up()
        await world.pass_time(1)
        assert (await world.of("inbound"))[0].destination == f"tel:{CALLEE}"
        assert phone.bye is not None
        await world.is_clean()
    to_echo = CONFIG.replace(OUT, f'fallback = [{{ on = ["refused"], to = "echo:" }}]\n{OUT}')
    async with BridgingWorld(to_echo) as world:
        call, phone = await world.ringing()
        phone.refuse(486)
        await world.pass_time(0.2)
        assert call.is_answered
        assert world.engine.legs[0].echoing
        call.hang_up()
        await world.pass_time(1)
        assert "echo: took the call" in (await world.of("inbound"))[0].end_detail
        await world.is_clean()


@in_virtual_time
async def test_one_side_changes_its_codec_and_the_other_hears_on() -> None:
    async with BridgingWorld() as world:
        call, phone = await world.talking()
        first, second = world.engine.legs
        before = len(phone.carrier.network.requests("INVITE"))
        call.reinvite(sdp(codecs=["8 PCMA/8000"], version=2))
        await world.pass_time(0.2)
        assert first.remote.codec == "PCMA"
        assert second.remote.codec == "PCMU"
        assert (first.hears_leg, second.hears_leg) == (second, first)
        # The other side is asked for nothing.
        assert len(phone.carrier.network.requests("INVITE")) == before + 1
        call.hang_up()
        await world.is_clean()


@in_virtual_time
async def test_both_sides_change_something_at_once() -> None:
    async with BridgingWorld() as world:
        call, phone = await world.talking()
        first, second = world.engine.legs
        call.acknowledges = sdp(way="inactive", version=3)
        phone.answers_reinvites = sdp(host=CARRIER, way="inactive", version=6)
        call.reinvite(sdp(way="sendonly", version=2))
        phone.reinvite(sdp(host=CARRIER, way="sendonly", version=5))
        await world.pass_time(10)
        assert world.held_by_us == [True, True]
        call.acknowledges = sdp(version=5)
        phone.answers_reinvites = sdp(host=CARRIER, version=8)
        call.reinvite(sdp(version=4))
        phone.reinvite(sdp(host=CARRIER, version=7))
        await world.pass_time(10)
        assert world.held_by_us == [False, False]
        assert (first.hears_leg, second.hears_leg) == (second, first)
        call.hang_up()
        assert len(world.records) == 0
        await world.is_clean()
        assert len(world.records) == 2


@in_virtual_time
async def test_what_ends_one_of_them_by_its_length_ends_both() -> None:
    short = CONFIG.replace('name = "out"', 'name = "out"\nmax_duration = 30')
    async with BridgingWorld(short) as world:
        call, phone = await world.talking()
        await world.pass_time(30)
        assert call.bye is not None
        assert phone.bye is not None
        assert [(await world.of(way))[0].end_reason for way in ("inbound", "outbound")] == [
            "max_duration",
            "max_duration",
        ]
        await world.is_clean()


@in_virtual_time
async def test_silence_of_one_of_them_ends_both_and_the_records_say_whose() -> None:
    quick = CONFIG.replace('name = "out"', 'name = "out"\nmedia_timeout = 20')
    async with BridgingWorld(quick) as world:
        call, _ = await world.talking()
        await world.pass_time(25)
        assert call.bye is not None
        inbound, outbound = (await world.of("inbound"))[0], (await world.of("outbound"))[0]
        assert (inbound.end_reason, outbound.end_reason) == ("partner_lost", "media_timeout")
        assert outbound.call_id in inbound.end_detail
        await world.is_clean()


@pytest.mark.parametrize("which", range(12))
@in_virtual_time
async def test_a_message_that_gets_lost_changes_nothing(which: int) -> None:
    """Each message of the set-up once: repetitions bring it through."""
    async with BridgingWorld() as world:
        seen = 0

        def lost(sender: str, message: Any) -> bool:
            nonlocal seen
            seen += 1
            return seen == which + 1

        world.network.lost = lost
        call = await world.place()
        await world.pass_time(2)
        phone = world.carrier.calls[-1]
        phone.ring()
        await world.pass_time(1)
        phone.answer()
        await world.pass_time(3)
        assert call.is_answered
        first, second = world.engine.legs
        assert (first.hears_leg, second.hears_leg) == (second, first)
        call.hang_up()
        await world.pass_time(3)
        assert phone.bye is not None
        await world.is_clean()


@in_virtual_time
async def test_who_called_does_not_send_on_whom_it_reached() -> None:
    may = f'name = "acme"\nhost = "{CALLER}"\ncaller_id = "{OURS}"\nrefer = "accept"\nrefer_to = "+1*"'
    async with BridgingWorld(CONFIG.replace('name = "acme"', may)) as world:
        call, _ = await world.talking()
        ask = (("Refer-To", "<tel:+14155550155>"),)
        call.party.stack.perform(lambda now: call.session.ask("REFER", ask, now=now))
        await world.pass_time(0.2)
        sent = [m for _, sender, m in world.network.log if sender == GATEWAY and hasattr(m, "status")]
        assert [m.status for m in sent if m.cseq.method == "REFER"] == [603]
        assert not call.is_over
        call.hang_up()
        await world.is_clean()


@pytest.mark.parametrize(
    ("settings", "caller", "shown", "beside"),
    [
        ("", "+14155550199", OURS, {}),
        # One of ours is shown as it is.
        ("", "+14155550101", "+14155550101", {}),
        ("pass_caller = true", "+14155550199", "+14155550199", {"Diversion": OURS}),
        (
            "pass_caller = true\nassert_identity = true",
            "+14155550199",
            "+14155550199",
            {"Diversion": OURS, "P-Asserted-Identity": OURS},
        ),
        ("pass_caller = true", "anonymous", "anonymous", {"P-Asserted-Identity": OURS, "Privacy": "id"}),
        ("", "anonymous", OURS, {}),
        ("pass_caller = true", "a%22%3e%0d%0ab", OURS, {}),
    ],
)
@in_virtual_time
async def test_whose_number_is_shown(settings: str, caller: str, shown: str, beside: dict[str, str]) -> None:
    async with BridgingWorld(CONFIG.replace('name = "out"', f'name = "out"\n{settings}')) as world:
        call, phone = await world.ringing(from_=f"<sip:{caller}@{CALLER}>")
        invite = phone.request
        assert getattr(invite.from_.uri, "user", None) == shown
        for name in ("Diversion", "P-Asserted-Identity", "Privacy"):
            assert (beside.get(name) is None) == (invite.headers.get(name) is None), name
            assert beside.get(name, "") in (invite.headers.get(name) or "")
        assert CALLER not in bytes(invite).decode()
        call.hang_up()
        assert (await world.of("outbound"))[0].from_number == (OURS if shown == "anonymous" else shown)
        await world.is_clean()
