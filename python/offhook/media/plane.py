"""The media engine on the event loop: one watched descriptor, one dispatch to legs and wires."""

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol, Self, TypeVar

import structlog

from offhook import _media
from offhook._media import (
    CallConfig,
    EngineConfig,
    EngineStats,
    LegConfig,
    MediaEvent,
    RecordingConfig,
    WireConfig,
)
from offhook.ids import LegId, MuxId, RecordingId, WireId
from offhook.media.bridge import Bridge
from offhook.media.leg import RtpLeg
from offhook.media.mux import Mux
from offhook.media.owned import Owned
from offhook.media.recording import Recording
from offhook.media.wire import Wire

_log = structlog.get_logger("offhook.media")

_Id = TypeVar("_Id")
_Part = TypeVar("_Part", bound=Owned)

# One turn of the loop hands out at most this many events, so that a burst of them can't hold up signalling.
_EVENTS_PER_TURN = 256


class NativeEngine(Protocol):
    """What the plane needs of `_media.Engine`; a test may put something else in its place."""

    @property
    def wakeup_fd(self) -> int: ...
    def open_leg(self, config: LegConfig, *, beside: _media.RtpLeg | None = None) -> _media.RtpLeg: ...
    def bridge(
        self, a: _media.RtpLeg, b: _media.RtpLeg, *, digits: bool = True, one_way: bool = False
    ) -> _media.Bridge: ...
    def open_wire(self, config: WireConfig, *, leg: _media.RtpLeg) -> _media.Wire: ...
    def record(self, config: RecordingConfig, *, leg: _media.RtpLeg) -> _media.Recording: ...
    def open_mux(self, fd: int, answer: bytes, *, thread: int) -> _media.Mux: ...
    def open_call(self, config: CallConfig, *, mux: _media.Mux, leg: _media.RtpLeg) -> _media.Wire: ...
    def drain_events(self, max: int) -> list[MediaEvent]: ...
    def stats(self) -> EngineStats: ...
    def close(self) -> None: ...


