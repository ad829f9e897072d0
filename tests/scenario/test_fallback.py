"""A destination that fails: refused, late or lost, and what takes its place. The caller keeps the line."""

import asyncio
from collections.abc import Callable

import pytest
from tests.support.clock import in_virtual_time
from tests.support.media import FakeWire
from tests.support.world import ECHO, TWILIO, World, notes

from offhook.call.event import Prepared

pytestmark = pytest.mark.scenario


def with_fallback(*entries: str, ring_timeout: float = 20, answer: str = "when-ready") -> str:
    listed = ", ".join(entries)
    return TWILIO + f'answer = "{answer}"\nring_timeout = {ring_timeout}\nfallback = [{listed}]\n'


TO_ECHO = '{ on = ["refused", "late", "lost"], to = "echo:" }'


def by_403(wire: FakeWire) -> None:
    wire.refuse(403, "who are you?")


def by_no_tcp(wire: FakeWire) -> None:
    wire.fail("tcp", "connection refused")


def by_breaking_off(wire: FakeWire) -> None:
    wire.accept()
    wire.ends(1011, "crashed")


@pytest.mark.parametrize(
    ("fails", "reason"),
    [
        (by_403, "agent_refused"),
        (by_no_tcp, "agent_unreachable"),
        (by_breaking_off, "agent_lost"),
    ],
)
@in_virtual_time
async def test_without_fallback_a_caller_who_waits_is_told_480_and_why(
    fails: Callable[[FakeWire], None], reason: str
) -> None:
    async with World(TWILIO) as world:
        call = await world.place()
        fails(world.wire)
        await world.pass_time(1)
        if call.is_answered:
            # The upgrade was the bot's word; it broke after it.
            assert call.bye is not None
        else:
            assert call.statuses == [180, 480]
            assert call.response is not None
            assert reason in (call.response.headers.get("Reason") or "")
        [record] = world.records
        assert record.end_reason == reason
        assert record.fault == "agent"
        world.engine.assert_all_free()


@pytest.mark.parametrize("fails", [by_403, by_no_tcp])
@in_virtual_time
async def test_a_refused_call_goes_to_the_fallback_while_it_rings(fails: Callable[[FakeWire], None]) -> None:
    async with World(with_fallback(TO_ECHO)) as world:
        call = await world.place()
        fails(world.wire)
        await world.pass_time(0.1)
        assert call.statuses == [180, 200]
        assert world.leg.echoing
        call.hang_up()
        await world.pass_time(1)
        [record] = world.records
        assert (record.end_reason, record.destination) == ("caller_hung_up", "echo:")
        assert record.wire == {}, "there was no agent, so none was silent"
        assert record.end_detail.startswith("twilio+ws://bot.example/media"), "a call that went well hides no failure"
        assert record.end_detail.endswith("echo: took the call")


@in_virtual_time
async def test_a_late_agent_is_given_up_and_its_socket_closed() -> None:
    async with World(with_fallback(TO_ECHO, ring_timeout=5)) as world:
        call = await world.place()
        await world.pass_time(4.9)
        assert call.statuses == [180]
        await world.pass_time(0.2)
        assert call.statuses == [180, 200]
        assert world.wire.close_asked == (1000, "agent_late")
        assert world.leg.echoing


@in_virtual_time
async def test_each_destination_has_the_ringing_time_for_itself() -> None:
    second = '{ on = ["late"], to = "twilio+ws://second.example/" }'
    async with World(with_fallback(second, ring_timeout=5)) as world:
        call = await world.place()
        await world.pass_time(9)
        assert call.statuses == [180]
        assert "second.example" in world.wire.config.url
        world.wire.accept()
        await world.pass_time(0.1)
        assert call.statuses == [180, 200]


@in_virtual_time
async def test_a_late_agent_without_fallback_is_480() -> None:
    async with World(with_fallback(ring_timeout=5)) as world:
        call = await world.place()
        await world.pass_time(6)
        assert call.statuses == [180, 480]
        assert [record.end_reason for record in world.records] == ["agent_late"]
        world.engine.assert_all_free()


@pytest.mark.parametrize("status", [1001, 1006, 1011, 1012])
@in_virtual_time
async def test_an_agent_lost_in_the_call_is_replaced_and_its_unsaid_words_are_dropped(status: int) -> None:
    async with World(with_fallback(TO_ECHO)) as world:
        call = await world.place_answered()
        world.wire.speaks(30)
        await world.pass_time(1)
        assert world.leg.waiting > 20
        world.wire.ends(status)
        await world.pass_time(0.01)
        assert world.leg.waiting == 0
        assert world.leg.echoing
        assert call.bye is None
        world.leg.hears()
        await world.pass_time(10)
        call.hang_up()
        await world.pass_time(1)
        [record] = world.records
        assert record.end_reason == "caller_hung_up"
        assert record.wire["received_messages"] == 1, "the lost agent's counters are in the record"
        assert any("failed (lost)" in note for note in notes(world.timelines[0], "agent"))


