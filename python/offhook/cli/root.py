"""The root of the command line: every command, each imported only when it runs."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from offhook.cli.agents import app as agents
from offhook.cli.calls import app as calls
from offhook.cli.check import check
from offhook.cli.dial import dial
from offhook.cli.init import init
from offhook.cli.models import app as models
from offhook.cli.phone import phone
from offhook.cli.phones import phones
from offhook.cli.recordings import app as recordings
from offhook.cli.routes import app as routes
from offhook.cli.trunks import app as trunks
from offhook.cli.worker import worker
from offhook.cli.workers import workers
from offhook.errors import OffhookError

REFUSED = 1
USED_WRONGLY = 2

app = typer.Typer(
    name="offhook",
    help="A SIP gateway for voice AI: phone calls in, AI agents on the line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version_and_end(is_asked_for: bool) -> None:
    if is_asked_for:
        version()
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version_and_end, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What may stand before a command."""


@app.command()
def run(
    agent: Annotated[
        Path | None,
        typer.Argument(metavar="[AGENT.py]", help="A file with an agent, which is started beside the gateway."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The TOML file; without it ./offhook.toml or the defaults.")
    ] = None,
    lan: Annotated[
        bool, typer.Option("--lan", help="Without a file: answer private networks too, not only this machine.")
    ] = False,
    dev: Annotated[
        bool, typer.Option("--dev", help="Start the agent again whenever a Python file beside it changes.")
    ] = False,
    log: Annotated[Literal["auto", "console", "json"], typer.Option(help="How the log is written.")] = "auto",
) -> None:
    """Run the gateway, and an agent if one is given, until SIGTERM or Ctrl-C.

    A first signal lets calls end, a second one ends them.
    """
    from offhook.cli.run import run_gateway

    if dev and agent is None:
        raise typer.BadParameter("there is no agent to start again: name its file", param_hint="--dev")
    raise typer.Exit(run_gateway(config, lan=lan, log=log, agent=agent, dev=dev))


@app.command()
def version() -> None:
    """Print the version."""
    from offhook.cli.version import print_version

    print_version()


app.command()(init)
app.command()(worker)
app.command()(workers)
app.command()(check)
app.command()(phone)
app.command()(phones)
app.command()(dial)
app.add_typer(agents, name="agents")
app.add_typer(routes, name="routes")
app.add_typer(trunks, name="trunks")
app.add_typer(calls, name="calls")
app.add_typer(recordings, name="recordings")
app.add_typer(models, name="models")


def command() -> int:
    """Run the command line and return its exit code; an error that has a plain word is one line, not a traceback."""
    try:
        app()
    except SystemExit as end:
        # How typer ends: 0, the code of `typer.Exit`, or 2 after it has said what is wrong with an option.
        return end.code if isinstance(end.code, int) else 0
    except OffhookError as error:
        print(f"offhook: {error}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return (
            USED_WRONGLY if error.code in ("config_invalid", "phone_used_wrongly", "agents_used_wrongly") else REFUSED
        )
    return 0
