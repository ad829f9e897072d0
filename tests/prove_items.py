"""What `make prove` proves: each item's command, the time it may take, and how its output is counted."""

import argparse
import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from fuzz.python_targets import TARGETS as PYTHON_TARGETS  # noqa: E402

RUST_TARGETS = len(re.findall(r"^ *name: \"", (ROOT / "fuzz/rust/src/target/mod.rs").read_text(), re.MULTILINE))
"""As many as the fuzz program lists."""
KEPT = ROOT / "target" / "prove"
HOST = f"{platform.machine()}-unknown-linux-gnu"
MEASURING = ("tests/interop/media", "tests/interop/overload")
"""Tests that measure sound and gaps, and have the machine to themselves; the same as in the Makefile."""
STREAMS = ("tests/interop/streams", "tests/unit/media")
"""Tests that follow streams by RTP; the same as in the Makefile."""
ANSWERED_BY = "tests/interop/answered_by"
VIRTUAL_CALLS = "tests/property/test_nothing_left.py"
REAL_CALLS = "tests/interop/sipp/test_nothing_left.py"
TARGETS = "tests/interop/failover/test_under_load.py"
BRIDGES = "tests/interop/bridge"
FULL = {"OFFHOOK_PROVE": "1"}


@dataclass(frozen=True)
class Item:
    """One thing to prove: its command, the time it may take, and how its output is counted."""

    name: str
    title: str
    command: list[str]
    minutes: float
    count: Callable[[str], str]
    environment: dict[str, str] = field(default_factory=dict)
    rounds: int = 1
    """Run so often; `{round}` in the command is the round's number."""
    missing: str = ""
    """Why it can't be run here; empty if it can."""
    beside: bool = False
    """It mostly waits: the items after it are run meanwhile, and it is waited for at the end."""


def pytest_count(said: str) -> str:
    """`812 passed, 1 failed` of all rounds together."""
    total: dict[str, int] = {}
    for line in said.splitlines():
        if re.search(r" in [\d.:]+s", line):
            for number, kind in re.findall(r"(\d+) (passed|failed|errors?|skipped|xfailed)", line):
                total[kind] = total.get(kind, 0) + int(number)
    return ", ".join(f"{number:,} {kind}" for kind, number in total.items())


def calls_count(said: str) -> str:
    """How many calls were played and what was left of them, as the tests' last lines say, and what failed."""
    played = "; ".join(re.findall(r"^calls played: (.*)$", said, re.MULTILINE))
    tests = pytest_count(said)
    return ", ".join(word for word in (played, tests if "failed" in tests or not played else "") if word)


def cargo_count(said: str) -> str:
    """All test binaries together."""
    passed = sum(int(number) for number in re.findall(r"test result: \w+\. (\d+) passed", said))
    failed = sum(int(number) for number in re.findall(r"(\d+) failed;", said))
    return f"{passed:,} passed" + (f", {failed} failed" if failed else "")


def fuzz_count(said: str) -> str:
    """Inputs or cases of all targets, and what was found."""
    lines = re.findall(r"^[\w-]+: (\d+) (?:inputs|cases), (\d+) findings$", said, re.MULTILINE)
    tried, found = (sum(int(line[at]) for line in lines) for at in (0, 1))
    return f"{tried:,} inputs of {len(lines)} targets, {found} findings"


def long_calls_count(said: str) -> str:
    """The last line."""
    last = re.search(r"^long calls: (.*)$", said, re.MULTILINE)
    return last[1] if last else ""


def soak_count(said: str) -> str:
    """The last line, and the memory."""
    last = re.search(r"^soak: (.*)$", said, re.MULTILINE)
    memory = re.findall(r"^RSS .*KiB: (\d+)$", said, re.MULTILINE)
    released = re.search(r"^seconds until all was released: (.*)$", said, re.MULTILINE)
    words = [last[1]] if last else []
    words += [f"RSS {' → '.join(f'{int(kib) / 1024:.1f}' for kib in memory)} MiB"] if memory else []
    words += [f"all released after {released[1]} s"] if released else []
    return ", ".join(words)


def planted_count(said: str) -> str:
    """The last line."""
    return next((line for line in reversed(said.splitlines()) if "planted bugs noticed" in line), "")


def output_of(*command: str, cwd: Path = ROOT) -> str:
    """What a short command prints, either way; empty if there is no such program."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def without_nightly(component: str = "") -> str:
    """Why a nightly compiler, or one with this component, can't be used here."""
    if not output_of("cargo", "+nightly", "--version").startswith("cargo"):
        return "no nightly toolchain is installed (`rustup toolchain install nightly`)"
    if component and f"{component}-" not in output_of(
        "rustup", "component", "list", "--toolchain", "nightly", "--installed"
    ):
        return f"the nightly toolchain lacks {component} (`rustup +nightly component add {component}`)"
    return ""


def fuzz_limit(targets: int, minutes: float) -> float:
    """Minutes for so many targets, as many at a time as there are processors: half as long again, and a build."""
    return math.ceil(targets / (os.cpu_count() or 1)) * minutes * 1.5 + 15


def but(*paths: str) -> list[str]:
    """What pytest leaves out."""
    return [f"--ignore={path}" for path in paths]


