"""The tables, their version, and the way from each version to the next."""

from collections.abc import Callable

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    inspect,
)
from sqlalchemy.schema import CreateColumn

metadata = MetaData()

calls = Table(
    "calls",
    metadata,
    Column("call_id", String(26), primary_key=True),
    Column("direction", String(8), nullable=False),
    Column("setup_at", BigInteger, nullable=False),
    Column("ring_at", BigInteger),
    Column("answer_at", BigInteger),
    Column("end_at", BigInteger),
    Column("trunk", Text),
    Column("route", Text),
    Column("destination", Text),
    Column("from_number", Text),
    Column("to_number", Text),
    Column("sip_call_id", Text),
    Column("session_id", Text),
    Column("local_tag", Text),
    Column("remote_tag", Text),
    Column("transport", String(8)),
    Column("remote_signalling", Text),
    Column("local_signalling", Text),
    Column("signalling_tls", Text),
    Column("remote_media", Text),
    Column("local_media", Text),
    Column("codec", String(16)),
    Column("encryption", String(32)),
    Column("media_family", Integer),
    Column("session_interval", BigInteger),
    Column("session_refreshes", Integer),
    Column("user_agent", Text),
    Column("post_dial_delay_ms", Integer),
    Column("billable_seconds", Integer),
    Column("end_reason", String(32)),
    Column("end_detail", Text, nullable=False),
    Column("sip_status", Integer),
    Column("q850", Integer),
    Column("fault", String(16)),
    Column("bridged_to", String(26)),
    Column("bridged_from", String(26)),
    Column("intervals", JSON, nullable=False),
    Column("media", JSON, nullable=False),
    Column("wire", JSON, nullable=False),
    Column("recording", JSON),
    Column("transfer", JSON),
    Column("hand_over", JSON),
    Column("claims", JSON),
    Column("answered_by", JSON),
    Column("variables", JSON),
    Column("node", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("timeline", LargeBinary),
)
"""One row a call; the columns are the fields of `CallRecord` by name, and the encoded timeline."""

Index("calls_setup_at", calls.c.setup_at)
Index("calls_open", calls.c.call_id, sqlite_where=calls.c.end_at.is_(None))

refusals = Table(
    "refusals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", Text, nullable=False),
    Column("transport", String(8), nullable=False),
    Column("rule", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("nearest", Text, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
)

Index("refusals_last_at", refusals.c.last_at)

nodes = Table(
    "nodes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("alive_at", BigInteger, nullable=False),
)
"""When each node's writer was last known to live: the end of calls that a crash left open."""

day_use = Table(
    "day_use",
    metadata,
    Column("kind", String(8), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("day", Integer, nullable=False),
    Column("transfers", Integer, nullable=False),
    Column("seconds", Float, nullable=False, server_default="0"),
    Column("spend", Float, nullable=False, server_default="0"),
)
"""What trunks and agents have used of the day: one row each, the columns are the fields of `DayUse`."""

Migration = Callable[[Connection], None]


def _new_columns(table: Table, *names: str) -> Migration:
    """Add columns that tables made before this version lack; the first migration makes them with the table."""

    def migrate(connection: Connection) -> None:
        present = {column["name"] for column in inspect(connection).get_columns(table.name)}
        for name in names:
            if name not in present:
                column = CreateColumn(table.c[name]).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {column}")

    return migrate


MIGRATIONS: tuple[Migration, ...] = (
    metadata.create_all,
    _new_columns(calls, "encryption", "media_family"),
    _new_columns(calls, "signalling_tls"),
    _new_columns(calls, "recording"),
    _new_columns(calls, "session_interval", "session_refreshes"),
    _new_columns(calls, "transfer"),
    _new_columns(calls, "session_id", "claims"),
    lambda connection: day_use.create(connection, checkfirst=True),
    _new_columns(calls, "hand_over"),
    _new_columns(day_use, "seconds", "spend"),
    _new_columns(calls, "bridged_to", "bridged_from"),
    _new_columns(calls, "answered_by"),
    _new_columns(calls, "variables"),
)
"""`MIGRATIONS[n]` brings version n to n + 1. A released one never changes; a change is a new one at the end."""

SCHEMA_VERSION = len(MIGRATIONS)
