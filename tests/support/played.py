"""How many calls a test has played and what was left of them: one line for all its parts, at the end of the run."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

PLAYED = "calls played"


def note(
    record_property: Callable[[str, object], None], who: str, kinds: Iterable[str], mishaps: Iterable[str], left: str
) -> None:
    """Note what a test has played: the kind of each call, what each mishap was, and what was left of them after."""
    told = {"who": who, "kinds": dict(Counter(kinds)), "mishaps": dict(Counter(mishaps)), "left": left}
    record_property(PLAYED, told)


def summary(properties: Iterable[tuple[str, object]]) -> Sequence[str]:
    """The lines: for each who, the calls of all parts together."""
    calls: dict[str, Counter[str]] = {}
    mishaps: dict[str, Counter[str]] = {}
    left: dict[str, dict[str, None]] = {}
    for name, told in properties:
        if name == PLAYED and isinstance(told, dict):
            who = told["who"]
            calls.setdefault(who, Counter()).update(told["kinds"])
            mishaps.setdefault(who, Counter()).update(told["mishaps"])
            left.setdefault(who, {})[told["left"]] = None
    return [
        f"{PLAYED}: {found.total():,} {who}, {len(found)} kinds"
        + (f", {mishaps[who].total():,} mishaps of {len(mishaps[who])} sorts" if mishaps[who] else "")
        + f"; left: {', '.join(left[who])}"
        for who, found in calls.items()
    ]
