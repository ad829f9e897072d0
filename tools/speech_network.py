#!/usr/bin/env python3
"""Writes the weights of the speech network, and what it says of our recording, from Silero's published model.

    pip download --no-deps silero-vad==6.2.3 && unzip silero_vad-*.whl
    pip install onnx onnxruntime numpy
    tools/speech_network.py silero_vad/data/silero_vad.onnx

To be run by hand when the model changes; what it writes is kept in the tree:
`python/offhook/media/silero/silero_vad_8k.f32`, the half of the model that works at 8 kHz, in the order and the layout
in which `rust/media/src/vad/network.rs` reads it, and `rust/media/tests/data/speech_network.txt`, the probabilities
that onnxruntime gives, to hold our own inference against.
"""

import hashlib
import sys
import wave
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

ROOT = Path(__file__).parents[1]
MODEL_SHA256 = "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"
WEIGHTS = ROOT / "python/offhook/media/silero/silero_vad_8k.f32"
SAID = ROOT / "rust/media/tests/data/speech_network.txt"
RECORDING = ROOT / "python/offhook/phone/sounds/sentence.wav"
LANES = 32
CHUNK, CONTEXT = 256, 32


def constants(path: Path) -> dict[str, np.ndarray]:
    """The weights of the branch for 8 kHz, by the names that they had in training."""
    graph = onnx.load(path).graph
    branch = next(node for node in graph.node if node.op_type == "If")
    body = next(attribute.g for attribute in branch.attribute if attribute.name == "else_branch")
    found = {}
    for node in body.node:
        if node.op_type == "Constant":
            value = next(attribute.t for attribute in node.attribute if attribute.name == "value")
            found[node.output[0].partition("Inline_0__")[2]] = numpy_helper.to_array(value)
    assert found["stft.forward_basis_buffer"].shape == (130, 1, 128), "this is not the branch for 8 kHz"
    return found


def layer(matrix: np.ndarray, bias: np.ndarray | None = None) -> bytes:
    """A matrix [outputs, inputs] by blocks of 32 outputs, in each of them input by input; the bias before it."""
    outputs, inputs = matrix.shape
    blocks = matrix.reshape(outputs // LANES, LANES, inputs).transpose(0, 2, 1)
    head = b"" if bias is None else bias.astype("<f4").tobytes()
    return head + np.ascontiguousarray(blocks, "<f4").tobytes()


def convolution(weights: np.ndarray, bias: np.ndarray, first: int = 0, last: int = 2) -> bytes:
    """[outputs, channels, taps] as a matrix over taps of channels; taps that only ever meet padding are left out."""
    taps = weights[:, :, first : last + 1].transpose(0, 2, 1)
    return layer(taps.reshape(len(weights), -1), bias)


def flat(w: dict[str, np.ndarray]) -> bytes:
    basis = w["stft.forward_basis_buffer"][:, 0]
    # Real parts of bins 0 to 63, imaginary parts of the same, then both of bin 64, and nothing up to a whole block.
    spectrum = np.concatenate([basis[:64], basis[65:129], basis[64:65], basis[129:130], np.zeros((30, 128))])
    encoder = [(w[f"encoder.{n}.reparam_conv.weight"], w[f"encoder.{n}.reparam_conv.bias"]) for n in range(4)]
    memory = np.concatenate([w["decoder.rnn.weight_ih"], w["decoder.rnn.weight_hh"]], axis=1)
    return b"".join(
        [
            layer(spectrum),
            convolution(*encoder[0]),
            convolution(*encoder[1]),
            convolution(*encoder[2], 1, 2),
            convolution(*encoder[3], 1, 1),
            layer(memory, w["decoder.rnn.bias_ih"] + w["decoder.rnn.bias_hh"]),
            w["decoder.decoder.2.bias"].astype("<f4").tobytes(),
            w["decoder.decoder.2.weight"].astype("<f4").tobytes(),
        ]
    )


def said(path: Path) -> list[float]:
    """What onnxruntime says of each 32 ms of our recording."""
    session = onnxruntime.InferenceSession(str(path))
    with wave.open(str(RECORDING), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8_000, 1, 2)
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32_768
    state, context, said = np.zeros((2, 1, 128), np.float32), np.zeros(CONTEXT, np.float32), []
    for at in range(0, len(sound) - CHUNK + 1, CHUNK):
        chunk = np.concatenate([context, sound[at : at + CHUNK]])
        context = chunk[-CONTEXT:]
        given = {"input": chunk[None], "state": state, "sr": np.array(8_000, np.int64)}
        probability, state = session.run(None, given)
        said.append(float(probability[0, 0]))
    return said


def main() -> None:
    path = Path(sys.argv[1])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == MODEL_SHA256, f"{path} is another model"
    weights = flat(constants(path))
    WEIGHTS.parent.mkdir(exist_ok=True)
    WEIGHTS.write_bytes(weights)
    SAID.parent.mkdir(exist_ok=True)
    SAID.write_text("".join(f"{probability:.6f}\n" for probability in said(path)), "utf-8")
    print(WEIGHTS.name, len(weights), "bytes, SHA-256", hashlib.sha256(weights).hexdigest())


if __name__ == "__main__":
    main()
