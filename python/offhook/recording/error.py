"""What may be wrong with a recording."""

from offhook.errors import OffhookError


class RecordingError(OffhookError):
    """A recording can't be written, found or read. `code` tells which."""

    code = "recording_error"
