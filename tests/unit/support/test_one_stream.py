"""What passes for one stream, on a machine that was late too, and what does not."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.one_stream import assert_one_stream
from tests.support.rtp_peer import FRAME, Packet

pytestmark = pytest.mark.unit


def stream(count: int = 100) -> list[Packet]:
    """Two seconds on a quiet machine."""
    return [Packet(5.0 + 0.02 * n, 0, n == 0, 65_500 + n & 0xFFFF, FRAME * n, 7, bytes(FRAME)) for n in range(count)]


def from_half(change: Callable[[Packet], Packet]) -> list[Packet]:
    """A stream whose second half is changed."""
    packets = stream()
    return [*packets[:50], *map(change, packets[50:])]


def test_numbers_that_roll_over_and_keys_between_are_one() -> None:
    assert_one_stream(stream())
    packets = stream()
    packets[30:36] = [replace(packet, payload_type=101, timestamp=30 * FRAME) for packet in packets[30:36]]
    assert_one_stream(packets)


def test_a_sender_that_was_late_left_out_what_it_did_not_send_or_is_behind_until_its_next_pause() -> None:
    assert_one_stream(from_half(lambda packet: replace(packet, at=packet.at + 0.3, timestamp=packet.timestamp + 2_400)))
    assert_one_stream(from_half(lambda packet: replace(packet, at=packet.at + 0.3)))


@pytest.mark.parametrize(
    "change",
    [
        lambda packet: replace(packet, ssrc=8),
        lambda packet: replace(packet, sequence=packet.sequence + 1 & 0xFFFF),
        lambda packet: replace(packet, timestamp=packet.timestamp - FRAME // 2),
        lambda packet: replace(packet, timestamp=packet.timestamp + 3_200),
        lambda packet: replace(packet, timestamp=packet.timestamp + (1 << 31)),
        lambda packet: replace(packet, at=packet.at + 0.4),
    ],
    ids=["another source", "a number left out", "an overlap", "0.4 s skipped", "a leap", "0.4 s not told"],
)
def test_what_is_not_one(change: Callable[[Packet], Packet]) -> None:
    with pytest.raises(AssertionError):
        assert_one_stream(from_half(change))
