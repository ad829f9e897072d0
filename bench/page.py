"""The dated page of a benchmark's results."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median

from machine import Machine
from rows import Figure, Row


@dataclass(frozen=True)
class Result:
    """What a row's figures were in each repetition; `problems` says why a row has none, or what went wrong in it."""

    row: Row
    values: dict[str, list[float]]
    problems: tuple[str, ...] = ()


def _number(value: float) -> str:
    if (value == int(value) and abs(value) >= 10) or value == 0:
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _line(figure: Figure, values: list[float]) -> str:
    middle = median(values)
    spread = f"{_number(min(values))} … {_number(max(values))}" if len(values) > 1 else ""
    verdict = ("yes" if figure.holds(middle) else "**no**") if figure.bound else ""
    unit = f" {figure.unit}" if figure.unit else ""
    return f"| {figure.label} | {_number(middle)}{unit} | {spread} | {figure.bound} | {verdict} |"


def render(results: Sequence[Result], machine: Machine, command: str, repeats: int, extension: str, today: date) -> str:
    """The page in Markdown."""
    dirty = ", with uncommitted changes" if machine.dirty else ""
    lines = [
        f"# Benchmark of {today.isoformat()}, commit {machine.commit}",
        "",
        f"Measured by `{command}` as [the method](../design/benchmark-method.md) says; each figure is the median of",
        f"{repeats} run(s), each with a fresh gateway. Everything runs on this one machine: gateway, agent and load.",
        "",
        "| | |",
        "| --- | --- |",
        f"| processor | {machine.processor} |",
        f"| memory | {machine.memory} |",
        f"| kernel | Linux {machine.kernel} |",
        f"| Python | {machine.python} |",
        f"| Rust | {machine.rustc} |",
        f"| commit | {machine.commit}{dirty} |",
        f"| extension | {extension} |",
        "",
    ]
    for result in results:
        lines += [f"## {result.row.title}", ""]
        figures = [figure for figure in result.row.figures if result.values.get(figure.label)]
        if figures:
            lines += ["| | median | least … most | to reach | reached |", "| --- | --- | --- | --- | --- |"]
            lines += [_line(figure, result.values[figure.label]) for figure in figures]
            lines.append("")
        if result.problems:
            lines += [f"- {problem}" for problem in result.problems] + [""]
    return "\n".join(lines)
