"""docs/reference/rfc-support.md, from the tests' marks and the words of `rfcs.py`: it says no more than a test does."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rfcs import RFCS, Rfc

ROOT = Path(__file__).parents[1]

_HEAD = """# RFC support

What is kept of each RFC, and the tests that say so. A row of the tables below is a section that tests name by
`@pytest.mark.rfc(number, "section")`, with their number (many run over a table of cases); a row that says **no** is
what is left out, and what happens instead. Sections in no row are what a gateway has nothing to do with.

This page is written by `make docs`.

| RFC | what | supported | tests |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True, order=True)
class Mark:
    """One test that says which paragraph it checks."""

    rfc: int
    section: str
    file: str
    test: str


def marks(tests: Path) -> Iterator[Mark]:
    """Every `pytest.mark.rfc(number, "section")` below `tests`; one of the module counts for each of its tests."""
    for file in sorted(tests.rglob("test_*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        where = file.relative_to(tests).as_posix()
        of_module = [
            mark
            for node in tree.body
            if isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
            for mark in _marks_in(node.value)
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                own = [mark for decorator in node.decorator_list for mark in _marks_in(decorator)]
                for rfc, section in own + of_module:
                    yield Mark(rfc, section, where, node.name)


def _marks_in(node: ast.expr) -> list[tuple[int, str]]:
    return [
        (call.args[0].value, str(call.args[1].value) if len(call.args) > 1 else "")
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "rfc"
        and isinstance(call.args[0], ast.Constant)
        and all(isinstance(argument, ast.Constant) for argument in call.args)
    ]  # type: ignore[misc]


def nameless(found: set[Mark], rfcs: tuple[Rfc, ...] = RFCS) -> list[str]:
    """Sections that tests name and `rfcs.py` does not, nor any above them."""
    known = {rfc.number: rfc for rfc in rfcs}
    return sorted(
        {
            f"RFC {mark.rfc} section {mark.section}"
            for mark in found
            if mark.rfc not in known or _named(known[mark.rfc], mark.section) is None
        }
    )


def page() -> str:
    """The page as it has to be."""
    found = set(marks(ROOT / "tests"))
    missing = nameless(found)
    assert not missing, f"name these in tools/rfcs.py: {', '.join(missing)}"
    of_rfc: dict[int, set[Mark]] = defaultdict(set)
    for mark in found:
        of_rfc[mark.rfc].add(mark)
    shown = [rfc for rfc in RFCS if of_rfc[rfc.number] or rfc.rust or rfc.gaps]
    rows = [_summary(rfc, of_rfc[rfc.number]) for rfc in shown]
    return _HEAD + "\n".join(rows) + "\n" + "".join(_section_table(rfc, of_rfc[rfc.number]) for rfc in shown)


def _summary(rfc: Rfc, found: set[Mark]) -> str:
    tests = [str(len({(mark.file, mark.test) for mark in found}))] if found else []
    if rfc.rust:
        tests.append("in Rust")
    but = ", ".join(gap.what for gap in rfc.gaps)
    supported = "**no**" if not tests else f"yes, but for {but}" if but else "yes"
    return f"| [{rfc.number}](#rfc-{rfc.number}) | {rfc.title} | {supported} | {', '.join(tests)} |"


def _section_table(rfc: Rfc, found: set[Mark]) -> str:
    of_section: dict[str, set[Mark]] = defaultdict(set)
    for mark in found:
        section = _named(rfc, mark.section)
        assert section is not None, "nameless ones are told before"
        of_section[section].add(mark)
    lines = ["", f'## <a id="rfc-{rfc.number}"></a>RFC {rfc.number}: {rfc.title}', ""]
    lines += ["| section | what | supported | tests |", "| --- | --- | --- | --- |"]
    if rfc.rust:
        links = ", ".join(f"[{name}](../../rust/media/src/{name})" for name in rfc.rust.split(", "))
        lines.append(f"| | {rfc.about} | yes, in the media core | beside the code: {links} |")
    rows = [(section, _kept(section, rfc.sections[section], marks)) for section, marks in of_section.items()]
    rows += [(gap.section, f"| {gap.section} | {gap.what} | **no**: {gap.instead} | |") for gap in rfc.gaps]
    lines += [row for _, row in sorted(rows, key=lambda row: _order(row[0]))]
    return "\n".join(lines) + "\n"


def _kept(section: str, title: str, found: set[Mark]) -> str:
    files: dict[str, int] = defaultdict(int)
    for file in {(mark.file, mark.test) for mark in found}:
        files[file[0]] += 1
    links = ", ".join(f"[{Path(file).name}](../../tests/{file})" for file in sorted(files))
    return f"| {section} | {title} | yes | {sum(files.values())}: {links} |"


def _named(rfc: Rfc, section: str) -> str | None:
    """The section's own row, or that of the nearest one above it; None if there is neither."""
    while section not in rfc.sections:
        section, dot, _ = section.rpartition(".")
        if not dot:
            return None
    return section


def _order(section: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1 if not part else 10**6, part) for part in section.split(".")]
