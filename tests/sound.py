"""The page of how calls sound: `make sound`. Runs the tests of `tests/interop/media` with their full counts, and writes
what they measured to `docs/benchmarks/DATE-COMMIT-sound.md`. Exit 1 if a test failed; the page is written all the same.
"""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))

from machine import Machine  # noqa: E402

KEPT = ROOT / "target" / "sound.jsonl"
TESTS = "tests/interop/media"

METHOD = """\
PESQ is ITU-T P.862 with the mapping of P.862.1, wide band P.862.2: 1 is bad, 4.5 is as good as it gets; G.711 alone
comes to about 4.36. Speech of 13 seconds, the project's own recordings, goes through a running gateway: an RTP end of
plain sockets, G.711 or G.722 that is not ours, `offhook run`, a WebSocket agent of `websockets`. In between,
`tests/support/impair.py` spoils the stream; seed and packet number decide, so baresip 1.0.0 (its defaults, with `plc`)
gets the very same one. What baresip's listener hears comes back by RTP (`aubridge`). Of several seeds, the mean of all
is stated, and the worst.

The sweep is a sine from 200 Hz up. What no linear filter of it explains is noise: its distance in dB, and how much more
of it the noisiest half millisecond of the 20 ms of a frame has than the usual one (1 is even; a click at each frame's
edge would stand out).
"""


def cell(value: object) -> str:
    """A figure as the page shows it."""
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def tables(lines: list[str]) -> list[str]:
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
        out += [f"| {' | '.join(cell(row.get(name)) for name in names)} |" for row in rows]
    return out


def main() -> int:
    """Measure and write."""
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.unlink(missing_ok=True)
    machine = Machine.here()
    today = datetime.now(UTC).date().isoformat()
    environ = {**os.environ, "OFFHOOK_PROVE": "1", "OFFHOOK_FIGURES": str(KEPT)}
    command = [sys.executable, "-m", "pytest", TESTS, "-p", "no:randomly", "--timeout", "600", *sys.argv[1:]]
    code = subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode
    state = ", with changes that are not committed" if machine.dirty else ""
    page = [
        f"# Sound of {today}, commit {machine.commit}",
        "",
        f"Written by `make sound`, {'all tests passed' if code == 0 else '**with failed tests**'}. Commit "
        f"`{machine.commit}`{state}; {machine.processor}, Linux {machine.kernel}.",
        "",
        METHOD.strip(),
        *tables(KEPT.read_text().splitlines() if KEPT.exists() else []),
    ]
    target = ROOT / "docs" / "benchmarks" / f"{today}-{machine.commit}-sound.md"
    target.write_text("\n".join(page) + "\n")
    print(f"written to {target.relative_to(ROOT)}")
    return code


if __name__ == "__main__":
    sys.exit(main())
