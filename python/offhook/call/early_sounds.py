"""The sounds that routes play before the answer."""

from collections.abc import Mapping

from offhook.call.ring_tones import RATE, ring_tone
from offhook.route.early_media import EarlyMedia

Sound = tuple[bytes, int]
"""PCM16 little-endian mono, and its samples a second."""


class EarlySounds:
    """The sounds that routes name: ringing tones, and WAV files as they were read at the start, by their paths."""

    def __init__(self, files: Mapping[str, Sound] | None = None) -> None:
        self._files = dict(files or {})

    def of(self, early: EarlyMedia, country: str | None) -> Sound | None:
        """The sound of a setting; `country` is that of the trunk. None if there is none, or if it is the agent's."""
        match early.source:
            case "ringback":
                return ring_tone(early.detail or country or ""), RATE
            case "file":
                return self._files[early.detail]
            case _:
                return None
