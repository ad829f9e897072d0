"""Prints the answers that `g722.rs` knows, from a codec that we did not write.

    pip install g722==1.2.8 && python rust/media/tests/g722_answers.py

That one and spandsp 0.0.6 agree on all of these encodings. The sounds are made of whole numbers, as in `g722.rs`.
"""

import wave
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

from G722 import G722

PROMPT = Path(__file__).parents[3] / "python/offhook/destination/prompts/welcome.wav"
RATE = 16_000


class Random:
    """The generator of `g722.rs`."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def next(self) -> int:
        self.state = (self.state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        return self.state >> 32


def noise(seed: int, peak: int) -> Iterator[int]:
    random = Random(seed)
    return (random.next() % (2 * peak) - peak for _ in range(2 * RATE))


def chirp(peak: int) -> Iterator[int]:
    """A triangle that becomes faster and faster, from 0 to 8 kHz within four seconds."""
    phase = 0
    for n in range(4 * RATE):
        phase = (phase + n) % 128_000
        yield (abs(phase - 64_000) - 32_000) * peak // 32_000


def speech() -> list[int]:
    with wave.open(str(PROMPT)) as prompt:
        return list(array("h", prompt.readframes(prompt.getnframes())))


def fnv(values: Iterable[int]) -> int:
    """64-bit FNV-1a over the bytes."""
    digest = 0xCBF29CE484222325
    for value in values:
        digest = (digest ^ value) * 0x100000001B3 % 2**64
    return digest


def main() -> None:
    sounds = {
        "speech": speech(),
        "chirp": list(chirp(12_000)),
        "noise": list(noise(7, 8_000)),
        "faint noise": list(noise(8, 20)),
        "silence": [0] * RATE,
        "the least": [-1] * RATE,
        "direct current": [16_000] * RATE,
        "steps": [9_000 if n // 200 % 2 == 0 else -9_000 for n in range(RATE)],
        "the highest": [32_767] * RATE,
        "the lowest": [-32_768] * RATE,
    }
    for name, pcm in sounds.items():
        payload = bytes(G722(RATE, 64_000).encode(pcm))
        heard = array("h", G722(RATE, 64_000).decode(payload)).tobytes()
        print(f'("{name}", {fnv(payload):#018x}, {fnv(heard):#018x}),')
    # Codes that no encoder sends, and each code for ever.
    random = Random(3)
    payloads = [bytes(random.next() % 256 for _ in range(400_000))]
    payloads += [b"".join(bytes([byte]) * 1_000 for byte in range(256))]
    for payload in payloads:
        print(f"{fnv(array('h', G722(RATE, 64_000).decode(payload)).tobytes()):#018x}")


if __name__ == "__main__":
    main()
