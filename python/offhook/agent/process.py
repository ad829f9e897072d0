"""An agent's process: its settings, its signals, its loop."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping

from offhook.agent.agent import Agent
from offhook.agent.errors import AgentError
from offhook.agent.waiting import first_of
from offhook.agent.watchdog import Watchdog
from offhook.agent.worker import Gateway, Worker

_LOOK_EVERY = 2.0

_log = logging.getLogger("offhook.agent")


def run_agent(agent: Agent, url: str | None = None, token: str | None = None, *, parent: str | None = None) -> None:
    """Serve calls until SIGTERM or Ctrl-C, and not longer than the process `parent`, if one is named.

    Raises `AgentError` where the agent can't be run.
    """
    gateway = settings(url, token, os.environ)
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        logging.getLogger("websockets").setLevel(logging.WARNING)
    with _runner() as runner:
        runner.run(_serve(agent, gateway, parent))


def settings(url: str | None, token: str | None, environ: Mapping[str, str]) -> Gateway:
    """The gateway that is meant: what is given, else `OFFHOOK_URL` and `OFFHOOK_TOKEN`, else this machine's."""
    return Gateway.of(
        url or environ.get("OFFHOOK_URL") or "ws://127.0.0.1:8080", token or environ.get("OFFHOOK_TOKEN") or ""
    )


async def _serve(agent: Agent, gateway: Gateway, parent: str | None) -> None:
    if agent.handlers.call is None and agent.handlers.turn is None and agent.greeting is None:
        raise AgentError(f"agent {agent.name} does nothing", hint="give it an on_call or an on_turn")
    await agent.warm_up()
    worker = Worker(agent, gateway)
    serving = asyncio.create_task(worker.run())

    def told_to_stop() -> None:
        if worker.is_draining:
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
                serving.cancel()
                await asyncio.wait({serving})
    finally:
        orphaned.cancel()
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


def _runner() -> "asyncio.Runner":
    if sys.platform != "win32":
        import uvloop

        return asyncio.Runner(loop_factory=uvloop.new_event_loop)
    return asyncio.Runner()
