"""What the gateway asks of a store, whatever database stands behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from offhook.report.record import CallRecord
from offhook.report.refusals import RefusalRow


class Encodable(Protocol):
    """A timeline that is turned into bytes by the writer, off the thread that signals. It must not change any more."""

    def encode(self) -> bytes:
        """The bytes to store."""
        ...


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls to list; None asks for any. Times are UTC milliseconds, numbers match as a part of the text."""

    since: int | None = None
    trunk: str | None = None
    route: str | None = None
    number: str | None = None
    end_reason: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call as it was found: its record and its encoded timeline, None while the call is on or if it was lost."""

    record: CallRecord
    timeline: bytes | None


@dataclass(frozen=True, slots=True)
class StoreStats:
    """How the writer is doing. `dropped` counts what was lost because the queue was full or the disk refused."""

    queued: int
    written: int
    dropped: int
    retries: int
    last_error: str


class Writing(Protocol):
    """The side that calls write to. Every method returns at once, never raises for a full or broken disk."""

    def begin(self, record: CallRecord) -> None:
        """A call began."""
        ...

    def answered(self, record: CallRecord) -> None:
        """A call was answered."""
        ...

    def finish(self, record: CallRecord, timeline: bytes | Encodable | None) -> None:
        """A call ended; its record is complete."""
        ...

    def refusals(self, rows: Sequence[RefusalRow]) -> None:
        """Requests were refused without becoming a call."""
        ...

    def stats(self) -> StoreStats:
        """How the writer is doing."""
        ...


class Reading(Protocol):
    """The side that people and programs look at. May block on the disk; raises StoreError."""

    def calls(self, limit: int = 50, where: CallFilter | None = None) -> list[CallRecord]:
        """The latest calls, newest first."""
        ...

    def call(self, id_or_prefix: str) -> StoredCall | None:
        """One call by its id or the beginning of it; None if there is none. StoreError if several begin so."""
        ...

    def last_call(self) -> StoredCall | None:
        """The call that began last."""
        ...

    def refused(self, limit: int = 50) -> list[RefusalRow]:
        """The latest refusals, newest first."""
        ...
