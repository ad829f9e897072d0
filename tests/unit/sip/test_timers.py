"""The queue of time-outs, and the values that follow from T1."""

import random
import weakref
from dataclasses import dataclass, field

import pytest

from offhook.sip.timers import DEFAULT_TIMERS, LEFT_OVER, TimerQueue, TimerValues

pytestmark = pytest.mark.unit


@dataclass(eq=False)
class Sleeper:
    at: float | None = None
    woken: list[float] = field(default_factory=list)

    def next_timeout(self) -> float | None:
        return self.at


def test_the_earliest_comes_first() -> None:
    queue: TimerQueue[Sleeper] = TimerQueue()
    sleepers = [Sleeper(at) for at in (3.0, 1.0, 2.0)]
    for sleeper in sleepers:
        queue.arm(sleeper)
    assert queue.next_timeout() == 1.0
    assert queue.pop_due(0.5) is None
    assert queue.pop_due(2.0) is sleepers[1]
    assert queue.pop_due(2.0) is sleepers[2]
    assert queue.pop_due(2.0) is None
    assert queue.next_timeout() == 3.0


def test_who_wants_it_later_is_asked_again_at_the_old_time() -> None:
    queue: TimerQueue[Sleeper] = TimerQueue()
    sleeper = Sleeper(1.0)
    queue.arm(sleeper)
    sleeper.at = 5.0
    queue.arm(sleeper)
    assert queue.next_timeout() == 5.0
    assert queue.pop_due(4.9) is None
    assert queue.pop_due(5.0) is sleeper


def test_who_wants_it_earlier_gets_it_earlier_and_once() -> None:
    queue: TimerQueue[Sleeper] = TimerQueue()
    sleeper = Sleeper(5.0)
    queue.arm(sleeper)
    sleeper.at = 1.0
    queue.arm(sleeper)
    assert queue.pop_due(1.0) is sleeper
    sleeper.at = None
    queue.arm(sleeper)
    assert queue.next_timeout() is None
    assert queue.pop_due(10.0) is None
    assert len(queue) == 0


def test_who_wants_nothing_any_more_is_never_woken() -> None:
    queue: TimerQueue[Sleeper] = TimerQueue()
    sleeper = Sleeper(1.0)
    queue.arm(sleeper)
    sleeper.at = None
    queue.arm(sleeper)
    assert queue.next_timeout() is None


def test_who_wants_nothing_any_more_is_not_kept_until_his_old_time() -> None:
    queue: TimerQueue[Sleeper] = TimerQueue()
    queue.arm(first := Sleeper(1.0))
    sleeper = Sleeper(1800.0)
    queue.arm(sleeper)
    sleeper.at = None
    queue.arm(sleeper)
    gone = weakref.ref(sleeper)
    del sleeper
    assert gone() is None
    assert queue.pop_due(2.0) is first


def test_who_changes_his_mind_for_ever_takes_no_room() -> None:
    queue: TimerQueue[Sleeper] = TimerQueue()
    queue.arm(Sleeper(0.0))
    sleepers = [Sleeper(float(n)) for n in range(1, 21)]
    for turn in range(10_000):
        sleeper = sleepers[turn % 20]
        sleeper.at = 1e6 - turn if turn % 3 else None
        queue.arm(sleeper)
    assert len(queue._heap) <= 2 * len(queue) + LEFT_OVER
    assert queue.next_timeout() == 0.0


@pytest.mark.parametrize("seed", range(20))
def test_it_behaves_like_a_sorted_list(seed: int) -> None:
    rng = random.Random(seed)
    queue: TimerQueue[Sleeper] = TimerQueue()
    sleepers = [Sleeper() for _ in range(10)]
    now = 0.0
    for _ in range(500):
        sleeper = rng.choice(sleepers)
        sleeper.at = None if rng.random() < 0.2 else now + rng.random() * 10
        queue.arm(sleeper)
        wanted = [s.at for s in sleepers if s.at is not None]
        assert queue.next_timeout() == min(wanted, default=None)
        now += rng.random()
        due = sorted(s.at for s in sleepers if s.at is not None and s.at <= now)
        woken = []
        while (found := queue.pop_due(now)) is not None:
            assert found.at is not None
            woken.append(found.at)
            found.at = None
            queue.arm(found)
        assert woken == due


def test_the_values_of_the_table() -> None:
    assert DEFAULT_TIMERS.transaction == 32
    assert DEFAULT_TIMERS.completed_client_invite(reliable=False) == 32
    assert DEFAULT_TIMERS.completed_client_invite(reliable=True) == 0
    assert DEFAULT_TIMERS.absorb(reliable=False) == 5
    assert DEFAULT_TIMERS.completed_server(reliable=False) == 32
    assert TimerValues(t1=2).completed_client_invite(reliable=False) == 128
    assert TimerValues(t1=0.1).completed_client_invite(reliable=False) == 32
