"""Both ways of a call on one time line: what was sent and what was heard, sample by sample."""

import bisect
from array import array
from itertools import pairwise

from offhook.phone.sound import RATE, Samples, between_lines

LONGEST_SECONDS = 1_800
"""What is kept of a call; the rest is counted and left out."""

FRAMES_A_SECOND = 50


class Recording:
    """Left what was sent, right what was heard, both at `rate`. Times are monotonic seconds; it begins at `begin`."""

    def __init__(self, begin: float, rate: int = RATE) -> None:
        self.begin = begin
        self.rate = rate
        self.sent = array("h")
        self.heard = array("h")
        self.left_out_seconds = 0.0
        self.arrivals: list[tuple[int, float]] = []
        """Each frame of the far end: where it stands in `heard`, and when it came."""
        self._anchor: tuple[float, int] | None = None
        self._slipped = False

    def add_sent(self, samples: Samples, at: float) -> None:
        """Sound of ours whose last frame left at `at`."""
        frame = self.rate // FRAMES_A_SECOND
        start = self._index(at) - len(samples) + frame
        apart = abs(start - len(self.sent))
        # Pieces of one flow join without a click, though a busy machine sends a packet late and catches up. Only when
        # the next piece is as late was there really something in between.
        joins = bool(self.sent) and (apart < frame * 3 // 4 or (apart < len(samples) and not self._slipped))
        self._slipped = joins and apart >= frame * 3 // 4
        self._put(self.sent, samples, len(self.sent) if joins else start)

    def add_heard(self, samples: Samples, at: float, position: int) -> None:
        """A frame of the far end that came at `at`; `position` counts at 8 kHz, so jitter does not move it."""
        if self._anchor is None:
            self._anchor = (at, position)
        start = self._index(self._anchor[0]) + (position - self._anchor[1]) * self.rate // RATE
        if self._put(self.heard, samples, start):
            self.arrivals.append((start, at))

    def narrow(self) -> tuple[Samples, Samples]:
        """Both channels at 8 kHz."""
        left, right = self.level()
        return between_lines(left, self.rate, RATE), between_lines(right, self.rate, RATE)

    def level(self) -> tuple[Samples, Samples]:
        """Both channels, brought to the same length."""
        length = max(len(self.sent), len(self.heard))
        pad = [array("h", bytes(2 * (length - len(channel)))) for channel in (self.sent, self.heard)]
        return self.sent + pad[0], self.heard + pad[1]

    def lateness_ms(self, start: int, count: int) -> float:
        """How much later this part of `heard` really came than where it stands; the first frame may have been slow.

        `start` and `count` are samples at 8 kHz.
        """
        start, count = start * self.rate // RATE, count * self.rate // RATE
        low = bisect.bisect_left(self.arrivals, (start, 0.0))
        high = bisect.bisect_left(self.arrivals, (start + count, 0.0))
        late = sorted(at - self.begin - index / self.rate for index, at in self.arrivals[low:high])
        return late[len(late) // 2] * 1000 if late else 0.0

    def _index(self, at: float) -> int:
        return round((at - self.begin) * self.rate)

    def _put(self, channel: Samples, samples: Samples, start: int) -> bool:
        start = max(0, start)
        if start + len(samples) > LONGEST_SECONDS * self.rate:
            self.left_out_seconds += len(samples) / self.rate
            return False
        if start > len(channel):
            channel.extend(array("h", bytes(2 * (start - len(channel)))))
        channel[start : start + len(samples)] = samples
        return True


def gaps_ms(arrivals: list[tuple[int, float]]) -> tuple[float, float, float] | None:
    """Median, 99th percentile and longest interval between arrivals in milliseconds; None of too few."""
    if len(arrivals) < 10:
        return None
    gaps = sorted(round((after - before) * 1000, 2) for (_, before), (_, after) in pairwise(arrivals))
    return gaps[len(gaps) // 2], gaps[min(len(gaps) - 1, len(gaps) * 99 // 100)], gaps[-1]
