"""One connection of a worker on the event loop."""

from collections.abc import Callable

from offhook import _media
from offhook._media import MediaEvent, WireStats
from offhook.ids import MuxId
from offhook.media.owned import Owned


class Mux(Owned):
    """One connection that a worker has dialled and many calls share; made by `MediaPlane.open_mux`."""

    last_events = frozenset({"closed"})

    def __init__(
        self,
        native: _media.Mux,
        *,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        super().__init__(on_event=on_event, on_error=on_error)
        self.native = native
        self.id: MuxId = native.id
        self.thread: int = native.thread
        """The media thread that serves it: its calls are those of legs of this thread."""

    def send_text(self, text: str) -> None:
        """Send a message about the worker itself."""
        self.native.send_text(text)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it: `closed` of each of its calls, then its own follow. May be repeated."""
        self.native.close(code, reason)

    def stats(self) -> WireStats:
        """The connection's counters, at once; they stay readable after the end."""
        return self.native.stats()
