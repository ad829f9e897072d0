"""Which target is asked first, and for how long one that failed is not."""

import pytest

from offhook.call.out.target_health import (
    LONGEST_PAUSE,
    LONGEST_RETRY_AFTER,
    MAX_TARGETS,
    TRIAL,
    TargetHealth,
    TargetRow,
    what_came_of,
)
from offhook.ids import TrunkName
from offhook.sip.effects import Target

pytestmark = pytest.mark.unit

ACME = TrunkName("acme")
A, B, C = (Target("udp", f"198.51.100.{n}", 5060) for n in (1, 2, 3))


def health(chance: float = 0.5) -> tuple[TargetHealth, list[TargetRow]]:
    told: list[TargetRow] = []
    return TargetHealth(lambda: chance, told.append), told


def order(of: TargetHealth, now: float) -> tuple[Target, ...]:
    return of.in_order(ACME, (A, B, C), now)


def test_one_that_said_nothing_is_asked_last_and_told_of_once() -> None:
    of, told = health()
    of.failed(ACME, A, "no answer in 4 s", 100.0)
    of.failed(ACME, A, "no answer in 4 s", 101.0)
    assert order(of, 102.0) == (B, C, A)
    assert [(row.target, row.state, row.why) for row in told] == [(A, "down", "no answer in 4 s")]
    # Only that trunk knows it so.
    assert of.in_order(TrunkName("other"), (A, B), 102.0) == (A, B)


def test_why_it_failed_names_its_address_once() -> None:
    by_tcp, why = Target("tcp", "198.51.100.1", 5060), "198.51.100.1 port 5060 by TCP: connection refused"
    assert what_came_of(by_tcp, why) == "tcp 198.51.100.1:5060: connection refused"
    assert what_came_of(A, "no answer in 4 s") == "udp 198.51.100.1:5060: no answer in 4 s"
    of, told = health()
    of.failed(ACME, by_tcp, why, 0.0)
    assert [row.why for row in told] == ["connection refused"]


def test_after_its_pause_one_call_tries_it_and_the_others_wait_for_what_comes_of_it() -> None:
    of, told = health()
    of.failed(ACME, A, "refused", 0.0)
    assert order(of, 9.9) == (B, C, A)
    assert order(of, 10.1) == (A, B, C)
    assert order(of, 10.2) == (B, C, A)
    of.succeeded(ACME, A, 10.3)
    assert order(of, 10.4) == (A, B, C)
    assert [row.state for row in told] == ["down", "up"]


def test_a_trial_that_comes_to_nothing_is_not_the_last() -> None:
    of, _ = health()
    of.failed(ACME, A, "refused", 0.0)
    assert order(of, 11.0)[0] == A
    assert order(of, 11.0 + TRIAL + 0.1)[0] == A


def test_the_pause_doubles_up_to_its_limit() -> None:
    of, _ = health()
    now, pauses = 0.0, []
    for _ in range(8):
        of.failed(ACME, A, "refused", now)
        (row,) = of.rows(now)
        assert row.again is not None
        pauses.append(round(row.again - now, 6))
        now = row.again + 0.1
    assert pauses == [10, 20, 40, 80, 160, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]


def test_one_that_flaps_pauses_longer_each_time_and_is_forgiven_once_it_is_steady() -> None:
    of, _ = health()

    def pause(now: float) -> float:
        of.failed(ACME, A, "refused", now)
        again = of.rows(now)[0].again
        assert again is not None
        return again - now

    assert pause(0.0) == 10
    of.succeeded(ACME, A, 11.0)
    assert pause(12.0) == 20
    of.succeeded(ACME, A, 33.0)
    assert pause(200.0) == 10


def test_pauses_are_spread_by_chance() -> None:
    first, last = health(0.0)[0], health(0.999)[0]
    for of in (first, last):
        of.failed(ACME, A, "refused", 0.0)
    assert (first.rows(0.0)[0].again, round(last.rows(0.0)[0].again or 0, 1)) == (8.0, 12.0)


def test_one_503_may_be_the_number_s_and_three_are_the_target_s() -> None:
    of, told = health()
    of.refused(ACME, A, "503", None, 0.0)
    of.refused(ACME, A, "503", None, 1.0)
    assert order(of, 1.0) == (A, B, C)
    of.succeeded(ACME, A, 2.0)
    for now in (3.0, 4.0, 5.0):
        assert order(of, now)[0] == A
        of.refused(ACME, A, "503", None, now)
    assert order(of, 5.1) == (B, C, A)
    assert len(told) == 1


@pytest.mark.parametrize(("asked", "kept"), [(30, 30.0), (0, 1.0), (10**9, LONGEST_RETRY_AFTER)])
def test_a_retry_after_is_kept_to_within_reason(asked: int, kept: float) -> None:
    of, _ = health()
    of.refused(ACME, A, "503", asked, 0.0)
    assert order(of, kept - 0.1)[0] == B
    assert order(of, kept + 0.1)[0] == A


def test_where_all_are_down_all_are_tried_the_one_that_is_due_first_first() -> None:
    of, _ = health()
    of.failed(ACME, B, "refused", 0.0)
    of.failed(ACME, A, "refused", 1.0)
    of.failed(ACME, C, "refused", 2.0)
    assert order(of, 3.0) == (B, A, C)
    assert of.is_down(ACME, 3.0)
    assert not of.is_down(ACME, 10.5)


def test_a_trial_behind_a_good_one_takes_it_from_nobody() -> None:
    of, _ = health()
    of.failed(ACME, B, "refused", 0.0)
    assert order(of, 11.0) == (A, B, C)
    assert order(of, 11.0) == (A, B, C)


def test_the_table_is_bounded() -> None:
    of, _ = health()
    for number in range(2 * MAX_TARGETS):
        of.failed(ACME, Target("udp", f"h{number}", 5060), "refused", 0.0)
    assert len(of.rows(0.0)) == MAX_TARGETS
