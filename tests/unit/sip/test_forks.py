"""Whose sound is heard while several far ends ring, and whose once one has answered."""

import pytest
from tests.support.messages import request, response

from offhook.sip.forks import Forks
from offhook.sip.message import Response

pytestmark = pytest.mark.unit


def says(status: int, tag: str, body: bytes = b"", *, reliable: bool = False) -> Response:
    headers = (("Require", "100rel"), ("RSeq", "1")) if reliable else ()
    return response(request(), status, tag, *headers, body=body)


@pytest.mark.rfc(3960, "3.3")
def test_the_first_with_sound_is_heard_until_another_answers() -> None:
    forks = Forks()
    assert forks.rang(says(180, "silent")) is None
    assert forks.rang(says(183, "one", b"v=0 one")) == b"v=0 one"
    assert forks.rang(says(183, "two", b"v=0 two")) is None
    assert (forks.heard, forks.count) == ("one", 3)
    assert forks.answered(says(200, "two", b"v=0 two, answered")) == b"v=0 two, answered"
    assert forks.heard == "two"


@pytest.mark.rfc(6228, "4")
def test_one_that_is_gone_leaves_its_place_to_the_next_with_sound() -> None:
    forks = Forks()
    forks.rang(says(183, "one", b"v=0 one"))
    forks.rang(says(180, "silent"))
    forks.rang(says(183, "two", b"v=0 two"))
    assert forks.rang(says(199, "silent")) is None
    assert forks.rang(says(199, "one")) == b"v=0 two"
    assert forks.heard == "two"
    assert forks.rang(says(199, "two")) is None
    assert forks.heard is None


@pytest.mark.rfc(3261, "13.2.1")
def test_the_200_decides_unless_the_183_was_reliable() -> None:
    """miuda-ai/active-call#124: a provisional answer was applied as the final one."""
    forks = Forks()
    forks.rang(says(183, "one", b"v=0 early"))
    assert forks.answered(says(200, "one", b"v=0 final")) == b"v=0 final"
    forks = Forks()
    forks.rang(says(183, "one", b"v=0 early", reliable=True))
    assert forks.answered(says(200, "one", b"v=0 final")) == b"v=0 early"


def test_a_200_without_sdp_goes_by_what_its_own_fork_has_said() -> None:
    forks = Forks()
    forks.rang(says(183, "one", b"v=0 one"))
    forks.rang(says(183, "two", b"v=0 two"))
    assert forks.answered(says(200, "two")) == b"v=0 two"
    assert forks.answered(says(200, "three")) is None


def test_there_is_an_end_to_forks() -> None:
    forks = Forks()
    for number in range(100):
        forks.rang(says(183, f"fork-{number}", b"v=0"))
    assert forks.count == 24
