"""Whose handshake goes on next."""

from collections import Counter

import pytest

from offhook.transport.handshakes import HandshakeQueue
from offhook.transport.limits import TransportLimits

pytestmark = pytest.mark.unit

LIMITS = TransportLimits(max_handshakes=40, max_handshakes_per_source=4, handshakes_per_second=10, handshake_burst=2)


def queue() -> HandshakeQueue:
    return HandshakeQueue(LIMITS, 0.0)


def test_a_source_has_so_many_unfinished_ones() -> None:
    handshakes = queue()
    assert [handshakes.enter(n, "192.0.2.1", known=True) for n in range(6)] == [True] * 4 + [False] * 2
    assert handshakes.enter(7, "192.0.2.2", known=True)
    handshakes.leave(0)
    handshakes.leave(0)
    assert handshakes.enter(8, "192.0.2.1", known=True)
    assert not handshakes.enter(9, "192.0.2.1", known=True)


def test_sources_that_no_trunk_lists_get_half_of_the_places() -> None:
    handshakes = queue()
    strangers = [handshakes.enter(n, f"203.0.113.{n}", known=False) for n in range(30)]
    assert strangers == [True] * 20 + [False] * 10
    trunks = [handshakes.enter(100 + n, f"192.0.2.{n}", known=True) for n in range(30)]
    assert trunks == [True] * 20 + [False] * 10
    assert len(handshakes) == 40


def served(handshakes: HandshakeQueue, seconds: int) -> list[int]:
    """Who goes on in so many seconds, looked at ten times a second."""
    return [key for step in range(seconds * 10) for key in handshakes.due(step / 10)]


def test_the_rate_is_kept() -> None:
    handshakes = HandshakeQueue(TransportLimits(handshakes_per_second=10, handshake_burst=3), 0.0)
    for n in range(300):
        handshakes.enter(n, f"192.0.2.{n // 10}", known=True)
        handshakes.ask(n)
    assert len(handshakes.due(0.0)) == 3, "a burst"
    assert handshakes.due(0.0) == []
    assert handshakes.next_timeout(0.0) == pytest.approx(0.1)
    assert len(handshakes.due(0.1)) == 1
    assert len(handshakes.due(100.0)) == 3, "what was not used is not kept"


def test_sources_take_turns() -> None:
    handshakes = queue()
    for n in range(4):
        handshakes.enter(n, "192.0.2.1", known=True)
        handshakes.ask(n)
    handshakes.enter(10, "192.0.2.2", known=True)
    handshakes.ask(10)
    assert served(handshakes, 1) == [0, 10, 1, 2, 3]


def test_known_sources_go_first_and_the_others_are_not_forgotten() -> None:
    handshakes = queue()
    for n in range(20):
        handshakes.enter(n, f"203.0.113.{n}", known=False)
        handshakes.ask(n)
    for n in range(100, 120):
        handshakes.enter(n, f"192.0.2.{n}", known=True)
        handshakes.ask(n)
    first = Counter(key >= 100 for key in served(handshakes, 2))
    assert first[True] >= 2.5 * first[False] > 0


def test_who_leaves_while_it_waits_is_not_called() -> None:
    handshakes = queue()
    for n in (1, 2):
        handshakes.enter(n, "192.0.2.1", known=True)
        handshakes.ask(n)
    handshakes.leave(1)
    assert handshakes.due(0.0) == [2]
    handshakes.leave(2)
    assert handshakes.next_timeout(1.0) is None
    assert len(handshakes) == 0


def test_who_never_came_in_is_not_called() -> None:
    handshakes = queue()
    handshakes.ask(5)
    assert handshakes.due(0.0) == []