@in_virtual_time
async def test_an_agent_lost_without_fallback_ends_the_call() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        world.wire.breaks()
        await world.pass_time(0.1)
        assert call.bye is not None
        assert "agent_lost" in (call.bye.headers.get("Reason") or "")
        await world.pass_time(1)
        [record] = world.records
        assert (record.end_reason, record.sip_status) == ("agent_lost", 200)
        world.engine.assert_all_free()


@in_virtual_time
async def test_after_at_once_the_caller_keeps_the_line_while_the_fallback_is_made_ready() -> None:
    second = '{ on = ["refused"], to = "twilio+ws://second.example/" }'
    async with World(with_fallback(second, answer="at-once")) as world:
        call = await world.place()
        assert call.is_answered
        world.wire.refuse(500)
        await world.pass_time(3)
        assert call.bye is None
        world.wire.accept()
        await world.pass_time(0.1)
        assert world.leg.wire is world.wire
        assert world.wire.said_types == ["connected", "start"]


@in_virtual_time
async def test_an_agent_lost_before_its_first_word_leaves_the_call_ringing_for_the_next() -> None:
    second = '{ on = ["lost"], to = "twilio+ws://second.example/" }'
    async with World(with_fallback(second, answer="first-audio")) as world:
        call = await world.place()
        world.wire.accept()
        await world.pass_time(1)
        world.wire.breaks()
        await world.pass_time(0.1)
        assert call.statuses == [180]
        world.wire.accept()
        world.wire.speaks(1)
        await world.pass_time(0.1)
        assert call.statuses == [180, 200]


@in_virtual_time
async def test_each_fallback_serves_once_and_failures_do_not_go_in_circles() -> None:
    chain = [f'{{ on = ["refused", "late", "lost"], to = "twilio+ws://agent{n}.example/" }}' for n in (2, 3)]
    async with World(with_fallback(*chain)) as world:
        call = await world.place()
        for _ in range(3):
            world.wire.refuse(503)
            await world.pass_time(0.1)
        assert [wire.config.url for wire in world.engine.wires] == [
            "ws://bot.example/media?token=s3cret",
            "ws://agent2.example/",
            "ws://agent3.example/",
        ]
        assert call.statuses == [180, 480]
        await world.pass_time(1)
        world.engine.assert_all_free()


@in_virtual_time
async def test_a_fallback_passed_over_for_one_cause_may_serve_for_a_later_one() -> None:
    chain = ('{ on = ["late"], to = "echo:" }', '{ on = ["refused"], to = "twilio+ws://second.example/" }')
    async with World(with_fallback(*chain, ring_timeout=5)) as world:
        call = await world.place()
        world.wire.refuse(403)
        await world.pass_time(0.1)
        assert "second.example" in world.wire.config.url
        await world.pass_time(6)
        assert call.is_answered
        assert world.leg.echoing


@in_virtual_time
async def test_a_fallback_takes_only_its_causes() -> None:
    async with World(with_fallback('{ on = ["lost"], to = "echo:" }')) as world:
        call = await world.place()
        world.wire.refuse(403)
        await world.pass_time(0.1)
        assert call.statuses == [180, 480]


@in_virtual_time
async def test_a_bot_of_another_dialect_is_told_by_name_what_to_write() -> None:
    config = ECHO.replace("echo:", "wss://bot.example/media")
    async with World(config) as world:
        call = await world.place()
        world.wire.fail("upgrade", "the server chose no subprotocol")
        await world.pass_time(1)
        assert call.statuses == [180, 480]
        [record] = world.records
        assert record.end_reason == "wrong_dialect"
        assert "twilio+wss://bot.example/media" in record.end_detail


@in_virtual_time
async def test_a_time_that_is_up_in_the_moment_when_the_agent_is_ready_takes_nothing_from_it() -> None:
    async with World(with_fallback(TO_ECHO, ring_timeout=5)) as world:
        call = await world.place()
        [inner] = world.switchboard._calls.values()
        due = inner._timers._running["ring_timeout"][1].when()
        # Both wait in the inbox when the call comes to it, the agent's word first.
        asyncio.get_running_loop().call_at(due - 5e-10, inner.post, Prepared(inner.agent.destination, None))
        await world.pass_time(6)
        assert call.statuses == [180, 200]
        assert not world.leg.echoing
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].end_reason == "caller_hung_up"
