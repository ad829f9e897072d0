"""Telephone numbers as routes compare them: E.164 where the text is a number, the text itself where it isn't."""

from dataclasses import dataclass
from functools import lru_cache

import phonenumbers

MAX_NUMBER_LENGTH = 32
"""Longer user parts are never read as numbers: E.164 has 15 digits, the rest is room for prefixes and separators."""

_DIGITS = frozenset("0123456789")
# RFC 3966 section 3 visual separators, and the blank that people type.
_SEPARATORS = frozenset("-.() ")
# What carriers write in the user part of a caller who withholds the number, besides RFC 3323's "anonymous".
_WITHHELD = frozenset({"", "anonymous", "restricted", "unavailable", "unknown", "private", "withheld"})


@dataclass(frozen=True, slots=True)
class Number:
    """Who called or was called: a telephone number, the user of a SIP address, or a withheld caller.

    `text` is what was received, without URI parameters. `e164` is `+` and up to 15 digits if the text is a number.
    """

    text: str
    e164: str | None = None
    anonymous: bool = False

    @property
    def canonical(self) -> str:
        """The form for records, agents and patterns: E.164, else the text, `anonymous` for a withheld caller."""
        if self.anonymous:
            return "anonymous"
        return self.e164 or self.text

    def __str__(self) -> str:
        return self.canonical


@lru_cache(maxsize=4096)
def read_number(user: str, country: str | None = None) -> Number:
    """Read the user part of a SIP or tel URI as a number.

    `country` (ISO 3166, two letters) is the trunk's: it gives meaning to national numbers and to its international
    prefix (`00`, `011`). Without a country only a leading `+` makes E.164, since `4155550100` could be anywhere.
    A short number, a name or an impossible number keeps its text and has no `e164`.
    """
    # User parts may carry parameters of RFC 3966 ("+14155550100;npdi"); they are no part of the number.
    text = user.partition(";")[0]
    if not 0 < len(text) <= MAX_NUMBER_LENGTH or not _looks_like_a_number(text):
        return Number(text)
    if text.startswith("+"):
        return Number(text, _e164(text, None, strict=False))
    if country is None:
        return Number(text)
    # A carrier that sends E.164 without its plus sign is understood where the digits can't be a national number.
    return Number(text, _e164(text, country, strict=False) or _e164("+" + text, None, strict=True))


def read_caller(user: str, host: str = "", country: str | None = None) -> Number:
    """Read a caller's user part like `read_number`, and know the ways in which a caller is withheld (RFC 3323 4.1)."""
    if user.partition(";")[0].strip().lower() in _WITHHELD or host.lower().endswith("anonymous.invalid"):
        return Number(user.partition(";")[0], anonymous=True)
    return read_number(user, country)


def _looks_like_a_number(text: str) -> bool:
    # Only ASCII digits: the library would also read letters as a keypad ("1800FLOWERS") and digits of other scripts.
    body = text[1:] if text.startswith("+") else text
    return all(c in _DIGITS or c in _SEPARATORS for c in body) and any(c in _DIGITS for c in body)


def _e164(text: str, country: str | None, *, strict: bool) -> str | None:
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    # "Possible" goes by length alone: ranges newer than our metadata, and those for fiction, must work too.
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    if strict and not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_valid(e164: str) -> bool:
    """Say whether the numbering plan of its country has this number."""
    return phonenumbers.is_valid_number(phonenumbers.parse(e164))


def is_country(code: str) -> bool:
    """Say whether `code` is a two-letter country whose numbering plan is known."""
    return code in phonenumbers.SUPPORTED_REGIONS


def written(e164: str, number_format: str, country: str | None = None) -> str:
    """Write a number as a trunk wants it: `e164`, `e164-no-plus`, or `national` as it is dialled in `country`.

    A number of another country has no national form there: it is written with the country's international prefix, and
    as E.164 where the country is not known. An extension or a user name is written as it stands.
    """
    if not e164.startswith("+"):
        return e164
    if number_format == "e164-no-plus":
        return e164.removeprefix("+")
    if number_format != "national" or country is None:
        return e164
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return e164
    dialled = phonenumbers.format_out_of_country_calling_number(number, country)
    # Where a country has no one prefix for the others (Brazil has one a carrier), the plus sign stands for it.
    return e164 if dialled.startswith("+") else "".join(c for c in dialled if c in _DIGITS)
