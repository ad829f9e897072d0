"""Digits from keys and from words, and when there are enough of them."""

import re
from typing import Literal

from offhook.agent.events import Digits

_UNITS = {
    "zero": "0", "oh": "0", "o": "0", "nought": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9", "niner": "9",
}  # fmt: skip
_TEENS = {
    "ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14", "fifteen": "15", "sixteen": "16",
    "seventeen": "17", "eighteen": "18", "nineteen": "19",
}  # fmt: skip
_TENS = {
    "twenty": "2", "thirty": "3", "forty": "4", "fifty": "5", "sixty": "6", "seventy": "7", "eighty": "8",
    "ninety": "9",
}  # fmt: skip
_KEYS = {"star": "*", "asterisk": "*", "hash": "#", "pound": "#"}
_REPEATS = {"double": 2, "triple": 3}
# Words that a recogniser writes for digits. They count as such only where all else is digits.
_SOUNDS_LIKE = {"won": "1", "to": "2", "too": "2", "for": "4", "ate": "8", "tree": "3", "sex": "6"}
_IGNORED = {"and", "uh", "um", "er", "then", "dash"}
_TOKEN = re.compile(r"[0-9]+|[*#]|[a-z]+")


def spoken_digits(text: str) -> str:
    """The digits in what was said, in English: words, figures, "double five", "forty two", "pound".

    Other words are passed over: "it's four two one, please" is 421.
    """
    words = _TOKEN.findall(text.lower().replace("'", ""))
    known = _UNITS.keys() | _TEENS.keys() | _TENS.keys() | _KEYS.keys() | _REPEATS.keys() | _IGNORED
    only_digits = all(word in known or word in _SOUNDS_LIKE or not word.isalpha() for word in words)
    digits, repeat, tens = "", 1, ""
    for word in words:
        found = ""
        if tens and word in _UNITS and _UNITS[word] != "0":
            found, tens = tens + _UNITS[word], ""
        else:
            if tens:
                digits, tens = digits + tens + "0", ""
            if word in _TENS:
                tens = _TENS[word]
                continue
            if word in _REPEATS:
                repeat = _REPEATS[word]
                continue
            found = _UNITS.get(word) or _TEENS.get(word) or _KEYS.get(word) or ""
            if not found and not word.isalpha():
                found = word
            if not found and only_digits:
                found = _SOUNDS_LIKE.get(word, "")
        digits += found * (repeat if len(found) == 1 else 1)
        repeat = 1
    return digits + (tens + "0" if tens else "")


class DigitCollector:
    """Waits for up to `count` digits, one of `terminators`, or a pause. Sans-IO: it is told the time in seconds.

    The first digit may take `first_timeout` seconds from `begin`, each further one `next_timeout`.
    """

    def __init__(
        self, count: int, *, terminators: str, first_timeout: float, next_timeout: float, by_voice: bool = False
    ) -> None:
        self._count = count
        self._terminators = terminators
        self._first = first_timeout
        self._next = next_timeout
        self._deadline: float | None = None
        self._digits = ""
        self._was_spoken = False
        self.takes_voice = by_voice
        self.result: Digits | None = None

    def begin(self, now: float) -> None:
        """The prompt is over: silence counts from here on."""
        self._deadline = now + (self._next if self._digits else self._first)

    def receive(self, digit: str, now: float) -> None:
        """A key was pressed."""
        if self.result is not None:
            return
        if digit in self._terminators:
            self._end("terminator")
            return
        self._digits += digit
        self._wait(now)
        if len(self._digits) >= self._count:
            self._end("complete")

    def hear(self, text: str, now: float) -> None:
        """Something was said."""
        if not self.takes_voice:
            return
        for digit in spoken_digits(text):
            self._was_spoken = True
            self.receive(digit, now)

    def spoke(self, now: float) -> None:
        """Somebody has finished speaking just now, digits or not: that was no pause."""
        self._wait(now)

    def handle_timeout(self, now: float) -> None:
        """The time that was asked for has come."""
        if self._deadline is not None and now >= self._deadline:
            self._end("timeout")

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`."""
        return None if self.result is not None else self._deadline

    def call_ended(self) -> None:
        """Nothing more will come."""
        self._end("ended")

    def _wait(self, now: float) -> None:
        if self._deadline is not None:
            self._deadline = max(self._deadline, now + self._next) if not self._digits else now + self._next

    def _end(self, reason: Literal["complete", "terminator", "timeout", "ended"]) -> None:
        if self.result is None:
            self.result = Digits(self._digits, reason, self._was_spoken)
