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
    assert rows == [DayUse("trunk", "acme", 20_000, transfers=2)]
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


def talk(counted: Usage, ticket: int, since: float, until: float) -> tuple[float, str]:
    """Have a call go on as a call does, from its answer: when it ends, and by which limit ("" by itself)."""
    now = since
    counted.answered(ticket, now, NOON + now)
    while now < until:
        left = counted.time_left(ticket, now, NOON + now)
        if left is not None and left[0] <= 0:
            counted.release(ticket, now, NOON + now)
            return now, left[1]
        now = min(until, now + (left[0] if left is not None else until))
    counted.release(ticket, now, NOON + now)
    return now, ""


def test_so_many_calls_at_one_time() -> None:
    counted = usage(trunk=OutboundLimits(max_calls=2))
    first, second = (counted.admit_call([TRUNK, AGENT], None, 0, NOON) for _ in range(2))
    refused = counted.admit_call([TRUNK], None, 0, NOON)
    assert isinstance(refused, OverLimit)
    assert (refused.slug, refused.retry_after) == ("limit_outbound_calls", 10)
    assert isinstance(first, int)
    assert isinstance(second, int)
    for _ in range(2):
        counted.release(first, 1, NOON + 1)
    assert isinstance(counted.admit_call([TRUNK], None, 1, NOON + 1), int)
    assert isinstance(counted.admit_call([TRUNK], None, 1, NOON + 1), OverLimit)
    assert [alarm.setting for alarm in counted.alarms()] == ["max_calls"]


def test_minutes_of_a_day_count_from_the_answer_and_end_the_call_that_uses_them_up() -> None:
    counted = usage(agent=OutboundLimits(max_minutes_per_day=5))
    ticket = counted.admit_call([TRUNK, AGENT], None, 0, NOON)
    assert isinstance(ticket, int)
    assert counted.time_left(ticket, 50, NOON + 50) is None, "it rings"
    assert talk(counted, ticket, 50, 200) == (200, "")
    ticket = counted.admit_call([TRUNK, AGENT], None, 300, NOON)
    assert isinstance(ticket, int)
    assert talk(counted, ticket, 300, 9999) == (450, "limit_outbound_minutes")
    refused = counted.admit_call([TRUNK, AGENT], None, 500, NOON)
    assert isinstance(refused, OverLimit)
    assert refused.slug == "limit_outbound_minutes"
    assert [alarm.setting for alarm in counted.alarms()] == ["max_minutes_per_day"]
    assert counted.changes() == [DayUse("agent", "desk", 20_000, seconds=300.0, spend=0.0)]


def test_calls_that_go_on_share_what_is_left() -> None:
    counted = usage(trunk=OutboundLimits(max_minutes_per_day=1))
    tickets = [counted.admit_call([TRUNK], None, 0, NOON) for _ in range(2)]
    for ticket in tickets:
        assert isinstance(ticket, int)
        counted.answered(ticket, 0, NOON)
    assert {counted.time_left(ticket, 0, NOON) for ticket in tickets if isinstance(ticket, int)} == {
        (30.0, "limit_outbound_minutes")
    }


def test_money_of_a_day_is_that_of_minutes_begun() -> None:
    counted = usage(trunk=OutboundLimits(max_spend_per_day=1.0))
    ticket = counted.admit_call([TRUNK], 0.25, 0, NOON)
    assert isinstance(ticket, int)
    # Four minutes are paid, and it ends before the fifth begins.
    assert talk(counted, ticket, 0, 9999) == (239.5, "limit_outbound_spend")
    assert counted.changes()[-1].spend == 1.0
    refused = counted.admit_call([TRUNK], 0.01, 300, NOON + 300)
    assert isinstance(refused, OverLimit)
    assert refused.slug == "limit_outbound_spend"


def test_what_rings_has_its_first_minute_put_by() -> None:
    counted = usage(trunk=OutboundLimits(max_spend_per_day=1.0))
    assert [isinstance(counted.admit_call([TRUNK], 0.4, 0, NOON), int) for _ in range(3)] == [True, True, False]


def test_where_money_is_limited_its_rate_has_to_be_known() -> None:
    counted = usage(agent=OutboundLimits(max_spend_per_day=1.0))
    refused = counted.admit_call([TRUNK, AGENT], None, 0, NOON)
    assert isinstance(refused, OverLimit)
    assert (refused.slug, refused.retry_after) == ("dial_no_rate", None)
    assert "`rates`" in refused.hint


