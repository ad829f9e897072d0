"""People who speak: readings of Dickens and Beckett that come with the recogniser's package."""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .speech import Sound, as_pcm, read_wav, resampled

_LOUD = 0.1 * 32_768
"""What the loud parts of a phrase come to: -20 dB below full scale."""
_AROUND = 0.15


@dataclass(frozen=True, slots=True)
class Phrase:
    """Something that somebody says: the words, and where in the reading, in seconds."""

    text: str
    begin: float
    end: float
    reading: str = "two_cities.wav"

    def sound(self, rate: int) -> Sound:
        """It, as loud as people are on a telephone."""
        sound, of = reading(self.reading)
        part = sound[round((self.begin - _AROUND) * of) : round((self.end + _AROUND) * of)]
        levels = [float(np.sqrt(np.mean(piece.astype(float) ** 2))) for piece in np.array_split(part, 40)]
        return resampled(as_pcm(part * (_LOUD / np.percentile(levels, 90))), of, rate)


PHRASES = (
    Phrase("it was the age of wisdom", 5.04, 6.16),
    Phrase("it was the age of foolishness", 6.68, 8.16),
    Phrase("it was the epoch of belief", 8.82, 10.28),
    Phrase("it was the epoch of incredulity", 10.76, 12.72),
    Phrase("it was the season of light", 13.48, 14.74),
    Phrase("it was the season of darkness", 15.14, 16.66),
    Phrase("it was the spring of hope", 17.56, 18.72),
    Phrase("it was the winter of despair", 18.98, 20.44),
)


@cache
def reading(name: str) -> tuple[Sound, int]:
    """A whole recording and its rate."""
    package = find_spec("moonshine_voice")
    assert package is not None, "pip install 'offhook[agent]'"
    assert package.submodule_search_locations
    return read_wav(Path(package.submodule_search_locations[0]) / "assets" / name)
