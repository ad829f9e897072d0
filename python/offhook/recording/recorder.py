"""The recordings of the calls that are on: begun, paused, and brought to the shelf when they are over."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import structlog

from offhook._media import MediaEvent, RecordingConfig
from offhook.ids import CallId
from offhook.media.leg import RtpLeg
from offhook.media.owned import unheard
from offhook.media.plane import MediaPlane
from offhook.media.recording import Recording
from offhook.recording.clerk import Clerk
from offhook.recording.container import Format
from offhook.recording.error import RecordingError
from offhook.recording.shelf import Facts, Shelf, beside, utc
from offhook.recording.transcript import Page, Transcript, TranscriptFormat, page

if TYPE_CHECKING:
    from offhook.recording.envelope import Envelope, WrappingKey

_log = structlog.get_logger("offhook.recording")

State = Literal["on", "paused", "off"]
Ending = Literal["complete", "incomplete", "failed"]
"""How a recording ended: whole; whole up to where its disk or its call broke off; or there is none."""

_SWEPT_EVERY = 3600.0
_SWEPT_AGAIN = 1.0
_LAST_JOBS = 10.0
_TRANSCRIPT_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class RecorderSettings:
    """How calls are recorded. `announcement` is PCM16 mono and its rate; `keep_days` None is for ever.

    `transcript` is the form of the transcripts beside the recordings, None for none; `mask_digits` hides numbers there.
    """

    format: Format = "wav"
    key: "WrappingKey | None" = None
    keep_days: float | None = None
    announcement: tuple[bytes, int] | None = None
    transcript: TranscriptFormat | None = None
    mask_digits: bool = True


class Counting(Protocol):
    """Who counts recordings. Called from the clerk's thread."""

    def recording_ended(self, ending: Ending, lost_frames: int) -> None: ...
    def recordings_deleted(self, files: int) -> None: ...


class Recorder:
    """Records calls onto a shelf. `open` comes before the first call, `close` after the media plane's end."""

    def __init__(self, shelf: Shelf, settings: RecorderSettings, counts: Counting) -> None:
        self.settings = settings
        self.shelf = shelf
        self._counts = counts
        self._clerk = Clerk()
        self._next_sweep = 0.0

    async def open(self) -> None:
        """Take the shelf, and bring to its end what a dead process left there. Raises `RecordingError`."""
        await asyncio.to_thread(self.shelf.open)
        found = await asyncio.to_thread(self.shelf.recover, self.settings.key)
        for call_id in found.recovered:
            _log.warning("recording.recovered", call_id=call_id)
            self._counts.recording_ended("incomplete", 0)
        for call_id in found.removed:
            _log.info("recording.empty", call_id=call_id)
        for call_id, why in found.left:
            _log.error("recording.not_recovered", call_id=call_id, why=why, directory=str(self.shelf.directory))

    async def close(self) -> None:
        """Publish what waits, ten seconds at most, and let go of the shelf."""
        if not await asyncio.to_thread(self._clerk.close, _LAST_JOBS):
            _log.error("recording.disk_stands_still", hint="what is not published will be when the gateway starts")
        self.shelf.close()

    def begin(
        self,
        call_id: CallId,
        media: MediaPlane,
        leg: RtpLeg,
        codec: str,
        *,
        transcript: Transcript | None = None,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
    ) -> "CallRecording":
        """Record a leg from now on; `codec` is what it speaks. Raises `MediaError` if the media plane can't.

        `transcript` is where the call's words are collected, if there is to be a transcript.
        """
        return CallRecording(self, call_id, media, leg, codec, transcript, on_event=on_event, on_error=on_error)

    def poll(self, now: float) -> None:
        """Look whether it is time to delete old recordings; to be called every second or so, `now` monotonic."""
        keep_days = self.settings.keep_days
        if keep_days is None or now < self._next_sweep:
            return
        self._next_sweep = now + _SWEPT_EVERY

        def sweep() -> None:
            deleted, more = self.shelf.sweep(keep_days, utc())
            if deleted:
                self._counts.recordings_deleted(deleted)
                _log.info("recording.deleted", files=deleted, keep_days=keep_days)
            if more:
                self._next_sweep = now + _SWEPT_AGAIN

        self._clerk.do(sweep)

    def note(self, recording: "CallRecording") -> None:
        """Keep what is known of a recording that goes on."""
        part, facts = recording.part, recording.facts()
        self._clerk.do(lambda: self.shelf.note(part, facts))

    def publish(self, recording: "CallRecording") -> None:
        """Bring a recording that is over to its place."""
        part, facts, lost, words = recording.part, recording.facts(), recording.dropped_frames, recording.words
        self._clerk.do(lambda: self._publish(recording.call_id, part, facts, lost, words))

    def note_transcript(self, part: Path, words: Callable[[], Page], then: Callable[[], None]) -> None:
        """Keep what has been said so far in a recording that goes on; `then` is called on the clerk's thread."""

        def note() -> None:
            try:
                self._write(part, words())
            finally:
                then()

        self._clerk.do(note)

    def _write(self, part: Path, words: Page) -> None:
        assert self.settings.transcript is not None, "asked for"
        if words.lines:
            self.shelf.note_transcript(part, self.settings.transcript, words.data, self.settings.key)

    def _publish(self, call_id: CallId, part: Path, facts: Facts, lost: int, words: Page | None) -> None:
        began = time.monotonic()
        if words is not None:
            try:
                self._write(part, words)
            except OSError as error:
                # The sound may have room where the words had none.
                facts["transcript"]["error"] = error.strerror
                _log.error("recording.no_transcript", call_id=call_id, why=error.strerror)
        try:
            done = self.shelf.publish(part, facts, self.settings.key)
        except (RecordingError, OSError) as error:
            self._counts.recording_ended("failed", lost)
            _log.error("recording.not_published", call_id=call_id, why=str(error), hint="tried again at the next start")
            return
        ending: Ending = "failed" if done is None else "complete" if facts["complete"] else "incomplete"
        self._counts.recording_ended(ending, lost)
        if done is None:
            _log.error("recording.nothing", call_id=call_id, why=facts["error"])
        else:
            took = round((time.monotonic() - began) * 1000)
            _log.info("recording.published", call_id=call_id, file=done["file"], ending=ending, took_ms=took)


