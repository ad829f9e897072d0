"""The agent beside `offhook run`: a worker in a process of its own, started again when it dies or its files change."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog

from offhook.errors import OffhookError

_log = structlog.get_logger("offhook.run")

_STOP_LIMIT = 5.0
_LOOK_EVERY = 0.5
_SETTLED = 3.0
_PAUSE = 1.0
_LOOKED_AT = 2_000
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "data"}


def agent_name(path: Path, environ: Mapping[str, str]) -> str:
    """The name of the agent in a file, from a process that loads it: its code never runs in the gateway's.

    Raises `OffhookError` (`agent_broken`) when it can't be loaded; what it printed has been shown by then.
    """
    told = subprocess.run(  # noqa: S603  our own command
        [*_COMMAND, str(path), "--describe"], env=dict(environ), stdout=subprocess.PIPE, text=True, check=False
    )
    if told.returncode:
        raise OffhookError(f"the agent in {path} can't be loaded: see above", code="agent_broken")
    name: str = json.loads(told.stdout.splitlines()[-1])["name"]
    return name


class AgentProcess:
    """Runs `offhook worker PATH` against a gateway at `url`. With `reload` it is started anew when a file changes.

    `failed` is set when it could not be started at all, or died within 3 s of the start; a worker that dies later is
    started again after a second. With `reload` nothing is given up: the next change may mend it.
    """

    def __init__(self, path: Path, url: str, token: str, *, reload: bool) -> None:
        self.failed = asyncio.Event()
        self._path = path
        self._environ = {
            **os.environ, "OFFHOOK_URL": url, "OFFHOOK_TOKEN": token, "OFFHOOK_WORKER_PARENT": str(os.getpid())
        }  # fmt: skip
        self._reload = reload
        self._process: asyncio.subprocess.Process | None = None
        self._draining: set[asyncio.subprocess.Process] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "AgentProcess":
        await self._start()
        self._task = asyncio.create_task(self._watch(), name="agent process")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        running = [process for process in (self._process, *self._draining) if process is not None]
        for process in running:
            # Twice: calls that it may still have are over with the gateway.
            for _time in range(2):
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                await asyncio.wait_for(process.wait(), _STOP_LIMIT)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *_COMMAND, str(self._path), env=self._environ, stdin=subprocess.DEVNULL
        )

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        seen = self._stamp() if self._reload else 0
        started = loop.time()
        while True:
            assert self._process is not None, "started"
            ended = asyncio.create_task(self._process.wait())
            await asyncio.wait({ended}, timeout=_LOOK_EVERY if self._reload else None)
            if self._reload and (now := self._stamp()) != seen:
                seen = now
                _log.info("the agent's files have changed: starting it again", agent=str(self._path))
                self._let_drain(self._process)
            elif not ended.done():
                ended.cancel()
                continue
            elif self._reload:
                _log.warning("the agent ended; it is started again when a file changes", code=self._process.returncode)
                seen = await self._changed(seen)
            elif loop.time() - started < _SETTLED:
                _log.error("the agent ended as soon as it was started", code=self._process.returncode)
                self.failed.set()
                return
            else:
                _log.error("the agent ended; it is started again", code=self._process.returncode)
                await asyncio.sleep(_PAUSE)
            ended.cancel()
            await self._start()
            started = loop.time()

    def _let_drain(self, process: asyncio.subprocess.Process) -> None:
        """Its calls go on, new ones go to the next."""
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        self._draining = {other for other in self._draining if other.returncode is None} | {process}

    async def _changed(self, seen: int) -> int:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            now = self._stamp()
            if now != seen:
                return now

    def _stamp(self) -> int:
        """Something that changes with any Python file beside the agent or below it."""
        return hash(tuple(sorted(_files(self._path.absolute().parent))))


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    looked_at = 0
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        for name in files:
            looked_at += 1
            if looked_at > _LOOKED_AT:
                return
            if name.endswith(".py"):
                with contextlib.suppress(OSError):
                    yield os.path.join(here, name), os.stat(os.path.join(here, name)).st_mtime_ns


_COMMAND = (sys.executable, "-m", "offhook", "worker")
