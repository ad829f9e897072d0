"""A call is handed over to another agent: what both are told, what the caller hears, and what may cross it."""

from typing import Any

import pytest
from tests.support.clock import in_virtual_time
from tests.support.media import FakeWire
from tests.support.world import OFFHOOK, PhoneCall, World, notes, sdp

pytestmark = pytest.mark.scenario

OTHER = "ws://other.example/voice"
ALLOWED = OFFHOOK + f'hand_over_to = ["{OTHER}", "agent:*"]\nring_timeout = 5\n'
FALLBACK = ALLOWED + 'fallback = [{ on = ["lost"], to = "echo:" }]\n'
AGENT = """
[[agent]]
name = "colleague"
kind = "offhook"
url = "ws://colleague.example/"
max_calls = 1
"""


def told(wire: FakeWire) -> list[dict[str, Any]]:
    """What an agent was told of its hand-overs."""
    return [message for message in wire.said if message.get("type") == "handed_over"]


def outcome(wire: FakeWire) -> str:
    """What the one hand-over of an agent came to."""
    [result] = told(wire)
    return str(result["outcome"])


async def handing_over(world: World, **message: Any) -> tuple[PhoneCall, FakeWire]:
    """A call in progress whose agent has just asked for a hand-over; the other agent is being dialled."""
    call = await world.place_answered()
    first = world.wire
    first.says(type="hand_over", **({"to": OTHER} | message))
    await world.pass_time(0.05)
    return call, first


async def joined(world: World) -> FakeWire:
    """The other agent takes the call."""
    other = world.wire
    other.accept()
    other.says(type="ready")
    await world.pass_time(0.1)
    assert world.leg.wire is other
    return other


@in_virtual_time
async def test_the_other_agent_gets_the_call_with_facts_note_and_what_was_heard() -> None:
    async with World(ALLOWED) as world:
        call = await world.place_answered()
        first = world.wire
        first.says(type="transcript", who="agent", id="a1", text="Hello, how can I help", final=True, interrupted=True)
        first.says(type="transcript", who="caller", id="c1", text="I want my", final=False)
        first.says(type="transcript", who="caller", id="c1", text="I want my money back.", final=True)
        first.says(type="transcript", who="caller", id="c2", text="Um.", final=True)
        first.says(type="transcript", who="caller", id="c2", text="", final=True)
        first.says(type="hand_over", to=OTHER, note="wants a refund")
        await world.pass_time(0.05)
        other = await joined(world)
        ringing, start = other.said[:2]
        assert ringing["call_id"] == first.said[0]["call_id"]
        assert ringing["handed_over"] == {"by": "ws://agent.example/voice?…", "note": "wants a refund"}
        assert ringing["history"] == [
            {"who": "agent", "text": "Hello, how can I help", "interrupted": True},
            {"who": "caller", "text": "I want my money back."},
        ]
        assert start["type"] == "start"
        assert outcome(first) == "handed_over"
        assert (first.said[-1]["type"], first.said[-1]["reason"]) == ("end", "handed_over")
        assert first.close_asked == (1000, "handed_over")
        assert call.bye is None
        assert call.statuses == [180, 200], "the caller's phone has noticed nothing"
        assert len(world.engine.legs) == 1, "one leg, so one SSRC and one clock"
        other.hangs_up()
        await world.pass_time(2)
        [record] = world.records
        assert (record.end_reason, record.destination) == ("agent_hung_up", OTHER)
        assert record.hand_over["outcome"] == "handed_over"
        assert (record.hand_over["to"], record.hand_over["by"]) == (OTHER, "ws://agent.example/voice?…")
        said = notes(world.timelines[0], "agent")
        assert f"the agent hands the call over to {OTHER}" in said
        assert f"the hand-over to {OTHER}: handed over" in said
        await world.pass_time(35)
        world.assert_nothing_left()


@in_virtual_time
async def test_what_was_said_last_is_played_first_and_what_comes_after_it_is_not() -> None:
    async with World(ALLOWED) as world:
        _, first = await handing_over(world)
        first.speaks(3.0)
        other = world.wire
        other.accept()
        other.says(type="ready")
        other.speaks(1.0)
        await world.pass_time(2.5)
        assert world.leg.wire is first, "three seconds are not over"
        assert outcome_or_none(first) is None
        await world.pass_time(1.0)
        assert world.leg.wire is other
        assert world.leg.waiting > 0, "what the other one has said meanwhile is heard now"
        assert outcome(first) == "handed_over"


