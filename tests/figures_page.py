"""A page of figures that tests have measured: they are run with their full counts, and what they noted is written to
`docs/benchmarks/DATE-COMMIT-NAME.md`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))

from machine import Machine  # noqa: E402


def write_page(name: str, title: str, tests: Sequence[str], method: str) -> int:
    """Measure and write; gives the exit code of pytest. If a test failed the page says so, and is written all the same.

    `name` is the word for `make`, too. The rest of the command line goes to pytest.
    """
    kept = ROOT / "target" / f"{name}.jsonl"
    kept.parent.mkdir(exist_ok=True)
    kept.unlink(missing_ok=True)
    machine = Machine.here()
    today = datetime.now(UTC).date().isoformat()
    environ = {**os.environ, "OFFHOOK_PROVE": "1", "OFFHOOK_FIGURES": str(kept)}
    command = [sys.executable, "-m", "pytest", *tests, "-p", "no:randomly", "--timeout", "600", *sys.argv[1:]]
    code = subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode
    state = ", with changes that are not committed" if machine.dirty else ""
    page = [
        f"# {title} of {today}, commit {machine.commit}",
        "",
        f"Written by `make {name}`, {'all tests passed' if code == 0 else '**with failed tests**'}. Commit "
        f"`{machine.commit}`{state}; {machine.processor}, Linux {machine.kernel}.",
        "",
        method.strip(),
        *_tables(kept.read_text().splitlines() if kept.exists() else []),
    ]
    target = ROOT / "docs" / "benchmarks" / f"{today}-{machine.commit}-{name}.md"
    target.write_text("\n".join(page) + "\n")
    print(f"written to {target.relative_to(ROOT)}")
    return code


def _tables(lines: list[str]) -> list[str]:
    """Each table in Markdown, in the order of the titles."""
    found: dict[str, list[dict[str, object]]] = {}
    for line in lines:
        noted = json.loads(line)
        found.setdefault(noted["table"], []).append(noted["row"])
    out: list[str] = []
    for title, rows in sorted(found.items()):
        names = list(rows[0])
        out += ["", f"## {title}", "", f"| {' | '.join(name.replace('_', ' ') for name in names)} |"]
        out += [f"|{' --- |' * len(names)}"]
        out += [f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows]
    return out


def _cell(value: object) -> str:
    """A figure as the page shows it."""
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
