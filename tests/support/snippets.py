"""The code that stands in a page for its readers."""

import re
from pathlib import Path

from .gateway import REPOSITORY

_FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def snippets(page: str, language: str = "python") -> list[str]:
    """The fenced blocks of this language on a page, in their order, as a reader would copy them."""
    return [
        "".join(line.removeprefix(indent) for line in code.splitlines(keepends=True))
        for indent, kind, code in _FENCE.findall((REPOSITORY / page).read_text())
        if kind == language
    ]


def pages(*names: str) -> list[str]:
    """The pages of these names; of a folder, all that are in it."""
    found = [path for name in names for path in ([REPOSITORY / name] if name.endswith(".md") else _in(name))]
    return [str(path.relative_to(REPOSITORY)) for path in found]


def _in(folder: str) -> list[Path]:
    return sorted((REPOSITORY / folder).glob("*.md"))
