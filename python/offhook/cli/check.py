"""`offhook check`: is this configuration right? Nothing is opened, nothing started."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from offhook.config.load import Examined, default_file, examine
from offhook.config.normal import normalised
from offhook.config.presets.use import Filled
from offhook.errors import ConfigProblem

REFUSED = 1
USED_WRONGLY = 2


def check(
    file: Annotated[
        Path | None,
        typer.Argument(help="The file; else $OFFHOOK_CONFIG, else ./offhook.toml, else the built-in configuration."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: problems and the settings in force.")] = False,
) -> None:
    """Check a configuration file and tell every problem with its line.

    Exit status 0: it would start. 1: it would not. 2: the file is not there or can't be read.
    """
    path = file or default_file(os.environ, Path())
    found = examine(path, os.environ)
    name = str(path or "built-in configuration")
    typer.echo(_json(name, found) if as_json else _text(name, found))
    if found.config is None:
        raise typer.Exit(USED_WRONGLY if found.unreadable else REFUSED)


def _text(name: str, found: Examined) -> str:
    lines = [str(problem) for problem in found.errors]
    lines += [f"{problem} [warning]" for problem in found.warnings]
    config = found.config
    if config is None:
        return "\n".join([*lines, f"{name}: {_count(len(found.errors), 'problem')}, would not start"])
    tables = ((config.trunks, "trunk"), (config.routes, "route"), (config.agents, "agent"))
    for filled in config.presets:
        verified = filled.use.preset.verified
        lines.append(f"trunk {filled.trunk}: preset {filled.use} ({verified}) filled in {', '.join(filled.settings)}")
    counted = ", ".join(_count(len(entries), noun) for entries, noun in tables)
    return "\n".join([*lines, f"{name}: good ({counted})"])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _json(name: str, found: Examined) -> str:
    result = {
        "ok": found.config is not None,
        "file": name,
        "problems": [problem_json(problem) for problem in found.errors],
        "warnings": [problem_json(problem) for problem in found.warnings],
        "presets": [] if found.config is None else [_filled(filled) for filled in found.config.presets],
        "config": None if found.config is None else normalised(found.config),
    }
    return json.dumps(result, indent=2, ensure_ascii=False)


def _filled(filled: Filled) -> dict[str, object]:
    verified = str(filled.use.preset.verified)
    return {
        "trunk": filled.trunk,
        "preset": filled.use.name,
        "parameters": dict(filled.use.parameters),
        "verified": verified,
        "settings": list(filled.settings),
    }


def problem_json(problem: ConfigProblem) -> dict[str, object]:
    """A problem as every interface of offhook gives errors, with its place in the file."""
    return {
        "code": "config_invalid",
        "message": problem.message,
        "hint": problem.hint,
        "field": problem.path,
        "line": problem.line,
    }
