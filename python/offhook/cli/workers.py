"""`offhook workers`: which workers are connected to the gateway of this machine, and what they do."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from offhook.cli.gateway_file import ConfigFile, GatewayFile
from offhook.cli.local_api import LocalApi
from offhook.report.page import WIDEST, cell, console, local_time, print_line

_COLUMNS = {"AGENT": 24, "WORKER": 32, "ADDRESS": 39, "CALLS": 11, "STATE": 24, "VERSION": 24, "SINCE": 12}
"""The titles, and how wide each gets at most."""


def workers(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: JSON, all times in UTC milliseconds.")] = False,
    config: ConfigFile = None,
) -> None:
    """List the workers that are connected: agent, name, address, calls, state, version, since when.

    It asks the running gateway, with the key that this has left in its data directory. Exit code 1 if there is none.
    """
    found = LocalApi.of(GatewayFile.read(config).data_dir).get("/v1/workers")["workers"]
    if as_json:
        # ASCII only: nothing that a worker calls itself gets out of its string.
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    page = console()
    if not found:
        page.print("No worker is connected. `offhook worker agent.py` makes one of an agent.")
        return
    for line in _table(sorted(found, key=lambda worker: (worker["agent"], worker["connected_at"]))):
        if page.is_terminal:
            line.truncate(min(page.width, WIDEST), overflow="ellipsis")
        print_line(page, line)


def _table(found: Sequence[dict[str, Any]]) -> Iterable[Text]:
    rows = [
        (
            worker["agent"],
            worker["instance"],
            worker["address"],
            f"{worker['calls']} of {worker['max_calls']}",
            _state(worker),
            worker["software"] or "–",
            local_time(worker["connected_at"]),
        )
        for worker in found
    ]
    widths = [
        min(most, max(len(title), *(len(row[at]) for row in rows))) for at, (title, most) in enumerate(_COLUMNS.items())
    ]
    yield Text("  ".join(f"{title:<{width}}" for title, width in zip(_COLUMNS, widths, strict=True)), style="bold")
    for worker, row in zip(found, rows, strict=True):
        takes_no_calls = worker["stalled"] or worker["draining"]
        cells = (cell(text, width) for text, width in zip(row, widths, strict=True))
        yield Text("  ".join(cells), style="yellow" if takes_no_calls else "")


def _state(worker: dict[str, Any]) -> str:
    """In a word or two why it takes no new call, if it does not."""
    if worker["draining"]:
        return "draining"
    if worker["stalled"]:
        return "stalled"
    if worker["connections"] < worker["connections_wanted"]:
        return f"{worker['connections']} of {worker['connections_wanted']} connections"
    if worker["calls"] >= worker["max_calls"]:
        return "full"
    return "warming up" if worker["ready"] == 0 else "takes calls"
