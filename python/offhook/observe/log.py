"""The log: one line an event, JSON for machines or colours for people, bounded whatever the wire does.

Code writes `logger = get_logger(__name__)` and `logger.warning("trunk refused", source=…, rule=…)`: the event is a
constant, what varies is a field. Lines about a `source` are rate-limited by event and source.
"""

import json
import logging
import math
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from time import monotonic
from typing import Any, Literal, TextIO

import structlog

from offhook.observe.printable import printable

Form = Literal["auto", "console", "json"]

QUEUE_LINES = 10_000
LINE_LIMIT = 4_000

_SECRETS = ("password", "authorization", "token", "secret", "credential")
_QUIET = {"sqlalchemy": logging.WARNING, "uvicorn.access": logging.WARNING, "asyncio": logging.WARNING}


def get_logger(name: str) -> Any:
    """A logger with fields: `logger.info("call answered", call_id=…)`."""
    return structlog.stdlib.get_logger(name)


class RateLimit:
    """At most `each` lines of an event about one source, `all_sources` of it about all of them, in `window` seconds.

    Where an event has a `cause`, which is a word of a closed list, each cause of it counts as an event of its own.
    An event about no source may have `unsourced` lines: it comes of calls, which are limited themselves; errors about
    no source are never left out. What was left out is counted, and told by the next line of that event that passes
    (`suppressed`). At most `keys` pairs are remembered.
    """

    def __init__(
        self,
        *,
        each: int = 5,
        all_sources: int = 200,
        unsourced: int = 10_000,
        window: float = 60.0,
        keys: int = 4_096,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._each = each
        self._all_sources = all_sources
        self._unsourced = unsourced
        self._window = window
        self._keys = keys
        self._clock = clock
        self._until = 0.0
        self._seen: dict[tuple[str, str | None], int] = {}
        self._left_out: dict[str, int] = {}
        self._lock = threading.Lock()
        self.suppressed = 0

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The processor of structlog: lets an event pass or drops it."""
        record = event.get("_record")
        # Of a library's line the template counts, since its text differs every time.
        name = str(event.get("event", "") if record is None else record.msg)[:200]
        if "cause" in event:
            name = f"{name} {event['cause']}"[:200]
        source = event.get("source")
        if source is None and method in ("error", "exception", "critical"):
            return event
        with self._lock:
            now = self._clock()
            if now >= self._until:
                self._seen.clear()
                self._until = now + self._window
            passes = self._take((name, None), self._unsourced if source is None else self._all_sources)
            if source is not None and passes:
                passes = self._take((name, str(source)[:100]), self._each)
            if not passes:
                self.suppressed += 1
                if name in self._left_out or len(self._left_out) < self._keys:
                    self._left_out[name] = self._left_out.get(name, 0) + 1
                raise structlog.DropEvent
            left_out = self._left_out.pop(name, 0)
        if left_out:
            event["suppressed"] = left_out
        return event

    def _take(self, key: tuple[str, str | None], most: int) -> bool:
        count = self._seen.get(key, 0)
        if count >= most or (count == 0 and len(self._seen) >= self._keys):
            return False
        self._seen[key] = count + 1
        return True


class LogWriter(logging.Handler):
    """Writes lines from a thread of its own, so that a pipe nobody reads never stops the gateway.

    At most 10,000 lines wait; further ones are dropped and counted.
    """

    def __init__(self, stream: TextIO, limit: RateLimit, *, queue_lines: int = QUEUE_LINES) -> None:
        super().__init__()
        self._stream = stream
        self._limit = limit
        self._queue_lines = queue_lines
        self._lines: deque[str] = deque()
        self._changed = threading.Condition()
        self._writing = False
        self._closing = False
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="offhook-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one line; never blocks, never raises."""
        try:
            line = self.format(record)
        except structlog.DropEvent:
            return
        except Exception:  # a line that can't be told must not stop what it tells of
            line = f"a log line can't be written: {record.name}:{record.lineno}"
        with self._changed:
            if len(self._lines) >= self._queue_lines or self._closing:
                self._dropped += 1
                return
            self._lines.append(line)
            self._changed.notify_all()

    def stats(self) -> Mapping[str, int]:
        """Lines that were never written: `suppressed` by the rate limit, `dropped` because the stream was blocked."""
        return {"suppressed": self._limit.suppressed, "dropped": self._dropped}

    def flush(self, timeout: float = 2.0) -> None:
        """Wait until all lines are written, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lines and not self._writing, timeout)

    def close(self) -> None:
        """Write what waits, at most two seconds long, and stop."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(2.0)
        super().close()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._lines or self._closing)
                if not self._lines:
                    return
                lines = list(self._lines)
                self._lines.clear()
                self._writing = True
            try:
                self._stream.write("".join(f"{line}\n" for line in lines))
                self._stream.flush()
            except (OSError, ValueError):
                with self._changed:
                    self._dropped += len(lines)


def configure(
    form: Form = "auto", level: str = "info", stream: TextIO | None = None, *, limit: RateLimit | None = None
) -> LogWriter:
    """Set up all logging of this process, libraries included; the writer, which `close()` stops.

    `auto` is console on a terminal and JSON elsewhere. JSON lines are ASCII, console lines have everything escaped
    that a terminal would act on; values of fields named like a secret are masked in both.
    """
    stream = stream or sys.stderr
    limit = limit or RateLimit()
    console = form == "console" or (form == "auto" and stream.isatty())
    stamped: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    ours = [structlog.contextvars.merge_contextvars, *stamped, structlog.processors.format_exc_info, _guard]
    theirs = [limit, *stamped, structlog.stdlib.ExtraAdder(), structlog.processors.format_exc_info, _guard]
    last = _console_line(colours=stream.isatty()) if console else _json_line
    writer = LogWriter(stream, limit)
    writer.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=theirs,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, LogWriter)]:
        root.removeHandler(handler)
        handler.close()
    root.addHandler(writer)
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            limit,
            *ours,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return writer


def _guard(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask what is named like a secret, cut what is long, and make plain values of everything."""
    event.pop("color_message", None)  # uvicorn's second telling of its line, for terminals
    for name, value in event.items():
        if name.startswith("_"):
            continue
        if any(word in name.lower() for word in _SECRETS):
            event[name] = "***"
        elif not isinstance(value, bool | int | None) and not (isinstance(value, float) and math.isfinite(value)):
            text = value if isinstance(value, str) else str(value)
            event[name] = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")[:LINE_LIMIT]
    return event


def _json_line(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    first = {name: event.pop(name) for name in ("at", "level", "event") if name in event}
    return json.dumps({**first, **event}, default=str)


def _console_line(*, colours: bool) -> Callable[[Any, str, MutableMapping[str, Any]], str]:
    codes = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m", "debug": "\x1b[2m"} if colours else {}

    def line(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        time = str(event.pop("at", ""))[11:23]
        level = str(event.pop("level", ""))
        event.pop("logger", None)
        said = printable(str(event.pop("event", "")))
        trace = event.pop("exception", None)
        fields = "  ".join(f"{printable(name)}={_value(value)}" for name, value in event.items())
        code = codes.get(level, "")
        reset = "\x1b[0m" if code else ""
        text = f"{time} {code}{level:<7}{reset} {said}" + (f"  {fields}" if fields else "")
        return f"{text}\n{printable(str(trace), keep_lines=True)}" if trace else text

    return line


def _value(value: Any) -> str:
    text = printable(str(value))
    return f'"{text}"' if " " in text or not text else text
