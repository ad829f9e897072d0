"""Words that say "I'm listening", not "let me speak"."""

import re

_WORD = re.compile(r"[a-z]+")
_BACKCHANNEL = frozenset(
    {
        "mm", "mmm", "mmmm", "mhm", "mmhm", "hm", "hmm", "hmmm", "uh", "um", "huh", "uhuh", "ah", "aha", "oh",
        "yeah", "yep", "yes", "yup", "ok", "okay", "right", "sure", "alright", "good", "i", "see", "got", "it",
    }
)  # fmt: skip
_MOST = 3


def is_backchannel(text: str) -> bool:
    """Whether words that were said over the agent's own are no turn: "mm-hm", "yeah, okay", or no words at all."""
    words = _WORD.findall(text.lower())
    return len(words) <= _MOST and all(word in _BACKCHANNEL for word in words)
