"""The picture of a call."""

import pytest

from offhook.testing.timeline import Span, Timeline

pytestmark = pytest.mark.unit


def test_it_shows_who_spoke_when() -> None:
    timeline = Timeline()
    timeline.note(0.1, "answered")
    timeline.spans += [
        Span("agent", 0.2, 1.2, "Hello."),
        Span("caller", 1.5, 2.0, "Hi."),
        Span("agent", 2.5, None, ""),
    ]
    assert timeline.draw(3.0) == "\n".join(
        [
            " agent ··██████████·············█████",
            "caller ···············█████··········",
            "       one character is 0.1 s",
            "    0.10 s         answered",
            "    0.20 –   1.20  agent: Hello.",
            "    1.50 –   2.00 caller: Hi.",
            "    2.50 –   …     agent: (not understood)",
            "    3.00 s         now",
        ]
    )


def test_a_long_call_fits_on_a_line_and_forgets_what_was_long_ago() -> None:
    timeline = Timeline()
    timeline.spans += [Span("agent", 10 * n, 10 * n + 5, f"sentence {n}") for n in range(100)]
    drawn = timeline.draw(1_000.0).splitlines()
    assert max(map(len, drawn)) <= 110
    assert any("… 40 lines before" in line for line in drawn)
    assert "sentence 99" in drawn[-2]
