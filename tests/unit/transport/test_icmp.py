"""Which ICMP errors are failures to send (RFC 3261 18.4), by origin (2: ICMP, 3: ICMPv6), type and code."""

import pytest

from offhook.transport.icmp import reason

pytestmark = [pytest.mark.unit, pytest.mark.rfc(3261, "18.4")]


@pytest.mark.parametrize(
    ("origin", "icmp_type", "code", "told"),
    [
        (2, 3, 3, "nothing listens there"),
        (2, 3, 1, "host unreachable"),
        (2, 3, 13, "code 13"),
        (2, 12, 0, "parameter problem"),
        (3, 1, 4, "nothing listens there"),
        (3, 1, 0, "no route"),
        (3, 1, 6, "code 6"),
        (3, 4, 1, "parameter problem"),
    ],
)
def test_unreachable_of_any_kind_is_a_failure(origin: int, icmp_type: int, code: int, told: str) -> None:
    assert told in reason(origin, icmp_type, code)


@pytest.mark.parametrize(
    ("origin", "icmp_type", "code"),
    [(2, 3, 4), (2, 4, 0), (2, 11, 0), (3, 2, 0), (3, 3, 0), (1, 3, 3), (0, 0, 0)],
    ids=["too large", "source quench", "time exceeded", "too large, v6", "time exceeded, v6", "local", "none"],
)
def test_what_passes_by_itself_is_none(origin: int, icmp_type: int, code: int) -> None:
    assert reason(origin, icmp_type, code) == ""
