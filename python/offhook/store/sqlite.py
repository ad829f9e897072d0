"""Calls written into a SQLite file by one thread that no call ever waits for."""

import fcntl
import logging
import math
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Engine, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from offhook.report.record import CallRecord, billable_seconds
from offhook.report.refusals import RefusalRow
from offhook.route.usage import DayUse
from offhook.store.base import CallFilter, Encodable, StoredCall, StoreError, StoreStats
from offhook.store.schema import MIGRATIONS, SCHEMA_VERSION, calls, day_use, nodes, refusals
from offhook.store.sqlite_file import cause, check_version, database_path, open_engine
from offhook.store.sqlite_reader import SqliteReader

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 8_192
BATCH_LIMIT = 256
REFUSALS_KEPT = 100_000
GATHER_SECONDS = 0.05
HEARTBEAT_SECONDS = 5.0
FIRST_RETRY_SECONDS = 0.1
LONGEST_RETRY_SECONDS = 5.0

CRASHED = {"end_reason": "gateway_crashed", "q850": 41, "fault": "offhook"}
"""What closes a call whose process died; the values are those of `EndReason.GATEWAY_CRASHED`."""

_UPSERT = sqlite_insert(calls)
_UPSERT = _UPSERT.on_conflict_do_update(
    index_elements=[calls.c.call_id],
    set_={
        column.name: func.coalesce(_UPSERT.excluded.timeline, calls.c.timeline)
        if column.name == "timeline"
        else _UPSERT.excluded[column.name]
        for column in calls.columns
        if column.name != "call_id"
    },
)
_USE = sqlite_insert(day_use)
_USE = _USE.on_conflict_do_update(
    index_elements=[day_use.c.kind, day_use.c.name],
    set_={column.name: _USE.excluded[column.name] for column in day_use.columns if not column.primary_key},
)
_BEAT = sqlite_insert(nodes)
_BEAT = _BEAT.on_conflict_do_update(index_elements=[nodes.c.name], set_={"alive_at": _BEAT.excluded.alive_at})


@dataclass(slots=True)
class _Call:
    record: CallRecord
    timeline: bytes | Encodable | None


_Entry = _Call | RefusalRow | DayUse
_Row = dict[str, Any]


