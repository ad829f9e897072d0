"""Calls reach the disk, survive what happens to disks and processes, and cost a call nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from offhook.call.end_reason import EndReason
from offhook.ids import CallId
from offhook.report.record import CallRecord
from offhook.report.refusals import RefusalRow
from offhook.report.timeline import Timeline
from offhook.route.usage import DayUse
from offhook.store import sqlite
from offhook.store.base import CallFilter, StoreError
from offhook.store.schema import SCHEMA_VERSION, calls
from offhook.store.sqlite import CRASHED, CallStore
from offhook.store.sqlite_reader import SqliteReader

pytestmark = pytest.mark.unit


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/data/offhook.db"


@pytest.fixture
def store(url: str) -> Iterator[CallStore]:
    with CallStore(url, node="edge", clock_ms=lambda: 99_000) as store:
        yield store


def call(name: str, **values: Any) -> CallRecord:
    return CallRecord.of({"call_id": CallId(name), "setup_at": 1_000, "node": "edge", **values})


def test_the_columns_are_the_fields_of_a_record() -> None:
    assert [column.name for column in calls.columns if column.name != "timeline"] == sorted(
        call("a").as_dict(), key=[column.name for column in calls.columns].index
    )


def test_a_file_of_the_first_version_gets_the_columns_that_came_later(url: str, tmp_path: Path) -> None:
    with CallStore(url) as store:
        store.finish(call("aa1", end_at=2, codec="PCMU"), None)
        store.flush()
    with sqlite3.connect(tmp_path / "data/offhook.db") as connection:
        for name in ("encryption", "media_family", "session_interval", "session_refreshes"):
            connection.execute(f"ALTER TABLE calls DROP COLUMN {name}")
        connection.execute("PRAGMA user_version=1")
    connection.close()
    with CallStore(url) as store:
        store.finish(call("aa2", end_at=3, encryption="AEAD_AES_128_GCM", media_family=6), None)
        store.flush()
        old, new = store.call("aa1"), store.call("aa2")
    assert old is not None
    assert new is not None
    assert (old.record.codec, old.record.encryption, old.record.media_family) == ("PCMU", None, None)
    assert (new.record.encryption, new.record.media_family) == ("AEAD_AES_128_GCM", 6)


def test_a_call_from_begin_to_finish_is_one_row(store: CallStore) -> None:
    store.begin(call("aa1", from_number="+14155550100"))
    assert store.flush()
    begun = store.call("aa1")
    assert begun is not None
    assert begun.record.end_reason is None
    assert begun.timeline is None
    done = call(
        "aa1", answer_at=1_500, end_at=9_000, end_reason="caller_hung_up", fault="none", intervals={"answer": 2.5},
        media={"received_packets": 10}, wire={"code": None},
    )  # fmt: skip
    store.answered(call("aa1", answer_at=1_500))
    timeline = Timeline(CallId("aa1"))
    timeline.add("note", 1.0, text="hello")
    store.finish(done, timeline)
    assert store.flush()
    found = store.call("aa1")
    assert found is not None
    assert found.record == done
    assert found.timeline is not None
    assert Timeline.decode(found.timeline).entries[0].fields == {"text": "hello"}
    assert len(store.calls()) == 1


def test_a_late_answer_does_not_wipe_the_timeline(store: CallStore) -> None:
    store.finish(call("aa1", end_at=2), b"bytes")
    store.flush()
    store.finish(call("aa1", end_at=3), None)
    store.flush()
    found = store.call("aa1")
    assert found is not None
    assert (found.record.end_at, found.timeline) == (3, b"bytes")


def test_calls_are_found_by_either_end_of_their_id(store: CallStore) -> None:
    for name in ("01aaaax", "01aaaay", "01bbbby"):
        store.begin(call(name))
    store.flush()
    found = store.call("01B")
    assert found is not None
    assert found.record.call_id == "01bbbby"
    found = store.call("aax")
    assert found is not None
    assert found.record.call_id == "01aaaax"
    assert store.call("zz") is None
    assert store.call("%") is None
    with pytest.raises(StoreError) as caught:
        store.call("y")
    assert caught.value.code == "call_id_ambiguous"
    assert "01aaaay" in str(caught.value)


def test_filters(store: CallStore) -> None:
    store.begin(call("a", setup_at=1, trunk="acme", from_number="+1415", end_at=2, fault="none"))
    store.begin(call("b", setup_at=2, trunk="acme", to_number="+4930", end_at=2, fault="carrier", end_reason="no_ack"))
    store.begin(call("c", setup_at=3, route="sales"))
    store.flush()

    def names(**where: Any) -> str:
        return "".join(record.call_id for record in store.calls(where=CallFilter(**where)))

    assert names() == "cba"
    assert names(since=2) == "cb"
    assert names(trunk="acme") == "ba"
    assert names(route="sales") == "c"
    assert names(number="493") == "b"
    assert names(number="%") == ""
    assert names(failed=True) == "b"
    assert names(end_reason="no_ack") == "b"
    assert len(store.calls(limit=2)) == 2
    last = store.last_call()
    assert last is not None
    assert last.record.call_id == "c"


def test_refusals(store: CallStore, monkeypatch: pytest.MonkeyPatch) -> None:
    row = RefusalRow("192.0.2.1", "udp", "no_trunk", "sip:1@gw", "acme", 1, 2, 3)
    store.refusals([row])
    store.flush()
    assert store.refused() == [row]
    monkeypatch.setattr(sqlite, "REFUSALS_KEPT", 10)
    store.refusals([RefusalRow("s", "udp", "r", "", "", 1, at, 1) for at in range(30)])
    store.flush()
    assert [row.last_at for row in store.refused()] == list(range(29, 19, -1))


def test_what_days_have_used_is_there_after_a_restart(url: str) -> None:
    with CallStore(url) as store:
        assert store.used() == []
        store.day_uses([DayUse("trunk", "acme", 20_000, transfers) for transfers in (1, 2, 3)])
        store.day_uses([DayUse("agent", "desk", 20_000, 7)])
        store.flush()
        store.day_uses([DayUse("trunk", "acme", 20_001, 1)])
    with CallStore(url) as store:
        assert sorted(store.used(), key=str) == [DayUse("agent", "desk", 20_000, 7), DayUse("trunk", "acme", 20_001, 1)]


def test_whatever_bytes_came_from_the_wire_are_stored(store: CallStore) -> None:
    nasty = "'; DROP TABLE calls; --\udcff\x00\x1b[2J"
    store.finish(call("a", end_at=2, from_number=nasty, media={"x": float("nan"), nasty: 1}), None)
    store.flush()
    found = store.call("a")
    assert found is not None
    assert found.record.from_number == "'; DROP TABLE calls; --\\xff\\x00\x1b[2J"
    assert found.record.media["x"] is None
    assert store.stats().dropped == 0


def test_one_bad_row_does_not_hold_up_the_others(store: CallStore) -> None:
    store.begin(call("a"))
    store.begin(call("b", setup_at=2**80))
    store.begin(call("c"))
    assert store.flush()
    assert {record.call_id for record in store.calls()} == {"a", "c"}
    assert (store.stats().dropped, store.stats().written) == (1, 2)


def test_a_timeline_that_can_not_be_encoded_does_not_cost_the_record(store: CallStore) -> None:
    class Broken:
        def encode(self) -> bytes:
            raise RuntimeError("no")

    store.finish(call("a", end_at=2), Broken())
    assert store.flush()
    assert store.stats().timelines_dropped == 1
    assert len(store.calls()) == 1


class Disk:
    """Stands between the writer and SQLite and refuses while it is full."""

    def __init__(self, store: CallStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = threading.Event()
        self.full.set()
        self.tried = threading.Event()
        execute = store._execute

        def refusing(*args: Any) -> None:
            if self.full.is_set():
                self.tried.set()
                raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
            execute(*args)

        monkeypatch.setattr(store, "_execute", refusing)


def test_a_full_disk_blocks_nobody_and_nothing_is_lost_when_it_has_room_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "FIRST_RETRY_SECONDS", 0.001)
    with CallStore(url, queue_limit=20) as store:
        disk = Disk(store, monkeypatch)
        store.begin(call("first"))
        assert disk.tried.wait(5)
        before = time.monotonic()
        for number in range(100):
            store.finish(call(f"call{number:03}", end_at=2), b"timeline")
        assert time.monotonic() - before < 0.5
        stats = store.stats()
        assert stats.queued <= 21
        assert stats.dropped == 80
        assert stats.timelines_dropped == 15
        assert stats.last_error == "database or disk is full"
        assert stats.retries >= 1
        disk.full.clear()
        assert store.flush()
        assert len(store.calls()) == 21


def test_a_file_that_may_not_grow_any_more(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with SQLite's own refusal."""
    monkeypatch.setattr(sqlite, "FIRST_RETRY_SECONDS", 0.001)
    with CallStore(url) as store:
        assert store._engine is not None
        with store._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=20")
        store.finish(call("big", end_at=2), os.urandom(200_000))
        assert not store.flush(0.1)
        assert store.stats().last_error == "database or disk is full"
        store.begin(call("later"))
        with store._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=10000")
        assert store.flush()
        assert {record.call_id for record in store.calls()} == {"big", "later"}
        assert store.stats().dropped == 0