def items(options: argparse.Namespace) -> list[Item]:
    """All of them: the quick ones and those that measure first, then those beside which calls may stay up."""
    python, cargo = sys.executable, "cargo"
    pytest = [python, "-m", "pytest", "--timeout", "600"]
    fuzz, soak, long_calls = options.fuzz_minutes, options.soak_minutes, options.long_calls_minutes
    kernel = "" if platform.system() == "Linux" else "needs Linux"
    return [
        Item(
            "allocations", "Of a packet: no allocation, no event for Python, system calls under their ceilings",
            [cargo, "test", "--release", "-p", "offhook-media", "--test", "no_allocation",
             "--test", "wire_allocations", "--test", "system_calls"],
            15, cargo_count,
        ),
        Item(
            "rust", f"Unit, property and loopback tests in Rust, {options.cases:,} cases a property",
            [cargo, "test", "--release", "--workspace"], 30, cargo_count,
            {"PROPTEST_CASES": str(options.cases), "OFFHOOK_PROVE": "1"},
        ),
        Item(
            "rust-portable", "The same engine on the portable driver",
            [cargo, "test", "--release", "-p", "offhook-media", "-p", "offhook-media-sys"], 15, cargo_count,
            {"OFFHOOK_MEDIA_DRIVER": "portable"}, missing=kernel,
        ),
        Item(
            "python-pure", "Every Python test without a peer, with its full counts",
            [*pytest, "tests", *but("tests/interop", *STREAMS, VIRTUAL_CALLS), "-n", "2", "--dist", "worksteal"],
            30, pytest_count, FULL,
        ),
        Item(
            "python-measuring", "Sound, gaps and overload with their full counts, nothing beside them",
            [*pytest, *MEASURING, *STREAMS], 60, pytest_count, FULL,
        ),
        Item(
            "python-interop", "Every test against a real peer, with its full counts",
            [*pytest, "tests/interop", *but(*MEASURING, *STREAMS, REAL_CALLS, ANSWERED_BY, TARGETS, BRIDGES),
             "-n", "3", "--dist", "loadfile"],
            60, pytest_count, FULL,
        ),
        Item(
            "answered-by", "Who has answered: several hundred lines that were not used for tuning, all counts",
            [*pytest, ANSWERED_BY], 15, pytest_count, FULL,
        ),
        Item(
            "bridges", "Two lines joined: tones of baresip both ways in all pairs of codecs, each point of a set-up",
            [*pytest, BRIDGES], 10, pytest_count, FULL,
        ),
        Item(
            "targets", "Calls out by three targets while one is killed, slowed, answers 503, answers 486: none is lost",
            [*pytest, TARGETS], 10, calls_count, FULL,
        ),
        Item(
            "calls-virtual", "Calls in virtual time that fail at each message by each mishap: nothing is left of any",
            [*pytest, VIRTUAL_CALLS, "-n", "2", "--dist", "worksteal"],
            30, calls_count, {**FULL, "OFFHOOK_SEED": str(options.seed)},
        ),
        Item(
            "calls-real", "Calls of sipp and of plain sockets that are broken off at each step: nothing is left of any",
            [*pytest, REAL_CALLS], 30, calls_count, FULL,
        ),
        Item(
            "long-calls", f"Calls of {long_calls:g} min with session timers of 90 s, heard in every second",
            [python, "tests/soak/long_calls.py", "--minutes", str(long_calls)],
            long_calls + 5, long_calls_count, beside=True,
        ),
        Item(
            "address-sanitizer", "The crates with unsafe code and sockets under AddressSanitizer",
            [cargo, "+nightly", "test", "--profile", "checked", "--target", HOST, "--target-dir", "target/asan",
             "-p", "offhook-media-sys", "-p", "offhook-media"],
            25, cargo_count, {"RUSTFLAGS": "-Zsanitizer=address", "RUSTDOCFLAGS": "-Zsanitizer=address"},
            missing=kernel or without_nightly(),
        ),
        Item(
            "fuzz-address-sanitizer", "Readers and machines of the media core under AddressSanitizer, 10 s each",
            [cargo, "+nightly", "run", "--quiet", "--profile", "checked", "--target", HOST, "--target-dir",
             "target/asan", "-p", "offhook-fuzz", "--", "--seconds", "10", "--slow", "5000"],
            fuzz_limit(RUST_TARGETS, 1 / 6), fuzz_count, {"RUSTFLAGS": "-Zsanitizer=address"},
            missing=kernel or without_nightly(),
        ),
        Item(
            "miri", "The pure media core under Miri",
            [cargo, "+nightly", "miri", "test", "-p", "offhook-media", "--lib", "--", "rtp::", "rtcp::",
             "telephone_event::"],
            25, cargo_count, missing=without_nightly("miri"),
        ),
        Item(
            "planted", "Bugs planted in the Rust core: a user's test of his agent notices each",
            [python, "tests/planted_rust.py"], 40, planted_count,
        ),
        Item(
            "properties", f"Property tests in Python, {options.rounds} seeds",
            [python, "-m", "pytest", "tests/property", "tests/unit/config/test_any_file.py", "--timeout", "600",
             "--hypothesis-seed", "{round}", "-p", "no:randomly"],
            20, pytest_count, rounds=options.rounds,
        ),
        Item(
            "fuzz-rust", f"Readers and machines of the media core, {fuzz:g} min each, arithmetic checked",
            [cargo, "run", "--quiet", "--profile", "checked", "-p", "offhook-fuzz", "--", "--seconds", str(fuzz * 60)],
            fuzz_limit(RUST_TARGETS, fuzz), fuzz_count,
        ),
        Item(
            "fuzz-python", f"Readers of SIP and SDP, and a user agent in any order, {fuzz:g} min each",
            [python, "fuzz/python_targets.py", "--seconds", str(fuzz * 60)],
            fuzz_limit(len(PYTHON_TARGETS), fuzz), fuzz_count,
        ),
        Item(
            "soak", f"A gateway under load and trouble for {soak:g} min",
            [python, "tests/soak/run.py", "--minutes", str(soak), "--keep", str(KEPT / "soak")],
            soak + 15, soak_count,
        ),
    ]  # fmt: skip
