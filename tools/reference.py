#!/usr/bin/env python3
"""Writes every page that is made from code: `make docs`. `tests/unit/test_reference.py` fails while one is not current.

What it is made from: commands from their functions; settings, end reasons, metrics and the states of a call from their
own tables; the RFC support from the `@pytest.mark.rfc` marks of the tests, so that no page says more than a test does.
"""

import ast
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tools")]

import agent_sdk  # noqa: E402
import command_line  # noqa: E402
import rfc_support  # noqa: E402

from offhook.call import end_reason, state  # noqa: E402  the tree before what is installed
from offhook.config import reference as config  # noqa: E402
from offhook.observe import metrics  # noqa: E402

COUNTERS = (
    (
        "MediaStats", "A call: `media` in its record",
        "Of the caller's line; `offhook calls show ID --json` prints them. Where sound is bad, look here first.",
    ),
    (
        "WireStats", "Its agent: `wire` in the record",
        "Of the last agent's WebSocket; empty where none was reached.",
    ),
    (
        "EngineStats", "The engine: `offhook_media_engine` in `/metrics`",
        "The label `counter` has the name. All of one process together; what counts calls and ports is the number now.",
    ),
)  # fmt: skip
"""Classes of the stub, in which Rust's counters are described, and where an operator finds them."""


def media_counters() -> str:
    """docs/reference/media-counters.md."""
    stub = ast.parse((ROOT / "python" / "offhook" / "_media.pyi").read_text(encoding="utf-8"))
    classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
    lines = [
        "# Media counters",
        "",
        "What the media core counts. Names that end in `_us` are microseconds, in `_ms` milliseconds.",
        "",
        "This page is written by `make docs`.",
        "",
    ]
    for name, title, words in COUNTERS:
        lines += [f"## {title}", "", words, "", "| counter | what it says |", "|---|---|"]
        for node in classes[name].body:
            if isinstance(node, ast.FunctionDef) and ast.unparse(node.returns or ast.Constant(None)) == "int":
                said = " ".join((ast.get_docstring(node) or "").split())
                assert said, f"{name}.{node.name} has no description"
                lines.append(f"| `{node.name}` | {said.replace('|', '/')} |")
        lines.append("")
    return "\n".join(lines)


def architecture() -> str:
    """ARCHITECTURE.md with the picture of a call's states as its table has it."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    before, begin, rest = text.partition("<!-- call-states -->\n```\n")
    _, end, after = rest.partition("\n```\n")
    assert begin, "the marker of the picture is gone"
    assert end, "the picture has no end"
    return before + begin + state.picture() + end + after


PAGES: dict[str, Callable[[], str]] = {
    "ARCHITECTURE.md": architecture,
    "docs/reference/agent-sdk.md": agent_sdk.page,
    "docs/reference/cli.md": command_line.page,
    "docs/reference/config.md": config.reference,
    "docs/reference/end-reasons.md": end_reason.page,
    "docs/reference/media-counters.md": media_counters,
    "docs/reference/metrics.md": metrics.page,
    "docs/reference/rfc-support.md": rfc_support.page,
}


def stale() -> list[str]:
    """Pages that are not what they are made from."""
    return [name for name, text in PAGES.items() if _read(ROOT / name) != text()]


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8") if page.exists() else ""


def main() -> None:
    """Write what is not current, and say so."""
    for name in stale():
        (ROOT / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"written: {name}")


if __name__ == "__main__":
    main()
