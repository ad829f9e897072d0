"""The full counts: `make prove`. Each item is one command of its own, bounded in time; what it said is kept in
`target/prove/`, and the page `docs/proof/DATE-COMMIT.md` gathers the results of this commit.

Items are named: `make prove ARGS="--only soak --soak-minutes 600"` runs one and leaves the others' results as they are,
so a proof that was interrupted goes on with `--resume`. Exit 1 if anything failed.
"""

import argparse
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer
from typing import IO

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT)]

from machine import Machine  # noqa: E402
from tests.prove_items import KEPT, Item, items, output_of  # noqa: E402

STARTED: "set[subprocess.Popen[str]]" = set()
"""Commands that run."""
SHOWN_LINES = 30
"""Of the output of an item that failed, so many lines are put on the page."""

PEERS = {
    "sipp": ["sipp", "-v"],
    "baresip": ["baresip", "-v"],
    "openssl": ["openssl", "version"],
    "kamailio": ["kamailio", "-v"],
    "sipsak": ["sipsak", "-V"],
    "tshark": ["tshark", "--version"],
    "linphone": ["linphonec", "-v"],
    "twinkle": ["dpkg-query", "--show", "twinkle-console"],
}
"""What says the version of a foreign program: the first line with a digit."""

AGENT_PACKAGES = ("pipecat-ai", "livekit-agents", "openai-agents", "websockets")


@dataclass
class Outcome:
    """What came of an item."""

    title: str
    """What was proven, with the counts asked for then."""
    result: str
    """`passed`, `failed` or `not run`."""
    count: str
    seconds: float
    at: str
    end: list[str] = field(default_factory=list)
    """The last lines of the output, if it failed."""


def run(item: Item, tell: Callable[[str], None]) -> Outcome:
    """Run an item to its end or the end of its time; its output goes to a file of its own."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if item.missing:
        return Outcome(item.title, "not run", item.missing, 0.0, at)
    if item.name == "soak":
        shutil.rmtree(KEPT / "soak", ignore_errors=True)
    path = KEPT / f"{item.name}.log"
    begin = time.monotonic()
    deadline = begin + item.minutes * 60
    problem = ""
    with path.open("w") as log:
        for number in range(1, item.rounds + 1):
            command = [word.replace("{round}", str(number)) for word in item.command]
            code, late = execute(command, item.environment, deadline - time.monotonic(), log, tell)
            if late:
                problem = f"stopped after {item.minutes:g} min"
            elif code:
                problem = f"exit {code}"
            if problem:
                break
    said = path.read_text(errors="replace")
    count = item.count(said)
    seconds = round(time.monotonic() - begin, 1)
    if not problem:
        return Outcome(item.title, "passed", count, seconds, at)
    words = ", ".join(word for word in (count, problem) if word)
    return Outcome(item.title, "failed", words, seconds, at, said.splitlines()[-SHOWN_LINES:])


def execute(
    command: list[str], environment: dict[str, str], seconds: float, log: IO[str], tell: Callable[[str], None]
) -> tuple[int, bool]:
    """Run a command in a process group of its own; give its exit code, and whether its time was over first."""
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    late = False

    def stop() -> None:
        nonlocal late
        late = True
        # All that it started goes with it: gateways, peers, agents.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            time.sleep(10)
            os.killpg(process.pid, signal.SIGKILL)

    timer = Timer(max(1.0, seconds), stop)
    timer.start()
    STARTED.add(process)
    try:
        assert process.stdout is not None, "a pipe was asked for"
        for line in process.stdout:
            log.write(line)
            log.flush()
            if line.strip():
                tell(line.strip())
        return process.wait(), late
    finally:
        timer.cancel()
        STARTED.discard(process)
        end(process)


def end(process: "subprocess.Popen[str]") -> None:
    """Stop all that a command has started and left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)


def versions() -> Iterator[tuple[str, str]]:
    """Of the foreign programs and packages that the tests talk to."""
    for name, command in PEERS.items():
        found = [line.strip() for line in output_of(*command).splitlines() if re.search(r"\d+\.\d+", line)]
        yield name, found[0][:80] if found else "not installed"
    agents = ROOT / ".venv" / "agents" / "bin" / "python"
    listed = output_of(str(agents), "-m", "pip", "list", "--format", "json") if agents.exists() else ""
    with suppress(ValueError):
        packages = {
            package["name"]: package["version"] for package in json.loads(listed.splitlines()[0] if listed else "[]")
        }
        for name in AGENT_PACKAGES:
            if name in packages:
                yield name, packages[name]


