"""`offhook trunks list`: how the trunks of the running gateway stand."""

import json
import sys
from pathlib import Path
from typing import Any

from rich.text import Text

from offhook.cli.gateway_file import GatewayFile
from offhook.cli.local_api import LocalApi
from offhook.observe.printable import printable
from offhook.report.page import console, local_time, print_line

_STATES = {"up": "up", "down": "down", "trial": "being tried again"}


def print_states(config: Path | None, *, as_json: bool) -> None:
    """Ask the running gateway and print what it says, a line or two a trunk."""
    trunks = LocalApi.of(GatewayFile.read(config).data_dir).get("/v1/trunks")["trunks"]
    if as_json:
        sys.stdout.write(json.dumps(trunks, indent=2) + "\n")
        return
    page = console()
    for trunk in trunks:
        for line in _lines(trunk):
            print_line(page, Text(printable(line)))


def _target(target: dict[str, Any]) -> str:
    host = f"[{target['address']}]" if ":" in target["address"] else target["address"]
    state, since = _STATES[target["state"]], local_time(target["since"])
    line = f"  {target['transport']} {host}:{target['port']} is {state} since {since}"
    if target["why"]:
        line += f": {target['why']}"
    again = target["again_at"]
    return line + (f"; asked last until {local_time(again)}" if again and target["state"] == "down" else "")


def print_phones(config: Path | None, *, as_json: bool) -> None:
    """Ask the running gateway who has registered with it, and print that."""
    phones = LocalApi.of(GatewayFile.read(config).data_dir).get("/v1/phones")["phones"]
    if as_json:
        sys.stdout.write(json.dumps(phones, indent=2) + "\n")
        return
    page = console()
    if not phones:
        print_line(page, Text("No [[trunk]] has phones."))
    for phone in phones:
        state = "" if phone["contacts"] else " is not registered"
        print_line(page, Text(printable(f"{phone['phone']} of {phone['trunk']}{state}")))
        for contact in phone["contacts"]:
            nat = ", behind NAT" if contact["behind_nat"] else ""
            agent = f", {contact['user_agent']}" if contact["user_agent"] else ""
            line = f"  {contact['address']}{nat}, until {local_time(contact['until'])}{agent}"
            print_line(page, Text(printable(line)))


def _where(trunk: dict[str, Any]) -> str:
    if trunk["host"]:
        return f"calls go to {trunk['host']}"
    return "its phones register with us, `offhook phones` lists them" if trunk.get("phones") else "sends us calls"


def _lines(trunk: dict[str, Any]) -> list[str]:
    lines = [f"{trunk['name']}: {_where(trunk)}", *map(_target, trunk["targets"])]
    state = trunk["registration"]
    if state is None:
        return lines
    if state["registered"]:
        seen = f", seen as {state['seen_as']}" if state["seen_as"] else ""
        lines.append(
            f"  registered as {state['address']} at {state['registrar']} for {state['granted']} s, since "
            f"{local_time(state['since'])}{seen}"
        )
    else:
        lines.append(f"  not registered as {state['address']} ({state['state']})")
    if (problem := state["problem"]) is not None:
        again = f"; tried again at {local_time(state['next_at'])}" if state["next_at"] else ""
        lines += [f"  {problem['code']}: {problem['message']}{again}", f"    {problem['hint']}"]
    return lines
