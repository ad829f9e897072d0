"""One RTP leg on the event loop."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

from offhook import _media
from offhook._media import MediaEvent, MediaStats, Melody, RemoteMedia
from offhook.ids import LegId
from offhook.media.owned import Owned
from offhook.media.wire import Wire


class RtpLeg(Owned):
    """One RTP stream each way with one peer; made by `MediaPlane.open_leg`, closed by `async with`.

    Commands take effect in the order given and after `close` do nothing.
    """

    def __init__(
        self,
        native: _media.RtpLeg,
        *,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
        on_closed: Callable[["RtpLeg"], None],
    ) -> None:
        super().__init__(on_event=on_event, on_error=on_error)
        self.native = native
        self.id: LegId = native.id
        self.thread: int = native.thread
        """The number of the media thread that it lives on."""
        self.local_address: tuple[str, int] = native.local_address
        """The bound address and the RTP port that our SDP names; RTCP is on the port above."""
        self._on_closed = on_closed
        self._draining: list[asyncio.Future[None]] = []
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def place(self, remote: tuple[str, int]) -> tuple[str, int]:
        """Before our SDP names a port again: the `local_address` to write for a peer whose RTP is at `remote` now.

        Raises `MediaError` (`no_port`, `no_family`, `bad_address`).
        """
        self.local_address = self.native.place(remote)
        return self.local_address

    def set_remote(self, remote: RemoteMedia) -> None:
        """Set or change what was negotiated.

        Raises `MediaError` (`bad_address`, `bad_config`, `collision`, `no_family`).
        """
        self.native.set_remote(remote)

    def start(self, *, release_after: float | None = 0.3) -> None:
        """Let RTP flow, silence first; agent audio leaves at the first RTP, `release()` or after these seconds.

        Once more at the answer after early media: agent audio is held back again, but not with 0 seconds.
        """
        self.native.start(release_after_ms=None if release_after is None else round(release_after * 1000))

    def release(self) -> None:
        """Let agent audio leave (the ACK came)."""
        self.native.release()

    def connect(self, wire: Wire | None, *, deaf: bool = False) -> None:
        """Join leg and wire both ways in place of what was joined before; `None` parts them.

        `deaf`: the agent is heard, and hears nothing before it is joined again without.
        """
        self.native.connect(None if wire is None else wire.native, deaf=deaf)

    def echo(self, on: bool) -> None:
        """Play what the caller says back to the caller."""
        self.native.echo(on)

    def barge_in(self, policy: str | None) -> None:
        """What the caller's speech does to what the agent says, where that doesn't say so itself.

        `off`, `clear`, `duck-then-decide` or `agent`; `None` is the default: `duck-then-decide` for utterances, nothing
        for sound that belongs to none. Raises `MediaError` (`bad_config`).
        """
        self.native.barge_in(policy)

    def detect(self, stage: Literal["early", "answered"] | None, limit_ms: int = 0) -> None:
        """Listen for who has answered, for `limit_ms` at most; `None` for no longer. `_media.pyi` says what is told."""
        self.native.detect(stage, limit_ms)

    def hold_music(self, melody: Melody | None) -> None:
        """What the peer hears while we hold it; None for silence."""
        self.native.hold_music(melody)

    def play(self, pcm16: bytes, rate: int, mark: str | None = None) -> None:
        """Append PCM16 mono to the playout queue; `mark` is told when the last of it has left."""
        self.native.play(pcm16, rate, mark)

    def clear(self) -> None:
        """Drop all that has not left yet; a `cleared` event says how much was heard."""
        self.native.clear()

    def tap(self, on: bool) -> None:
        """Tell what the caller says as `audio` events (PCM16, 8 kHz)."""
        self.native.tap(on)

    def send_dtmf(self, digits: str, *, duration_ms: int = 160, gap_ms: int = 80) -> None:
        """Press keys behind the sound that waits now, by events, tones or `key_by_info` events.

        Each lasts, and is followed by silence, for 40 to 8000 ms. Raises `MediaError` (`bad_config`).
        """
        self.native.send_dtmf(digits, duration_ms=duration_ms, gap_ms=gap_ms)

    def press(self, digit: str, duration_ms: int) -> None:
        """The caller has pressed a key, as SIP INFO tells: told as any other, and once. Raises `MediaError`."""
        self.native.press(digit, duration_ms)

    def mask_digits(self, mask: Literal["shown", "masked", "withheld"]) -> None:
        """Who may know from now on which keys the caller presses: `shown`, `masked`, `withheld`."""
        self.native.mask_digits(mask)

    def drain(self) -> None:
        """Tell `drained` once all that is queued now has left."""
        self.native.drain()

    async def drained(self) -> None:
        """Wait until all that is queued now has left, or the leg is closed."""
        if self._closed:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._draining.append(waiter)
        self.native.drain()
        await waiter

    def stats(self) -> MediaStats:
        """The leg's counters, at once; they stay readable after `close`."""
        return self.native.stats()

    def close(self) -> None:
        """Stop RTP and free the ports; no event follows. May be repeated."""
        if self._closed:
            return
        self.native.close()
        self.abandon()
        self._on_closed(self)
        self._forget_owner()

    def deliver(self, event: MediaEvent) -> None:
        """Take one event from the plane: waiters first, then the owner."""
        if event.kind in ("drained", "internal_error"):
            self._wake()
        super().deliver(event)

    def abandon(self) -> None:
        """The engine is gone or the leg is closed: nobody may wait any longer."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        for waiter in self._draining:
            if not waiter.done():
                waiter.set_result(None)
        self._draining.clear()
