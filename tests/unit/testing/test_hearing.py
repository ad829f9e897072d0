"""Ears that know every sound they may hear."""

from array import array

import pytest

from offhook.speech.protocol import Spoken
from offhook.testing.hearing import Began, Lexicon, Listener, Stretch, levels
from offhook.testing.stand_in_voice import speech_of

pytestmark = pytest.mark.unit

SENTENCES = [
    "Hello, how can I help you today?",
    "A table for two, please.",
    "For two, very well.",
    "At what time would you like to come?",
    "Half past seven.",
    "Goodbye.",
]
GAP = bytes(2 * 8 * 700)


def lexicon(*texts: str, rate: int = 8_000) -> Lexicon:
    found = Lexicon()
    for text in texts or SENTENCES:
        found.add(speech_of(text, rate))
    return found


def pcm(text: str, rate: int = 8_000) -> bytes:
    return speech_of(text, rate).pcm


def heard(sound: bytes, rate: int = 8_000) -> list[Began | Stretch]:
    listener, found = Listener(rate, 600), []
    for at in range(0, len(sound), rate // 25):
        found += listener.feed(sound[at : at + rate // 25])
    return found + listener.finish()


def understood(known: Lexicon, sound: bytes, rate: int = 8_000) -> list[str]:
    return [known.understand(found.levels).text for found in heard(sound, rate) if isinstance(found, Stretch)]


def test_it_tells_when_somebody_speaks_and_when_no_more() -> None:
    sound = pcm("Goodbye.")
    loud = [at * 10 for at, level in enumerate(levels(sound, 8_000)) if level >= 400]
    began, over = heard(bytes(16 * 300) + sound + GAP)
    assert isinstance(began, Began)
    assert isinstance(over, Stretch)
    assert began.at_ms == over.start_ms == pytest.approx(300 + loud[0], abs=20)
    assert over.end_ms == pytest.approx(300 + loud[-1] + 10, abs=10)


@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_every_sentence_is_known_by_its_sound(rate: int) -> None:
    gap = bytes(2 * rate // 1_000 * 700)
    sound = gap.join(pcm(text, rate) for text in SENTENCES)
    assert understood(lexicon(rate=rate), sound, rate) == SENTENCES


def test_sentences_without_a_pause_are_one_stretch() -> None:
    assert understood(lexicon(), b"".join(map(pcm, SENTENCES[:3]))) == [" ".join(SENTENCES[:3])]


def test_what_was_never_played_is_passed_over() -> None:
    assert understood(lexicon(), pcm(SENTENCES[0]) + GAP + pcm(SENTENCES[4])) == [SENTENCES[0], SENTENCES[4]]


def test_many_sentences_that_were_never_played_are_passed_over_too() -> None:
    unheard = [f"This is sentence {n} of a long speech that was cut off." for n in range(30)]
    assert understood(lexicon(*unheard, *SENTENCES), pcm(SENTENCES[4])) == [SENTENCES[4]]


def test_of_what_was_cut_off_the_words_before_that_are_known() -> None:
    said = speech_of(SENTENCES[3], 8_000)
    cut = said.pcm[: 16 * said.words[3].end_ms]
    assert understood(lexicon(), cut + GAP + pcm(SENTENCES[5])) == ["At what time would", SENTENCES[5]]


def test_what_is_left_of_a_sentence_before_is_no_word_of_this_one_and_shows() -> None:
    left, known = pcm(SENTENCES[3])[16 * 900 : 16 * 1_200], lexicon(SENTENCES[1], SENTENCES[2])
    loud = sum(level >= 400 for level in levels(left, 8_000)) * 10
    assert loud > 150
    found = known.understand(levels(pcm(SENTENCES[1]), 8_000))
    assert (found.text, found.unclear_ms) == (SENTENCES[1], pytest.approx(0, abs=20))
    found = known.understand(levels(left + pcm(SENTENCES[2]), 8_000))
    # What stands before a sentence may cost it some of its own, but never goes unnoticed.
    assert found.unclear_ms >= 100


def test_what_is_no_speech_at_all_is_unclear_from_its_beginning_to_its_end() -> None:
    noise = pcm(SENTENCES[5])
    found = lexicon(SENTENCES[0]).understand(levels(swapped(noise), 8_000))
    assert found.text == ""
    assert found.unclear_ms > 300


def test_a_pause_within_a_sentence_does_not_lose_the_rest() -> None:
    one, other = speech_of("Well, let me think.", 8_000), speech_of("Yes, gladly.", 8_000)
    known = Lexicon()
    known.add(Spoken(one.pcm + GAP + other.pcm, 8_000, "Well, let me think. Yes, gladly."))
    parts = understood(known, one.pcm + GAP + other.pcm)
    assert " ".join(parts) == "Well, let me think. Yes, gladly."
    assert len(parts) == 2


def test_a_piece_without_text_goes_on_with_its_sentence() -> None:
    known, sound = Lexicon(), pcm(SENTENCES[3])
    for at, text in ((0, SENTENCES[3]), (8_000, ""), (16_000, "")):
        known.add(Spoken(sound[at : at + 8_000] if at < 16_000 else sound[at:], 8_000, text))
    assert understood(known, sound) == [SENTENCES[3]]


def swapped(sound: bytes) -> bytes:
    samples = array("h", sound)
    samples.byteswap()
    return samples.tobytes()


@pytest.mark.parametrize(
    "spoiled",
    [
        pytest.param(lambda sound: swapped(sound), id="bytes swapped"),
        pytest.param(lambda sound: sound[::2][: len(sound) // 4 * 2], id="every other byte"),
        pytest.param(lambda sound: b"".join(sound[at : at + 2] * 2 for at in range(0, len(sound), 2)), id="half speed"),
        pytest.param(lambda sound: b"".join(sound[at : at + 2] for at in range(0, len(sound), 4)), id="double speed"),
        pytest.param(lambda sound: sound[1:] + b"\0", id="one byte off"),
    ],
)
@pytest.mark.parametrize("text", SENTENCES[:4])
def test_spoiled_sound_is_not_understood(spoiled, text: str) -> None:  # type: ignore[no-untyped-def]
    words = " ".join(understood(lexicon(), spoiled(pcm(text)) + GAP)).split()
    assert len(words) < len(text.split())
    assert " ".join(words) != text


def test_what_came_late_here_and_there_is_understood() -> None:
    sound, stretched = pcm(SENTENCES[0]), bytearray()
    for at in range(0, len(sound), 16 * 700):
        # 40 ms more after every 700, as concealment makes them.
        piece = sound[at : at + 16 * 700]
        stretched += piece + piece[-16 * 40 :]
    assert understood(lexicon(), bytes(stretched)) == [SENTENCES[0]]


def test_a_lost_packet_now_and_then_does_no_harm() -> None:
    sound = bytearray(pcm(SENTENCES[0]) + GAP + pcm(SENTENCES[1]))
    for at in range(640, len(sound) - 320, 320 * 11):
        sound[at : at + 320] = bytes(320)
    assert understood(lexicon(), bytes(sound)) == SENTENCES[:2]