@in_virtual_time
async def test_an_agent_that_never_stops_speaking_is_cut_off() -> None:
    async with World(ALLOWED) as world:
        _, first = await handing_over(world)
        first.speaks(100.0)
        other = world.wire
        other.accept()
        other.says(type="ready")
        await world.pass_time(29)
        assert world.leg.wire is first
        await world.pass_time(2)
        assert world.leg.wire is other
        assert world.leg.waiting == 0
        assert outcome(first) == "handed_over"


@in_virtual_time
async def test_a_star_stands_for_agents_of_the_file_alone() -> None:
    async with World(OFFHOOK + 'hand_over_to = "*"\n' + AGENT) as world:
        _, first = await handing_over(world, to="ws://evil.example/")
        assert outcome(first) == "not_allowed"
        first.says(type="hand_over", to="agent:colleague")
        await world.pass_time(0.05)
        await joined(world)


def outcome_or_none(wire: FakeWire) -> str | None:
    return outcome(wire) if told(wire) else None


@pytest.mark.parametrize(
    ("to", "expected", "hint"),
    [
        ("ws://evil.example/?token=s3cret", "not_allowed", "`hand_over_to` of route"),
        ("worker:nobody", "not_allowed", "`hand_over_to` of route"),
        ("agent:nobody", "unreachable", ""),
        ("tel:+14155550142", "not_allowed", "transfer"),
        ("nonsense", "not_allowed", "agent:nonsense"),
    ],
)
@in_virtual_time
async def test_who_may_not_have_the_call_is_never_asked(to: str, expected: str, hint: str) -> None:
    async with World(ALLOWED) as world:
        call, first = await handing_over(world, to=to)
        [result] = told(first)
        assert result["outcome"] == expected
        assert hint in result["hint"]
        assert len(world.engine.wires) == 1
        assert world.leg.wire is first
        assert call.bye is None
        call.hang_up()
        await world.pass_time(1)
        assert "s3cret" not in str(world.records[0].hand_over) + str(notes(world.timelines[0]))


@in_virtual_time
async def test_without_a_word_in_the_route_nobody_may() -> None:
    async with World(OFFHOOK) as world:
        _, first = await handing_over(world)
        [result] = told(first)
        assert result["outcome"] == "not_allowed"
        assert f'hand_over_to = ["{OTHER}"]' in result["hint"]


@pytest.mark.parametrize(
    ("fails", "expected"),
    [
        (lambda wire: wire.refuse(403, "who are you?"), "unreachable"),
        (lambda wire: wire.fail("tcp", "connection refused"), "unreachable"),
        (lambda wire: (wire.accept(), wire.says(type="reject", status=486, reason="lunch")), "refused"),
        (lambda wire: (wire.accept(), wire.breaks()), "unreachable"),
        (lambda wire: None, "timed_out"),
    ],
)
@in_virtual_time
async def test_an_agent_that_nobody_takes_the_call_of_still_has_it(fails: Any, expected: str) -> None:
    async with World(ALLOWED) as world:
        call, first = await handing_over(world)
        fails(world.wire)
        await world.pass_time(6)
        assert outcome(first) == expected
        assert world.leg.wire is first
        assert call.bye is None
        # It may try again, and with success.
        first.says(type="hand_over", to=OTHER)
        await world.pass_time(0.05)
        await joined(world)
        assert [result["outcome"] for result in told(first)] == [expected, "handed_over"]
        call.hang_up()
        await world.pass_time(1)
        [record] = world.records
        assert [attempt["outcome"] for attempt in record.hand_over["earlier"]] == [expected]
        await world.pass_time(35)
        world.assert_nothing_left()


@in_virtual_time
async def test_an_agent_with_its_own_time_limit_is_given_that() -> None:
    async with World(ALLOWED) as world:
        _, first = await handing_over(world, timeout_ms=2000)
        assert world.wire.said == []
        world.wire.accept()
        await world.pass_time(0.05)
        assert world.wire.said[0]["ready_within_ms"] == 2000
        await world.pass_time(1.8)
        assert told(first) == []
        await world.pass_time(0.3)
        assert outcome(first) == "timed_out"
        assert world.wire.is_over


