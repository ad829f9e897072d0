"""The network that tells speech from noise while a caller may be interrupting: its weights, as this package has them.

Silero VAD 6.2.3 for 8 kHz, MIT licence (`silero/LICENSE`). Weights that are not those are not used: the gateway then
works without, by the gate of its voice activity alone, and says so.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

WEIGHTS: Final = Path(__file__).parent / "silero" / "silero_vad_8k.f32"
"""Written by tools/speech_network.py."""

SHA256: Final = "6ede4c7b9799306081a14db98ff2105a87497550683e33411e3c2d899382f447"


@dataclass(frozen=True, slots=True)
class SpeechNetwork:
    """The weights, or why there are none."""

    weights: bytes | None = field(repr=False)
    problem: str = ""


def load(path: Path = WEIGHTS) -> SpeechNetwork:
    """Read the weights and check that they are ours."""
    try:
        weights = path.read_bytes()
    except OSError as error:
        return SpeechNetwork(None, f"{path}: {error.strerror or error}")
    if hashlib.sha256(weights).hexdigest() != SHA256:
        return SpeechNetwork(None, f"{path}: its SHA-256 is not that of our weights")
    return SpeechNetwork(weights)
