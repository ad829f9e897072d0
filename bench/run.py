"""Runs the benchmark and writes its dated page: `python bench/run.py`, with a Python that has offhook."""

import argparse
import importlib.util
import json
import shlex
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import comparison
from machine import ROOT, Machine
from page import Result, render
from rows import ROWS, Row
from stage import Credentials, StageError, agent, build_tool, floor, gateway, load

# A debug build's arithmetic is checked, and the checks bring this text with them.
DEBUG_SIGN = b"attempt to add with overflow"
# Other work beyond this spoils CPU and interval figures alike.
QUIET_PERCENT = 10


def extension() -> tuple[str, bool]:
    """The media core that Python would load, in words, and whether it is an optimised build."""
    try:
        spec = importlib.util.find_spec("offhook._media")
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        return "none found: `offhook._media` is not installed here", False
    path = Path(spec.origin)
    optimised = DEBUG_SIGN not in path.read_bytes()
    build = "optimised build" if optimised else "**debug build: these figures are worth nothing**"
    return f"`{path.name}`, {path.stat().st_size // 1024} KiB, {build}", optimised


def measure(row: Row, options: argparse.Namespace) -> dict[str, Any]:
    """One repetition of a row, with processes of its own."""
    with TemporaryDirectory(prefix="offhook-bench-") as directory:
        credentials = Credentials.make(Path(directory))
        with agent(row.agent, credentials) as behind:
            stage = floor(row.agent) if row.target == "floor" else gateway(row, options.offhook, credentials)
            with stage as process:
                processes = {"gateway": process.pid} | ({"agent": behind.pid} if behind else {})
                return drive(row, options, processes, credentials)


def drive(row: Row, options: argparse.Namespace, processes: dict[str, int], credentials: Credentials) -> dict[str, Any]:
    """The calls of one repetition."""
    # The first calls load code and fill caches: what they cost is not the price of a call.
    warm = replace(row, command="calls")
    load(warm, ["--calls", "10", "--seconds", "1", "--settle", "0.5"], {}, credentials)
    if row.ladder:
        return climb(row, options, processes, credentials)
    arguments = ["--seconds", str(options.seconds), *row.arguments]
    if row.command == "calls":
        arguments += ["--calls", str(options.calls), "--rate", "50"]
    if "--ramp" in row.arguments:
        arguments[1] = "5"
    return load(row, arguments, processes, credentials)


def climb(row: Row, options: argparse.Namespace, processes: dict[str, int], credentials: Credentials) -> dict[str, Any]:
    """More and more calls at once, until a run is not flawless twice."""
    steps: list[dict[str, Any]] = []
    highest = 0
    for calls in row.ladder:
        for _attempt in range(2):
            arguments = ["--calls", str(calls), "--rate", "100", "--seconds", str(min(options.seconds, 10))]
            report = load(row, arguments, processes, credentials)
            steps.append({"calls": calls, "violations": report["violations"], "report": report})
            if not report["violations"]:
                highest = calls
                break
        else:
            break
    failures = [f"{step['calls']} calls: {'; '.join(step['violations'])}" for step in steps if step["violations"]]
    return {"highest": highest, "violations": failures, "steps": steps}


def repeat(row: Row, options: argparse.Namespace, raw: Path | None) -> Result:
    """All repetitions of a row."""
    values: dict[str, list[float]] = {}
    problems: list[str] = []
    for index in range(options.repeat):
        try:
            report = measure(row, options)
        except StageError as error:
            return Result(row, {}, (str(error),))
        if raw:
            (raw / f"{row.name}-{index}.json").write_text(json.dumps(report, indent=1))
        others = report.get("machine", {}).get("others_core_percent", 0)
        if others > QUIET_PERCENT:
            problems.append(f"run {index + 1}: not a quiet machine, other work took {others} % of a core")
        for figure in row.figures:
            value = figure.read(report)
            if value is not None:
                values.setdefault(figure.label, []).append(value)
        problems += [f"run {index + 1}: {problem}" for problem in report.get("violations", [])]
    return Result(row, values, tuple(problems))


def main() -> int:
    """Parses the options, measures, writes the page."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(description="offhook's benchmark")
    parser.add_argument("--rows", default=",".join(names), help=f"which, of {','.join(names)}")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each row")
    parser.add_argument("--seconds", type=float, default=20, help="steady window of each run")
    parser.add_argument("--calls", type=int, default=100, help="calls at once, where the row does not say")
    parser.add_argument("--offhook", help="command that runs offhook; default: `python -m offhook` of this Python")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", help="directory of the page")
    parser.add_argument("--raw", type=Path, help="directory for each run's whole report as JSON")
    parser.add_argument("--compare", type=Path, metavar="PAGE", help="also write a page of these figures beside PAGE's")
    options = parser.parse_args()
    chosen = options.rows.split(",")
    unknown = [name for name in chosen if name not in names]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; known: {', '.join(names)}")
    if options.compare and not options.compare.is_file():
        parser.error(f"no page {options.compare}")
    build_tool()
    about, optimised = extension()
    if not optimised and any(row.target == "gateway" for row in ROWS if row.name in chosen):
        print(f"extension: {about}", file=sys.stderr)
    machine = Machine.here()
    if options.raw:
        options.raw.mkdir(parents=True, exist_ok=True)
    results = []
    for row in ROWS:
        if row.name not in chosen:
            continue
        print(f"{row.name}: {row.title}", file=sys.stderr, flush=True)
        results.append(repeat(row, options, options.raw))
    command = shlex.join(["python", "bench/run.py", *sys.argv[1:]])
    today = datetime.now(UTC).date()
    page = render(results, machine, command, options.repeat, about, today)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{today.isoformat()}-{machine.commit}.md"
    path.write_text(page)
    if options.compare:
        compared = path.with_name(f"{path.stem}-comparison.md")
        compared.write_text(comparison.render(comparison.Page.read(options.compare), comparison.Page.read(path)))
    print(page)
    print(f"written to {path}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
