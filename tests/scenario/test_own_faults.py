"""A fault of ours ends the call that it happened in, says so, and no other notices."""

from collections.abc import Callable

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import OFFHOOK, TWILIO, World, sdp

from offhook._media import MediaError
from offhook.call.end_reason import EndReason
from offhook.call.event import HangUp
from offhook.destination.conversation import OffhookConversation
from offhook.destination.wire import WireDestination
from offhook.route.table import RouteTable

pytestmark = pytest.mark.scenario


class Bug(Exception):
    """What a mistake of ours would raise."""


def raises(*args: object, **options: object) -> None:
    raise Bug("oops")


async def only_the_first_ended(world: World, first: object, second: object) -> None:
    await world.pass_time(6)
    [record] = world.records
    assert record.end_reason == "internal_error"
    assert "Bug: oops" in record.end_detail
    assert record.fault == "offhook"
    assert second.bye is None  # type: ignore[attr-defined]
    assert not second.is_over  # type: ignore[attr-defined]
    world.forgive_faults()


@in_virtual_time
async def test_an_exception_in_what_the_agent_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async with World(OFFHOOK) as world:
        second = await world.place_answered()
        first = await world.place_answered()
        monkeypatch.setattr(OffhookConversation, "hear", raises)
        world.wire.says(type="anything")
        await world.pass_time(0.05)
        assert first.bye is not None
        await only_the_first_ended(world, first, second)


@in_virtual_time
async def test_an_exception_while_the_agent_is_made_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async with World(OFFHOOK + 'fallback = [{ on = ["refused"], to = "echo:" }]\n') as world:
        second = await world.place_answered()
        monkeypatch.setattr(WireDestination, "_converse", raises)
        first = await world.place()
        assert first.statuses == [180, 500]
        await only_the_first_ended(world, first, second)


@in_virtual_time
async def test_an_exception_while_the_agent_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    async with World(OFFHOOK) as world:
        second = await world.place_answered()
        first = await world.place()
        monkeypatch.setattr(OffhookConversation, "begin", raises)
        world.take_call()
        await world.pass_time(0.05)
        assert first.is_answered
        assert first.bye is not None
        await only_the_first_ended(world, first, second)


@in_virtual_time
async def test_an_exception_while_the_agent_is_told_of_the_end_frees_the_port_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        monkeypatch.setattr(WireDestination, "close", raises)
        call.hang_up()
        await world.pass_time(1)
        assert [record.end_reason for record in world.records] == ["caller_hung_up"]
        assert world.engine.open_legs == []
        assert world.admission.calls == 0


@in_virtual_time
async def test_an_exception_in_the_offer_is_500(monkeypatch: pytest.MonkeyPatch) -> None:
    async with World(OFFHOOK) as world:
        second = await world.place_answered()
        monkeypatch.setattr("offhook.sdp.negotiate.answer", raises)
        first = await world.place()
        assert first.statuses == [500]
        await only_the_first_ended(world, first, second)


@in_virtual_time
async def test_an_exception_in_a_reinvite_ends_by_bye(monkeypatch: pytest.MonkeyPatch) -> None:
    async with World(OFFHOOK) as world:
        second = await world.place_answered()
        first = await world.place_answered()
        monkeypatch.setattr("offhook.sdp.negotiate.answer", raises)
        first.reinvite(sdp(version=2))
        await world.pass_time(0.1)
        assert first.bye is not None
        await only_the_first_ended(world, first, second)


@in_virtual_time
async def test_an_exception_before_there_is_a_call_gives_its_place_back_and_leaves_a_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with World(OFFHOOK + "[limits]\nmax_calls = 2\n") as world:
        second = await world.place_answered()
        with monkeypatch.context() as broken:
            broken.setattr(RouteTable, "decide", raises)
            first = await world.place()
        assert first.statuses == [500]
        assert world.admission.calls == 1
        await only_the_first_ended(world, first, second)
        third = await world.place()
        assert third.statuses == [180]


@in_virtual_time
async def test_a_fault_of_the_media_core_ends_its_leg_alone() -> None:
    async with World(OFFHOOK) as world:
        second = await world.place_answered()
        first = await world.place_answered()
        world.leg.tells("internal_error", text="Bug: oops in the playout queue")
        await world.pass_time(0.05)
        assert first.bye is not None
        await only_the_first_ended(world, first, second)


@in_virtual_time
async def test_a_media_plane_that_is_broken_refuses_with_500() -> None:
    async with World(OFFHOOK) as world:
        world.engine.refusal = MediaError("too many open files", code="system")
        call = await world.place()
        assert call.statuses == [500]
        await world.pass_time(1)
        assert [(r.end_reason, r.end_detail) for r in world.records] == [("internal_error", "too many open files")]


@in_virtual_time
async def test_more_events_than_a_call_can_take_end_it() -> None:
    async with World(OFFHOOK) as world:
        second = await world.place_answered()
        first = await world.place_answered()
        for _ in range(3000):
            world.leg.keys("1")
        # The plane hands out events in turns; a call that is not scheduled in between would overflow.
        call = next(call for call in world.switchboard._calls.values() if call.leg.rtp.native is world.leg)
        from offhook.call.event import FromLeg

        for _ in range(1500):
            call.post(FromLeg(world.engine._events[0]))  # type: ignore[arg-type]
        await world.pass_time(0.1)
        assert first.bye is not None
        await world.pass_time(6)
        assert [(r.end_reason, r.end_detail) for r in world.records] == [
            ("internal_error", "more events than a call can take")
        ]
        assert second.bye is None


@in_virtual_time
async def test_an_overflow_loses_no_end_that_was_on_its_way() -> None:
    async with World(OFFHOOK) as world:
        await world.place_answered()
        [call] = world.switchboard._calls.values()
        for _ in range(2000):
            call.post(HangUp(EndReason.GATEWAY_SHUTDOWN, ""))
        await world.pass_time(6)
        assert len(world.records) == 1
        world.engine.assert_all_free()


@in_virtual_time
async def test_a_broken_store_or_metric_does_not_keep_a_call_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        monkeypatch.setattr(world.book, "finish", raises)
        call.hang_up()
        await world.pass_time(1)
        assert world.switchboard.calls == 0
        await world.switchboard.idle()


def refused(world: World) -> None:
    world.wire.refuse(403)


def unreachable(world: World) -> None:
    world.wire.fail("dns")


def rejected(world: World) -> None:
    world.wire.accept()
    world.wire.says(type="reject")


def lost(world: World) -> None:
    world.take_call()
    world.wire.breaks()


def nonsense(world: World) -> None:
    world.wire.accept()
    world.wire.says(type="ready", audio={"encoding": "none"})


def never_ready(world: World) -> None:
    world.wire.accept()


def core_fault(world: World) -> None:
    world.leg.tells("internal_error", text="at a test's wish")


@pytest.mark.parametrize("fails", [refused, unreachable, rejected, lost, nonsense, never_ready, core_fault])
@in_virtual_time
async def test_calls_that_fail_at_each_step_leave_nothing(fails: Callable[[World], None]) -> None:
    async with World(OFFHOOK, ports=4) as world:
        for _ in range(50):
            await world.place()
            fails(world)
            await world.pass_time(21)
        await world.pass_time(70)
        assert len(world.records) == 50
        assert len({record.end_reason for record in world.records}) == 1
        assert world.records[0].end_reason not in (None, "no_port", "limit_calls")
        world.assert_nothing_left()
