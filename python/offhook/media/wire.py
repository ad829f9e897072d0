"""One agent connection on the event loop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from offhook import _media
from offhook._media import MediaEvent, WireStats
from offhook.ids import WireId
from offhook.media.owned import Owned


@dataclass(frozen=True, slots=True)
class Connected:
    """The upgrade is done. `address` is the agent's; each step's time is in milliseconds."""

    address: tuple[str, int]
    subprotocol: str | None
    dns_ms: float
    tcp_ms: float
    tls_ms: float
    upgrade_ms: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The agent answered the upgrade with an HTTP status; `body` is the start of what it said."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Failed:
    """No connection: `code` is one of the `failed` codes of `MediaEvent`, `detail` says what exactly."""

    code: str
    detail: str


DialOutcome = Connected | Refused | Failed
"""What became of a dial, to be matched whole."""


class Wire(Owned):
    """One WebSocket connection to an agent; made by `MediaPlane.open_wire`, closed by `async with`."""

    last_events = frozenset({"closed", "refused", "failed"})

    def __init__(
        self,
        native: _media.Wire,
        *,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        super().__init__(on_event=on_event, on_error=on_error)
        self.native = native
        self.id: WireId = native.id
        self.outcome: DialOutcome | None = None
        """How the dial went, once it is known."""
        self._dialling: list[asyncio.Future[DialOutcome]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def connected(self) -> DialOutcome:
        """Wait for the dial to come to something; its time limits are those of the `WireConfig`."""
        if self.outcome is not None:
            return self.outcome
        waiter: asyncio.Future[DialOutcome] = asyncio.get_running_loop().create_future()
        self._dialling.append(waiter)
        return await waiter

    def send_text(self, text: str, *, numbered: bool = False) -> None:
        """Send a message in order with the audio; what is sent before the upgrade leaves right after it."""
        self.native.send_text(text, numbered=numbered)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, or give up dialling; a `closed` or `failed` event follows. May be repeated."""
        self.native.close(code, reason)

    def stats(self) -> WireStats:
        """The wire's counters, at once; they stay readable after the end."""
        return self.native.stats()

    def deliver(self, event: MediaEvent) -> None:
        """Take one event from the plane: waiters first, then the owner."""
        if self.outcome is None:
            self._settle(_outcome(event))
        super().deliver(event)

    def abandon(self) -> None:
        """The engine is gone: nobody may wait any longer."""
        if self.outcome is None:
            self._settle(Failed("cancelled", "the media engine was closed"))

    def _settle(self, outcome: DialOutcome | None) -> None:
        if outcome is None:
            return
        self.outcome = outcome
        for waiter in self._dialling:
            if not waiter.done():
                waiter.set_result(outcome)
        self._dialling.clear()


def _outcome(event: MediaEvent) -> DialOutcome | None:
    match event.kind:
        case "connected":
            return Connected(
                event.address or ("", 0),
                event.subprotocol,
                event.dns_ms or 0.0,
                event.tcp_ms or 0.0,
                event.tls_ms or 0.0,
                event.upgrade_ms or 0.0,
            )
        case "refused":
            return Refused(event.status or 0, event.text or "")
        case "failed":
            return Failed(event.code or "", event.text or "")
        case _:
            return None
