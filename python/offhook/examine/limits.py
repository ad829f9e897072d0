"""What an agent may send before the gateway takes it for a flood (docs/reference/offhook-protocol.md, "Limits")."""

_MESSAGES, _MESSAGES_PER_SECOND, _MESSAGES_MORE = 4_000.0, 1_000.0, 50
_BYTES, _BYTES_PER_SECOND, _READS_MORE = 16.0 * 1024 * 1024, 1024.0 * 1024, 50
_DROPPED = 50


class Flood:
    """Counts one connection's messages, bytes and dropped audio."""

    def __init__(self) -> None:
        self._messages = _MESSAGES
        self._bytes = _BYTES
        self._at: float | None = None
        self._beyond = 0
        self._dropped = 0

    def take(self, now: float, size: int) -> bool:
        """A message came; True if it is one too many."""
        passed = 0.0 if self._at is None else now - self._at
        self._at = now
        self._messages = min(_MESSAGES, self._messages + passed * _MESSAGES_PER_SECOND) - 1
        self._bytes = min(_BYTES, self._bytes + passed * _BYTES_PER_SECOND) - size
        if self._messages < 0 or self._bytes < 0:
            self._beyond += 1
            self._messages, self._bytes = max(0.0, self._messages), max(0.0, self._bytes)
        return self._beyond > min(_MESSAGES_MORE, _READS_MORE)

    def dropped(self) -> bool:
        """Audio was dropped because too much waited; True if that is once too often."""
        self._dropped += 1
        return self._dropped > _DROPPED
