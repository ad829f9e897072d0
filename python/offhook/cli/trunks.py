"""`offhook trunks`: what is known about carriers and PBXs."""

import json
from textwrap import wrap
from typing import Annotated

import typer

from offhook.cli.gateway_file import ConfigFile
from offhook.config import presets as known
from offhook.config.presets import Fill, Preset

USED_WRONGLY = 2

app = typer.Typer(help="Look at trunks.", no_args_is_help=True)


@app.callback()
def trunks() -> None:
    """Look at trunks."""


@app.command("list")
def list_trunks(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: JSON, all times in UTC milliseconds.")] = False,
    config: ConfigFile = None,
) -> None:
    """List the trunks of the running gateway, and how our registrations with them stand.

    It asks the gateway, with the key that this has left in its data directory. Exit code 1 if there is none.
    """
    from offhook.cli.trunk_states import print_states

    print_states(config, as_json=as_json)


@app.command("presets")
def presets(
    name: Annotated[
        str | None, typer.Argument(help="One of them: all that it fills in, and where that is from.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the carriers, PBXs and platforms that `preset` of a trunk may name.

    `simulated` says that a preset was tried against a stand-in that behaves as the vendor's pages say; a date is that
    of calls with the real one. Exit status 2: there is no such preset.
    """
    if name is None:
        found = {name: known.preset(name) for name in known.names()}
        typer.echo(_json({name: _summary(preset) for name, preset in found.items()}) if as_json else _list(found))
        return
    if name not in known.names():
        typer.echo(f"there is no preset '{name}' (known: {', '.join(known.names())})", err=True)
        raise typer.Exit(USED_WRONGLY)
    preset = known.preset(name)
    typer.echo(_json({"name": name} | preset.model_dump(mode="json")) if as_json else _text(name, preset))


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _summary(preset: Preset) -> dict[str, object]:
    first, last = preset.read
    verified = str(preset.verified)
    return {"title": preset.title, "kind": preset.kind, "verified": verified, "read": [str(first), str(last)]}


def _list(found: dict[str, Preset]) -> str:
    width = max(map(len, found))
    titles = max(len(preset.title) for preset in found.values())
    lines = [
        f"{name:<{width}}  {preset.title:<{titles}}  {preset.kind:<8}  {preset.verified}, pages read {preset.read[1]}"
        for name, preset in found.items()
    ]
    return "\n".join([*lines, "", "offhook trunks presets NAME tells what one fills in."])


def _text(name: str, preset: Preset) -> str:
    lines = [f"{name}: {preset.title} ({preset.kind}), verified: {preset.verified}", f"guide: {preset.guide}"]
    for key, parameter in preset.parameter.items():
        lines += ["", f"{key}: {parameter.meaning}"]
        lines += [
            f"  {choice}{' (without it)' if choice == parameter.default else ''}: {meaning}"
            for choice, meaning in parameter.choices.items()
        ]
    if preset.need or preset.needs_name:
        lines += ["", "has to be written besides:"]
        lines += [f"  {need.setting}{' (to call out)' if need.calls_out else ''}: {need.say}" for need in preset.need]
        lines += [f"  a TLS listener that is told by its name: {preset.needs_name}"] if preset.needs_name else []
    lines += ["", "fills in:"]
    for fill in preset.fill:
        lines += _fill(fill)
    return "\n".join(lines)


def _fill(fill: Fill) -> list[str]:
    where = "".join(f" with {key} = {choice}" for key, choice in fill.where.items())
    value = "host" if fill.value == known.HOST else json.dumps(fill.value, ensure_ascii=False)
    first = wrap(f"{fill.setting} = {value}{where}", 116, initial_indent="  ", subsequent_indent="    ")
    note = wrap(fill.note, 116, initial_indent="      ", subsequent_indent="      ")
    return [*first, f"      {'assumed; ' if fill.assumed else ''}{fill.source}, read {fill.read}", *note]
