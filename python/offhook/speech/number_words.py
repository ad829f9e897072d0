"""English words for numbers: cardinals, ordinals, years, digits one by one."""

from collections.abc import Iterable

_SMALL = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1_000, "thousand"), (100, "hundred"))
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}

LARGEST = 10**15 - 1
"""Numbers above this are no quantity that anybody says: they are spelled."""


def cardinal(number: int) -> str:
    """`1250` as "one thousand two hundred fifty"; from 0 to `LARGEST`."""
    assert 0 <= number <= LARGEST, number
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return _TENS[tens] + (f"-{_SMALL[rest]}" if rest else "")
    size, name = next(scale for scale in _SCALES if number >= scale[0])
    count, rest = divmod(number, size)
    return f"{cardinal(count)} {name}" + (f" {cardinal(rest)}" if rest else "")


def ordinal(number: int) -> str:
    """`22` as "twenty-second"."""
    words = cardinal(number)
    start, last = words[: max(words.rfind(" "), words.rfind("-")) + 1], words.replace("-", " ").rsplit(" ", 1)[-1]
    if last in _ORDINALS:
        return start + _ORDINALS[last]
    return f"{start}{last[:-1]}ieth" if last.endswith("y") else f"{start}{last}th"


def year(number: int) -> str:
    """`1999` as "nineteen ninety-nine", `2006` as "two thousand six"; from 1000 to 9999."""
    century, rest = divmod(number, 100)
    if century % 10 == 0 and rest < 10:
        return cardinal(number)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {cardinal(rest) if rest >= 10 else f'oh {_SMALL[rest]}'}"


def digits(text: Iterable[str]) -> str:
    """Each digit by itself, whatever else is in the text left out: "four one five"."""
    return " ".join(_SMALL[int(character)] for character in text if character.isascii() and character.isdigit())
