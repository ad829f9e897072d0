import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.route.pattern import ANY, Pattern

pytestmark = pytest.mark.unit

texts = st.text(alphabet="ab+1", max_size=8)
patterns = st.text(alphabet="ab+1*", max_size=8)


@pytest.mark.parametrize(
    ("pattern", "fits", "misses"),
    [
        ("+1415*", ["+1415", "+14155550100"], ["1415", "+1416", "x+1415"]),
        ("*0100", ["0100", "+14155550100"], ["01001", ""]),
        ("+1*00", ["+100", "+1234500"], ["+10", "+1"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("*", ["", "anything"], []),
        ("sales", ["sales"], ["Sales", "sales1", ""]),
        ("a.c", ["a.c"], ["abc"]),
        ("*1*2*", ["12", "x1y2z"], ["21"]),
    ],
)
def test_patterns(pattern: str, fits: list[str], misses: list[str]) -> None:
    assert all(Pattern(pattern).matches(text) for text in fits)
    assert not any(Pattern(pattern).matches(text) for text in misses)


@given(patterns, texts)
def test_agrees_with_the_shell(pattern: str, text: str) -> None:
    assert Pattern(pattern).matches(text) == bool(re.match(fnmatch.translate(pattern), text))


@given(patterns, patterns, texts)
def test_what_is_covered_fits_both(a: str, b: str, text: str) -> None:
    if Pattern(a).covers(Pattern(b)) and Pattern(b).matches(text):
        assert Pattern(a).matches(text)


def test_covering() -> None:
    assert ANY.covers(Pattern("+1*"))
    assert Pattern("+1*").covers(Pattern("+1415*"))
    assert Pattern("+1*").covers(Pattern("+14155550100"))
    assert not Pattern("+1415*").covers(Pattern("+1*"))
    assert not Pattern("+1415*").covers(ANY)


def test_a_hostile_text_takes_no_time() -> None:
    assert not Pattern("*a*a*a*b").matches("a" * 100_000)
