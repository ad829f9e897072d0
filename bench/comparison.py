"""Before and after: what two pages of the benchmark say of the same rows."""

import re
from dataclasses import dataclass
from pathlib import Path

_ENTRY = re.compile(r"\| (?P<label>[^|]+) \| (?P<middle>-?[\d.]+)(?: (?P<unit>[^|]+))? \| [^|]*\| (?P<bound>[^|]*)\|")
_LIMIT = re.compile(r"(?P<way>[≤≥]) (?P<value>[\d.]+)")


@dataclass(frozen=True)
class Entry:
    """A figure of a page: its median as printed, its unit, and its bound in words."""

    middle: str
    unit: str
    bound: str

    @property
    def reached(self) -> str:
        """Whether the bound is kept, in the words of a page; nothing where there is none."""
        limit = _LIMIT.fullmatch(self.bound)
        if limit is None:
            return ""
        value, bound = float(self.middle), float(limit["value"])
        return "yes" if (value <= bound if limit["way"] == "≤" else value >= bound) else "**no**"


@dataclass(frozen=True)
class Page:
    """A page's name, its first heading, and by the title of each row its figures by their labels."""

    name: str
    title: str
    rows: dict[str, dict[str, Entry]]

    @classmethod
    def read(cls, path: Path) -> "Page":
        """The page in a file."""
        return cls.parse(path.name, path.read_text(encoding="utf-8"))

    @classmethod
    def parse(cls, name: str, text: str) -> "Page":
        """The page of this text; what is no heading and no figure of a row is passed over."""
        title = ""
        rows: dict[str, dict[str, Entry]] = {}
        figures: dict[str, Entry] | None = None
        for line in text.splitlines():
            if line.startswith("# "):
                title = line[2:]
            elif line.startswith("## "):
                figures = rows.setdefault(line[3:], {})
            elif figures is not None and (entry := _ENTRY.match(line)):
                unit, bound = (entry["unit"] or "").strip(), entry["bound"].strip()
                figures[entry["label"]] = Entry(entry["middle"], unit, bound)
        return cls(name, title, rows)


def _line(label: str, before: Entry | None, after: Entry) -> str:
    earlier = before.middle if before else "–"
    unit = f" {after.unit}" if after.unit else ""
    return f"| {label} | {earlier} | {after.middle}{unit} | {after.bound} | {after.reached} |"


def render(before: Page, after: Page) -> str:
    """The rows of `after`, each figure beside its own of `before`; a figure that is new has a dash."""
    lines = [
        "# Before and after",
        "",
        f"Before: [{before.title}]({before.name}). After: [{after.title}]({after.name}).",
        "Figures are medians; both pages say what they were measured on and how far the runs lay apart. Bounds are",
        "those of the later page.",
        "",
    ]
    for title, figures in after.rows.items():
        if not figures:
            continue
        earlier = before.rows.get(title, {})
        lines += [f"## {title}", "", "| | before | after | to reach | reached |", "| --- | --- | --- | --- | --- |"]
        lines += [_line(label, earlier.get(label), entry) for label, entry in figures.items()]
        lines.append("")
    gone = [title for title in before.rows if title not in after.rows]
    if gone:
        lines += ["Not measured again:", "", *(f"- {title}" for title in gone), ""]
    return "\n".join(lines)
