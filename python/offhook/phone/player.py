"""Feeds the playout queue of a leg a little ahead, so that digits and hanging up never wait for a long sound."""

from array import array
from collections.abc import Iterator

from offhook.phone.sound import RATE, Samples, to_bytes

CHUNKS_A_SECOND = 10
AHEAD = 4
"""Chunks of 100 ms that are queued at once: what a busy machine may oversleep without a gap."""

_PREFIX = "chunk-"


class Player:
    """Plays a sound of `rate` once or over and over, with `pause` seconds in between.

    `take()` gives the chunks to queue now, each with its mark; `left(mark)` says which chunk has been sent.
    """

    def __init__(self, sound: Samples, *, repeat: bool, pause: float, rate: int = RATE) -> None:
        self.rate = rate
        self._chunks = _cut(sound, rate, repeat=repeat, pause=pause)
        self._waiting: dict[str, Samples] = {}
        self._count = 0

    def take(self) -> list[tuple[bytes, str]]:
        """PCM16 little-endian and mark of every chunk that has room in the queue."""
        taken = []
        while len(self._waiting) < AHEAD and (chunk := next(self._chunks, None)) is not None:
            self._count += 1
            mark = f"{_PREFIX}{self._count}"
            self._waiting[mark] = chunk
            taken.append((to_bytes(chunk), mark))
        return taken

    def left(self, mark: str) -> Samples | None:
        """The chunk of this mark, which has just been sent whole; None for a mark that is not the player's."""
        return self._waiting.pop(mark, None)


def _cut(sound: Samples, rate: int, *, repeat: bool, pause: float) -> Iterator[Samples]:
    if not sound:
        return
    round_ = sound + array("h", bytes(2 * round(pause * rate))) if repeat else sound
    # A sound that joins itself, such as a tone, is cut across its end.
    chunk, rest = rate // CHUNKS_A_SECOND, array("h")
    while True:
        rest += round_
        whole = len(rest) // chunk * chunk
        yield from (rest[at : at + chunk] for at in range(0, whole, chunk))
        rest = rest[whole:]
        if not repeat:
            if rest:
                yield rest
            return
