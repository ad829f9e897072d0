"""An agent's process: its settings, its signals, its loop."""

import asyncio
import logging
import os
import signal
import sys
import sysconfig
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from offhook.agent.agent import Agent
from offhook.agent.errors import AgentError
from offhook.agent.waiting import first_of
from offhook.agent.watchdog import Watchdog
from offhook.agent.worker import Gateway, Worker

_LOOK_EVERY = 2.0
_PATIENCE = 5.0
"""Seconds that what is cancelled at the end has for it. What takes longer is named, and ends with the process."""

_NOBODYS = (Path(__file__).parents[1], *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")))
"""Folders of code that no user of the SDK wrote: ours, Python's, that of packages."""

_log = logging.getLogger("offhook.agent")


def run_agent(agent: Agent, url: str | None = None, token: str | None = None, *, parent: str | None = None) -> None:
    """Serve calls until SIGTERM or Ctrl-C, and not longer than the process `parent`, if one is named.

    Raises `AgentError` where the agent can't be run.
    """
    gateway = settings(url, token, os.environ)
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        logging.getLogger("websockets").setLevel(logging.WARNING)
    with _LastDelay() as delay, _runner() as runner:
        runner.run(_serve(agent, gateway, parent, delay))


def settings(url: str | None, token: str | None, environ: Mapping[str, str]) -> Gateway:
    """The gateway that is meant: what is given, else `OFFHOOK_URL` and `OFFHOOK_TOKEN`, else this machine's."""
    return Gateway.of(
        url or environ.get("OFFHOOK_URL") or "ws://127.0.0.1:8080", token or environ.get("OFFHOOK_TOKEN") or ""
    )


async def _serve(agent: Agent, gateway: Gateway, parent: str | None, delay: "_LastDelay") -> None:
    if agent.handlers.call is None and agent.handlers.turn is None and agent.greeting is None:
        raise AgentError(f"agent {agent.name} does nothing", hint="give it an on_call or an on_turn")
    await agent.warm_up()
    worker = Worker(agent, gateway)
    serving = asyncio.create_task(worker.run())

    def told_to_stop() -> None:
        if worker.is_draining:
            delay.begin()
            serving.cancel()
        worker.drain()

    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, told_to_stop)
    orphaned = asyncio.create_task(_orphaned(parent))
    try:
        with Watchdog():
            await first_of(serving, orphaned)
            if not serving.done():
                _log.error("the process that started this worker is gone")
                delay.begin()
                serving.cancel()
                await asyncio.wait({serving})
    finally:
        orphaned.cancel()
        # What a handler has begun and not waited for is cancelled as the loop is closed.
        delay.begin()
        await agent.speech.close()
    if not serving.cancelled():
        serving.result()
    # All is over; a signal more must not make a failure of it.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, signal.SIG_IGN)


async def _orphaned(parent: str | None) -> None:
    """Return when the process that started this one is gone: killed, it told nobody to stop."""
    while True:
        if parent is not None and os.getppid() != int(parent):
            return
        await asyncio.sleep(_LOOK_EVERY)


class _LastDelay:
    """Ends the process, whatever goes on in it, if the event loop is not closed `_PATIENCE` after the end has begun."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # What runs behind that is no matter of ours: `agent.run()` may have a program around it.
        if self._timer is not None:
            self._timer.cancel()

    def begin(self) -> None:
        """The end of the running loop begins. May be repeated."""
        if self._timer is None:
            self._timer = threading.Timer(_PATIENCE, _leave, [asyncio.get_running_loop()])
            self._timer.daemon = True
            self._timer.start()


def _leave(loop: asyncio.AbstractEventLoop) -> None:
    stuck = {_where(task) for task in asyncio.all_tasks(loop) if task.cancelling()}
    _log.error(
        "not ended %g s after a cancel: %s; what catches CancelledError has to raise it again. The worker ends now",
        _PATIENCE,
        ", ".join(sorted(place for place in stuck if place is not None)) or "a blocked event loop",
    )
    logging.shutdown()
    os._exit(1)


def _where(task: asyncio.Task[object]) -> str | None:
    """The innermost of the coroutines in which a task waits that is no library's and not ours."""
    inner: object = task.get_coro()
    found = None
    while (code := getattr(inner, "cr_code", None)) is not None:
        if not any(Path(code.co_filename).is_relative_to(folder) for folder in _NOBODYS):
            found = f"{code.co_qualname} ({code.co_filename})"
        inner = getattr(inner, "cr_await", None)
    return found


def _runner() -> "asyncio.Runner":
    if sys.platform != "win32":
        import uvloop

        return asyncio.Runner(loop_factory=uvloop.new_event_loop)
    return asyncio.Runner()
