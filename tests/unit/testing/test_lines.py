"""Lines by name."""

import pytest

from offhook.testing.lines import LINES, LineProfile, line_of

pytestmark = pytest.mark.unit


def test_a_line_is_a_name_a_share_of_loss_or_a_profile() -> None:
    assert line_of("mobile") is LINES["mobile"]
    assert line_of("3%-loss") == LineProfile(loss=0.03)
    assert line_of("0.5%-loss") == LineProfile(loss=0.005)
    own = LineProfile(delay_ms=200)
    assert line_of(own) is own


@pytest.mark.parametrize("name", ["3-loss", "%-loss", "300%-loss", "fibre"])
def test_a_name_that_there_is_not_is_told_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ValueError, match="clean, dsl, mobile"):
        line_of(name)
