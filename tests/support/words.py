"""How many words of a text were understood otherwise: the word error rate of speech recognition."""

import re

_WORD = re.compile(r"[a-z0-9']+")


def words(text: str) -> list[str]:
    """The words alone, without case and punctuation."""
    return _WORD.findall(text.lower().replace("’", "'"))


def word_errors(said: str, heard: str) -> float:
    """Words that are wrong, missing or too many, as a share of those that were said."""
    return wrong_words(said, heard) / len(words(said))


def wrong_words(said: str, heard: str) -> int:
    """Words that are wrong, missing or too many.

    What differs in how it is put together (`off hook`) is the same, and one that was understood as two others,
    as a name that is in no dictionary may be, is one that is wrong.
    """
    return _distances(words(said), words(heard), torn=1)[-1]


def words_heard(text: str, heard: str) -> tuple[int, int]:
    """How many of the first words of a text best explain what was heard of it: so many at least, so many at most.

    What a listener makes of the half of a word that was cut off is one word more or a wrong one: both are possible.
    """
    distances = _distances(words(text), words(heard))
    best = [count for count, distance in enumerate(distances) if distance == min(distances)]
    return best[0], best[-1]


def _distances(reference: list[str], found: list[str], *, torn: int = 2) -> list[int]:
    """For each number of first words of `reference`: how many words are other ones in `found`.

    `torn` is what a word counts that two others stand for.
    """
    rows = [list(range(len(found) + 1))]
    for i, word in enumerate(reference, 1):
        row = [i]
        for j, other in enumerate(found, 1):
            costs = [rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (word != other)]
            if j > 1:
                costs.append(rows[-1][j - 2] + (0 if word == found[j - 2] + other else torn))
            if i > 1 and reference[i - 2] + word == other:
                costs.append(rows[-2][j - 1])
            row.append(min(costs))
        rows.append(row)
    return [row[-1] for row in rows]
