"""A stream of tokens cut into sentences, each as soon as it is complete: what a voice can begin with."""

import re

_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]|\n")
_CLAUSE = re.compile(r"[,;:—–][\"'”’)]*(?=\s)")
# A stop after these ends no sentence; nor does one after a single capital (an initial) or a number that opens a line.
_ABBREVIATION = re.compile(
    r"approx|ave|co|corp|dept|dr|e\.g|est|etc|ext|fig|gen|i\.e|inc|jr|ltd|mr|mrs|ms|mt|nos?|prof|rev|sr|st|tel|vol|vs",
    re.IGNORECASE,
)
_WORD_BEFORE = re.compile(r"(\S{1,20})\.$")

LONG = 160
"""Characters after which a sentence is cut at the next comma or colon; where there is none, at a space twice as far."""


class Sentences:
    """Text in, pieces of any length; sentences out. Nothing is lost but the white space between sentences."""

    def __init__(self) -> None:
        self._text = ""

    def feed(self, text: str) -> list[str]:
        """Take more text; what is complete by now. A sentence ends with the white space that follows its stop."""
        self._text += text
        found = []
        while (end := self._end()) is not None:
            sentence, self._text = self._text[:end].strip(), self._text[end:]
            if sentence:
                found.append(sentence)
        return found

    def finish(self) -> list[str]:
        """What is left when no more text comes."""
        rest, self._text = self._text.strip(), ""
        return [rest] if rest else []

    def _end(self) -> int | None:
        for match in _END.finditer(self._text):
            if match.start() > 2 * LONG:
                break
            if not self._goes_on(match):
                return match.end()
        if len(self._text) <= LONG:
            return None
        for match in _CLAUSE.finditer(self._text, LONG // 2, 2 * LONG):
            if match.end() >= LONG:
                return match.end()
        if len(self._text) <= 2 * LONG:
            return None
        space = self._text.rfind(" ", LONG, 2 * LONG)
        return space if space > 0 else 2 * LONG

    def _goes_on(self, match: re.Match[str]) -> bool:
        """Whether a stop is only an abbreviation's."""
        if match[0] != ".":
            return False
        start = self._text.rfind("\n", 0, match.start()) + 1
        word = _WORD_BEFORE.search(self._text, max(start, match.end() - 21), match.end())
        if word is None:
            return False
        name = word[1].lstrip("(\"'“‘")
        opens_line = not self._text[start : word.start(1)].strip()
        if opens_line and name.isdigit() and len(name) <= 2:
            return True
        if "." in name and not _ABBREVIATION.fullmatch(name):
            # "7 p.m." ends a sentence or not: the next word tells, when it comes.
            behind = self._text[match.end() :].lstrip()
            return not behind or not behind[0].isupper()
        return bool(_ABBREVIATION.fullmatch(name)) or (len(name) == 1 and name.isupper() and name != "I")


def sentences(text: str) -> list[str]:
    """All sentences of a whole text."""
    cutter = Sentences()
    return cutter.feed(text) + cutter.finish()
