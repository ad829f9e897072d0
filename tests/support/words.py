"""How many words of a text were understood otherwise: the word error rate of speech recognition."""

import re

_WORD = re.compile(r"[a-z0-9']+")


def words(text: str) -> list[str]:
    """The words alone, without case and punctuation."""
    return _WORD.findall(text.lower().replace("’", "'"))


def word_errors(said: str, heard: str) -> float:
    """Words that are wrong, missing or too many, as a share of those that were said."""
    reference, found = words(said), words(heard)
    row = list(range(len(found) + 1))
    for i, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(found, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1] / len(reference)
