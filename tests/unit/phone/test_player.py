"""The playout queue of a leg is kept a little ahead, and what was sent is known to the sample."""

from array import array

import pytest

from offhook.phone.player import AHEAD, CHUNKS_A_SECOND, Player
from offhook.phone.sound import RATE, Samples, tone

pytestmark = pytest.mark.unit


def play_out(player: Player, chunks: int) -> Samples:
    heard = array("h")
    for _ in range(chunks):
        assert len(player.take()) <= AHEAD
        waiting = next(iter(player._waiting), None)
        if waiting is None:
            break
        left = player.left(waiting)
        assert left is not None
        heard += left
    return heard


def test_a_sound_is_played_to_its_end_and_again_when_asked() -> None:
    sound = array("h", range(RATE // CHUNKS_A_SECOND * 2 + 7))
    player = Player(sound, endless=False)
    assert play_out(player, 2) == sound[: RATE // CHUNKS_A_SECOND * 2]
    assert not player.has_played, "seven samples wait"
    assert play_out(player, 10) == sound[-7:]
    assert player.has_played
    assert player.take() == []
    player.again()
    assert not player.has_played
    assert play_out(player, 10) == sound


def test_an_endless_sound_joins_itself() -> None:
    sound = array("h", range(1, 1_001))
    player = Player(sound, endless=True)
    heard = play_out(player, 10)
    assert heard[:2_000] == sound + sound
    assert not player.has_played


def test_silence_is_never_done() -> None:
    player = Player(array("h"), endless=False)
    assert player.take() == []
    assert not player.has_played


def test_little_is_queued_ahead() -> None:
    player = Player(tone(440, 60), endless=True)
    assert len(player.take()) == AHEAD
    assert player.take() == []
    assert player.left("a mark of somebody else") is None
