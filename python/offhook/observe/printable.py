"""Text from the wire, made safe to print: a caller must not write to the operator's terminal."""

import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text: str, *, keep_lines: bool = False) -> str:
    """Turn everything that a terminal would act on or hide into a visible escape such as `\\x1b`.

    Escape sequences, other control characters, direction overrides and zero-width characters are all caught.
    `keep_lines` leaves line feeds and tabs.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character, keep_lines) for character in text)


def _visible(character: str, keep_lines: bool) -> str:
    if keep_lines and character in "\n\t":
        return character
    if unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
