"""The gate's count across a restart, with the store that a gateway has."""

from pathlib import Path

import pytest

from offhook.call.out.dial_gate import CountedCall, DialGate
from offhook.ids import TrunkName
from offhook.route.trunk import Trunk
from offhook.route.usage import OutboundLimits, OverLimit, Party, Usage
from offhook.store.sqlite import CallStore

pytestmark = pytest.mark.unit

TRUNK = Trunk(TrunkName("acme"), host="192.0.2.9", rates=(("+1", 0.1), ("+1415", 0.5), ("+44", 0.2)))
LIMITS = {
    Party("trunk", "acme"): OutboundLimits(max_transfers_per_day=2, max_spend_per_day=1.2),
    Party("key", "crm"): OutboundLimits(max_minutes_per_day=2),
}
NOON_MS = 20_000 * 86_400_000 + 43_200_000


def wall(now: float) -> int:
    return round(NOON_MS + 1000 * now)


def test_a_day_s_use_is_in_the_store_and_counts_after_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/offhook.db"
    with CallStore(url) as store:
        gate = DialGate(Usage(LIMITS, store.used()), wall=wall, keep=store.day_uses)
        assert gate.transfer("acme", None, None, 0) is None
        call = gate.call(TRUNK, "+14155550142", None, "crm", 0)
        assert isinstance(call, CountedCall)
        call.answered(0)
        assert call.time_left(30) == (29.5, "limit_outbound_spend")
        # The process dies here, without a word: what it has written is there.
        store.flush()
        used = {use.kind: use for use in store.used()}
    assert (used["trunk"].transfers, used["trunk"].spend) == (1, 0.5)
    assert used["key"].seconds == 30
    with CallStore(url) as store:
        gate = DialGate(Usage(LIMITS, store.used()), wall=wall, keep=store.day_uses)
        assert gate.transfer("acme", None, None, 60) is None
        assert isinstance(gate.transfer("acme", None, None, 60), OverLimit)
        first = gate.call(TRUNK, "+14155550142", None, None, 60)
        assert isinstance(first, CountedCall)
        refused = gate.call(TRUNK, "+14155550142", None, None, 60)
        assert isinstance(refused, OverLimit)
        assert refused.slug == "limit_outbound_spend"
        first.release(61)
        assert isinstance(gate.call(TRUNK, "+442079460018", None, None, 62), CountedCall)


def test_the_longest_prefix_has_the_rate() -> None:
    assert [TRUNK.rate(number) for number in ("+14155550142", "+12125550142", "+442079460018", "+4930")] == [
        0.5, 0.1, 0.2, None,
    ]  # fmt: skip
