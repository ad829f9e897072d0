"""The recording of one leg on the event loop."""

from collections.abc import Callable

from offhook import _media
from offhook._media import MediaEvent
from offhook.ids import RecordingId
from offhook.media.wire import unheard


class Recording:
    """What a leg hears and sends, on its way into a file; made by `MediaPlane.record`.

    It ends with its leg, or before it by `stop()`; `recorded` is its last event in either case, and comes though the
    leg is closed. Commands take effect in the order given and after the end do nothing.
    """

    def __init__(
        self,
        native: _media.Recording,
        *,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.native = native
        self.id: RecordingId = native.id
        self.on_error = on_error
        self._on_event = on_event

    def pause(self) -> None:
        """Record silence from here on; `recording_paused` tells where."""
        self.native.pause()

    def resume(self) -> None:
        """Record sound again; `recording_resumed` tells where."""
        self.native.resume()

    def stop(self) -> None:
        """End the recording and nothing else."""
        self.native.stop()

    def deliver(self, event: MediaEvent) -> None:
        """Take one event from the plane."""
        self._on_event(event)
        if event.kind == "recorded":
            # Its owner holds it, so it must not hold its owner: a call that is over is freed at once.
            self._on_event, self.on_error = unheard, unheard
