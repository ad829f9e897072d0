"""Text as a voice should read it, and text that nobody wrote for a voice."""

import time

import pytest

from offhook.speech.number_words import LARGEST, cardinal, ordinal, year
from offhook.speech.speakable import plain, speakable

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("+1 415-555-0100", "plus one, four one five, five five five, zero one zero zero"),
        ("(415) 555-0100", "four one five, five five five, zero one zero zero"),
        ("+14155550100", "plus one, four one five, five five five, zero one zero zero"),
        ("020 7946 0958", "zero two zero, seven nine four six, zero nine five eight"),
        ("555-0100", "five five five, zero one zero zero"),
        ("your code is 4321", "your code is four three two one"),
        ("4321 calls", "four thousand three hundred twenty-one calls"),
        ("ticket 1250, please", "ticket one two five zero, please"),
        ("PIN: 0042", "PIN: zero zero four two"),
        ("12345678", "one two three, four five six, seven eight"),
        ("flight LH452", "flight L H four five two"),
    ],
)
def test_a_number_that_is_a_name_is_read_digit_by_digit(text: str, spoken: str) -> None:
    assert speakable(text) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("at 9:30 am", "at nine thirty A M"),
        ("at 7 p.m. we close", "at seven P M we close"),
        ("We close at 7 p.m.", "We close at seven P M."),
        ("12:00, 0:07, 18:00", "twelve o'clock, zero oh seven, eighteen hundred"),
        ("25:99", "twenty-five:ninety-nine"),
        ("2026-11-22", "November twenty-second, twenty twenty-six"),
        ("July 4, 1999", "July fourth, nineteen ninety-nine"),
        ("in 2006", "in two thousand six"),
        ("the 1990s", "the nineteen nineties"),
    ],
)
def test_times_and_dates(text: str, spoken: str) -> None:
    assert speakable(text) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("$1,234.50", "one thousand two hundred thirty-four dollars and fifty cents"),
        ("$1 or 5 €", "one dollar or five euros"),
        ("£0.01", "one penny"),
        ("$3.2 million", "three point two million dollars"),
        ("50% of 1,000,000", "fifty percent of one million"),
        ("-5°C", "minus five degrees Celsius"),
        ("35 ms at 8 kHz", "thirty-five milliseconds at eight kilohertz"),
        ("3.14", "three point one four"),
        ("22nd", "twenty-second"),
        ("5-10 of 3/4", "five to ten of three quarters"),
        ("version 1.2.3", "version one point two point three"),
    ],
)
def test_money_and_quantities(text: str, spoken: str) -> None:
    assert speakable(text) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("bob.smith@example.com", "bob dot smith at example dot com"),
        ("See https://www.example.com/help?x=1#y.", "See example dot com slash help."),
        ("192.168.1.10", "one nine two dot one six eight dot one dot one zero"),
        ("sip:alice@example.com", "alice at example dot com"),
        ("fish & chips", "fish and chips"),
    ],
)
def test_addresses_are_read_as_one_would_dictate_them(text: str, spoken: str) -> None:
    assert speakable(text) == spoken


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("**Bold**, *it*, `code`, ~~no~~ and __u__", "Bold, it, code, no and u"),
        ("# Title\n- one\n- [ ] two\n\n> said", "Title. one. two. said"),
        ("1. first\n2) second", "1: first. 2: second"),
        ("Ask [us](https://example.com/a) now ![x](y.png)", "Ask us now x"),
        ("[word](/fˈOnimz/)", "word"),
        ("<speak>Hi <break time='1s'/>you &amp; me</speak>", "Hi you & me"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b, 1, 2"),
        ("```python\nx = 1\n```", "x = 1"),
        ("Hello \U0001f600\U0001f44d\U0001f3fd there ☎️\x07", "Hello there"),
        ("snake_case stays, so do ça and 你好", "snake_case stays, so do ça and 你好"),
        ("2 < 3", "2 less than 3"),
        ("\U0001f600", ""),
        ("", ""),
    ],
)
def test_what_is_for_the_eye_is_not_said(text: str, words: str) -> None:
    assert plain(text) == words


def test_no_bracket_of_any_markup_is_left() -> None:
    assert not set("<>[]{}`*\\") & set(speakable("<a <b [c](d [e]{f} `g ** h \\ i> <![CDATA[x]]>"))


@pytest.mark.parametrize(
    "piece",
    [
        *("1", "1 ", "1-", "1,111", "+1 (1", "[(", "[x](", "*", "_a", "<a", "<!--", "a.b@", "http://", "code "),
        *("number is ", "A1-", "(12) ", "0 1 ", "| ", "- - ", "\n", "&amp;", "`a"),
    ],
)
def test_text_that_is_made_to_be_slow_is_not(piece: str) -> None:
    started = time.process_time()
    speakable(piece * (8_000 // len(piece)))
    # A tenth of that is usual; what grows with the square took half a minute.
    assert time.process_time() - started < 2


def test_numbers_as_words() -> None:
    assert [cardinal(n) for n in (0, 13, 20, 99, 100, 1_001, 2_000_000)] == [
        "zero",
        "thirteen",
        "twenty",
        "ninety-nine",
        "one hundred",
        "one thousand one",
        "two million",
    ]
    assert [ordinal(n) for n in (1, 2, 12, 20, 31, 100)] == [
        "first",
        "second",
        "twelfth",
        "twentieth",
        "thirty-first",
        "one hundredth",
    ]
    assert [year(n) for n in (1066, 1900, 1905, 2000, 2026)] == [
        "ten sixty-six",
        "nineteen hundred",
        "nineteen oh five",
        "two thousand",
        "twenty twenty-six",
    ]
    assert cardinal(LARGEST).startswith("nine hundred ninety-nine trillion")
