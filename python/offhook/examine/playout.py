"""What the caller would hear: the agent's audio, queued and played in real time, with its marks and clears.

It is pure: the time is an argument, in seconds, and audio is played on to the sample, where the gateway plays frames.
"""

from collections import deque
from dataclasses import dataclass, field

from offhook.examine.audio import AUDIBLE, BLOCK_MS, Format, decoded, loudness
from offhook.examine.utterances import Part
from offhook.phone.sound import Samples

AHEAD_LIMIT = 120.0
"""Seconds of audio ahead of real time; what is beyond is dropped, as the gateway does."""

EARLY_LIMIT = 30.0
"""Seconds of audio that are held before the call is answered."""

_BLOCK = BLOCK_MS / 1000
_KEPT = 180.0
_MOMENT = 0.2


@dataclass(slots=True)
class Piece:
    """One message's audio: when it came, from when to when it is played, and how loud each block is."""

    came: float
    start: float
    end: float
    audio: bytes
    levels: list[float] = field(repr=False)
    utterance: Part | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """The queue ran dry between two messages that were `length` seconds late for each other."""

    at: float
    length: float


@dataclass(frozen=True, slots=True)
class Cleared:
    """What a clear dropped. `played_ms` counts from the last clear."""

    played_ms: int
    dropped_ms: int
    marks: tuple[str, ...]


class Playout:
    """One call's playout. Pieces are kept for the judgement, the last three minutes of them."""

    def __init__(self, format: Format) -> None:
        self.format = format
        self.pieces: deque[Piece] = deque()
        self.gaps: list[Gap] = []
        self.most_ahead = 0.0
        self.last_sound = 0.0
        """When the last audible block so far ends; it may still be to come."""
        self.dropped = 0.0
        self._begun = False
        self._end = 0.0
        self._held: list[tuple[Part | None, bytes] | str] = []
        """Audio with its utterance, and marks by their name."""
        self._held_seconds = 0.0
        self._marks: deque[tuple[float, str]] = deque()
        self._since_clear = 0.0
        self._half = b""

    def begin(self, now: float) -> None:
        """The call is answered: what was held is played."""
        self._begun = True
        held, self._held = self._held, []
        for what in held:
            if isinstance(what, str):
                self.mark(now, what)
            else:
                self._queue(now, what[1], what[0])

    def take(self, now: float, audio: bytes, utterance: Part | None = None) -> bool:
        """Audio of one message, and the utterance that it belongs to; False if it was dropped as too much waits."""
        if self.format.sample_bytes == 2:
            audio = self._half + audio
            self._half = audio[len(audio) // 2 * 2 :]
            audio = audio[: len(audio) // 2 * 2]
        if not audio:
            return True
        seconds = len(audio) / self.format.bytes_per_second
        if not self._begun:
            if self._held_seconds + seconds > EARLY_LIMIT:
                self.dropped += seconds
                return False
            self._held_seconds += seconds
            self._held.append((utterance, audio))
            return True
        if self.ahead(now) + seconds > AHEAD_LIMIT:
            self.dropped += seconds
            return False
        self._queue(now, audio, utterance)
        return True

    def mark(self, now: float, name: str) -> None:
        """To be told by `due` when all before it has been played."""
        if self._begun:
            self._marks.append((max(now, self._end), name))
        elif len(self._held) < 10_000:
            self._held.append(name)

    def due(self, now: float) -> list[str]:
        """The marks whose time has come, in order."""
        names = []
        while self._marks and self._marks[0][0] <= now:
            names.append(self._marks.popleft()[1])
        return names

    def clear(self, now: float) -> Cleared:
        """Drop what has not been played."""
        dropped = 0.0
        while self.pieces and self.pieces[-1].end > now:
            piece = self.pieces[-1]
            dropped += piece.end - max(piece.start, now)
            if piece.start >= now:
                self.pieces.pop()
            else:
                piece.end = now
                break
        self._end = min(self._end, now)
        self.last_sound = min(self.last_sound, now)
        held, self._held = self._held, []
        dropped += self._held_seconds
        self._held_seconds = 0.0
        names = [name for _, name in self._marks] + [what for what in held if isinstance(what, str)]
        self._marks.clear()
        played, self._since_clear = max(0.0, self._since_clear - dropped), 0.0
        self._half = b""
        return Cleared(round(played * 1000), round(dropped * 1000), tuple(names))

    def ahead(self, now: float) -> float:
        """Seconds of audio that wait to be played."""
        return max(0.0, self._end - now)

    # -- what was heard

    def sounds(self, since: float = 0.0, until: float = float("inf")) -> list[float]:
        """When each audible block begins to be played, in order."""
        found = []
        for piece in self.pieces:
            if piece.end <= since or piece.start >= until:
                continue
            for number, level in enumerate(piece.levels):
                at = piece.start + number * _BLOCK
                if level > AUDIBLE and since <= at < min(until, piece.end):
                    found.append(at)
        return found

    def sounds_since(self, since: float, now: float) -> bool:
        """Whether something audible began to be played in that time."""
        if self.last_sound <= since:
            return False
        for piece in reversed(self.pieces):
            if piece.end <= since:
                return False
            starts = (piece.start + number * _BLOCK for number, level in enumerate(piece.levels) if level > AUDIBLE)
            if any(since <= at <= now for at in starts):
                return True
        return False

    def utterance_at(self, now: float) -> Part | None:
        """The utterance that is being played; None if that has no name, or nothing is."""
        return next((piece.utterance for piece in self.pieces if piece.start <= now < piece.end), None)

    def heard(self, since: float, until: float) -> float:
        """Seconds of audible sound that were played in that time."""
        return len(self.sounds(since, until)) * _BLOCK

    def samples(self, most: float) -> Samples:
        """The first seconds of sound that was played, at its own rate; silence of more than a moment is left out."""
        wanted = round(most * self.format.bytes_per_second) // self.format.sample_bytes * self.format.sample_bytes
        audio, loud_at = bytearray(), float("-inf")
        for piece in self.pieces:
            if max(piece.levels, default=0.0) > AUDIBLE:
                loud_at = piece.end
            if piece.start - loud_at < _MOMENT:
                audio += piece.audio
            if len(audio) >= wanted:
                break
        return decoded(bytes(audio[:wanted]), self.format.encoding)

    def raw(self, most: int) -> bytes:
        """The first bytes of audible sound, as they came."""
        audio = bytearray()
        for piece in self.pieces:
            if max(piece.levels, default=0.0) > AUDIBLE:
                audio += piece.audio
            if len(audio) >= most:
                break
        return bytes(audio[:most])

    def _queue(self, now: float, audio: bytes, utterance: Part | None) -> None:
        seconds = len(audio) / self.format.bytes_per_second
        if self.pieces and now > self._end:
            self.gaps.append(Gap(self._end, now - self._end))
            del self.gaps[:-10_000]
        start = max(now, self._end)
        levels = loudness(decoded(audio, self.format.encoding), self.format.rate)
        self.pieces.append(Piece(now, start, start + seconds, audio, levels, utterance))
        self._end = start + seconds
        loud = [number for number, level in enumerate(levels) if level > AUDIBLE]
        if loud:
            self.last_sound = min(start + (loud[-1] + 1) * _BLOCK, self._end)
        self._since_clear += seconds
        self.most_ahead = max(self.most_ahead, self._end - now)
        while self.pieces[-1].end - self.pieces[0].start > _KEPT:
            self.pieces.popleft()
