"""What lies behind a voice, or stands in its place: noise, rooms, music, other people."""

import numpy as np
from numpy.typing import NDArray

from .voices import PIECES, RATE, Chance, Set, Sound, allison, play, reader, tune


def at(sound: Sound, level: float) -> Sound:
    """So many dBov on average."""
    mean = float(np.sqrt(np.mean(sound**2))) or 1.0
    return sound * (10 ** (level / 20) / mean)


def _coloured(chance: Chance, count: int, slope: float) -> Sound:
    spectrum = np.fft.rfft(chance.normal(0, 1, count))
    hertz = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 50.0)
    return np.fft.irfft(spectrum * hertz**-slope, count)


def white(chance: Chance, count: int) -> Sound:
    """The hiss of a line."""
    return chance.normal(0, 1, count)


def office(chance: Chance, count: int) -> Sound:
    """Air conditioning, which breathes, and clicks."""
    when = np.arange(count) / RATE
    sound = at(_coloured(chance, count, 0.6), 0.0) * (1 + 0.4 * np.sin(2 * np.pi * 0.3 * when + chance.uniform(0, 6)))
    for place in chance.integers(0, max(1, count - 80), count // 16000):
        sound[place : place + 80] += chance.normal(0, 3, 80) * np.exp(-np.arange(80) / 15)
    return sound


def car(chance: Chance, count: int) -> Sound:
    """Tyres, wind and an engine."""
    when = np.arange(count) / RATE
    engine = sum(np.sin(2 * np.pi * 31 * n * when + n) / n for n in range(1, 12))
    return at(_coloured(chance, count, 1.0), 0.0) + 0.4 * np.asarray(engine)


def music(chance: Chance, count: int) -> Sound:
    """A melody over chords, plucked."""
    when = np.arange(count) / RATE
    beat = float(chance.uniform(0.25, 0.5))
    steps = chance.integers(0, 13, count // round(beat * RATE) + 2)
    note = (when // beat).astype(int)
    melody = float(chance.uniform(180, 300)) * 2 ** (steps[note] / 12)
    phase = 2 * np.pi * np.cumsum(melody) / RATE
    sound = sum(np.sin(n * phase) / n for n in range(1, 6)) * np.exp(-3 * (when % beat))
    chord = sum(np.sin(2 * np.pi * hertz * when) for hertz in (130.8, 164.8, 196.0))
    return np.asarray(sound + 0.25 * chord)


def organ(chance: Chance, count: int) -> Sound:
    """Chords that stay for a while, one after the other, with a little tremor."""
    when = np.arange(count) / RATE
    bar = float(chance.uniform(0.8, 1.6))
    roots = 110.0 * 2 ** (chance.integers(0, 12, count // round(bar * RATE) + 2) / 12)
    root = roots[(when // bar).astype(int)] * (1 + 0.002 * np.sin(2 * np.pi * 5.5 * when))
    phase = 2 * np.pi * np.cumsum(root) / RATE
    return np.asarray(sum(np.sin(part * phase) / part for part in (1, 2, 2.5, 3, 4, 5, 6)))


def piece(chance: Chance, count: int, of: Set, number: int) -> tuple[str, Sound]:
    """Somewhere in a piece of music, with its name: every fourth is made here, as all are where none is installed."""
    pieces = PIECES[of]()
    if number % 4 == 3 or not pieces:
        return ("plucked", music(chance, count)) if of == "tuning" else ("organ", organ(chance, count))
    path = pieces[number % len(pieces)]
    whole = tune(path)
    begin = int(chance.integers(0, max(1, len(whole) - count)))
    return path.stem, np.resize(whole[begin : begin + count], count)


def talk(chance: Chance, count: int, of: Set) -> Sound:
    """Other people: a radio play, or a reader and a prompt, on and on."""
    if of == "tuning":
        begin = float(chance.uniform(0, 10))
        source: NDArray[np.float64] = play(begin, begin + 9)
    else:
        number = int(chance.integers(0, 8))
        source = np.concatenate([reader(number), reader(number + 1), allison("demo-moreinfo"), reader(number + 3)])
    return np.tile(source, -(-count // len(source)))[:count]


KINDS = {"white": white, "office": office, "car": car, "music": music}
