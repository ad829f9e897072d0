"""The guide says what is looked at, and from when on it is a fault: held against the code."""

import re
from pathlib import Path

import pytest

from offhook.examine.check import CAUSES, TITLES
from offhook.examine.plan import Pace

pytestmark = pytest.mark.unit

GUIDE = (Path(__file__).parents[3] / "docs/guides/examine.md").read_text()


def test_the_table_has_every_check_in_its_order() -> None:
    _, _, table = GUIDE.partition("## What is looked at")
    rows = re.findall(r"^\| ([^|]+) \|", table.partition("## Options")[0], re.MULTILINE)
    assert rows[0] == "check"
    assert rows[1:] == list(TITLES.values())


def test_its_figures_are_those_of_the_pace() -> None:
    pace = Pace()
    for words in (
        f"no `ready` within {pace.ready:g} s",
        f"after more than {pace.slow_ready:g} s",
        f"first sound more than {pace.late_greeting:g} s after the start",
        f"warning: more than {pace.slow_greeting:g} s",
        f"no answer within {pace.answer:g} s",
        f"or after more than {pace.slow_answer:g} s",
        f"from {pace.speaking_over:g} s on, or from {pace.letting_go:g} s after `cleared`",
        f"does not answer the close within {pace.closing:g} s",
        f"after {pace.greeting:g} s of silence",
    ):
        assert words in GUIDE, words


def test_no_check_explains_another_that_explains_it() -> None:
    for name, causes in CAUSES.items():
        for cause in causes:
            assert name not in CAUSES.get(cause, ()), f"{name} and {cause}"
