"""Who guesses passwords waits, and others don't."""

import pytest

from offhook.sip.guesses import Guesses

pytestmark = pytest.mark.unit


def guess(guesses: Guesses, source: str, user: str, now: float, times: int) -> int:
    """Guess so often; how many of them were looked at."""
    looked = 0
    for _ in range(times):
        if guesses.may_try(source, user, now):
            looked += 1
            guesses.wrong(source, user, now)
    return looked


def test_a_user_is_guessed_at_ten_times_and_then_twice_a_minute() -> None:
    guesses = Guesses()
    assert guess(guesses, "203.0.113.9", "alice", 0.0, 1000) == 10
    assert sum(guess(guesses, "203.0.113.9", "alice", float(second), 100) for second in range(1, 3601)) <= 121
    # Another address, and another phone behind the same one, are not in the way.
    assert guesses.may_try("203.0.113.10", "alice", 3600.0)
    assert guesses.may_try("203.0.113.9", "bob", 3600.0)


def test_who_tries_all_users_is_stopped_by_address() -> None:
    guesses = Guesses()
    assert sum(guess(guesses, "203.0.113.9", f"{user}", 0.0, 1) for user in range(1000)) == 50
    assert not guesses.may_try("203.0.113.9", "alice", 0.0)
    assert guesses.may_try("203.0.113.9", "alice", 10.0)


def test_ipv6_counts_by_network() -> None:
    guesses = Guesses()
    assert sum(guess(guesses, f"2001:db8::{host:x}", "alice", 0.0, 1) for host in range(100)) == 10
    assert guesses.may_try("2001:db8:0:1::1", "alice", 0.0)


def test_what_is_remembered_is_bounded() -> None:
    guesses = Guesses(most=100)
    for host in range(1000):
        guess(guesses, f"10.0.{host // 256}.{host % 256}", "alice", 0.0, 1)
    assert len(guesses) == 100
