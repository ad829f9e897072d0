"""What was heard of the utterances that an agent names, when they are cut off."""

import pytest
from tests.support.tone import tone

from offhook.examine.audio import Format
from offhook.examine.playout import Playout
from offhook.examine.utterances import Cut, Utterances

pytestmark = pytest.mark.unit

SECOND = b"".join(tone(900, 1.0))
RULE = {"do": "utterance", "id": "id", "text": "text", "barge_in": "barge_in", "word_ends_ms": "word_ends_ms"}


@pytest.fixture
def playout() -> Playout:
    begun = Playout(Format("pcmu", 8_000))
    begun.begin(0.0)
    return begun


def say(playout: Playout, utterances: Utterances, name: str, seconds: int, **fields: object) -> None:
    assert utterances.begin({"id": name, **fields}, RULE) == ""
    for _ in range(seconds):
        playout.take(0.0, SECOND, utterances.current)


def test_words_take_their_share_of_the_audio(playout: Playout) -> None:
    utterances = Utterances()
    say(playout, utterances, "one", 4, text="we close at eight o'clock on every Sunday")
    say(playout, utterances, "two", 1)
    say(playout, utterances, "three", 1)
    playing = playout.utterance_at(2.5)
    assert playing is not None
    assert playing.id == "one"
    cut = utterances.cut(playout.pieces, 2.5, by_caller=True)
    assert cut == Cut("one", 2500, "we close at eight o'clock", ("two", "three"))


def test_pieces_of_one_name_are_one_utterance(playout: Playout) -> None:
    utterances = Utterances()
    say(playout, utterances, "one", 1, text="Hello.", barge_in="off")
    say(playout, utterances, "one", 1, text="How are you?", barge_in="clear")
    assert utterances.current is not None
    assert utterances.current.policy == "off", "as the first piece has it"
    cut = utterances.cut(playout.pieces, 1.75, by_caller=False)
    assert cut == Cut("one", 1750, "Hello. How are", ())
    assert not utterances.is_stale, "the agent itself has cleared"


def test_what_is_still_being_made_is_taken_to_last_as_long_as_such_words_do(playout: Playout) -> None:
    utterances = Utterances()
    say(playout, utterances, "one", 1, text="one two three four five six seven eight nine ten")
    cut = utterances.cut(playout.pieces, 0.5, by_caller=True)
    assert cut is not None
    assert cut.text_heard == "one two", "a second of sound so far, of three that it will last"


def test_words_with_times_are_heard_when_they_have_ended(playout: Playout) -> None:
    utterances = Utterances()
    say(playout, utterances, "one", 2, text="we close early", word_ends_ms=[300, 1900, 1950])
    cut = utterances.cut(playout.pieces, 1.9, by_caller=True)
    assert cut is not None
    assert cut.text_heard == "we close"


def test_what_still_comes_of_it_is_stale_until_something_new(playout: Playout) -> None:
    utterances = Utterances()
    say(playout, utterances, "one", 2)
    say(playout, utterances, "two", 2)
    utterances.cut(playout.pieces, 1.0, by_caller=True)
    assert utterances.is_stale
    utterances.begin({"id": "two"}, RULE)
    assert utterances.is_stale, "it waited behind"
    utterances.begin({"id": "three"}, RULE)
    assert not utterances.is_stale
    for new in (utterances.end, utterances.cleared):
        utterances.begin({"id": "four"}, RULE)
        playout.take(5.0, SECOND, utterances.current)
        utterances.cut(playout.pieces, 5.0, by_caller=True)
        assert utterances.is_stale
        new()
        assert not utterances.is_stale


def test_audio_without_a_name_is_cut_off_without_a_word(playout: Playout) -> None:
    playout.take(0.0, SECOND)
    utterances = Utterances()
    assert utterances.cut(playout.pieces, 0.5, by_caller=True) is None
    assert not utterances.is_stale


def test_each_has_its_policy_and_the_usual_one_without() -> None:
    utterances = Utterances()
    for body, policy in (({"id": "a", "barge_in": "off"}, "off"), ({"id": "b"}, "duck-then-decide")):
        utterances.begin(body, RULE)
        assert utterances.current is not None
        assert utterances.current.policy == policy


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": ""},
        {"id": "x" * 65},
        {"id": 5},
        {"id": "a", "text": "x" * 4097},
        {"id": "a", "barge_in": "later"},
        {"id": "a", "word_ends_ms": [5, 3]},
        {"id": "a", "word_ends_ms": "5"},
        {"id": "a", "word_ends_ms": [True]},
    ],
)
def test_what_is_wrong_with_one_is_said(body: dict[str, object]) -> None:
    utterances = Utterances()
    assert "an utterance" in utterances.begin(body, RULE)
    assert utterances.current is None
