"""When a test is played once more, and when it is not; and how a tone is found in what was heard."""

import random
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from tests.support import undisturbed as module
from tests.support.tone import decode, purest, tone
from tests.support.undisturbed import TRIES, Stillness, undisturbed

pytestmark = pytest.mark.unit


def warned(times: int) -> AbstractContextManager[object]:
    return pytest.warns(UserWarning, match="played again") if times > 1 else nullcontext()


@pytest.mark.parametrize(("stood_still", "times"), [(0.0, 1), (0.2, TRIES)])
async def test_a_failure_counts_at_once_unless_the_machine_stood_still(
    stood_still: float, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[int] = []

    class Told(Stillness):
        def _look(self, processor: int) -> None:
            self.worst = stood_still

    @undisturbed
    async def fails(number: int) -> None:
        played.append(number)
        raise AssertionError

    monkeypatch.setattr(module, "Stillness", Told)
    monkeypatch.setattr(module, "SHORT", 2.0)
    with warned(times), pytest.raises(AssertionError):
        await fails(7)
    assert played == [7] * times

    @undisturbed
    def fails_at_once() -> None:
        played.append(8)
        raise AssertionError

    with warned(times), pytest.raises(AssertionError):
        fails_at_once()
    assert played == [7] * times + [8] * times


def test_another_try_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Told(Stillness):
        def _look(self, processor: int) -> None:
            self.worst = 0.2

    @undisturbed
    def leaves_something(tmp_path: Path) -> None:
        (tmp_path / "something").mkdir()
        raise AssertionError

    monkeypatch.setattr(module, "Stillness", Told)
    with warned(TRIES), pytest.raises(AssertionError):
        leaves_something(tmp_path=tmp_path)
    assert len(list(tmp_path.rglob("something"))) == TRIES


def test_a_machine_with_too_few_processors_counts_as_one_that_stood_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressure = tmp_path / "cpu"
    monkeypatch.setattr(module, "PRESSURE", pressure)
    monkeypatch.setattr(module, "LATE", 3600.0)
    for waited, short in ((0, False), (1_000_000, True)):
        pressure.write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=500\nfull avg10=0.00 total=0\n")
        with Stillness() as still:
            pressure.write_text(f"some avg10=0.00 avg60=0.00 avg300=0.00 total={500 + waited}\n")
            assert still.has_disturbed is short
    pressure.unlink()
    with Stillness() as still:
        assert not still.has_disturbed


async def test_what_goes_well_is_played_once() -> None:
    played: list[int] = []

    @undisturbed
    async def passes() -> None:
        played.append(1)

    await passes()
    assert played == [1]


def test_the_purest_part_is_found_and_a_broken_tone_has_none() -> None:
    whole = [sample for frame in tone(440, 1.0) for sample in decode(frame)]
    noise = random.Random(1)
    broken = [noise.randrange(-9_000, 9_000) for _ in range(8_000)]
    assert purest([*broken, *whole, *broken], 440) > 0.99
    assert purest(broken, 440) < 0.1
    assert purest(whole, 600) < 0.1
    assert purest([0] * 8_000, 440) == purest(whole[:1_500], 440) == 0.0
