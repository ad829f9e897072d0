"""What callers want, as recognisers write it."""

import time

import pytest

from offhook.builtin.intents import PHRASES, Intent, understand

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("intent", "phrase"), [(intent, phrase) for intent in PHRASES for phrase in PHRASES[intent]])
def test_each_phrase_is_understood(intent: Intent, phrase: str) -> None:
    assert understand(phrase) is intent
    assert understand(f"Um, could you please {phrase.capitalize()}, now?") is intent


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("What time isn't?", Intent.TIME),
        ("What dime is it?", Intent.TIME),
        ("Can you tell me what time it is?", Intent.TIME),
        ("I'd like to leave a massage.", Intent.MESSAGE),
        ("Take a massage please.", Intent.MESSAGE),
        ("Who's calling?", Intent.WHO),
        ("What's my number again?", Intent.WHO),
        ("Play my massage.", Intent.PLAY),
        ("I want an echo test.", Intent.ECHO),
        ("Eco test.", Intent.ECHO),
        ("How's the lion?", Intent.QUALITY),
        ("What can you do for me?", Intent.HELP),
        ("Could you repeat that please?", Intent.REPEAT),
        ("Okay, thank you!", Intent.THANKS),
        ("Good bye.", Intent.GOODBYE),
        ("All right, bye bye then.", Intent.GOODBYE),
        ("I want to give you a number.", Intent.NUMBER),
        ("Hallo.", Intent.HELLO),
        ("Okay, thank you, and goodbye.", Intent.GOODBYE),
        ("Hello there, what time is it?", Intent.TIME),
        ("What day is today?", Intent.TIME),
        ("Thanks, bye.", Intent.GOODBYE),
        ("Okay, stop.", Intent.STOP),
    ],
)
def test_misheard_and_wrapped_words_are_forgiven(text: str, intent: Intent) -> None:
    assert understand(text) is intent


@pytest.mark.parametrize(
    "text",
    [
        "",
        "...",
        "I have a dog and two cats.",
        "The weather in Paris is lovely in the spring.",
        "My brother works in a bank downtown.",
        "We had everything before us.",
        "It was the best of times.",
        "Do you sell shoes?",
        "Ever tried. Ever failed.",
        "Ever tried.",
        "Fail again, fail better.",
        "The quick brown fox jumps over the lazy dog.",
        "I think that the meeting was moved to Tuesday afternoon.",
        "Book a table for two people.",
        "She is reading a book about gardens.",
        "Where is the nearest pharmacy?",
        "Open the window in the kitchen.",
        "They were all going direct to heaven.",
        "How much does the red one cost?",
        "My order has not arrived yet.",
        "Is there a doctor in the house?",
        "I can not find my keys.",
        "42",
        "Please cancel my subscription.",
        "Seven of diamonds, ace of spades.",
        "The train leaves from platform nine.",
    ],
)
def test_what_is_like_nothing_is_nothing(text: str) -> None:
    assert understand(text) is None


def test_a_caller_who_reads_a_book_aloud_keeps_nobody_busy() -> None:
    started = time.process_time()
    understand("what time takes messages of the line " * 500)
    assert time.process_time() - started < 1
