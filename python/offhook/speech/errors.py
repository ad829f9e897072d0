"""What goes wrong with a speech engine."""

from offhook.errors import OffhookError


class SpeechError(OffhookError):
    """A speech engine is missing, is not what it should be, or failed.

    `code`: `speech_missing` (a package is not installed, or a model not pulled), `speech_model_wrong` (a model's file
    has another checksum), `speech_refused` (text that this engine can't speak, an option or a model that there is not),
    `speech_fetch_failed` (a model can't be fetched or written), `speech_failed` (the engine or the service behind it
    broke). `retryable` says whether it may work the next time.
    """

    code = "speech_failed"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None, retryable: bool = False) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retryable = retryable