@in_virtual_time
async def test_no_capacity() -> None:
    async with World(ALLOWED + AGENT) as world:
        call, first = await handing_over(world, to="agent:colleague")
        await joined(world)
        second = await world.place_answered()
        another = world.wire
        another.says(type="hand_over", to="agent:colleague")
        await world.pass_time(0.1)
        assert outcome(another) == "no_capacity"
        assert outcome(first) == "handed_over"
        assert (call.bye, second.bye) == (None, None)


@in_virtual_time
async def test_a_caller_who_hangs_up_meanwhile_ends_it_for_both() -> None:
    async with World(ALLOWED) as world:
        call, first = await handing_over(world)
        other = world.wire
        other.accept()
        await world.pass_time(0.05)
        call.hang_up()
        await world.pass_time(1)
        assert outcome(first) == "caller_gone"
        assert first.said[-1]["reason"] == other.said[-1]["reason"] == "caller_hung_up"
        [record] = world.records
        assert (record.end_reason, record.hand_over["outcome"]) == ("caller_hung_up", "caller_gone")
        await world.pass_time(35)
        world.assert_nothing_left()


@pytest.mark.parametrize("leaves", ["hangs_up", "ends", "breaks"])
@in_virtual_time
async def test_an_agent_that_leaves_meanwhile_has_handed_the_call_over(leaves: str) -> None:
    async with World(FALLBACK) as world:
        call, first = await handing_over(world)
        getattr(first, leaves)()
        await world.pass_time(0.5)
        assert call.bye is None
        assert not world.leg.echoing, "the fallback is for a call that nobody has"
        other = await joined(world)
        assert not world.leg.echoing
        assert first.is_over
        await world.pass_time(5)
        assert call.bye is None
        other.hangs_up()
        await world.pass_time(1)
        assert call.bye is not None


@pytest.mark.parametrize(
    ("leaves", "reason"), [("hangs_up", "agent_hung_up"), ("ends", "agent_hung_up"), ("breaks", None)]
)
@in_virtual_time
async def test_an_agent_that_leaves_meanwhile_is_gone_when_nobody_takes_the_call(
    leaves: str, reason: str | None
) -> None:
    async with World(FALLBACK) as world:
        call, first = await handing_over(world)
        getattr(first, leaves)()
        await world.pass_time(0.1)
        world.wire.refuse(503)
        await world.pass_time(1)
        if reason is None:
            assert world.leg.echoing, "lost: the route's fallback has the call"
            assert call.bye is None
            return
        [record] = world.records
        assert record.end_reason == reason
        assert call.bye is not None


@in_virtual_time
async def test_a_hang_up_in_the_moment_of_the_join_is_not_the_other_agents() -> None:
    """What the media core has told of the old agent is taken when the join was decided already."""
    async with World(ALLOWED) as world:
        call, first = await handing_over(world)
        other = world.wire
        other.accept()
        other.says(type="ready")
        tell = world.engine.tell

        def crossing(kind: str, **fields: Any) -> None:
            tell(kind, **fields)
            if kind == "drained" and first.leg is world.leg and not told(first):
                tell("text", wire=first.id, text='{"type": "hangup"}')
                tell("hang_up_requested", leg=world.leg.id)

        world.engine.tell = crossing  # type: ignore[method-assign]
        await world.pass_time(2)
        assert world.leg.wire is other
        assert call.bye is None
        assert outcome(first) == "handed_over"
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].end_reason == "caller_hung_up"


@in_virtual_time
async def test_the_other_agent_lost_while_the_last_words_are_played_changes_nothing() -> None:
    async with World(ALLOWED) as world:
        call, first = await handing_over(world)
        first.speaks(2.0)
        other = world.wire
        other.accept()
        other.says(type="ready")
        await world.pass_time(0.5)
        other.breaks()
        await world.pass_time(0.1)
        assert outcome(first) == "unreachable"
        await world.pass_time(5)
        assert world.leg.wire is first
        assert call.bye is None


@in_virtual_time
async def test_the_other_agent_lost_after_the_join_means_the_routes_fallback() -> None:
    async with World(FALLBACK) as world:
        call, _ = await handing_over(world)
        other = await joined(world)
        other.breaks()
        await world.pass_time(0.1)
        assert world.leg.echoing
        assert call.bye is None
        call.hang_up()
        await world.pass_time(1)
        [record] = world.records
        assert (record.end_reason, record.destination) == ("caller_hung_up", "echo:")


