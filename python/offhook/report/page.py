"""Lines of text for the terminal: broken at its width, plain where it knows no box characters."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from offhook.observe.printable import printable

WIDEST = 140
"""Columns beyond which a page gets no wider."""


def console() -> Console:
    """Standard output, without the guesses that rich makes about text."""
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_line(to: Console, line: Text) -> None:
    """Print a line; what the terminal's encoding has no character for is written in a plainer way."""
    encoding = to.encoding or "utf-8"
    try:
        line.plain.encode(encoding)
    except UnicodeEncodeError:
        plain = line.plain.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
        line = Text(plain, style=line.style)
    line.rstrip()
    to.print(line)


_PLAIN = str.maketrans({
    "│": "|", "─": "-", "►": ">", "◄": "<", "⋮": ":", "×": "x", "…": "~", "→": ">", "←": "<", "·": ".", "’": "'",
    "✔": "*", "✘": "!", "●": "*", "⚠": "!", "µ": "u",
})  # fmt: skip


def heading(text: str) -> Iterable[Text]:
    """The title of a part."""
    yield Text("")
    yield Text(text, style="bold")


def wrapped(head: str, text: str, width: int, style: str = "") -> Iterable[Text]:
    """`head` and `text`, further lines set in under the text."""
    room = max(20, width - cell_len(head))
    line = ""
    for word in text.split(" "):
        if line and cell_len(line) + 1 + cell_len(word) > room:
            yield Text(head + line, style=style)
            head, line = " " * cell_len(head), word
        else:
            line = f"{line} {word}" if line else word
    yield Text(head + line, style=style)


def cell(text: str, size: int) -> str:
    """Text that somebody else chose, as a cell of a table: printable, `size` columns wide, cut where it is longer."""
    text = printable(text)
    return set_cell_size(text, size) if cell_len(text) <= size else set_cell_size(text, size - 1) + "…"


def local_time(at: int) -> str:
    """UTC milliseconds as day and minute of this machine's time."""
    return f"{datetime.fromtimestamp(at / 1000, UTC).astimezone():%d %b %H:%M}"


def milliseconds(value: float) -> str:
    """Milliseconds as `12.3 ms`, long ones in seconds."""
    return f"{value:,.1f} ms" if value < 10_000 else f"{value / 1000:,.1f} s"
