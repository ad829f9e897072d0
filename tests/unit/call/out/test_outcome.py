"""What a call out comes to that never got a response of use."""

import pytest

from offhook.call.end_reason import EndReason
from offhook.call.out.outcome import failure_of
from offhook.sip.events import FailureCause

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (FailureCause.TIMEOUT, EndReason.TRUNK_UNREACHABLE),
        (FailureCause.UNRESOLVED, EndReason.TRUNK_UNREACHABLE),
        (FailureCause.CANCEL_TIMEOUT, EndReason.DIAL_CANCELLED),
        # A 200 whose route set leads nowhere: who answered was reached.
        (FailureCause.UNUSABLE, EndReason.TRUNK_FAILED),
    ],
)
def test_whose_fault_it_is(cause: FailureCause, reason: EndReason) -> None:
    assert failure_of(cause, "why") == (reason, "why")
