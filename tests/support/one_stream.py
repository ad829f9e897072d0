"""Whether RTP packets are one stream, on whatever machine: by their numbers, and by what timestamps say of time."""

import itertools
from collections.abc import Sequence

from .rtp_peer import Packet

_G711 = (0, 8)
APART = 0.35
"""Seconds: how far timestamps may be from the time that has passed. On a quiet machine it is a frame's time; a sender
that stood still while it spoke is behind by that until its next pause. What is skipped or told twice is more."""


def assert_one_stream(packets: Sequence[Packet], apart: float = APART) -> None:
    """One SSRC, no number left out, and timestamps of G.711 that never overlap and tell the time that passes.

    A sender that was late leaves out what it did not send: the next timestamp is further on by more than a frame.
    """
    assert len({packet.ssrc for packet in packets}) == 1
    for number, (before, after) in enumerate(itertools.pairwise(packets)):
        assert after.sequence == (before.sequence + 1) & 0xFFFF, f"packet {number}"
    sound = [packet for packet in packets if packet.payload_type in _G711]
    told = 0
    for number, (before, after) in enumerate(itertools.pairwise(sound)):
        step, holds = (after.timestamp - before.timestamp) & 0xFFFFFFFF, len(before.payload)
        assert holds <= step < 1 << 31, f"packet {number}: {step} after one of {holds}"
        told += step
        passed = after.at - sound[0].at
        assert abs(passed - told / 8000) < apart, f"packet {number}: {passed:.2f} s passed, {told / 8000:.2f} s told"
