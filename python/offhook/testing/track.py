"""What was heard and said, as sound on one clock."""

import sys
from array import array

_LONGEST = 3_600.0
"""Seconds that are kept of each side; what comes later is not."""


class Track:
    """Two channels of PCM16 at `rate`: 0 is the caller, 1 the agent. Times are seconds of the call."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._channels = (array("h"), array("h"))

    def put(self, channel: int, at: float, pcm: bytes) -> None:
        """This sounds at this time; silence is what nobody put."""
        if not 0 <= at <= _LONGEST:
            return
        samples, sound = array("h", pcm), self._channels[channel]
        if sys.byteorder == "big":
            samples.byteswap()
        begin = round(at * self.rate)
        if begin > len(sound):
            sound.extend(array("h", bytes(2 * (begin - len(sound)))))
        sound[begin : begin + len(samples)] = samples

    def cut(self, channel: int, start: float, end: float) -> bytes:
        """A piece of one channel, with silence where there is none."""
        begin, stop = round(max(0.0, start) * self.rate), round(end * self.rate)
        piece = self._channels[channel][begin:stop]
        return _bytes(piece) + bytes(2 * max(0, stop - begin - len(piece)))

    def stereo(self) -> bytes:
        """Both, sample by sample."""
        length = max(map(len, self._channels))
        both = array("h", bytes(4 * length))
        for number, sound in enumerate(self._channels):
            both[number : 2 * len(sound) : 2] = sound
        return _bytes(both)


def _bytes(samples: "array[int]") -> bytes:
    if sys.byteorder == "big":
        samples = array("h", samples)
        samples.byteswap()
    return samples.tobytes()
