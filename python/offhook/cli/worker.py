"""`offhook worker`: serves an agent's calls, dialling the gateway."""

import io
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer


def worker(
    agent: Annotated[Path, typer.Argument(metavar="AGENT.py", help="The file with the agent.")],
    url: Annotated[
        str | None,
        typer.Option(envvar="OFFHOOK_URL", help="The gateway's HTTP address; by default ws://127.0.0.1:8080."),
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="OFFHOOK_TOKEN", help="One of the gateway's tokens for workers.")
    ] = None,
    describe: Annotated[bool, typer.Option("--describe", help="Print the agent's name as JSON and end.")] = False,
    log: Annotated[Literal["auto", "console", "json"], typer.Option(help="How the log is written.")] = "auto",
) -> None:
    """Serve an agent's calls on any machine that reaches the gateway, until SIGTERM or Ctrl-C.

    A first signal lets calls end, a second one ends them. While the gateway can't be reached, it tries again.
    """
    from offhook.agent.loading import load_agent
    from offhook.agent.process import run_agent
    from offhook.observe.log import configure

    if describe:
        # What the file prints while it is loaded is not ours.
        own, sys.stdout = sys.stdout, sys.stderr
        found = load_agent(agent)
        own.write(json.dumps({"name": found.name}) + "\n")
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What an agent prints is there at once, in a pipe, a file and a container's log, too.
        sys.stdout.reconfigure(line_buffering=True)
    writer = configure(log)
    try:
        run_agent(load_agent(agent), url, token, parent=os.environ.get("OFFHOOK_WORKER_PARENT"))
    finally:
        writer.close()
