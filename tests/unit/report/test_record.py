"""A record counts time as carriers bill it."""

import json

import pytest

from offhook.ids import CallId
from offhook.report.record import CallRecord, billable_seconds, post_dial_delay_ms

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("answer", "end", "seconds"), [(None, 5000, 0), (1000, 1000, 0), (1000, 1001, 1), (1000, 2000, 1), (2000, 1000, 0)]
)
def test_begun_seconds_count_whole_and_a_clock_set_back_counts_nothing(
    answer: int | None, end: int, seconds: int
) -> None:
    assert billable_seconds(answer, end) == seconds


def test_post_dial_delay_is_the_first_sign_of_life() -> None:
    assert post_dial_delay_ms(1000, None, None) is None
    assert post_dial_delay_ms(1000, 1012, 1500) == 12
    assert post_dial_delay_ms(1000, None, 1500) == 500


def test_a_record_goes_through_json() -> None:
    record = CallRecord(CallId("a"), setup_at=1, intervals={"answer": 2.5}, media={"received_packets": 3})
    values = json.loads(json.dumps(record.as_dict()))
    assert CallRecord.of({**values, "of_a_later_version": 1}) == record
