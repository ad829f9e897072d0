"""What the gateway asks of a store, whatever database stands behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from offhook.errors import OffhookError
from offhook.report.record import CallRecord
from offhook.report.refusals import RefusalRow


class StoreError(OffhookError):
    """The database can't be opened or read. `code` tells `store_missing`, `store_newer`, `store_in_use` and so on."""

    code = "store_error"


class Encodable(Protocol):
    """A timeline that is turned into bytes by the writer, off the thread that signals. It must not change any more."""

    def encode(self) -> bytes:
        """The bytes to store."""
        ...


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls to list; None asks for any. Times are UTC milliseconds, numbers match as a part of the text.

    `session_id` is either half of the pair, or a part of one.
    """

    since: int | None = None
    trunk: str | None = None
    route: str | None = None
    number: str | None = None
    end_reason: str | None = None
    failed: bool = False
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call as it was found: its record and its encoded timeline, None while the call is on or if it was lost."""

    record: CallRecord
    timeline: bytes | None


@dataclass(frozen=True, slots=True)
class StoreStats:
    """How the writer is doing, all but `queued` since it was opened.

    `queued` entries wait. `dropped` counts entries that were lost because the queue was full or could not be written,
    `timelines_dropped` calls that were kept without their timeline, `retries` failed attempts at a batch.
    """

    queued: int
    written: int
    dropped: int
    timelines_dropped: int
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
        """One call by its id or the beginning or end of it; None if there is none. StoreError if it fits several."""
        ...

    def last_call(self) -> StoredCall | None:
        """The call that began last."""
        ...

    def refused(self, limit: int = 50) -> list[RefusalRow]:
        """The latest refusals, newest first."""
        ...
