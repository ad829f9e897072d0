"""Feeds the playout queue of a leg a little ahead, so that digits and hanging up never wait for a long sound."""

from array import array
from collections.abc import Iterator

from offhook.phone.sound import RATE, Samples, to_bytes

CHUNKS_A_SECOND = 10
AHEAD = 4
"""Chunks of 100 ms that are queued at once: what a busy machine may oversleep without a gap."""

_PREFIX = "chunk-"


class Player:
    """Plays a sound of `rate` to its end, and from its beginning after each `again()`; `endless`, without a break.

    `take()` gives the chunks to queue now, each with its mark; `left(mark)` says which chunk has been sent.
    """

    def __init__(self, sound: Samples, *, endless: bool, rate: int = RATE) -> None:
        self.rate = rate
        self._sound = sound
        self._endless = endless
        self._chunks = _cut(sound, rate, endless=endless)
        self._waiting: dict[str, Samples] = {}
        self._count = 0
        self._at_end = False

    @property
    def has_played(self) -> bool:
        """Whether the sound has been sent to its end. Never so for one that is empty."""
        return self._at_end and self._count > 0 and not self._waiting

    def again(self) -> None:
        """Begin the sound anew."""
        self._chunks = _cut(self._sound, self.rate, endless=self._endless)
        self._at_end = False

    def take(self) -> list[tuple[bytes, str]]:
        """PCM16 little-endian and mark of every chunk that has room in the queue."""
        taken: list[tuple[bytes, str]] = []
        while len(self._waiting) < AHEAD and not self._at_end:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._at_end = True
                break
            self._count += 1
            mark = f"{_PREFIX}{self._count}"
            self._waiting[mark] = chunk
            taken.append((to_bytes(chunk), mark))
        return taken

    def left(self, mark: str) -> Samples | None:
        """The chunk of this mark, which has just been sent whole; None for a mark that is not the player's."""
        return self._waiting.pop(mark, None)


def _cut(sound: Samples, rate: int, *, endless: bool) -> Iterator[Samples]:
    if not sound:
        return
    # A sound that joins itself, such as a tone, is cut across its end.
    chunk, rest = rate // CHUNKS_A_SECOND, array("h")
    while True:
        rest += sound
        whole = len(rest) // chunk * chunk
        yield from (rest[at : at + chunk] for at in range(0, whole, chunk))
        rest = rest[whole:]
        if not endless:
            if rest:
                yield rest
            return
