"""One line an event, whatever is in it; bounded, whoever causes it; and nobody waits for it."""

import contextlib
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from offhook.observe.log import LogWriter, RateLimit, configure, get_logger

pytestmark = pytest.mark.unit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logged(clock: Clock) -> Iterator[Callable[..., list[str]]]:
    """Set logging up, run something, and give the lines; everything is put back afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    writers: list[LogWriter] = []

    def run(action: Callable[[Any], None], form: Any = "json") -> list[str]:
        stream = io.StringIO()
        writers.append(configure(form, stream=stream, limit=RateLimit(clock=clock)))
        action(get_logger("offhook.test"))
        writers[-1].flush()
        return stream.getvalue().splitlines()

    yield run
    for writer in writers:
        writer.close()
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


NASTY = 'x\r\n{"event": "forged"}\x1b[2J\udcff\u202e'


def test_a_json_line_is_one_line_of_ascii_whatever_came_in(logged: Callable[..., list[str]]) -> None:
    (line,) = logged(lambda logger: logger.warning("call refused", user_agent=NASTY, count=3, odd=float("nan")))
    assert line.isascii()
    assert "\x1b" not in line
    fields = json.loads(line)
    assert list(fields)[:3] == ["at", "level", "event"]
    assert fields["event"] == "call refused"
    assert fields["user_agent"] == NASTY.replace("\udcff", "\\xff")
    assert (fields["count"], fields["odd"], fields["logger"]) == (3, "nan", "offhook.test")
    assert fields["at"].endswith("Z")


def test_a_console_line_can_not_act_on_the_terminal(logged: Callable[..., list[str]]) -> None:
    (line,) = logged(lambda logger: logger.warning("call refused", user_agent=NASTY), "console")
    assert line.isprintable()
    assert 'warning call refused  user_agent="x\\r\\n{' in line


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_and_long_values(logged: Callable[..., list[str]], form: str) -> None:
    (line,) = logged(
        lambda logger: logger.info("x", password="hunter2", Proxy_Authorization="hunter2", a="y" * 9_000), form
    )
    assert "hunter2" not in line
    assert len(line) < 4_500


def test_libraries_are_heard_in_the_same_form(logged: Callable[..., list[str]]) -> None:
    lines = logged(lambda logger: logging.getLogger("some.library").warning("lost %s", "it\nall"))
    assert json.loads(lines[0])["event"] == "lost it\nall"
    assert json.loads(lines[0])["logger"] == "some.library"


def test_an_exception_is_told_with_its_trace(logged: Callable[..., list[str]]) -> None:
    def fail(logger: Any) -> None:
        try:
            raise RuntimeError("boom")
        except RuntimeError:
            logger.exception("callback failed")

    (line,) = logged(fail)
    assert "RuntimeError: boom" in json.loads(line)["exception"]


def test_a_source_that_floods_is_five_lines_a_minute(logged: Callable[..., list[str]], clock: Clock) -> None:
    def flood(logger: Any) -> None:
        for _ in range(100):
            logger.warning("bad packet", source="192.0.2.66")
        logger.warning("bad packet", source="192.0.2.7")
        logger.warning("other event", source="192.0.2.66")
        clock.now = 60.0
        logger.warning("bad packet", source="192.0.2.66")

    lines = [json.loads(line) for line in logged(flood)]
    assert [line["event"] for line in lines] == ["bad packet"] * 6 + ["other event", "bad packet"]
    assert lines[5]["suppressed"] == 95
    assert "suppressed" not in lines[7]


def test_each_cause_of_an_event_is_told(logged: Callable[..., list[str]]) -> None:
    def fail(logger: Any) -> None:
        for _ in range(10):
            logger.warning("tls.failed", source="192.0.2.66", cause="plain_sip")
        logger.warning("tls.failed", source="192.0.2.66", cause="old_version")

    lines = [json.loads(line) for line in logged(fail)]
    assert [line["cause"] for line in lines] == ["plain_sip"] * 5 + ["old_version"]


def test_a_flood_of_sources_is_bounded_too(logged: Callable[..., list[str]]) -> None:
    def flood(logger: Any) -> None:
        for number in range(10_000):
            logger.warning("bad packet", source=f"source {number}")

    assert len(logged(flood)) == 200


def test_lines_of_a_library_are_limited_by_their_template(clock: Clock) -> None:
    limit = RateLimit(unsourced=3, clock=clock)
    passed = 0
    for number in range(10):
        record = logging.LogRecord("l", logging.WARNING, "f", 1, "bad %s", (number,), None)
        try:
            limit(None, "warning", {"event": record.getMessage(), "_record": record})
            passed += 1
        except structlog.DropEvent:
            pass
    assert (passed, limit.suppressed) == (3, 7)


def test_our_own_errors_are_never_left_out(clock: Clock) -> None:
    limit = RateLimit(unsourced=1, clock=clock)
    for _ in range(10):
        limit(None, "error", {"event": "internal error"})
    assert limit.suppressed == 0


def test_what_is_remembered_is_bounded(clock: Clock) -> None:
    limit = RateLimit(all_sources=10_000, keys=10, clock=clock)
    for number in range(1_000):
        with contextlib.suppress(structlog.DropEvent):
            limit(None, "warning", {"event": "e", "source": number})
    assert limit.suppressed == 1_000 - 9


class Stuck(io.StringIO):
    """A pipe that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.free = threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        self.free.wait(10)
        return super().write(text)


def test_a_log_that_nobody_reads_stops_nobody(clock: Clock) -> None:
    stream = Stuck()
    writer = LogWriter(stream, RateLimit(clock=clock), queue_lines=10)
    record = logging.LogRecord("l", logging.INFO, "f", 1, "line", (), None)
    writer.emit(record)
    assert stream.entered.wait(5)
    for _ in range(100):
        writer.emit(record)
    assert writer.stats()["dropped"] == 90
    stream.free.set()
    writer.flush()
    writer.close()
    assert stream.getvalue() == "line\n" * 11


def test_a_closed_stream_is_counted(clock: Clock) -> None:
    stream = io.StringIO()
    stream.close()
    writer = LogWriter(stream, RateLimit(clock=clock))
    writer.emit(logging.LogRecord("l", logging.INFO, "f", 1, "line", (), None))
    writer.flush()
    writer.close()
    assert writer.stats()["dropped"] == 1
