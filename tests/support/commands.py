"""`offhook` commands, each in a process of its own as a user would run them, but forked from one that has loaded them.

A new interpreter takes half a second of the processor to load the command line and its libraries, and the suite looks
at hundreds of records.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["offhook.cli.root", "offhook.store.sqlite_reader", "offhook.recording.shelf"])


def offhook(
    arguments: Sequence[str], environ: Mapping[str, str], directory: Path, within: float = 60.0
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, and give what it printed. Raises `subprocess.TimeoutExpired`."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _CONTEXT.Process(target=_command, args=(list(arguments), dict(environ), directory, out, err))
        process.start()
        process.join(within)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["offhook", *arguments], within)
        code = process.exitcode
        process.close()
        return subprocess.CompletedProcess(["offhook", *arguments], code, out.read_text(), err.read_text())


def _command(arguments: list[str], environ: dict[str, str], directory: Path, out: Path, err: Path) -> None:
    """What `python -m offhook` does, in this process."""
    for path, descriptor in ((out, 1), (err, 2)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(directory)
    sys.argv = ["offhook", *arguments]
    from offhook.__main__ import main

    main()
