"""What Whisper hears of a sound: how loud it is in 80 bands, every 10 ms, by the logarithm."""

import numpy as np
from numpy.typing import NDArray

from offhook.speech.resample import Sound

RATE = 16_000
STEP = 160
BANDS = 80
_WINDOW = 400
_FLOOR = 1e-10
# Below this many powers of ten under the loudest moment nothing is told apart.
_RANGE = 8.0


def log_mel(sound: Sound) -> NDArray[np.float32]:
    """The bands of a sound at 16 kHz: an array of [BANDS, len(sound) // STEP]."""
    steps = len(sound) // STEP
    padded = np.pad(sound, _WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::STEP][:steps]
    power = np.abs(np.fft.rfft(frames * _HANN, axis=1)) ** 2
    loudness = np.log10(np.maximum(power @ _FILTERS, _FLOOR)).T
    loudness = np.maximum(loudness, loudness.max() - _RANGE)
    return np.ascontiguousarray((loudness + 4.0) / 4.0, dtype=np.float32)


def _to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's scale: even up to 1 kHz, by the logarithm above."""
    even = mel * 200.0 / 3.0
    return np.where(mel < 15.0, even, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0))


def _filters() -> NDArray[np.float64]:
    """Overlapping triangles from 0 to 8 kHz, of one area each: [bins of the spectrum, BANDS]."""
    top = 15.0 + np.log(8.0) * 27.0 / np.log(6.4)
    corners = _to_hertz(np.linspace(0.0, top, BANDS + 2))
    bins = np.linspace(0.0, RATE / 2, _WINDOW // 2 + 1)
    rising = (bins[:, None] - corners[None, :-2]) / np.diff(corners)[None, :-1]
    falling = (corners[None, 2:] - bins[:, None]) / np.diff(corners)[None, 1:]
    return np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (corners[2:] - corners[:-2]))


_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
_FILTERS = _filters()
