"""When an agent is taken for a flood, as docs/reference/offhook-protocol.md has it."""

import pytest

from offhook.examine.limits import Flood

pytestmark = pytest.mark.unit


def test_a_thousand_messages_a_second_are_borne_for_ever() -> None:
    flood = Flood()
    assert not any(flood.take(at / 1000, 400) for at in range(20_000))


def test_messages_without_end_are_a_flood() -> None:
    flood = Flood()
    assert not any(flood.take(0.0, 10) for _ in range(4_050))
    assert flood.take(0.0, 10)


def test_bytes_without_end_are_a_flood() -> None:
    flood = Flood()
    assert not any(flood.take(0.0, 1 << 20) for _ in range(66))
    assert flood.take(0.0, 1 << 20)


def test_audio_that_is_dropped_again_and_again_is_a_flood() -> None:
    flood = Flood()
    assert not any(flood.dropped() for _ in range(50))
    assert flood.dropped()
