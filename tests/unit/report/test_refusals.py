"""A stranger who knocks a million times is one row a minute, and a million strangers are a bounded table."""

import pytest

from offhook.report.refusals import RefusalLog

pytestmark = pytest.mark.unit


def test_one_line_per_source_and_rule_in_a_window() -> None:
    log = RefusalLog(window=60.0, soon=4.0)
    assert log.add("192.0.2.1", "no_trunk", 0.0, 1_000, transport="udp", value="sip:100@gw", nearest="acme")
    assert not log.add("192.0.2.1", "no_trunk", 1.0, 2_000, value="sip:200@gw")
    assert log.add("192.0.2.1", "auth_failed", 2.0, 3_000)
    assert log.flush(3.9) == []
    row, other = log.flush(60.0)
    assert (row.count, row.first_at, row.last_at) == (2, 1_000, 2_000)
    assert (row.transport, row.value, row.nearest) == ("udp", "sip:100@gw", "acme")
    assert other.rule == "auth_failed"
    assert log.flush(200.0, force=True) == []
    assert log.next_timeout() is None
    assert log.add("192.0.2.1", "no_trunk", 200.0, 9_000), "a new window says it again"
    assert log.total == 4


def test_the_first_after_a_quiet_time_is_seen_soon_and_the_others_once_a_minute() -> None:
    log = RefusalLog(window=60.0, soon=2.0)
    log.add("192.0.2.1", "source", 100.0, 1_000)
    assert log.next_timeout() == 102.0
    assert [row.count for row in log.flush(102.0)] == [1]
    log.add("192.0.2.1", "source", 103.0, 4_000)
    log.add("192.0.2.1", "source", 150.0, 51_000)
    assert log.next_timeout() == 162.0
    assert [row.count for row in log.flush(162.0)] == [2]
    log.add("192.0.2.1", "source", 500.0, 401_000)
    assert log.next_timeout() == 502.0


def test_a_flood_of_sources_stays_in_bounds_and_is_counted_whole() -> None:
    log = RefusalLog(limit=10)
    lines = sum(log.add(f"192.0.2.{number}", f"rule{number % 100}", 0.0, number) for number in range(1_000))
    rows = log.flush(0.0, force=True)
    assert sum(row.count for row in rows) == 1_000
    assert len(rows) <= 10 + 65
    assert lines == len(rows)


def test_long_values_are_cut() -> None:
    log = RefusalLog()
    log.add("s" * 1000, "r" * 1000, 0.0, 0, value="v" * 1000, nearest="n" * 1000)
    (row,) = log.flush(0.0, force=True)
    assert max(map(len, (row.source, row.rule, row.value, row.nearest))) <= 300
