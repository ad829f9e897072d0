"""`offhook workers`: which workers are connected to the gateway of this machine, and what they do."""

import http.client
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.text import Text

from offhook.api.local_key import FILE, LocalKey
from offhook.cli.gateway_file import ConfigFile, GatewayFile
from offhook.errors import OffhookError
from offhook.report.page import WIDEST, cell, console, local_time, print_line

_PATIENCE = 5.0
_COLUMNS = {"AGENT": 24, "WORKER": 32, "ADDRESS": 39, "CALLS": 11, "STATE": 24, "VERSION": 24, "SINCE": 12}
"""The titles, and how wide each gets at most."""


def workers(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: JSON, all times in UTC milliseconds.")] = False,
    config: ConfigFile = None,
) -> None:
    """List the workers that are connected: agent, name, address, calls, state, version, since when.

    It asks the running gateway, with the key that this has left in its data directory. Exit code 1 if there is none.
    """
    found = _ask(GatewayFile.read(config).data_dir, "/v1/workers")["workers"]
    if as_json:
        # ASCII only: nothing that a worker calls itself gets out of its string.
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    page = console()
    if not found:
        page.print("No worker is connected. `offhook worker agent.py` makes one of an agent.")
        return
    for line in _table(sorted(found, key=lambda worker: (worker["agent"], worker["connected_at"]))):
        line.truncate(min(page.width, WIDEST), overflow="ellipsis")
        print_line(page, line)


def _ask(data_dir: Path, path: str) -> Any:
    """What the gateway that keeps its data there answers. Raises `OffhookError` where none does."""
    try:
        key = LocalKey.find(data_dir)
    except OSError as error:
        raise OffhookError(
            f"{data_dir / FILE} can't be read: {error.strerror}", hint="run this as the user of the gateway",
            code="not_readable",
        ) from error  # fmt: skip
    if key is None:
        raise OffhookError(
            f"no gateway runs with its data in {data_dir}",
            hint="start it with `offhook run`, or name its file with --config",
            code="gateway_not_running",
        )
    connection = http.client.HTTPConnection(urlsplit(key.url).netloc, timeout=_PATIENCE)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {key.token}"})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise OffhookError(
            f"the gateway that was at {key.url} does not answer: {error or type(error).__name__}",
            hint="it may have been killed: start it again with `offhook run`",
            code="gateway_not_running",
        ) from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise OffhookError(
            f"what answers at {key.url} is not the gateway with its data in {data_dir} (HTTP {answer.status})",
            hint="start it again with `offhook run`, or name its file with --config",
            code="gateway_not_running",
        )
    return json.loads(body)


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
