"""Sentences out of tokens: as early as they are complete, and only then."""

import random

import pytest

from offhook.speech.sentences import LONG, Sentences, sentences

pytestmark = pytest.mark.unit

TEXT = (
    "Hello! Dr. Smith is in at 3.30 p.m. today. Is that fine? “Yes.” e.g. now… J. K. Rowling wrote it.\n"
    "1. First\n2. Then"
)
WHOLE = [
    "Hello!",
    "Dr. Smith is in at 3.30 p.m. today.",
    "Is that fine?",
    "“Yes.”",
    "e.g. now…",
    "J. K. Rowling wrote it.",
    "1. First",
    "2. Then",
]


def test_a_text_is_cut_where_its_sentences_end() -> None:
    assert sentences(TEXT) == WHOLE


@pytest.mark.parametrize("seed", range(20))
def test_however_the_tokens_fall_the_sentences_are_the_same(seed: int) -> None:
    chance, cutter, found, at = random.Random(seed), Sentences(), [], 0
    while at < len(TEXT):
        size = chance.randint(1, 9)
        found += cutter.feed(TEXT[at : at + size])
        at += size
    assert found + cutter.finish() == WHOLE


def test_a_sentence_comes_with_the_token_behind_it() -> None:
    cutter = Sentences()
    assert cutter.feed("Hello there.") == []
    assert cutter.feed(" How") == ["Hello there."]
    assert cutter.finish() == ["How"]
    assert cutter.finish() == []


def test_what_has_no_end_is_cut_at_a_comma_or_a_space_and_nothing_is_lost() -> None:
    comma = "word " * 33 + "then, and more of it goes on"
    assert [len(piece) < LONG * 1.2 for piece in sentences(comma)] == [True, True]
    endless = "word " * 200
    pieces = sentences(endless)
    assert all(len(piece) <= 2 * LONG for piece in pieces)
    assert " ".join(pieces).split() == endless.split()
    solid = "x" * 1_000
    assert "".join(sentences(solid)) == solid
