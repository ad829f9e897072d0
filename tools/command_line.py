"""`docs/reference/cli.md`: every command with its options, from the functions that carry them out."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from offhook.cli.root import app

HEAD = """\
# The command line

`offhook --help` and `offhook COMMAND --help` say the same. Words for people go to standard output, `--json` is for
programs. Exit code 0 is done, 1 refused, 2 used wrongly. Written by `make docs`.
"""

VALUES: dict[object, str] = {str: "TEXT", int: "N", float: "X", Path: "FILE"}


def page() -> str:
    """The page."""
    return HEAD + "".join(part for _, parts in sorted(_commands(app, "offhook")) for part in parts)


def _commands(group: typer.Typer, above: str) -> Iterator[tuple[str, list[str]]]:
    """Every command by its whole name, with the parts of its chapter."""
    for command in group.registered_commands:
        assert command.callback is not None, "a command does something"
        name = command.name or command.callback.__name__.replace("_", "-")
        yield f"{above} {name}", list(_chapter(f"{above} {name}", command.callback))
    for below in group.registered_groups:
        assert below.typer_instance is not None, "a group has commands"
        name, inner = f"{above} {below.name}", below.typer_instance
        if inner.registered_callback is not None and inner.info.invoke_without_command is True:
            assert inner.registered_callback.callback is not None, "it does something by itself"
            yield name, list(_chapter(name, inner.registered_callback.callback))
        yield from _commands(inner, name)


def _chapter(name: str, function: Callable[..., Any]) -> Iterator[str]:
    hints = get_type_hints(function, include_extras=True)
    arguments, rows = [], []
    for parameter in inspect.signature(function).parameters.values():
        kind, *marks = get_args(hints[parameter.name]) or (hints[parameter.name],)
        info = next((mark for mark in marks if isinstance(mark, (ArgumentInfo, OptionInfo))), None)
        if isinstance(info, ArgumentInfo):
            shown = (info.metavar or parameter.name.upper()).strip("[]")
            arguments.append(shown if parameter.default is parameter.empty else f"[{shown}]")
            rows.append(f"| `{shown}` | {_cell(info.help)} | |\n")
        elif isinstance(info, OptionInfo):
            rows.append(_option(parameter, kind, info))
    yield f"\n## `{' '.join([name, *arguments])}`\n\n{inspect.cleandoc(function.__doc__ or '')}\n"
    if rows:
        yield "\n| | meaning | default |\n| --- | --- | --- |\n" + "".join(rows)


def _option(parameter: inspect.Parameter, kind: object, info: OptionInfo) -> str:
    # The first name of an annotation stands where the default would.
    given = [name for name in (info.default, *(info.param_decls or ())) if isinstance(name, str)]
    given = [one for name in given for one in name.split("/")]
    names = ", ".join(f"`{name}`" for name in given or [f"--{parameter.name.replace('_', '-')}"])
    is_flag = kind in (bool, bool | None)
    value = "" if is_flag else f" {info.metavar or _value(kind)}"
    default = f"{parameter.default:g}" if isinstance(parameter.default, float) else parameter.default
    shown = "" if default in (None, "", parameter.empty) or is_flag else f"`{default}`"
    variable = f" Or `{info.envvar}` in the environment." if info.envvar else ""
    return f"| {names}{value} | {_cell(info.help)}{variable} | {shown} |\n"


def _value(kind: object) -> str:
    if kind in VALUES:
        return VALUES[kind]
    if get_origin(kind) is Literal:
        return "\\|".join(map(str, get_args(kind)))
    # What may be left out, and what may be given more than once.
    return _value(next(inner for inner in get_args(kind) if inner is not type(None)))


def _cell(text: str | None) -> str:
    return (text or "").strip().replace("|", "\\|")
