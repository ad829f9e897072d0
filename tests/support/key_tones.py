"""Which keys can be heard in a sound: judged apart from the gateway's own detector, and more willing than it is."""

from collections.abc import Sequence

import numpy as np

ROWS = (697, 770, 852, 941)
COLUMNS = (1209, 1336, 1477, 1633)
KEYS = ("123A", "456B", "789C", "*0#D")


def keys_in(samples: Sequence[int], rate: int = 8000, *, window_ms: int = 10, quietest: float = 100.0) -> str:
    """The keys whose tones are in the sound, each run of one once: any 10 ms that are mostly a row and a column."""
    size = rate * window_ms // 1000
    sound = np.asarray(samples, np.float64)
    windows = sound[: len(sound) // size * size].reshape(-1, size)
    power = (windows**2).sum(axis=1)
    when = np.arange(size) / rate
    strength = np.stack([np.abs(windows @ np.exp(2j * np.pi * hz * when)) ** 2 for hz in (*ROWS, *COLUMNS)], axis=1)
    # Two tones and nothing else are 1; neighbours leak into a window as short as this.
    shares = 2 * strength / (size * np.maximum(power, 1.0))[:, None]
    row, column = shares[:, :4].argmax(axis=1), shares[:, 4:].argmax(axis=1)
    both = shares[:, :4].max(axis=1) + shares[:, 4:].max(axis=1)
    loud = (np.sqrt(power / size) > quietest) & (both > 0.7) & (shares[:, :4].max(axis=1) > 0.1)
    loud &= shares[:, 4:].max(axis=1) > 0.1
    found, last = "", ""
    for is_key, r, c in zip(loud, row, column, strict=True):
        key = KEYS[r][c] if is_key else ""
        if key and key != last:
            found += key
        last = key
    return found
