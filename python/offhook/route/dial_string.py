"""What a text may be dialled as: all the numbers that a carrier or a phone system could read in it.

`read_number` says what we mean by a text. Whoever gets it from us may read more out of it: digits of other scripts,
escapes that are undone once more, letters of a keypad, an international prefix, a digit for the outside line, a service
code before the number, pauses and surplus digits behind it. What is refused is refused in all of these readings.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import unquote

from offhook.route.number import is_valid, read_number

MAX_DIAL_STRING = 256
"""Characters of a text that are looked at; longer ones are no targets."""

_MAX_ESCAPED = 4
"""How deep `%` may be hidden in `%25`."""
_MAX_CODES = 3
"""Service codes before one number."""
_KEYPAD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
_NO_KEYS = re.compile(r"[^0-9+*#]")
# The number may end before the first character that none has, or before a pause: what phones write for one are letters.
_ENDS = (re.compile(r"[^0-9]*[0-9+*#().\-\s]*"), re.compile(r"[^0-9]*[^A-Za-z,]*"))
_DIALLED = re.compile(r"\+?[0-9]+")
# International prefixes in use around the world (ITU Operational Bulletin, dialling procedures), the longest first.
_INTERNATIONAL = ("0011", "8010", "810", "011", "010", "009", "001", "002", "119", "00")
_OUTSIDE_LINE = ("0", "9")
_LONGEST_SHORT = 6


@lru_cache(maxsize=4096)
def readings(text: str, country: str | None = None) -> tuple[str, ...]:
    """The numbers that `text` may be dialled as, the likeliest first; none of a name without digits.

    `text` is the user part of a URI, RFC 3966 parameters included, or what somebody typed; `country` the trunk's. Each
    reading is `+` and digits, or digits alone for what is dialled as it stands. There are a few dozen at most.
    """
    found = (number for dialled in _dial_strings(text[:MAX_DIAL_STRING]) for number in _numbers(dialled, country))
    return tuple(dict.fromkeys(found))


def _plain(text: str) -> str:
    """A text as its most lenient reader sees it: no escapes, and digits of all scripts and widths in ASCII."""
    for _ in range(_MAX_ESCAPED):
        text = unquote(text, errors="ignore")
    return "".join(_ascii_digit(character) for character in unicodedata.normalize("NFKC", text))


def _ascii_digit(character: str) -> str:
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def _dial_strings(text: str) -> Iterator[str]:
    number, *params = _plain(text).split(";")
    values = [value for _, _, value in (param.partition("=") for param in params)]
    wholes = [number, *(found[0] for end in _ENDS if (found := end.match(number))), number.upper().translate(_KEYPAD)]
    # A local number is completed by a context that is a global one (RFC 3966 section 5.1.5); a routing number leads
    # elsewhere (RFC 4694).
    wholes += [value + number for value in values if value.startswith("+")] + values
    for whole in wholes:
        if not any(character in "0123456789" for character in number):
            continue
        keys = _NO_KEYS.sub("", whole)
        for behind in _behind_codes(keys):
            start = behind[:1] if behind.startswith("+") else ""
            for dialled in (
                re.split(r"[*#]", behind)[0],
                start + re.sub(r"[+*#]", "", behind),
                "+" + behind.rpartition("+")[2] if "+" in behind else "",
            ):
                if _DIALLED.fullmatch(dialled) is not None:
                    yield dialled


def _behind_codes(keys: str) -> Iterator[str]:
    """These keys, and what follows the service codes that they begin with: *67 911, *31#…, #31#…."""
    rest = [keys]
    for _ in range(_MAX_CODES + 1):
        yield from rest
        rest = [_behind(each, digits) for each in rest for digits in (2, 3) if each[:1] in ("*", "#")]


def _behind(keys: str, digits: int) -> str:
    return keys.lstrip("*#")[digits:].lstrip("*#")


def _numbers(dialled: str, country: str | None) -> Iterator[str]:
    known = read_number(dialled, country).e164
    if dialled.startswith("+"):
        yield known or dialled
        digits = dialled[1:]
        if digits.startswith("0"):
            yield from (f"+{rest}" for rest in (digits.lstrip("0"), *_without(digits, _INTERNATIONAL)) if rest)
        if len(digits) <= _LONGEST_SHORT:
            yield digits
        return
    yield dialled
    if known is not None:
        yield known
        # A number of its country: nobody has to guess.
        if is_valid(known):
            return
    for rest in (dialled, *_without(dialled, _OUTSIDE_LINE)):
        yield rest
        yield from (f"+{number}" for number in (rest, *_without(rest, _INTERNATIONAL)))
        if rest != dialled and (number := read_number(rest, country).e164) is not None:
            yield number


def _without(digits: str, prefixes: Iterable[str]) -> list[str]:
    return [digits[len(prefix) :] for prefix in prefixes if digits.startswith(prefix) and len(digits) > len(prefix)]
