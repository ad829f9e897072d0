"""Calls that outlive their session timers several times over, with sound in every second (`tests/soak/long_calls.py`).

`make prove` (OFFHOOK_PROVE=1) has a minute of it here, and forty minutes with the shortest timer of RFC 4028 beside.
"""

import os

import pytest
from tests.soak import long_calls
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

MINUTES = "1" if os.environ.get("OFFHOOK_PROVE") == "1" else "0.2"


@undisturbed
def test_calls_refreshed_by_either_side_stay_up_and_are_heard(capsys: pytest.CaptureFixture[str]) -> None:
    assert long_calls.main(["--minutes", MINUTES, "--interval", "6"]) == 0, capsys.readouterr().out
