"""What the caller says, as frames of 20 ms in whatever format an agent asks for."""

from functools import lru_cache

from offhook.examine.audio import Format, at_rate, encoded
from offhook.phone.sound import RATE, Samples, from_bytes, to_bytes


class Speech:
    """One sentence, PCM16 at 8 kHz."""

    def __init__(self, samples: Samples) -> None:
        self._pcm16 = to_bytes(samples)

    @property
    def seconds(self) -> float:
        """How long it takes to say."""
        return len(self._pcm16) / 2 / RATE

    def frames(self, format: Format) -> tuple[bytes, ...]:
        """The sentence in that format, the last frame filled up with silence."""
        return _frames(self._pcm16, format)


@lru_cache(maxsize=8)
def _frames(pcm16: bytes, format: Format) -> tuple[bytes, ...]:
    audio = encoded(at_rate(from_bytes(pcm16), RATE, format.rate), format.encoding)
    size = format.bytes_per_second // 50
    audio += format.silence * (-len(audio) % size // format.sample_bytes)
    return tuple(audio[at : at + size] for at in range(0, len(audio), size))
