"""How the tests count the words that a recogniser got wrong."""

import pytest
from tests.support.words import words_heard, wrong_words

pytestmark = pytest.mark.unit

SAID = "Hello, this is offhook, and your call works."


@pytest.mark.parametrize(
    ("heard", "wrong"),
    [
        ("hello this is off hook and your call works", 0),
        ("hello this is Ah, Suck, and your call works", 1),
        ("hello this is and your call works", 1),
        ("hello this is often and your calls works", 2),
        ("hello this is offhook and your call works well today", 2),
    ],
)
def test_a_word_that_is_understood_as_two_others_is_one_that_is_wrong(heard: str, wrong: int) -> None:
    assert wrong_words(SAID, heard) == wrong


def test_half_a_word_at_the_end_is_one_more_or_none() -> None:
    assert words_heard(SAID, "hello this is off") == (3, 4)