class MediaPlane:
    """The media plane of this process: opens legs and wires and brings each event to its owner.

    `async with MediaPlane(config) as plane` watches the engine on the running loop and closes it at the end. An
    exception in an owner's callback is logged and given to that owner's `on_error`, so it ends one call only.
    Raises `MediaError` if the engine can't be started.
    """

    def __init__(self, config: EngineConfig, *, engine: NativeEngine | None = None) -> None:
        self._engine: NativeEngine = _media.Engine(config) if engine is None else engine
        self._legs: dict[LegId, RtpLeg] = {}
        self._wires: dict[WireId, Wire] = {}
        self._recordings: dict[RecordingId, Recording] = {}
        self._muxes: dict[MuxId, Mux] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self.callback_errors = 0
        """Callbacks of owners that raised, since the start."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._engine.wakeup_fd, self._on_wakeup)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End every leg and wire and stop the threads; joining them happens off the loop. May be repeated."""
        if self._closed:
            return
        self._closed = True
        if self._loop is not None:
            self._loop.remove_reader(self._engine.wakeup_fd)
            await self._loop.run_in_executor(None, self._engine.close)
        else:
            self._engine.close()
        # The last events (`closed` of wires, `recorded` of recordings) reach their owners, so nobody waits for ever.
        while events := self._engine.drain_events(_EVENTS_PER_TURN):
            self._dispatch(events)
        for wire in tuple(self._wires.values()):
            wire.abandon()
        for leg in tuple(self._legs.values()):
            leg.abandon()
        self._wires.clear()
        self._legs.clear()
        self._recordings.clear()
        self._muxes.clear()

    def open_leg(
        self,
        config: LegConfig | None = None,
        *,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
        beside: RtpLeg | None = None,
    ) -> RtpLeg:
        """Allocate ports and return the leg at once. Raises `MediaError` (`no_port`, `too_many`, …).

        `on_event` gets each of the leg's events; if it raises, `on_error` gets the exception and should end the call.
        """
        native = self._engine.open_leg(config or LegConfig(), beside=None if beside is None else beside.native)
        leg = RtpLeg(native, on_event=on_event, on_error=on_error, on_closed=self._forget_leg)
        return _kept(self._legs, leg.id, leg)

    def bridge(self, a: RtpLeg, b: RtpLeg, *, digits: bool = True, one_way: bool = False) -> Bridge:
        """Let two legs hear each other, in place of what either was joined with; `b` was opened `beside` `a`.

        `digits`: what one side presses is pressed on the other, too, in its own way. `one_way`: `a` hears `b`, who
        hears nothing. Raises `MediaError` (`wrong_thread`, …).
        """
        return Bridge(self._engine.bridge(a.native, b.native, digits=digits, one_way=one_way))

    def open_wire(
        self,
        config: WireConfig,
        *,
        leg: RtpLeg,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
    ) -> Wire:
        """Begin to dial an agent; `await wire.connected()` says how it went. Raises `MediaError` (`bad_url`, …)."""
        native = self._engine.open_wire(config, leg=leg.native)
        return _kept(self._wires, native.id, Wire(native, on_event=on_event, on_error=on_error))

    def record(
        self,
        config: RecordingConfig,
        *,
        leg: RtpLeg,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
    ) -> Recording:
        """Begin to record a leg; `recording_started` and at the end `recorded` tell of it.

        Raises `MediaError` (`closed`, `overloaded`, `system`).
        """
        native = self._engine.record(config, leg=leg.native)
        return _kept(self._recordings, native.id, Recording(native, on_event=on_event, on_error=on_error))

    def open_mux(
        self,
        fd: int,
        answer: bytes,
        *,
        thread: int,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
    ) -> Mux:
        """Take over a worker's connection, its upgrade to be answered with `answer`. `fd` stays the caller's to close.

        Raises `MediaError` (`too_many`, `system`, …).
        """
        native = self._engine.open_mux(fd, answer, thread=thread)
        return _kept(self._muxes, native.id, Mux(native, on_event=on_event, on_error=on_error))

    def open_call(
        self,
        config: CallConfig,
        *,
        mux: Mux,
        leg: RtpLeg,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
    ) -> Wire:
        """Begin a call on a worker's connection; what comes back is a wire like any other.

        Raises `MediaError` (`wrong_thread`, `too_many`, …).
        """
        native = self._engine.open_call(config, mux=mux.native, leg=leg.native)
        return _kept(self._wires, native.id, Wire(native, on_event=on_event, on_error=on_error))

    def stats(self) -> EngineStats:
        """The engine's counters now."""
        return self._engine.stats()

    def _on_wakeup(self) -> None:
        self._dispatch(self._engine.drain_events(_EVENTS_PER_TURN))

    def _dispatch(self, events: Iterable[MediaEvent]) -> None:
        for event in events:
            told = self._whose(event)
            if told is None:
                continue
            # A callback may close its leg, which then knows its owner no longer.
            on_error = told.on_error
            try:
                told.deliver(event)
            except Exception as error:
                self.callback_errors += 1
                _log.exception("media.callback_failed", kind=event.kind, leg=event.leg, wire=event.wire, mux=event.mux)
                self._report(on_error, error)

    def _whose(self, event: MediaEvent) -> Owned | None:
        """What an event is of, where it is still known; not any more behind its last one."""
        if event.wire is not None:
            return _told(self._wires, event.wire, event.kind)
        if event.leg is not None:
            return _told(self._legs, event.leg, event.kind)
        if event.recording is not None:
            return _told(self._recordings, event.recording, event.kind)
        return None if event.mux is None else _told(self._muxes, event.mux, event.kind)

    def _report(self, on_error: Callable[[Exception], None], error: Exception) -> None:
        try:
            on_error(error)
        except Exception:
            self.callback_errors += 1
            _log.exception("media.error_callback_failed")

    def _forget_leg(self, leg: RtpLeg) -> None:
        self._legs.pop(leg.id, None)


def _kept(known: dict[_Id, _Part], number: _Id, opened: _Part) -> _Part:
    known[number] = opened
    return opened


def _told(known: dict[_Id, _Part], number: _Id, kind: str) -> _Part | None:
    part = known.get(number)
    if part is not None and kind in part.last_events:
        del known[number]
    return part
