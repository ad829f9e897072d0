"""The recording of one leg on the event loop."""

from collections.abc import Callable

from offhook import _media
from offhook._media import MediaEvent
from offhook.ids import RecordingId
from offhook.media.owned import Owned


class Recording(Owned):
    """What a leg hears and sends, on its way into a file; made by `MediaPlane.record`.

    It ends with its leg, or before it by `stop()`; `recorded` is its last event in either case, and comes though the
    leg is closed. Commands take effect in the order given and after the end do nothing.
    """

    last_events = frozenset({"recorded"})

    def __init__(
        self,
        native: _media.Recording,
        *,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        super().__init__(on_event=on_event, on_error=on_error)
        self.native = native
        self.id: RecordingId = native.id

    def pause(self) -> None:
        """Record silence from here on; `recording_paused` tells where."""
        self.native.pause()

    def resume(self) -> None:
        """Record sound again; `recording_resumed` tells where."""
        self.native.resume()

    def stop(self) -> None:
        """End the recording and nothing else."""
        self.native.stop()
