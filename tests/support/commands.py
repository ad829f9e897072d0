"""`offhook` commands, each in a process of its own as a user would run them, but forked from one that has loaded them.

A new interpreter takes half a second of the processor to load the command line and its libraries, a gateway twice that,
and the suite looks at hundreds of records and starts hundreds of gateways and phones.
"""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *("offhook.cli.root", "offhook.store.sqlite_reader", "offhook.recording.shelf"),
        *("offhook.app", "uvloop", "uvicorn", "offhook.phone.call", "offhook.phone.live", "offhook.phone.page"),
        "tests.support.patience",
    ]
)


class Forked:
    """An `offhook` command that runs: as a `subprocess.Popen` of it would be, as far as tests use one.

    `out` and `err` are files that its output is added to; they may be one. It is on the network that the calling thread
    is on.
    """

    def __init__(
        self, arguments: Sequence[str], environ: Mapping[str, str], directory: Path, out: Path, err: Path
    ) -> None:
        self._process = _CONTEXT.Process(
            target=_command, args=(list(arguments), dict(environ), directory, out, err, _network()), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None, "started"
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, the negative number of the signal that ended it, or None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same, asked for now."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("offhook", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)


def offhook(
    arguments: Sequence[str], environ: Mapping[str, str], directory: Path, within: float = 60.0
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, and give what it printed. Raises `subprocess.TimeoutExpired`."""
    with output() as (out, err):
        process = _CONTEXT.Process(
            target=_command, args=(list(arguments), dict(environ), directory, out, err, _network())
        )
        process.start()
        process.join(within)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["offhook", *arguments], within)
        code = process.exitcode
        process.close()
        return subprocess.CompletedProcess(["offhook", *arguments], code, out.read_text(), err.read_text())


@contextmanager
def output() -> Iterator[tuple[Path, Path]]:
    """Two files for what a command prints. They have no name of their own, so nothing of them outlives this process."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        yield Path(f"/proc/{os.getpid()}/fd/{out.fileno()}"), Path(f"/proc/{os.getpid()}/fd/{err.fileno()}")


def _network() -> str:
    """A file that stands for the network that this thread is on."""
    return f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net"


def _command(
    arguments: list[str], environ: dict[str, str], directory: Path, out: Path, err: Path, network: str
) -> None:
    """What `python -m offhook` does, in this process."""
    for path, descriptor in ((out, 1), (err, 2)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), descriptor)
    _go_to(network)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(directory)
    sys.argv = ["offhook", *arguments]
    from offhook.__main__ import main

    if arguments[0] == "run":
        from .patience import be_patient

        be_patient()
    main()


def _go_to(network: str) -> None:
    """Be on that network, unless this process is there already: it may have been forked elsewhere."""
    if not os.path.exists(network) or os.stat(network).st_ino == os.stat("/proc/self/ns/net").st_ino:
        return
    descriptor = os.open(network, os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, 0) != 0:
        raise OSError(ctypes.get_errno(), f"can't go to the network {network}")
    os.close(descriptor)
