"""What the caller would hear of what an agent sends, with the time as an argument."""

import pytest
from tests.support.tone import tone

from offhook.examine.audio import Format
from offhook.examine.playout import AHEAD_LIMIT, EARLY_LIMIT, Playout

pytestmark = pytest.mark.unit

PCMU = Format("pcmu", 8_000)
SECOND = b"".join(tone(900, 1.0))
SILENCE = b"\xff" * 8_000


@pytest.fixture
def playout() -> Playout:
    begun = Playout(PCMU)
    begun.begin(10.0)
    return begun


def test_audio_is_played_one_after_the_other_in_real_time(playout: Playout) -> None:
    playout.take(10.0, SECOND)
    playout.take(10.1, SECOND)
    assert playout.ahead(10.1) == pytest.approx(1.9)
    assert playout.last_sound == pytest.approx(12.0)
    assert playout.heard(10.5, 11.5) == pytest.approx(1.0)
    playout.take(14.0, SECOND)
    assert [(gap.at, gap.length) for gap in playout.gaps] == [(12.0, 2.0)]
    assert playout.sounds(13.0)[0] == 14.0


def test_a_mark_is_due_when_all_before_it_was_played(playout: Playout) -> None:
    playout.mark(10.0, "nothing before")
    playout.take(10.0, SECOND)
    playout.mark(10.0, "said")
    assert playout.due(10.0) == ["nothing before"]
    assert playout.due(10.99) == []
    assert playout.due(11.0) == ["said"]


def test_a_clear_drops_what_was_not_played_and_says_so(playout: Playout) -> None:
    playout.take(10.0, SECOND)
    playout.mark(10.0, "first")
    playout.take(10.0, SECOND)
    playout.mark(10.0, "second")
    assert playout.due(11.0) == ["first"]
    cleared = playout.clear(11.25)
    assert (cleared.played_ms, cleared.dropped_ms, cleared.marks) == (1250, 750, ("second",))
    assert playout.ahead(11.25) == 0
    assert playout.last_sound == 11.25
    assert playout.sounds(11.3) == []
    playout.take(12.0, SECOND)
    cleared = playout.clear(12.5)
    assert (cleared.played_ms, cleared.dropped_ms, cleared.marks) == (500, 500, ())


def test_what_comes_before_the_answer_is_held_with_its_marks() -> None:
    playout = Playout(PCMU)
    playout.take(1.0, SECOND)
    playout.mark(1.0, "greeted")
    assert playout.ahead(5.0) == 0
    playout.begin(5.0)
    assert playout.sounds()[0] == 5.0
    assert playout.due(5.9) == []
    assert playout.due(6.0) == ["greeted"]


def test_too_much_is_dropped_and_counted() -> None:
    early = Playout(PCMU)
    taken = [early.take(1.0, SILENCE) for _ in range(40)]
    assert taken.count(True) == EARLY_LIMIT
    assert early.dropped == 40 - EARLY_LIMIT
    playout = Playout(PCMU)
    playout.begin(0.0)
    assert [playout.take(0.0, SILENCE) for _ in range(200)].count(True) == AHEAD_LIMIT
    assert playout.most_ahead == AHEAD_LIMIT


def test_a_sample_that_was_cut_in_two_is_joined() -> None:
    playout = Playout(Format("pcm16", 8_000))
    playout.begin(0.0)
    playout.take(0.0, b"\x00")
    playout.take(0.0, b"\x40" * 319)
    assert playout.ahead(0.0) == pytest.approx(0.02)
    assert set(playout.samples(1.0)[1:]) == {0x4040}


def test_silence_is_no_sound(playout: Playout) -> None:
    playout.take(10.0, SILENCE)
    assert playout.last_sound == 0
    assert not playout.sounds_since(10.0, 11.0)
    playout.take(10.0, SECOND)
    assert not playout.sounds_since(10.0, 10.9), "not yet"
    assert playout.sounds_since(10.0, 11.0)
    assert not playout.sounds_since(12.0, 13.0)
