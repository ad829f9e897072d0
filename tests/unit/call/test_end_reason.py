"""The table of endings is complete, speaks plainly, and its page is what it says."""

import re
from pathlib import Path

import pytest

from offhook.call.end_reason import EndReason, page, whose

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "end-reasons.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make docs"


@pytest.mark.parametrize("reason", EndReason, ids=lambda reason: reason.slug)
def test_each_ending(reason: EndReason) -> None:
    assert EndReason.of(reason.slug) is reason
    assert reason.slug == reason.name.lower()
    assert re.fullmatch(r"[a-z][a-z_]*", reason.slug)
    assert reason.sip_status is None or 400 <= reason.sip_status <= 699
    assert 1 <= reason.q850 <= 127
    assert reason.text.endswith(".")
    assert "|" not in reason.text + reason.hint
    assert whose(reason.fault)
    # Whoever is named as having to change something is told what.
    if reason.fault not in ("none",) and reason is not EndReason.DRAINING:
        assert reason.hint


def test_limits_and_matches_do_not_share_words() -> None:
    """A number that matches no trunk must never read like a flood, nor a limit like a wrong number."""
    for reason in EndReason:
        words = reason.slug.split("_")
        assert not ("limit" in words and {"trunk", "route"} & set(words) and "no" in words)
    assert "limit" not in EndReason.NO_TRUNK.text + EndReason.NO_ROUTE.text
    assert "match" not in EndReason.LIMIT_CPS.text + EndReason.LIMIT_TRUNK_CPS.text


def test_an_unknown_slug_is_an_error_of_ours() -> None:
    with pytest.raises(KeyError):
        EndReason.of("nobody_knows")


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (EndReason.MEDIA_TIMEOUT, 408),
        (EndReason.AGENT_HUNG_UP, 200),
        (EndReason.AGENT_LOST, 480),
        (EndReason.NO_ACK, 408),
    ],
)
def test_the_reasons_of_a_bye_and_of_a_refusal(reason: EndReason, status: int) -> None:
    by_q850 = ("Reason", f'Q.850;cause={reason.q850};text="{reason.slug}"')
    assert reason.hang_up_headers == (by_q850, ("Reason", f'SIP;cause={status};text="{reason.slug}"'))
    assert reason.refusal_headers == (by_q850,)
