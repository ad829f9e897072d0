"""A gateway as a user runs it: `offhook run` in a process of its own, looked at through the command line alone."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar

from .commands import Forked, offhook

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
START_LIMIT = 60.0
STOP_LIMIT = 30.0
PATIENCE = 1.0
RECORD_LIMIT = 30.0

_BANNER = re.compile(r"\b(udp|tcp|tls)://(\[[^\]]+\]|[^\s:]+):(\d+)")
_HTTP = re.compile(r"http://([^\s/]+):(\d+)/health/ready")
# Below the system's own range (32768 and up), so that nobody's outgoing socket takes one of them meanwhile.
_PORTS = range(20_000, 32_000)
_PORTS_PER_WORKER = 1_500
_FEW = 8
_FEW_PORTS = 500
_PORTS_PER_GATEWAY = 40


class Gateway:
    """A running gateway. `toml` is added to a node that listens on ports chosen by the system, on loopback.

    With None there is no file: it is as a newcomer starts it, on its default ports, so it wants a host of its own.
    `sip` and `media` replace what stands in these two tables, `program` is what Python runs. Addresses: `udp` and
    `tcp` (host, port) of the first listener of each kind, `http` its base URL.
    """

    def __init__(
        self,
        directory: Path,
        toml: str | None,
        *,
        sip: str | None = None,
        media: str | None = None,
        environ: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        program: tuple[str, ...] = ("-m", "offhook"),
    ) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.config: Path | None = None if toml is None else directory / "offhook.toml"
        self.log = directory / "gateway.log"
        self._arguments = arguments
        self._program = program
        # Where the interpreter itself is to begin in another way, it does; and a script has no process to fork from.
        usual = toml is not None and not environ and program == ("-m", "offhook")
        self._is_forked = usual and "PYTEST_VERSION" in os.environ
        inherited = {name: value for name, value in os.environ.items() if name != "OFFHOOK_CONFIG"}
        self._environ = {**inherited, **python_path(), **(environ or {})}
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self.addresses: list[tuple[str, str, int]] = []
        self.http = ""
        if self.config is None:
            return
        first = ports(_PORTS_PER_GATEWAY)
        tables = {
            "node": f'name = "test"\ndata_dir = "{directory}/data"',
            "sip": sip or 'listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]',
            "media": media or f'ports = "{first}-{first + _PORTS_PER_GATEWAY - 1}"',
            "http": 'listen = "127.0.0.1:0"',
        }
        self.config.write_text("\n".join(f"[{name}]\n{text}\n" for name, text in tables.items()) + f"\n{toml}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "started"
        return self._process.pid

    @property
    def udp(self) -> tuple[str, int]:
        """Where it hears SIP over UDP."""
        return self._address("udp")

    @property
    def tcp(self) -> tuple[str, int]:
        """Where it hears SIP over TCP."""
        return self._address("tcp")

    @property
    def tls(self) -> tuple[str, int]:
        """Where it hears SIP over TLS."""
        return self._address("tls")

    @property
    def ipv6(self) -> tuple[str, int]:
        """Where it hears SIP over UDP on IPv6."""
        return next((host, port) for kind, host, port in self.addresses if kind == "udp" and ":" in host)

    def start(self) -> None:
        """Start it and wait until it says that it is ready; what it said instead is in the failure."""
        with self.log.open("ab") as log:
            begin = log.tell()
            config = [] if self.config is None else ["--config", str(self.config)]
            command = ["run", *config, *self._arguments]
            if self._is_forked:
                self._process = Forked(command, self._environ, self.directory, self.log, self.log)
            else:
                self._process = subprocess.Popen(
                    [sys.executable, *self._program, *command],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environ, cwd=self.directory,
                )  # fmt: skip

        def ready() -> bool:
            assert self._process is not None, "started above"
            said = self.log.read_bytes()[begin:].decode(errors="replace")
            assert self._process.poll() is None, f"the gateway ended with {self._process.returncode}:\n{said}"
            self.addresses = [(kind, host.strip("[]"), int(port)) for kind, host, port in _BANNER.findall(said)]
            http = _HTTP.search(said)
            self.http = f"http://{http[1]}:{http[2]}" if http else ""
            return bool(self.addresses and http) and self._is_ready()

        try:
            wait_until(ready, START_LIMIT, lambda: f"the gateway is not ready: {self.log.read_text(errors='replace')}")
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop it at once: SIGTERM, and again so that calls that still run are hung up."""
        if self._process is None:
            return
        process, self._process = self._process, None
        # The second one may find it past its own handling, on the last steps out; then it is what ends it.
        accepted = [0, -signal.SIGTERM]
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
            accepted = [0]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the gateway did not stop: {self.said()}") from None
        assert code in accepted, f"the gateway ended with {code}: {self.said()}"

    def kill(self) -> None:
        """kill -9, as an out-of-memory killer would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang_up(self) -> None:
        """SIGHUP: it reads its certificates anew."""
        assert self._process is not None, "started"
        self._process.send_signal(signal.SIGHUP)

    def terminate(self) -> None:
        """SIGTERM once: it drains."""
        assert self._process is not None, "started"
        self._process.send_signal(signal.SIGTERM)

    def has_ended(self) -> bool:
        """Whether its process has ended by itself; fails if it ended badly."""
        assert self._process is not None, "started"
        code = self._process.poll()
        assert code in (None, 0), f"the gateway ended with {code}: {self.said()}"
        return code is not None

    def said(self) -> str:
        """Everything on its standard output and error so far."""
        return self.log.read_text(errors="replace")

    # -- what a user sees of it

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run an `offhook` command with this gateway's configuration in force, and give what it printed."""
        done = self._offhook(*arguments)
        assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def calls(self, *asked: str) -> list[dict[str, Any]]:
        """The records of its calls, newest first; of those that are asked for by options."""
        found: list[dict[str, Any]] = json.loads(self.run("calls", "--json", "--limit", "1000", *asked))
        return found

    def show(self, call_id: str) -> dict[str, Any]:
        """All that is known of a call: `call`, `verdict`, `audio`, `timeline`."""
        shown: dict[str, Any] = json.loads(self.run("calls", "show", call_id, "--json"))
        return shown

    def explained(self, sip_call_id: str, within: float = RECORD_LIMIT) -> dict[str, Any]:
        """`show` for the call of that SIP Call-ID, once it is over and its record has been written."""

        def ended() -> dict[str, Any] | None:
            # Mostly it is the last one.
            last: dict[str, Any] = json.loads(self._offhook("calls", "show", "last", "--json").stdout or "{}")
            if last and (last["call"]["sip_call_id"], last["call"]["end_reason"] is None) == (sip_call_id, False):
                return last
            for call in self.calls():
                if call["sip_call_id"] == sip_call_id and call["end_reason"] is not None:
                    return self.show(call["call_id"])
            return None

        return wait_until(ended, within, lambda: f"no record of {sip_call_id} that has ended: {self.calls()}")

    def record(self, sip_call_id: str, within: float = RECORD_LIMIT) -> dict[str, Any]:
        """The record of the call of that SIP Call-ID, once it is over."""
        record: dict[str, Any] = self.explained(sip_call_id, within)["call"]
        return record

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels; 0 if there is none."""
        with urllib.request.urlopen(f"{self.http}/metrics", timeout=20) as answer:
            text = answer.read().decode()
        total = 0.0
        for line in text.splitlines():
            sample = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if sample and sample[1] == name:
                found = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', sample[2] or ""))
                if labels.items() <= found.items():
                    total += float(sample[3])
        return total

    def _offhook(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        config = {"OFFHOOK_CONFIG": str(self.config)} if self.config is not None else {}
        return offhook(arguments, {**self._environ, **config, "COLUMNS": "140"}, self.directory)

    def _address(self, transport: str) -> tuple[str, int]:
        for kind, host, port in self.addresses:
            if kind == transport:
                return host, port
        raise AssertionError(f"the gateway has no {transport} listener: {self.addresses}")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.http}/health/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def running_gateway(directory: Path, toml: str | None, **options: Any) -> Iterator[Gateway]:
    """`Gateway(directory, toml, …)`, started, and stopped at the end whatever happens."""
    with Gateway(directory, toml, **options) as gateway:
        yield gateway


def wait_until(condition: Callable[[], T | None], within: float, what: Callable[[], str] | str = "nothing came") -> T:
    """Ask until the answer is true, and give it; fail with `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(what if isinstance(what, str) else what())
        time.sleep(0.02)


def python_path() -> dict[str, str]:
    """The environment that makes `python -m offhook` this tree's."""
    rest = os.environ.get("PYTHONPATH")
    here = str(REPOSITORY / "python")
    return {"PYTHONPATH": f"{here}{os.pathsep}{rest}" if rest else here}


# Several runs on one machine begin at several places.
_next_port = {few: os.getpid() * 2 % _FEW_PORTS for few in (True, False)}
_kept: set[int] = set()
_asking = threading.Lock()


def ports(count: int) -> int:
    """The first of so many ports in a row that are free for TCP and UDP, the first of them even.

    Each process of pytest has its own part of the range, and in it those that ask for a few have a part of their own.
    What a module takes while it is loaded, long before it listens there, is nobody else's as long as the tests run.
    """
    with _asking:
        return _free(count)


def _free(count: int) -> int:
    few = count <= _FEW
    begin = _PORTS.start + _part() * _PORTS_PER_WORKER + (0 if few else _FEW_PORTS)
    size = _FEW_PORTS if few else _PORTS_PER_WORKER - _FEW_PORTS
    first, tried = begin + _next_port[few], 0
    while tried < 2 * size:
        if first + count > begin + size:
            tried += begin + size - first
            first = begin
        taken = next((port for port in range(first, first + count) if port in _kept or not _is_free(port)), None)
        if taken is None:
            _next_port[few] = first + count + count % 2 - begin
            if "PYTEST_CURRENT_TEST" not in os.environ:
                _kept.update(range(first, first + count))
            return first
        tried += taken + 1 - first
        first = taken + 1 + (taken + 1) % 2
    raise AssertionError(f"no {count} free ports from {begin} on")


def media_ports(count: int) -> str:
    """A `[media]` table with so many ports."""
    first = ports(count)
    return f'ports = "{first}-{first + count - 1}"'


@cache
def _part() -> int:
    """Which part of the range is this process's as long as it lives: its worker's, or another if that is taken."""
    parts = len(_PORTS) // _PORTS_PER_WORKER
    wanted = int((os.environ.get("PYTEST_XDIST_WORKER") or "gw0").removeprefix("gw"))
    folder = Path(tempfile.gettempdir()) / f"offhook-tests-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for part in ((wanted + n) % parts for n in range(parts)):
        lock = os.open(folder / f"ports-{part}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
        else:
            return part
    return wanted % parts


def is_bound(port: int, transport: str = "udp") -> bool:
    """Whether somebody listens on this port, in the network that this thread is in; without touching it."""
    listens = "07" if transport == "udp" else "0A"
    for table in (transport, f"{transport}6"):
        path = Path("/proc/thread-self/net") / table
        lines = path.read_text().splitlines()[1:] if path.exists() else []
        for _, local, _, state, *_ in (line.split() for line in lines):
            if state == listens and int(local.rpartition(":")[2], 16) == port:
                return True
    return False


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            # As servers do it, so that a connection that is long over doesn't count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind is socket.SOCK_STREAM))
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True
