"""Patterns of routes and header rules: exact text, or `*` for any run of characters."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text in which `*` stands for any characters, also none; everything else is meant as it stands.

    Matching takes time in proportion to the text times the number of stars, never more (no regular expression).
    """

    text: str

    def matches(self, value: str) -> bool:
        """Say whether the whole of `value` fits."""
        head, *middle = self.text.split("*")
        if not middle:
            return value == head
        tail = middle.pop()
        if len(value) < len(head) + len(tail) or not value.startswith(head) or not value.endswith(tail):
            return False
        at, end = len(head), len(value) - len(tail)
        for part in middle:
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    @property
    def exact(self) -> bool:
        """True if there is no `*`."""
        return "*" not in self.text

    @property
    def everything(self) -> bool:
        """True if every text fits."""
        return self.text != "" and not self.text.strip("*")

    def covers(self, other: "Pattern") -> bool:
        """Say whether all that fits `other` surely fits this one too (false where that isn't plain to see)."""
        if self.text == other.text or self.everything:
            return True
        if other.exact:
            return self.matches(other.text)
        # Both have stars: only the common form "prefix*" is judged.
        prefix, star, rest = self.text.partition("*")
        return bool(star) and not rest and other.text.partition("*")[0].startswith(prefix)

    def __str__(self) -> str:
        return self.text


def names_fit(patterns: Iterable[str], name: str) -> bool:
    """Say whether a header's name fits one of these, whatever its case."""
    return any(Pattern(pattern.lower()).matches(name.lower()) for pattern in patterns)


ANY = Pattern("*")
"""The pattern that fits everything."""