def test_closing_on_a_full_disk_ends_in_time_and_says_so(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CallStore(url)
    store.open()
    disk = Disk(store, monkeypatch)
    store.begin(call("a"))
    assert disk.tried.wait(5)
    assert store.close(timeout=0.05) is False
    assert store.stats().dropped == 1


def test_closing_writes_what_is_queued(url: str) -> None:
    store = CallStore(url)
    store.open()
    for number in range(700):
        store.begin(call(f"c{number}"))
    assert store.close()
    assert len(SqliteReader(url).calls(limit=1_000)) == 700


def test_another_gateway_on_the_same_file_is_told_so(store: CallStore, url: str) -> None:
    with pytest.raises(StoreError) as caught:
        CallStore(url).open()
    assert caught.value.code == "store_in_use"


def test_a_newer_database_is_refused_by_writer_and_reader(url: str, tmp_path: Path) -> None:
    with CallStore(url):
        pass
    connection = sqlite3.connect(tmp_path / "data" / "offhook.db")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()
    for opening in (lambda: CallStore(url).open(), lambda: SqliteReader(url).calls()):
        with pytest.raises(StoreError) as caught:
            opening()
        assert caught.value.code == "store_newer"
        assert f"schema {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION}" in str(caught.value)


def test_an_older_database_is_read_only_after_the_gateway_has_seen_it(url: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    sqlite3.connect(tmp_path / "data" / "offhook.db").close()
    (tmp_path / "data" / "offhook.db").touch()
    with pytest.raises(StoreError) as caught:
        SqliteReader(url).calls()
    assert caught.value.code == "store_older"
    with CallStore(url) as store:
        assert store.calls() == []


@pytest.mark.parametrize("wrong", ["postgresql://h/d", "sqlite:///", "offhook.db"])
def test_another_kind_of_url(wrong: str) -> None:
    with pytest.raises(StoreError) as caught:
        CallStore(wrong)
    assert caught.value.code == "store_url"


def test_no_database_yet(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        SqliteReader(url).calls()
    assert caught.value.code == "store_missing"


def test_a_file_that_is_no_database(url: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "offhook.db").write_bytes(b"not a database at all" * 100)
    for opening in (lambda: CallStore(url).open(), lambda: SqliteReader(url).calls()):
        with pytest.raises(StoreError) as caught:
            opening()
        assert caught.value.code == "store_damaged"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError) as caught:
        CallStore(f"sqlite:///{tmp_path}/offhook.db").open()
    assert caught.value.code == "store_not_writable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everywhere")
def test_a_file_of_another_user(store: CallStore, url: str, tmp_path: Path) -> None:
    (tmp_path / "data" / "offhook.db").chmod(0)
    with pytest.raises(StoreError) as caught:
        SqliteReader(url).calls()
    assert caught.value.code == "store_not_readable"


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        CallStore(f"sqlite:///{tmp_path}/file/offhook.db").open()
    assert caught.value.code == "store_not_writable"


def test_the_file_is_for_its_owner_only(store: CallStore, tmp_path: Path) -> None:
    store.begin(call("a"))
    store.flush()
    for path in (tmp_path / "data").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_what_closes_a_crashed_call_is_the_table_of_endings() -> None:
    reason = EndReason.GATEWAY_CRASHED
    assert {"end_reason": reason.slug, "q850": reason.q850, "fault": reason.fault} == CRASHED


GATEWAY = """
    import sys, time
    from offhook.ids import CallId
    from offhook.report.record import CallRecord
    from offhook.store.sqlite import CallStore

    store = CallStore(sys.argv[1], node="edge", clock_ms=lambda: 65_000)
    store.open()
    store.begin(CallRecord(CallId("ringing"), setup_at=60_000, node="edge"))
    store.answered(CallRecord(CallId("talking"), setup_at=50_000, answer_at=50_500, node="edge"))
    store.finish(CallRecord(CallId("done"), setup_at=1, end_at=2, end_reason="caller_hung_up", node="edge"), b"x")
    store.flush()
    print("ready", flush=True)
    time.sleep(600)
"""


def test_calls_left_open_by_kill_9_are_closed_at_the_next_start(url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(GATEWAY), url], stdout=subprocess.PIPE, text=True
    ) as gateway:
        try:
            assert gateway.stdout is not None
            assert gateway.stdout.readline() == "ready\n"
            assert len(SqliteReader(url).calls()) == 3, "readable while the gateway runs"
        finally:
            gateway.send_signal(signal.SIGKILL)
    assert len(SqliteReader(url).calls()) == 3, "readable after it was killed"
    store = CallStore(url, node="edge", clock_ms=lambda: 500_000)
    assert store.open() == 2
    assert store.close()
    found = {record.call_id: record for record in SqliteReader(url).calls()}
    for name in ("ringing", "talking"):
        record = found[CallId(name)]
        assert (record.end_reason, record.fault, record.end_at) == ("gateway_crashed", "offhook", 65_000)
    assert found[CallId("talking")].billable_seconds == 15
    assert (found[CallId("talking")].sip_status, found[CallId("ringing")].sip_status) == (200, None)
    assert found[CallId("ringing")].billable_seconds == 0
    assert found[CallId("done")].end_reason == "caller_hung_up"
