"""Two pages of the benchmark, figure beside figure."""

import sys
from datetime import date
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))

from comparison import Page
from comparison import render as compare
from machine import Machine
from page import Result, render
from rows import Figure, Row

pytestmark = pytest.mark.unit

FIGURES = (
    Figure("gateway CPU", "cpu", "ms per call-second", at_most=0.9),
    Figure("calls", "calls", at_least=400),
    Figure("switches", "switches", "per second"),
)


def page(name: str, cpu: float, calls: float, *titles: str, switches: float | None = None) -> Page:
    machine = Machine("a processor", "24 GiB", "6.18", "CPython 3.11", "1.95", "0123456789", dirty=False)
    values = {"gateway CPU": [cpu], "calls": [calls]} | ({"switches": [switches]} if switches is not None else {})
    results = [Result(Row(title, title, "1", "echo:", FIGURES), values) for title in titles]
    return Page.parse(name, render(results, machine, "bench", 1, "an extension", date(2026, 1, 2)))


def lines(before: Page, after: Page) -> list[str]:
    return compare(before, after).splitlines()


def test_a_figure_stands_beside_its_earlier_one_and_says_whether_it_is_reached() -> None:
    text = lines(page("a.md", 1.25, 400, "echo"), page("b.md", 0.875, 399, "echo"))
    assert "| gateway CPU | 1.250 | 0.875 ms per call-second | ≤ 0.9 | yes |" in text
    assert "| calls | 400 | 399 | ≥ 400 | **no** |" in text


def test_what_is_new_has_no_earlier_figure_and_what_has_no_bound_is_only_stated() -> None:
    text = lines(page("a.md", 1, 400, "echo"), page("b.md", 1, 400, "echo", "wss", switches=55.5))
    assert text.count("| switches | – | 55.5 per second |  |  |") == 2
    assert "| calls | – | 400 | ≥ 400 | yes |" in text


def test_what_was_not_measured_again_is_named_and_both_pages_are_linked() -> None:
    text = lines(page("a.md", 1, 400, "echo", "twilio"), page("b.md", 1, 400, "echo"))
    assert text[text.index("Not measured again:") :] == ["Not measured again:", "", "- twilio"]
    assert "](a.md)" in text[2]
    assert "](b.md)" in text[2]
    assert "## twilio" not in text
