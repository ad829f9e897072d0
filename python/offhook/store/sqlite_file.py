"""The SQLite file of a gateway's calls: which it is, how it is opened, and whether this version knows its schema."""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool, StaticPool

from offhook.store.base import StoreError
from offhook.store.schema import SCHEMA_VERSION

_PREFIX = "sqlite:///"


def database_path(url: str) -> Path:
    """The file that a `sqlite:///relative` or `sqlite:////absolute` URL names; StoreError for any other URL."""
    if not url.startswith(_PREFIX) or len(url) == len(_PREFIX):
        raise StoreError(
            f"store.url {url!r} is not a SQLite file",
            hint="write sqlite:///data/offhook.db, or sqlite:////var/lib/offhook/offhook.db for an absolute path",
            code="store_url",
        )
    return Path(url.removeprefix(_PREFIX))


def open_engine(path: Path, *, read_only: bool) -> Engine:
    """The file for one writer, or for readers of any thread."""
    uri = f"file:{quote(str(path))}?mode={'ro' if read_only else 'rw'}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, timeout=5.0, check_same_thread=False)
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA synchronous=NORMAL")
        return connection

    # Readers open a connection for each question, so that any thread may ask; the writer has one of its own.
    return create_engine("sqlite+pysqlite://", creator=connect, poolclass=NullPool if read_only else StaticPool)


def check_version(path: Path, version: int) -> None:
    """Raise `StoreError` (`store_newer`) for a file of a later version than this."""
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the database {path} was written by a newer offhook (schema {version}, this one knows {SCHEMA_VERSION})",
            hint="run that newer version, or give this one its own store.url",
            code="store_newer",
        )


def cause(error: BaseException) -> str:
    """What the database itself said."""
    origin = getattr(error, "orig", None)
    return str(origin if origin is not None else error) or type(error).__name__
