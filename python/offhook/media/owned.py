"""What the parts of the engine have in common on the event loop: an owner, who is told of their events."""

from collections.abc import Callable
from typing import ClassVar

from offhook._media import MediaEvent


class Owned:
    """A leg, wire, recording or worker's connection, and whom it belongs to.

    `on_event` gets each of its events; if it raises, `on_error` gets the exception and should end the call.
    """

    last_events: ClassVar[frozenset[str]] = frozenset()
    """The kinds of event that are its last."""

    def __init__(self, *, on_event: Callable[[MediaEvent], None], on_error: Callable[[Exception], None]) -> None:
        self.on_error = on_error
        self._on_event = on_event

    def deliver(self, event: MediaEvent) -> None:
        """Take one event from the plane."""
        on_event = self._on_event
        if event.kind in self.last_events:
            self._forget_owner()
        on_event(event)

    def _forget_owner(self) -> None:
        # Its owner holds it, so it must not hold its owner: what is over is freed at once.
        self._on_event, self.on_error = unheard, unheard


def unheard(_: object) -> None:
    """Takes what comes after the end."""
