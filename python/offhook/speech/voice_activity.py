"""Whether somebody speaks: Silero's small network for 8 kHz, in numpy.

The weights are those of the media core, `media/silero/silero_vad_8k.f32` (Silero VAD 6.2.3, MIT licence): layers in
their order, each a bias and then its matrix by blocks of 32 outputs, input by input. 32 ms of sound cost 0.06 ms.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offhook.speech.packages import checked
from offhook.speech.resample import Sound

RATE = 8_000
"""The rate of what is judged."""

CHUNK = 256
"""Samples that are judged at a time: 32 ms."""

_SHA256 = "6ede4c7b9799306081a14db98ff2105a87497550683e33411e3c2d899382f447"
_CONTEXT = 32
_CELLS = 128
# Which numbers each of the steps of a convolution looks at: cheaper than views of them.
_WINDOWS = np.arange(0, 256, 64)[:, None] + np.arange(128)
_THREE_COLUMNS = np.arange(0, 4 * 65, 65)[:, None] + np.arange(3 * 65)
_EVERY_SECOND = np.arange(0, 4 * 128, 2 * 128)[:, None] + np.arange(3 * 128)


class VoiceActivity:
    """One speaker's sound in chunks, and how likely it is that each is speech."""

    def __init__(self) -> None:
        self._network = _network()
        self._context = np.zeros(_CONTEXT, np.float32)
        self._hidden = np.zeros(_CELLS, np.float32)
        self._cells = np.zeros(_CELLS, np.float32)

    def judge(self, chunk: Sound) -> float:
        """From 0 to 1, for the next `CHUNK` samples."""
        assert len(chunk) == CHUNK, len(chunk)
        net = self._network
        samples = np.concatenate([self._context, chunk, chunk[-2:-34:-1]])
        self._context = chunk[-_CONTEXT:]
        # Four spectra of 128 samples, 64 apart, with an empty one before and behind them.
        windows = samples[_WINDOWS]
        parts = windows @ net.spectrum
        magnitudes = np.zeros((6, 65), np.float32)
        magnitudes[1:5, :64] = np.hypot(parts[:, :64], parts[:, 64:128])
        magnitudes[1:5, 64] = np.hypot(parts[:, 128], parts[:, 129])
        three = magnitudes.ravel()[_THREE_COLUMNS]
        first = np.zeros((6, 128), np.float32)
        first[1:5] = np.maximum(three @ net.first[0] + net.first[1], 0)
        pairs = first.ravel()[_EVERY_SECOND]
        second = np.maximum(pairs @ net.second[0] + net.second[1], 0)
        third = np.maximum(second.ravel() @ net.third[0] + net.third[1], 0)
        fourth = np.maximum(third @ net.fourth[0] + net.fourth[1], 0)
        gates = np.concatenate([fourth, self._hidden]) @ net.memory[0] + net.memory[1]
        entered, kept, new, told = gates.reshape(4, _CELLS)
        self._cells = _sigmoid(kept) * self._cells + _sigmoid(entered) * np.tanh(new)
        self._hidden = _sigmoid(told) * np.tanh(self._cells)
        return float(_sigmoid(net.output @ np.maximum(self._hidden, 0) + net.output_bias))


_Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


class _Network:
    def __init__(self, numbers: NDArray[np.float32]) -> None:
        self._numbers, self._at = numbers, 0
        self.spectrum = self._matrix(128, 160)
        self.first = self._layer(3 * 65, 128)
        self.second = self._layer(3 * 128, 64)
        self.third = self._layer(2 * 64, 64)
        self.fourth = self._layer(64, 128)
        self.memory = self._layer(2 * _CELLS, 4 * _CELLS)
        self.output_bias = self._take(1)[0]
        self.output = self._take(_CELLS)
        assert self._at == len(numbers), "the weights are of another network"

    def _take(self, count: int) -> NDArray[np.float32]:
        self._at += count
        return self._numbers[self._at - count : self._at]

    def _matrix(self, inputs: int, outputs: int) -> NDArray[np.float32]:
        blocks = self._take(inputs * outputs).reshape(outputs // 32, inputs, 32)
        return np.ascontiguousarray(blocks.transpose(1, 0, 2).reshape(inputs, outputs))

    def _layer(self, inputs: int, outputs: int) -> _Layer:
        bias = self._take(outputs)
        return self._matrix(inputs, outputs), bias


@lru_cache(maxsize=1)
def _network() -> _Network:
    path = Path(__file__).parents[1] / "media/silero/silero_vad_8k.f32"
    return _Network(np.frombuffer(checked(path, _SHA256, engine="Silero VAD"), "<f4"))


def _sigmoid(x: "NDArray[np.float32]") -> "NDArray[np.float32]":
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)