class CallStore:
    """Keeps calls in a SQLite file: `open()`, then write from any thread, then `close()`.

    The writing methods put into a queue of `queue_limit` entries and return at once. When it is full, further entries
    are dropped and counted; from a quarter of it on, calls are kept without their timelines, which are the heavy
    part. A batch that the disk refuses is tried again until it is taken, the queue meanwhile filling up.
    `clock_ms` gives UTC milliseconds.
    """

    def __init__(
        self,
        url: str,
        *,
        node: str = "",
        queue_limit: int = QUEUE_LIMIT,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._path = database_path(url)
        self._node = node
        self._queue_limit = queue_limit
        self._clock_ms = clock_ms
        self._queue: deque[_Entry] = deque()
        self._changed = threading.Condition()
        self._in_hand = 0
        self._closing = False
        self._give_up = False
        self._written = self._dropped = self._timelines_dropped = self._retries = 0
        self._last_error = ""
        self._engine: Engine | None = None
        self._lock_file: int | None = None
        self._thread: threading.Thread | None = None
        self._reader = SqliteReader(url)

    def open(self) -> int:
        """Open or make the file and start the writer; how many calls of a dead process were closed.

        Blocks for the disk, so it belongs before the first listener. Raises StoreError with a plain line if the file
        is in use by another gateway, of a newer version, damaged or not writable.
        """
        assert self._thread is None, "a store is opened once"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock_file = self._lock()
            # Numbers and SIP messages are nobody else's business; SQLite gives its side files the same mode.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            self._release()
            raise StoreError(
                f"the database {self._path} can't be written: {error.strerror}",
                hint="check store.url and the rights of its directory",
                code="store_not_writable",
            ) from error
        try:
            self._engine = open_engine(self._path, read_only=False)
            crashed = self._prepare(self._engine)
        except StoreError:
            self._release()
            raise
        except (SQLAlchemyError, sqlite3.Error) as error:
            self._release()
            raise StoreError(
                f"the database {self._path} can't be opened: {cause(error)}",
                hint="move the file away to begin a new one, or restore it from a backup",
                code="store_damaged",
            ) from error
        self._thread = threading.Thread(target=self._run, name="offhook-store", daemon=True)
        self._thread.start()
        return crashed

    def close(self, timeout: float = 10.0) -> bool:
        """Write what is queued and stop; False if the disk did not take it within `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        done = True
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                done = False
                with self._changed:
                    self._give_up = True
                    self._dropped += len(self._queue) + self._in_hand
                    self._queue.clear()
                    self._changed.notify_all()
                self._thread.join(1.0)
        self._release()
        self._reader.close()
        return done

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # Writing: from any thread, never blocking.

    def begin(self, record: CallRecord) -> None:
        """Write a call that began; once written it survives a crash as `gateway_crashed`."""
        self._put(_Call(record, None))

    def answered(self, record: CallRecord) -> None:
        """Write a call that was answered."""
        self._put(_Call(record, None))

    def finish(self, record: CallRecord, timeline: bytes | Encodable | None) -> None:
        """Write a call that ended, with its timeline. An object with `encode()` is encoded by the writer thread."""
        assert record.end_at is not None, "a finished call has an end"
        self._put(_Call(record, timeline))

    def refusals(self, rows: Sequence[RefusalRow]) -> None:
        """Write refusals that no call came of."""
        for row in rows:
            self._put(row)

    def day_uses(self, rows: Sequence[DayUse]) -> None:
        """Write what days have used of the limits on what leaves."""
        for row in rows:
            self._put(row)

    def used(self) -> list[DayUse]:
        """What was written down of them. Blocks for the disk; once opened."""
        assert self._engine is not None, "an open store"
        with self._engine.connect() as connection:
            return [DayUse(**row) for row in connection.execute(select(day_use)).mappings()]

    def stats(self) -> StoreStats:
        """How the writer is doing."""
        with self._changed:
            return StoreStats(
                queued=len(self._queue) + self._in_hand,
                written=self._written,
                dropped=self._dropped,
                timelines_dropped=self._timelines_dropped,
                retries=self._retries,
                last_error=self._last_error,
            )

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all that was put before is on the disk; False after `timeout` seconds. Not for the event loop."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._in_hand, timeout)

    # Reading: blocks for the disk.

    def calls(self, limit: int = 50, where: CallFilter | None = None) -> list[CallRecord]:
        """The latest calls, newest first."""
        return self._reader.calls(limit, where)

    def call(self, id_or_part: str) -> StoredCall | None:
        """One call by its id or the beginning or end of it."""
        return self._reader.call(id_or_part)

    def last_call(self) -> StoredCall | None:
        """The call that began last."""
        return self._reader.last_call()

    def refused(self, limit: int = 50) -> list[RefusalRow]:
        """The latest refusals, newest first."""
        return self._reader.refused(limit)

    def _put(self, entry: _Entry) -> None:
        with self._changed:
            if len(self._queue) >= self._queue_limit or self._give_up:
                self._dropped += 1
                return
            if isinstance(entry, _Call) and entry.timeline is not None and len(self._queue) >= self._queue_limit // 4:
                entry.timeline = None
                self._timelines_dropped += 1
            self._queue.append(entry)
            if len(self._queue) == 1 or len(self._queue) == BATCH_LIMIT:
                self._changed.notify_all()

    def _lock(self) -> int:
        """Hold a lock that the system frees when this process dies, however it dies."""
        path = self._path.with_name(self._path.name + ".lock")
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreError(
                f"the database {self._path} is in use by another offhook",
                hint="stop the other one, or give this one its own store.url",
                code="store_in_use",
            ) from None
        return descriptor

    def _release(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _prepare(self, engine: Engine) -> int:
        with engine.connect() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            check_version(self._path, version)
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.rollback()
            for number in range(version, SCHEMA_VERSION):
                MIGRATIONS[number](connection)
                connection.exec_driver_sql(f"PRAGMA user_version={number + 1}")
                connection.commit()
            crashed = 0
            left_open = select(
                calls.c.call_id, calls.c.setup_at, calls.c.ring_at, calls.c.answer_at, calls.c.node
            ).where(calls.c.end_at.is_(None))
            alive = {row.name: row.alive_at for row in connection.execute(select(nodes))}
            for row in connection.execute(left_open).all():
                known = [alive.get(row.node), row.setup_at, row.ring_at, row.answer_at]
                end_at = max(at for at in known if at is not None)
                connection.execute(
                    update(calls)
                    .where(calls.c.call_id == row.call_id)
                    .values(
                        **CRASHED,
                        end_at=end_at,
                        end_detail="The end is the last moment at which the process is known to have lived.",
                        billable_seconds=billable_seconds(row.answer_at, end_at),
                        sip_status=None if row.answer_at is None else 200,
                    )
                )
                crashed += 1
            self._beat(connection)
            connection.commit()
            return crashed

    def _beat(self, connection: Any) -> None:
        connection.execute(_BEAT, {"name": self._node, "alive_at": self._clock_ms()})

    # The writer thread.

    def _run(self) -> None:
        retry = FIRST_RETRY_SECONDS
        batch: list[_Entry] = []
        while True:
            if not batch:
                taken = self._take()
                if taken is None:
                    return
                batch = taken
            try:
                lost = self._write(batch)
            except Exception as error:  # whatever it is: the thread lives, the batch waits, calls go on
                with self._changed:
                    self._retries += 1
                    if cause(error) != self._last_error:
                        logger.warning("calls can't be written to %s: %s", self._path, cause(error))
                    self._last_error = cause(error)
                    if self._give_up:
                        return
                    self._changed.wait_for(lambda: self._give_up, retry)
                    if self._give_up:
                        return
                retry = min(retry * 2, LONGEST_RETRY_SECONDS)
                continue
            retry = FIRST_RETRY_SECONDS
            with self._changed:
                self._written += len(batch) - lost
                self._dropped += lost
                self._in_hand = 0
                batch = []
                self._changed.notify_all()

    def _take(self) -> list[_Entry] | None:
        """Wait for entries and take a batch; an empty one when a heartbeat is due, None at the end."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._queue or self._closing, HEARTBEAT_SECONDS):
                return []
            if not self._closing:
                # A burst becomes one transaction: that is what makes a thousand calls a second cheap.
                self._changed.wait_for(lambda: self._closing or len(self._queue) >= BATCH_LIMIT, GATHER_SECONDS)
            if not self._queue:
                return None
            batch = [self._queue.popleft() for _ in range(min(BATCH_LIMIT, len(self._queue)))]
            self._in_hand = len(batch)
            return batch

    def _write(self, batch: list[_Entry]) -> int:
        """Write a batch in one transaction; how many of its entries can never be written."""
        rows: dict[str, dict[str, Any]] = {}
        refused = []
        used: dict[tuple[str, str], dict[str, Any]] = {}
        for entry in batch:
            if isinstance(entry, DayUse):
                # The latest is the sum of all.
                used[entry.kind, entry.name] = asdict(entry)
                continue
            if isinstance(entry, RefusalRow):
                refused.append({name: _clean(value) for name, value in asdict(entry).items()})
                continue
            row = self._row(entry)
            known = rows.get(row["call_id"])
            if known is not None and row["timeline"] is None:
                row["timeline"] = known["timeline"]
            rows[row["call_id"]] = row
        try:
            self._execute(list(rows.values()), refused, list(used.values()))
        except OperationalError:
            raise
        except (SQLAlchemyError, ValueError, OverflowError, TypeError) as error:
            # One row that no database takes must not hold up the others for ever.
            logger.warning("a batch of calls is written one by one: %s", cause(error))
            return self._write_one_by_one(list(rows.values()), refused, list(used.values()))
        return 0

    def _write_one_by_one(self, rows: list[_Row], refused: list[_Row], used: list[_Row]) -> int:
        lost = 0
        for one in (
            *(([row], [], []) for row in rows),
            *(([], [row], []) for row in refused),
            *(([], [], [row]) for row in used),
        ):
            try:
                self._execute(*one)
            except OperationalError:
                raise
            except (SQLAlchemyError, ValueError, OverflowError, TypeError) as error:
                lost += 1
                logger.warning("an entry can't be written and is dropped: %s", cause(error))
        return lost

    def _execute(self, rows: list[_Row], refused: list[_Row], used: list[_Row]) -> None:
        assert self._engine is not None, "the writer runs between open and close"
        with self._engine.begin() as connection:
            if rows:
                connection.execute(_UPSERT, rows)
            if refused:
                connection.execute(insert(refusals), refused)
                # Anybody on the internet can cause these rows, so their number is bounded.
                newest = select(func.max(refusals.c.id)).scalar_subquery()
                connection.execute(delete(refusals).where(refusals.c.id <= newest - REFUSALS_KEPT))
            if used:
                connection.execute(_USE, used)
            self._beat(connection)

    def _row(self, entry: _Call) -> dict[str, Any]:
        row = {name: _clean(value) for name, value in entry.record.as_dict().items()}
        row["timeline"] = entry.timeline
        if entry.timeline is not None and not isinstance(entry.timeline, bytes):
            try:
                row["timeline"] = entry.timeline.encode()
            except Exception:  # a timeline that can't be told must not cost the record of its call
                logger.exception("the timeline of call %s can't be encoded", entry.record.call_id)
                row["timeline"] = None
                with self._changed:
                    self._timelines_dropped += 1
            entry.timeline = row["timeline"]
        return row


def _clean(value: Any) -> Any:
    """What a database and every reader of JSON takes: no lone surrogates, no NUL, no infinities."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(_clean(str(name))): _clean(item) for name, item in value.items()}
    return value