def page(machine: Machine, listed: list[Item], outcomes: dict[str, Outcome]) -> str:
    """The page as it is written."""
    state = "with changes that are not committed" if machine.dirty else "as committed"
    lines = [
        f"# Proof of {machine.commit}",
        "",
        'Written by `make prove`; each item can be repeated by its name: `make prove ARGS="--only NAME"`.',
        "",
        f"- Commit: `{machine.commit}`, {state}",
        f"- Machine: {machine.processor}, {machine.memory}, Linux {machine.kernel}",
        f"- {machine.python}, rustc {machine.rustc}",
        f"- Peers: {'; '.join(f'{name}: {version}' for name, version in versions())}",
        "",
        "| item | what | result | count | duration | at (UTC) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for item in listed:
        outcome = outcomes.get(item.name)
        if outcome is None:
            lines.append(f"| `{item.name}` | {item.title} | not run | | | |")
            continue
        result = "**failed**" if outcome.result == "failed" else outcome.result
        took = f"{outcome.seconds / 60:.1f} min" if outcome.seconds else ""
        at = outcome.at[:16].replace("T", " ")
        lines.append(f"| `{item.name}` | {outcome.title} | {result} | {outcome.count} | {took} | {at} |")
    for item in listed:
        outcome = outcomes.get(item.name)
        if outcome is not None and outcome.end:
            lines += [
                "",
                f"## `{item.name}` failed",
                "",
                f"`{shlex.join(item.command).replace(str(ROOT), '.')}`",
                "",
                "```",
            ]
            lines += [line.replace("```", "'''").replace(str(ROOT), ".") for line in outcome.end] + ["```"]
    return "\n".join(lines) + "\n"


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="these items, by commas; a name that there is none of lists them")
    parser.add_argument("--skip", default="", help="all but these items, by commas")
    parser.add_argument("--resume", action="store_true", help="only what has not passed yet at this commit")
    parser.add_argument("--fuzz-minutes", type=float, default=0.5, help="for each fuzz target")
    parser.add_argument("--soak-minutes", type=float, default=10.0)
    parser.add_argument("--long-calls-minutes", type=float, default=40.0)
    parser.add_argument("--cases", type=int, default=20_000, help="of each property test in Rust")
    parser.add_argument("--rounds", type=int, default=20, help="seeds of the property tests in Python")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10_000), help="of the order of broken calls")
    options = parser.parse_args(arguments)
    names = [item.name for item in items(options)]
    options.only = options.only.split(",") if options.only else []
    options.skip = [name for name in options.skip.split(",") if name]
    for name in [*options.only, *options.skip]:
        if name not in names:
            parser.error(f"no item {name}; there are {', '.join(names)}")
    return options


def still_to_do(listed: list[Item], options: argparse.Namespace, outcomes: Mapping[str, Outcome]) -> list[Item]:
    """What was asked for; on `--resume` without what has passed. `outcomes` may be of an older table."""
    passed = {name for name, outcome in outcomes.items() if options.resume and outcome.result == "passed"}
    return [
        item
        for item in listed
        if (not options.only or item.name in options.only) and item.name not in options.skip and item.name not in passed
    ]


def main() -> int:
    """Run what was asked for, and write the page after each item."""
    KEPT.mkdir(parents=True, exist_ok=True)
    options = read_options()
    listed = items(options)
    machine = Machine.here()
    state = KEPT / f"{machine.commit}{'-dirty' if machine.dirty else ''}.json"
    kept = json.loads(state.read_text()) if state.exists() else {}
    outcomes = {name: Outcome(**values) for name, values in kept.items()}
    target = ROOT / "docs" / "proof" / f"{datetime.now(UTC).date().isoformat()}-{machine.commit}.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    chosen = still_to_do(listed, options, outcomes)
    console = Console(stderr=True, highlight=False)

    def note(item: Item, outcome: Outcome) -> None:
        report(item, outcome, console)
        outcomes[item.name] = outcome
        state.write_text(json.dumps({name: asdict(one) for name, one in outcomes.items()}, indent=1))
        target.write_text(page(machine, listed, outcomes))

    with ThreadPoolExecutor() as beside:
        running = {}
        try:
            for item in chosen:
                if item.beside:
                    running[beside.submit(run, item, lambda line: None)] = item
                else:
                    note(item, show(item, console))
            for future, item in running.items():
                note(item, show(item, console, future.result))
        except KeyboardInterrupt:
            for process in tuple(STARTED):
                end(process)
            raise
    failed = [item.name for item in chosen if outcomes[item.name].result == "failed"]
    console.print(f"written to {target.relative_to(ROOT)}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def show(item: Item, console: Console, wait: Callable[[], Outcome] | None = None) -> Outcome:
    """Run an item, or `wait` for one that runs already, with a line that moves."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[said]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"[bold]{item.name}[/]", total=None, said="")
        width = max(20, console.width - len(item.name) - 20)
        last: deque[str] = deque(maxlen=1)

        def tell(line: str) -> None:
            last.append(line[:width].replace("[", r"\["))
            progress.update(task, said=last[0])

        return wait() if wait is not None else run(item, tell)


def report(item: Item, outcome: Outcome, console: Console) -> None:
    """Leave one line that stays, and the end of what it said if it failed."""
    colour = {"passed": "green", "failed": "red"}.get(outcome.result, "yellow")
    console.print(
        f"[{colour}]{outcome.result:8}[/] {item.name:18} {outcome.seconds / 60:6.1f} min  {outcome.count}",
        soft_wrap=True,
    )
    for line in outcome.end[-SHOWN_LINES:]:
        console.print(f"         {line}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
