"""Calls read from a SQLite file, also while a gateway writes into it: readers disturb nobody."""

import os
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, or_, select
from sqlalchemy.exc import DBAPIError

from offhook.report.record import CallRecord
from offhook.report.refusals import RefusalRow
from offhook.store.base import CallFilter, StoredCall, StoreError
from offhook.store.schema import SCHEMA_VERSION, calls, refusals
from offhook.store.sqlite_file import cause, check_version, database_path, open_engine

_RECORD_COLUMNS = [column for column in calls.columns if column.name != "timeline"]


class SqliteReader:
    """Reads the file of a `CallStore`, also while a gateway writes to it. Opens it read-only at the first question."""

    def __init__(self, url: str) -> None:
        self._path = database_path(url)
        self._engine: Engine | None = None

    def calls(self, limit: int = 50, where: CallFilter | None = None) -> list[CallRecord]:
        """The latest calls, newest first; at most 10,000."""
        statement = select(*_RECORD_COLUMNS).order_by(calls.c.setup_at.desc(), calls.c.call_id.desc())
        statement = statement.limit(max(1, min(limit, 10_000)))
        if where is not None:
            if where.since is not None:
                statement = statement.where(calls.c.setup_at >= where.since)
            if where.trunk is not None:
                statement = statement.where(calls.c.trunk == where.trunk)
            if where.route is not None:
                statement = statement.where(calls.c.route == where.route)
            if where.end_reason is not None:
                statement = statement.where(calls.c.end_reason == where.end_reason)
            if where.number is not None:
                statement = statement.where(
                    or_(
                        calls.c.from_number.contains(where.number, autoescape=True),
                        calls.c.to_number.contains(where.number, autoescape=True),
                    )
                )
            if where.session_id is not None:
                statement = statement.where(calls.c.session_id.contains(where.session_id.lower(), autoescape=True))
            if where.failed:
                statement = statement.where(calls.c.fault.is_not(None), calls.c.fault != "none")
        return [CallRecord.of(row) for row in self._rows(statement)]

    def call(self, id_or_part: str) -> StoredCall | None:
        """One call by its id or the beginning or end of it; StoreError if that fits several."""
        part = id_or_part.strip().lower()
        if not part:
            return None
        fits = or_(calls.c.call_id.startswith(part, autoescape=True), calls.c.call_id.endswith(part, autoescape=True))
        rows = self._rows(select(calls).where(fits).order_by(calls.c.call_id.desc()).limit(6))
        if len(rows) > 1 and not any(row["call_id"] == part for row in rows):
            some = ", ".join(row["call_id"] for row in rows[:5])
            raise StoreError(
                f"{id_or_part!r} fits more than one call: {some}{', …' if len(rows) > 5 else ''}",
                hint="give more of its letters",
                code="call_id_ambiguous",
            )
        return _stored(next((row for row in rows if row["call_id"] == part), rows[0] if rows else None))

    def last_call(self) -> StoredCall | None:
        """The call that began last."""
        newest = select(calls).order_by(calls.c.setup_at.desc(), calls.c.call_id.desc()).limit(1)
        return _stored(next(iter(self._rows(newest)), None))

    def refused(self, limit: int = 50) -> list[RefusalRow]:
        """The latest refusals, newest first; at most 10,000."""
        columns = [column for column in refusals.columns if column.name != "id"]
        statement = select(*columns).order_by(refusals.c.last_at.desc(), refusals.c.id.desc())
        return [RefusalRow(**row) for row in self._rows(statement.limit(max(1, min(limit, 10_000))))]

    def close(self) -> None:
        """Let go of the file."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _rows(self, statement: Any) -> list[Mapping[str, Any]]:
        try:
            with self._open().connect() as connection:
                return [dict(row) for row in connection.execute(statement).mappings()]
        except DBAPIError as error:
            raise StoreError(
                f"the database {self._path} can't be read: {cause(error)}", code="store_damaged"
            ) from error

    def _open(self) -> Engine:
        if self._engine is not None:
            return self._engine
        if not os.path.exists(self._path):
            raise StoreError(
                f"there is no database at {self._path}",
                hint="it is made when the gateway first runs; if that runs elsewhere, name its configuration file",
                code="store_missing",
            )
        if not os.access(self._path, os.R_OK):
            raise StoreError(
                f"the database {self._path} may not be read by this user",
                hint="run this as the user that the gateway runs as",
                code="store_not_readable",
            )
        engine = open_engine(self._path, read_only=True)
        try:
            with engine.connect() as connection:
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            check_version(self._path, version)
            if version < SCHEMA_VERSION:
                raise StoreError(
                    f"the database {self._path} is of an older offhook",
                    hint="start the gateway once: it brings the database up to date",
                    code="store_older",
                )
        except StoreError:
            engine.dispose()
            raise
        except DBAPIError:
            engine.dispose()
            raise
        self._engine = engine
        return engine


def _stored(row: Mapping[str, Any] | None) -> StoredCall | None:
    return StoredCall(CallRecord.of(row), row["timeline"]) if row is not None else None
