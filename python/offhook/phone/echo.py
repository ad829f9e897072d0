"""Whether what was heard is what was sent, and how much later: a short piece of speech is looked for in what came."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

from offhook.phone.sound import RATE, Samples

LONGEST_MS = 2_500
"""A round trip beyond it is not looked for."""

ALIKE = 0.6
"""From here on two pieces of sound are the same: coding as G.711 leaves 0.99, other speech is below 0.4."""

_EARLIEST_MS = -200
"""Sound is placed by the far end's timestamps, which may run ahead of its packets."""
_PIECE = RATE
_STEP = RATE // 2
_CELL = RATE // 200
_MOST_PIECES = 12
_QUIET = 150.0


@dataclass(frozen=True, slots=True)
class Echo:
    """What came back: the median round trip, its extremes, how alike it was (0 to 1), and in how many places."""

    round_trip_ms: float
    shortest_ms: float
    longest_ms: float
    likeness: float
    places: int


def find_echo(sent: Samples, heard: Samples, lateness_ms: Callable[[int, int], float] | None = None) -> Echo | None:
    """Look for `sent` in `heard`, both on one time line; None where it did not come back.

    `lateness_ms(start, count)` says how much later that part of `heard` came than where it stands.
    Speech and music can be placed; an even tone looks the same everywhere and is passed over but for its edges.
    """
    envelope_sent, envelope_heard = _envelope(sent), _envelope(heard)
    found: list[tuple[float, float]] = []
    starts = [at for at in range(0, len(sent) - _PIECE + 1, _STEP) if _can_be_placed(envelope_sent, at)]
    # Spread over the call, since an echo may begin after a greeting.
    for at in starts[:: max(1, -(-len(starts) // _MOST_PIECES))]:
        lag = _coarse(envelope_sent, envelope_heard, at)
        if lag is None:
            continue
        lag, likeness = _fine(sent, heard, at, lag)
        if likeness >= ALIKE:
            late = lateness_ms(at + lag, _PIECE) if lateness_ms is not None else 0.0
            found.append((lag * 1000 / RATE + late, likeness))
    if not found:
        return None
    trips = sorted(max(0.0, round(trip, 2)) for trip, _ in found)
    alike = sorted(likeness for _, likeness in found)
    return Echo(trips[len(trips) // 2], trips[0], trips[-1], alike[len(alike) // 2], len(found))


def _envelope(samples: Samples) -> list[float]:
    """The loudness of each 5 ms."""
    cells = (samples[at : at + _CELL] for at in range(0, len(samples) - _CELL + 1, _CELL))
    return [math.sqrt(sum(map(mul, cell, cell)) / _CELL) for cell in cells]


def _can_be_placed(envelope: list[float], at: int) -> bool:
    cells = envelope[at // _CELL : (at + _PIECE) // _CELL]
    mean = sum(cells) / len(cells)
    spread = math.sqrt(sum((cell - mean) ** 2 for cell in cells) / len(cells))
    return mean > _QUIET and spread > mean / 4


def _coarse(sent: list[float], heard: list[float], at: int) -> int | None:
    """The lag in samples at which the loudness fits best."""
    first, count = at // _CELL, _PIECE // _CELL
    piece = sent[first : first + count]
    mean = sum(piece) / count
    piece = [cell - mean for cell in piece]
    sums = list(accumulate(heard, initial=0.0))
    squares = list(accumulate(map(mul, heard, heard), initial=0.0))
    best, best_lag = 0.0, None
    for lag in range(_EARLIEST_MS * RATE // 1000 // _CELL, LONGEST_MS * RATE // 1000 // _CELL):
        begin = first + lag
        if begin < 0:
            continue
        if begin + count > len(heard):
            break
        total = sums[begin + count] - sums[begin]
        power = squares[begin + count] - squares[begin] - total * total / count
        if power <= count * _QUIET:
            continue
        score = sum(map(mul, piece, heard[begin : begin + count])) / math.sqrt(power)
        if score > best:
            best, best_lag = score, lag * _CELL
    return best_lag


def _fine(sent: Samples, heard: Samples, at: int, around: int) -> tuple[int, float]:
    """The lag in samples at which the sound itself fits best, and the likeness there."""
    piece = sent[at : at + _PIECE]
    lags = range(max(-at, around - 2 * _CELL), around + 2 * _CELL + 1)
    # Every fourth product says where to look closely.
    rough = max(lags, key=lambda lag: _likeness(piece[::4], heard[at + lag : at + lag + _PIECE : 4]))
    near = range(max(-at, rough - 3), rough + 4)
    return max(((lag, _likeness(piece, heard[at + lag : at + lag + _PIECE])) for lag in near), key=lambda one: one[1])


def _likeness(piece: Samples, other: Samples) -> float:
    """The correlation of two pieces, -1 to 1; 0 where one is silent or cut short."""
    if len(other) < len(piece):
        return 0.0
    power = sum(map(mul, piece, piece)) * sum(map(mul, other, other))
    return sum(map(mul, piece, other)) / math.sqrt(power) if power else 0.0