class CallRecording:
    """The recording of one call."""

    def __init__(
        self,
        recorder: Recorder,
        call_id: CallId,
        media: MediaPlane,
        leg: RtpLeg,
        codec: str,
        transcript: Transcript | None,
        *,
        on_event: Callable[[MediaEvent], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.call_id = call_id
        self.state: State = "on"
        self.error = ""
        """Why it ended before the call, or never began; empty if it did not."""
        self.dropped_frames = 0
        """Frames that had no room on their way to the disk and are silence."""
        self._recorder = recorder
        self._codec = codec
        self._rate = 16_000 if codec in ("G722", "opus") else 8_000
        self._started_at = utc()
        self._pauses: list[dict[str, int | None]] = []
        self._samples = 0
        self._transcript = transcript
        self._began_at: float | None = None
        self.words: Page | None = None
        """The transcript, once the recording is over; None if there was to be none."""
        self._words_noted_at = 0.0
        self._noting_words = False
        self._over = asyncio.Event()
        self._on_event = on_event
        settings = recorder.settings
        self._envelope, own = _sealed(call_id, settings)
        self.part = recorder.shelf.part(call_id, settings.format, sealed=own is not None)
        config = RecordingConfig(
            self.part,
            format=settings.format,
            rate=self._rate,
            key=own,
            nonce_prefix=self._envelope.prefix if self._envelope is not None else None,
            header=self._envelope.header if self._envelope is not None else None,
        )
        self._native: Recording = media.record(config, leg=leg, on_event=self._take, on_error=on_error)
        recorder.note(self)

    def pause(self) -> None:
        """Record silence until `resume`."""
        self._command(self._native.pause)

    def resume(self) -> None:
        """Record sound again."""
        self._command(self._native.resume)

    def stop(self) -> None:
        """End it before the call does."""
        self._command(self._native.stop)

    def told(self, now: float) -> None:
        """The transcript has grown. Every few seconds it is kept for whoever finds it after a crash."""
        if self._over.is_set() or self._noting_words or now < self._words_noted_at + _TRANSCRIPT_EVERY:
            return
        self._words_noted_at, self._noting_words = now, True

        def noted() -> None:
            self._noting_words = False

        self._recorder.note_transcript(self.part, self._page(), noted)

    def _page(self) -> Callable[[], Page]:
        """What writes the transcript as it is now, on any thread."""
        assert self._transcript is not None, "asked for"
        lines, format = self._transcript.lines, self._transcript.format
        pauses = [dict(pause) for pause in self._pauses]
        # Where it never began there is nothing to write.
        began_at = self._began_at if self._began_at is not None else math.inf
        return lambda: page(lines, format, call_id=self.call_id, began_s=began_at, pauses=pauses)

    async def over(self, within: float) -> bool:
        """Wait until all of it is written, once its leg is closed; False if that takes too long."""
        try:
            async with asyncio.timeout(within):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    def summary(self) -> dict[str, int | float | str | None]:
        """What the record of the call says of it."""
        place = self._recorder.shelf.place(self.part, self._started_at)
        paused = sum((pause["to_ms"] or pause["from_ms"] or 0) - (pause["from_ms"] or 0) for pause in self._pauses)
        summary: dict[str, int | float | str | None] = {
            "file": str(place.relative_to(self._recorder.shelf.directory)),
            "duration_ms": self._samples * 1000 // self._rate,
            "paused_ms": paused,
            "dropped_frames": self.dropped_frames,
            "key_id": self._envelope.key_id if self._envelope is not None else None,
            "error": self.error or None,
        }
        return summary | self._summary_of_words(place)

    def facts(self) -> Facts:
        """What its JSON file says; what follows from the file itself is added when it is published."""
        settings = self._recorder.settings
        words = {"transcript": self._facts_of_words()} if self._transcript is not None else {}
        return words | {
            "version": 1,
            "call_id": self.call_id,
            "started_at": self._started_at.isoformat(timespec="milliseconds"),
            "format": settings.format,
            "rate": self._rate,
            "channels": ["caller", "agent"],
            "codec": self._codec,
            "samples": self._samples,
            "pauses": [dict(pause) for pause in self._pauses],
            "dropped_frames": self.dropped_frames,
            "announced": settings.announcement is not None,
            "complete": not self.error,
            "recovered": False,
            "error": self.error or None,
            "key_id": self._envelope.key_id if self._envelope is not None else None,
        }

    def _summary_of_words(self, place: Path) -> dict[str, int | float | str | None]:
        if self._transcript is None:
            return {}
        there = self.words is not None and self.words.lines > 0
        file = beside(place, self._transcript.format) if there else None
        return {
            "transcript": str(file.relative_to(self._recorder.shelf.directory)) if file is not None else None,
            "no_transcript_of": ", ".join(self._transcript.silent_agents) or None,
        }

    def _facts_of_words(self) -> Facts:
        assert self._transcript is not None, "asked for"
        return {
            "format": self._transcript.format,
            "lines": self.words.lines if self.words is not None else None,
            "withheld": self.words.withheld if self.words is not None else None,
            "forgotten": self._transcript.forgotten,
            "masked_digits": self._transcript.masked,
            "silent_agents": self._transcript.silent_agents,
            "error": None,
        }

    def _command(self, command: Callable[[], None]) -> None:
        if not self._over.is_set():
            command()

    def _take(self, event: MediaEvent) -> None:
        match event.kind:
            case "recording_started":
                self._began_at = event.at
            case "recording_paused":
                self.state = "paused"
                self._pauses.append({"from_ms": event.position_ms, "to_ms": None})
                self._recorder.note(self)
            case "recording_resumed":
                self.state = "on"
                self._pauses[-1]["to_ms"] = event.position_ms
                self._recorder.note(self)
            case "recorded":
                self.state = "off"
                self._samples, self.dropped_frames = event.samples or 0, event.dropped_frames or 0
                if self._pauses and self._pauses[-1]["to_ms"] is None:
                    self._pauses[-1]["to_ms"] = self._samples * 1000 // self._rate
                self.error = event.text or ""
                if self._transcript is not None:
                    self.words = self._page()()
                self._over.set()
                self._recorder.publish(self)
            case _:
                pass
        self._on_event(event)
        if event.kind == "recorded":
            self._on_event = unheard


def _sealed(call_id: CallId, settings: RecorderSettings) -> "tuple[Envelope | None, bytes | None]":
    """The header and the key of an encrypted file, if it is to be one."""
    if settings.key is None:
        return None, None
    # Its library takes a tenth of a second to load.
    from offhook.recording.envelope import Envelope

    return Envelope.make(call_id, settings.format, settings.key)
