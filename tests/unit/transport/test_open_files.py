"""The limit of open files: raised as far as the system lets us."""

import resource

import pytest

from offhook.transport import open_files

pytestmark = pytest.mark.unit

ENDLESS = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "strict", "now"),
    [
        (1_024, 524_288, False, 65_536),
        (1_024, 4_096, False, 4_096),
        (256, ENDLESS, False, 65_536),
        (256, ENDLESS, True, 256),
        (100_000, 524_288, False, 65_536),
        (ENDLESS, ENDLESS, False, 65_536),
    ],
)
def test_it_is_raised(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, strict: bool, now: int) -> None:
    limits = [soft, hard]

    def set_limit(_: int, wanted: tuple[int, int]) -> None:
        if strict:
            raise ValueError("current limit exceeds maximum limit")
        assert wanted[0] > limits[0], "never lowered"
        limits[:] = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    assert open_files.raise_limit() == now
    assert limits[1] == hard
