"""What is remembered of INVITEs, and for how long."""

import pytest
from tests.support.messages import request

from offhook.sip.merged import MergedInvites

pytestmark = pytest.mark.unit


def test_an_open_invite_is_482_and_a_refused_one_its_verdict() -> None:
    merged = MergedInvites(10)
    invite = request()
    assert merged.find(invite, 0) is None
    merged.open(invite, 0)
    verdict = merged.find(invite, 1000)
    assert verdict is not None
    assert verdict.status == 482
    refusal = invite.response(486, "Not now", to_tag="x", headers=[("Retry-After", "5"), ("Contact", "<sip:x@y>")])
    merged.close(invite, refusal, 1000)
    verdict = merged.find(invite, 1031)
    assert verdict is not None
    assert (verdict.status, verdict.reason, verdict.headers) == (486, "Not now", (("Retry-After", "5"),))
    assert merged.find(invite, 1032) is None
    assert len(merged) == 0


def test_it_never_grows_beyond_its_bound() -> None:
    merged = MergedInvites(3)
    for number in range(10):
        merged.open(request(call_id=str(number)), 0)
        merged.close(request(call_id=str(number)), None, 0)
    assert len(merged) == 3
    assert merged.find(request(call_id="1"), 40) is None
    assert len(merged) == 0
