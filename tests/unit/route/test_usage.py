"""What goes out is counted against limits: by the second, by the day, across restarts, with an alarm at 80 %."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.route.usage import DAY, DayUse, OutboundLimits, OverLimit, Party, Usage

pytestmark = pytest.mark.unit

TRUNK, AGENT = Party("trunk", "acme"), Party("agent", "desk")
NOON = 20_000 * DAY + DAY / 2


def usage(
    *, trunk: OutboundLimits | None = None, agent: OutboundLimits | None = None, used: Sequence[DayUse] = ()
) -> Usage:
    return Usage({TRUNK: trunk or OutboundLimits(), AGENT: agent or OutboundLimits()}, used)


def test_a_day_has_so_many_transfers_and_the_next_one_again() -> None:
    counted = usage(trunk=OutboundLimits(max_transfers_per_day=3))
    assert [counted.admit_transfer([TRUNK], 0, NOON) for _ in range(3)] == [None] * 3
    refused = counted.admit_transfer([TRUNK], 0, NOON)
    assert isinstance(refused, OverLimit)
    assert (refused.slug, refused.retry_after) == ("limit_transfers", DAY / 2)
    assert "'acme'" in refused.why
    assert "outbound.max_transfers_per_day" in refused.hint
    assert counted.admit_transfer([TRUNK], 0, NOON + DAY / 2) is None


def test_so_many_a_second() -> None:
    counted = usage(agent=OutboundLimits(max_cps=2))
    given = [counted.admit_transfer([TRUNK, AGENT], at / 4, NOON) for at in range(12)]
    assert sum(refused is None for refused in given) == 2 + 5
    assert {refused.slug for refused in given if refused} == {"limit_outbound_cps"}
    assert {refused.retry_after for refused in given if refused} == {1}


def test_whoever_is_refused_by_one_limit_uses_up_no_other() -> None:
    counted = usage(
        trunk=OutboundLimits(max_cps=1, max_transfers_per_day=100), agent=OutboundLimits(max_transfers_per_day=1)
    )
    assert counted.admit_transfer([TRUNK, AGENT], 0, NOON) is None
    for _ in range(5):
        assert counted.admit_transfer([TRUNK, AGENT], 1, NOON) is not None
    assert counted.admit_transfer([TRUNK], 1, NOON) is None


def test_what_a_day_has_used_outlives_the_process() -> None:
    limits = OutboundLimits(max_transfers_per_day=3)
    first = usage(trunk=limits)
    for _ in range(2):
        first.admit_transfer([TRUNK, AGENT], 0, NOON)
    rows = first.changes()
    assert rows == [DayUse("trunk", "acme", 20_000, 2)]
    assert first.changes() == []
    second = usage(trunk=limits, used=rows)
    assert second.admit_transfer([TRUNK], 0, NOON + 60) is None
    assert second.admit_transfer([TRUNK], 0, NOON + 60) is not None
    yesterday = usage(trunk=limits, used=[DayUse("trunk", "acme", 19_999, 3), DayUse("trunk", "gone", 20_000, 9)])
    assert yesterday.admit_transfer([TRUNK], 0, NOON) is None


def test_a_clock_that_is_set_back_gives_no_day_twice() -> None:
    counted = usage(trunk=OutboundLimits(max_transfers_per_day=1))
    assert counted.admit_transfer([TRUNK], 0, NOON) is None
    assert counted.admit_transfer([TRUNK], 0, NOON - DAY) is not None


def test_an_alarm_is_raised_once_a_day_at_four_fifths() -> None:
    counted = usage(trunk=OutboundLimits(max_transfers_per_day=10))
    for _ in range(7):
        counted.admit_transfer([TRUNK], 0, NOON)
    assert counted.alarms() == []
    assert counted.near_limits(NOON) == []
    for _ in range(5):
        counted.admit_transfer([TRUNK], 0, NOON)
    [alarm] = counted.alarms()
    assert (alarm.party, alarm.setting, alarm.used, alarm.limit) == (TRUNK, "max_transfers_per_day", 8, 10)
    assert counted.near_limits(NOON) == ["trunk acme: max_transfers_per_day"]
    assert counted.near_limits(NOON + DAY) == []
    for _ in range(8):
        counted.admit_transfer([TRUNK], 0, NOON + DAY)
    assert len(counted.alarms()) == 1


def test_without_limits_nothing_is_counted_or_written() -> None:
    counted = usage()
    for at in range(1000):
        assert counted.admit_transfer([TRUNK, AGENT, Party("agent", f"wss://{at}")], 0, NOON) is None
    assert (counted.changes(), counted.alarms(), counted.near_limits(NOON)) == ([], [], [])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([[TRUNK], [AGENT], [TRUNK, AGENT]]), st.floats(0, 0.5 * DAY)), max_size=60),
    st.integers(1, 12),
    st.integers(1, 12),
    st.booleans(),
)
def test_no_order_of_events_lets_more_through_than_the_limits(
    events: list[tuple[list[Party], float]], trunk: int, agent: int, restarts: bool
) -> None:
    limits = {TRUNK: OutboundLimits(max_transfers_per_day=trunk), AGENT: OutboundLimits(max_transfers_per_day=agent)}
    counted, now = Usage(limits), 0.0
    let_through: dict[tuple[Party, int], int] = {}
    rows: dict[str, DayUse] = {}
    for parties, later in events:
        now += later
        if counted.admit_transfer(parties, now, NOON + now) is None:
            for party in parties:
                day = int((NOON + now) // DAY)
                let_through[party, day] = let_through.get((party, day), 0) + 1
        rows |= {row.kind: row for row in counted.changes()}
        if restarts:
            counted = Usage(limits, rows.values())
    assert all(times <= (trunk if party is TRUNK else agent) for (party, _), times in let_through.items())