def test_a_call_over_midnight_goes_on_in_the_next_day() -> None:
    counted = usage(trunk=OutboundLimits(max_minutes_per_day=10))
    evening = 20_001 * DAY - 300
    ticket = counted.admit_call([TRUNK], None, 0, evening)
    assert isinstance(ticket, int)
    counted.answered(ticket, 0, evening)
    for now in range(60, 840, 60):
        left = counted.time_left(ticket, now, evening + now)
        assert left is not None
        assert left[0] > 0, now


def test_what_was_near_a_limit_still_is_after_a_restart_and_is_not_told_again() -> None:
    counted = usage(
        trunk=OutboundLimits(max_minutes_per_day=10), used=[DayUse("trunk", "acme", 20_000, seconds=8.5 * 60)]
    )
    assert counted.near_limits(NOON) == ["trunk acme: max_minutes_per_day"]
    assert counted.alarms() == []
    assert counted.changes() == []


KEY = Party("key", "crm")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([[TRUNK], [TRUNK, AGENT], [TRUNK, AGENT, KEY], [TRUNK, KEY]]),
            st.floats(0, 400),
            st.floats(0, 60),
            st.floats(0, 2000),
            st.sampled_from([0.0, 0.01, 0.07, 0.5]),
        ),
        max_size=25,
    ),
    st.integers(1, 6),
    st.sampled_from([0.5, 3.0, 20.0]),
    st.sampled_from([0.05, 0.5, 3.0]),
)
def test_no_crowd_of_calls_uses_more_than_the_limits(
    wishes: list[tuple[list[Party], float, float, float, float]], calls: int, minutes: float, spend: float
) -> None:
    """Calls come, ring, talk for as long as they may and end: whatever their order, no party exceeds what it has."""
    limits = {
        TRUNK: OutboundLimits(max_calls=calls, max_minutes_per_day=minutes, max_spend_per_day=2 * spend),
        AGENT: OutboundLimits(max_calls=2, max_spend_per_day=spend),
        KEY: OutboundLimits(max_minutes_per_day=minutes / 2),
    }
    counted, begin = Usage(limits), 20_000 * DAY
    events: list[tuple[float, int, str, int]] = []
    due, told = 0.0, dict[int, tuple[list[Party], float, float]]()
    for number, (parties, later, ringing, length, rate) in enumerate(wishes):
        due += later
        told[number] = (parties, length, rate)
        events += [(due, number, "dial", 0), (due + ringing, number, "answer", 0)]
    tickets: dict[int, int] = {}
    answered: dict[int, float] = {}
    talked: dict[Party, float] = dict.fromkeys(limits, 0.0)
    paid: dict[Party, float] = dict.fromkeys(limits, 0.0)
    while events:
        events.sort()
        now, number, what, _ = events.pop(0)
        parties, length, rate = told[number]
        if what == "dial":
            verdict = counted.admit_call(parties, rate, now, begin + now)
            if isinstance(verdict, int):
                tickets[number] = verdict
            assert sum(TRUNK in told[n][0] for n in tickets) <= calls
            assert sum(AGENT in told[n][0] for n in tickets) <= 2
        elif number in tickets:
            if what == "answer":
                answered[number] = now
                counted.answered(tickets[number], now, begin + now)
            left = counted.time_left(tickets[number], now, begin + now)
            over = now - answered[number] >= length - 1e-6
            if over or (left is not None and left[0] <= 0):
                counted.release(tickets.pop(number), now, begin + now)
                for party in parties:
                    talked[party] += now - answered[number]
                    paid[party] += rate * (int((now - answered[number]) // 60) + 1)
            else:
                wait = length - (now - answered[number])
                events.append((now + min(wait, left[0] if left is not None else wait), number, "look", 0))
    for party, limit in limits.items():
        if limit.max_minutes_per_day is not None:
            # Who was let go on for a minute did not know that others would come.
            assert talked[party] <= 60 * limit.max_minutes_per_day + 60 * calls + 1e-6
        if limit.max_spend_per_day is not None:
            assert paid[party] <= limit.max_spend_per_day + 1e-6