@in_virtual_time
async def test_a_fallback_is_told_what_was_said_too() -> None:
    async with World(ALLOWED + f'fallback = [{{ on = ["lost"], to = "{OTHER}" }}]\n') as world:
        await world.place_answered()
        world.wire.says(type="transcript", who="caller", id="1", text="Hello?", final=True)
        await world.pass_time(0.05)
        world.wire.breaks()
        await world.pass_time(0.05)
        other = await joined(world)
        assert other.said[0]["history"] == [{"who": "caller", "text": "Hello?"}]
        assert "handed_over" not in other.said[0]


@in_virtual_time
async def test_a_caller_who_holds_meanwhile_is_on_hold_with_the_other_agent() -> None:
    async with World(ALLOWED) as world:
        call, _ = await handing_over(world)
        call.reinvite(sdp(way="sendonly", version=2))
        await world.pass_time(0.1)
        other = await joined(world)
        assert other.said[-1] == {"type": "held", "by": "caller"}
        call.reinvite(sdp(version=3))
        await world.pass_time(0.1)
        assert (other.said[-1]["type"], other.said[-1]["by"]) == ("resumed", "caller")
        assert call.bye is None


@in_virtual_time
async def test_a_caller_whom_the_agent_holds_is_had_back_for_the_other() -> None:
    async with World(ALLOWED) as world:
        call, first = await handing_over(world)
        first.says(type="hold")
        await world.pass_time(0.1)
        assert first.said[-1] == {"type": "held", "by": "agent"}
        other = await joined(world)
        await world.pass_time(0.2)
        assert [message["type"] for message in other.said[-2:]] == ["held", "resumed"]
        assert call.bye is None


@in_virtual_time
async def test_one_thing_at_a_time() -> None:
    async with World(ALLOWED) as world:
        call, first = await handing_over(world)
        first.says(type="hand_over", to=OTHER)
        first.says(type="transfer", target="tel:+14155550142")
        await world.pass_time(0.05)
        assert [message["code"] for message in first.said if message["type"] == "error"] == ["hand_over_open"]
        [transferred] = [message for message in first.said if message["type"] == "transferred"]
        assert transferred["outcome"] == "refused"
        assert call.refers == []
        assert told(first) == []
        await joined(world)
        assert outcome(first) == "handed_over"


@in_virtual_time
async def test_what_the_other_agent_wants_while_it_gets_ready_holds_from_the_join_on() -> None:
    async with World(ALLOWED) as world:
        call, first = await handing_over(world)
        first.says(type="headers", headers={"X-Who": "first"})
        other = world.wire
        other.accept()
        other.says(type="headers", headers={"X-Who": "other"})
        other.says(type="ready")
        await world.pass_time(0.2)
        other.hangs_up()
        await world.pass_time(1)
        assert call.bye is not None
        assert call.bye.headers.get("X-Who") == "other"


@in_virtual_time
async def test_two_agents_can_not_pass_a_call_to_and_fro_for_ever() -> None:
    async with World(ALLOWED) as world:
        call, wire = await handing_over(world)
        for _ in range(19):
            wire = await joined(world)
            wire.says(type="hand_over", to=OTHER)
            await world.pass_time(0.05)
        last = await joined(world)
        last.says(type="hand_over", to=OTHER)
        await world.pass_time(0.05)
        [result] = told(last)
        assert (result["outcome"], result["reason"]) == ("refused", "the call has tried 20 hand-overs already")
        assert call.bye is None


@in_virtual_time
async def test_an_agent_that_asks_in_vain_for_ever_fills_no_record() -> None:
    async with World(ALLOWED) as world:
        call = await world.place_answered()
        world.wire.says(type="transfer", target="tel:+14155550123")
        await world.pass_time(0.1)
        for _ in range(60):
            world.wire.says(type="hand_over", to=OTHER)
            await world.pass_time(0.01)
        assert {message["outcome"] for message in told(world.wire)} == {"refused"}
        assert len(told(world.wire)) == 60
        call.hang_up()
        await world.pass_time(40)
        [record] = world.records
        assert len(record.hand_over["earlier"]) < 20
        world.assert_nothing_left()
