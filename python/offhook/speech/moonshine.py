"""Moonshine tiny, English: speech to text without an account, on onnxruntime.

The weights come inside the package moonshine-voice (MIT licence). Only its files are read, by path and held to their
SHA-256: the package itself, which wants a sound card's library, is never imported. 44 MB; about 0.03 s of one core for
a second of speech.
"""

import re
import threading
from functools import partial
from typing import Any

import numpy as np

from offhook.speech.local import LocalSpeechToText
from offhook.speech.packages import checked, folder, module
from offhook.speech.protocol import Listening
from offhook.speech.resample import Sound

RATE = 16_000
_ENGINE = "moonshine"
_FILES = {
    "encoder_model.ort": "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
    "decoder_model_merged.ort": "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
    "tokenizer.bin": "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
}
_START, _END = 1, 2
_LAYERS, _HEADS, _WIDTH = 6, 8, 36
_TOKENS_PER_SECOND = 6.5
# The graph folds 384 samples to a frame and needs a few of them.
_FEWEST = 4_800


class MoonshineSpeechToText(LocalSpeechToText["_Model"]):
    """The engine; see `offhook.speech.protocol.SpeechToText`. `threads` calls are recognised at a time."""

    def __init__(self, *, threads: int = 2) -> None:
        module("onnxruntime", engine=_ENGINE, extra="agent")
        assets = folder("moonshine_voice", engine=_ENGINE, extra="agent") / "assets/tiny-en"
        super().__init__(_ENGINE, partial(_Model, assets), threads=threads, rate=RATE)

    def listen(self, *, rate: int, partials: bool = False) -> Listening:
        """See the protocol. Times are exact to 32 ms; a final transcript comes some 0.3 s after the last word."""
        return self._ears.open(rate, partials)


class _Model:
    """The two graphs and the words. What it holds never changes, so all threads share it."""

    def __init__(self, assets: Any) -> None:
        ort = module("onnxruntime", engine=_ENGINE, extra="agent")
        data = {name: checked(assets / name, sha256, engine=_ENGINE) for name, sha256 in _FILES.items()}
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._encoder, self._decoder = (
            ort.InferenceSession(data[name], options, providers=["CPUExecutionProvider"])
            for name in ("encoder_model.ort", "decoder_model_merged.ort")
        )
        self._pieces = _pieces(data["tokenizer.bin"])
        self._outputs = [output.name for output in self._decoder.get_outputs()]
        self._past = [
            f"past_key_values.{layer}.{side}.{kind}"
            for layer in range(_LAYERS)
            for side in ("decoder", "encoder")
            for kind in ("key", "value")
        ]

    def text_of(self, sound: Sound, gone: threading.Event) -> str:
        """What is said in the sound, word for word the likeliest; empty if `gone` is set before it is known."""
        if len(sound) < _FEWEST:
            sound = np.concatenate([sound, np.zeros(_FEWEST - len(sound), np.float32)])
        given = {"input_values": sound[None], "attention_mask": np.ones((1, len(sound)), np.int64)}
        (states,) = self._encoder.run(None, given)
        empty = np.zeros((1, _HEADS, 0, _WIDTH), np.float32)
        feeds: dict[str, Any] = {
            "encoder_hidden_states": states,
            # By the sample, as the encoder's: the graph folds it.
            "encoder_attention_mask": given["attention_mask"],
            "use_cache_branch": np.array([False]),
            **dict.fromkeys(self._past, empty),
        }
        tokens = [_START]
        for _ in range(max(4, int(len(sound) / RATE * _TOKENS_PER_SECOND) + 1)):
            if gone.is_set():
                return ""
            feeds["input_ids"] = np.array([tokens[-1:]], np.int64)
            logits, *present = self._decoder.run(None, feeds)
            token = int(logits[0, -1].argmax())
            if token == _END:
                break
            tokens.append(token)
            # What the decoder looks at of the sound is worked out once, in the first step.
            news = zip(self._past, present, strict=True)
            feeds |= {name: value for name, value in news if ".decoder." in name or len(tokens) == 2}
            feeds["use_cache_branch"] = np.array([True])
        return self._words(tokens[1:])

    def _words(self, tokens: list[int]) -> str:
        data = b"".join(self._pieces[token] for token in tokens if token < len(self._pieces))
        return re.sub(",{2,}", ",", " ".join(data.decode("utf-8", "ignore").replace("\u2581", " ").split()))


def _pieces(data: bytes) -> list[bytes]:
    """The tokenizer's list: each piece after its length, one byte, or two where the first is 128 or more."""
    pieces, at = [], 0
    while at < len(data):
        length = data[at]
        at += 1
        if length >= 128:
            length = length - 128 + 128 * data[at]
            at += 1
        pieces.append(data[at : at + length])
        at += length
    # Control tokens such as <s> are no words.
    return [b"" if piece.startswith(b"<") and piece.endswith(b">") and len(piece) > 2 else piece for piece in pieces]
