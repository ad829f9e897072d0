"""One connection of a worker on the event loop."""

from collections.abc import Callable

from offhook import _media
from offhook._media import MediaEvent, WireStats
from offhook.ids import MuxId
from offhook.media.wire import unheard


class Mux:
    """One connection that a worker has dialled and many calls share; made by `MediaPlane.open_mux`."""

    def __init__(
        self,
        native: _media.Mux,
        *,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.native = native
        self.id: MuxId = native.id
        self.on_error = on_error
        self.thread: int = native.thread
        """The media thread that serves it: its calls are those of legs of this thread."""
        self._on_event = on_event

    def send_text(self, text: str) -> None:
        """Send a message about the worker itself."""
        self.native.send_text(text)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it: `closed` of each of its calls, then its own follow. May be repeated."""
        self.native.close(code, reason)

    def stats(self) -> WireStats:
        """The connection's counters, at once; they stay readable after the end."""
        return self.native.stats()

    def deliver(self, event: MediaEvent) -> None:
        """Take one event from the plane."""
        on_event = self._on_event
        if event.kind == "closed":
            # Its owner holds it, so it must not hold its owner: what is over is freed at once.
            self._on_event, self.on_error = unheard, unheard
        on_event(event)
