"""Who has answered, on lines that were not used for tuning: `make answered-by` writes the page of it."""

import os
from collections import Counter, defaultdict
from functools import cache
from typing import get_args

import numpy as np
import pytest
from tests.support.callees.hearing import Told, acts, hear
from tests.support.callees.lines import Callee, callees
from tests.support.callees.voices import music_is_installed, voices_are_installed
from tests.support.figures import Figures

from offhook.call.out.detect import OnMachine

pytestmark = pytest.mark.interop

FULL = "OFFHOOK_PROVE" in os.environ
SHARE = 1.0 if FULL else 0.07
TOLD = ("human", "machine", "fax", "sit", "busy_tone", "no_one", "silence", "music", "unknown", "nothing")
HELD = ("music, then a person", "a person, then music")
NEAR = 0.6
"""Seconds after the end of a beep by which it has to be told."""


@cache
def heard() -> tuple[tuple[Callee, Told], ...]:
    """Every line of the test set, and what was told of it."""
    voices_are_installed()
    if FULL:
        music_is_installed("test")
    return tuple((callee, hear(callee)) for callee in callees("test", SHARE))


def of(truth: str) -> list[tuple[Callee, Told]]:
    """Lines by who it is; of people, those whom nothing was played before or after."""
    return [(callee, told) for callee, told in heard() if callee.truth == truth and callee.kind not in HELD]


def share_of(truth: str, *told_as: str) -> float:
    lines = of(truth)
    return sum(told.first[1] in told_as for _, told in lines) / len(lines)


def percentiles(values: list[float]) -> dict[str, object]:
    return {"p50_s": float(np.percentile(values, 50)), "p95_s": float(np.percentile(values, 95))} if values else {}


def test_the_confusion_matrix() -> None:
    figures = Figures()
    for truth in dict.fromkeys(callee.truth for callee, _ in heard()):
        lines = of(truth)
        counts = Counter(told.first[1] for _, told in lines)
        figures.note("1. What is told of whom", truth=truth, lines=len(lines), **{word: counts[word] for word in TOLD})
        when = [told.first[0] for _, told in lines if told.first[1] == truth]
        figures.note(
            "2. When it is told, in seconds since the answer", truth=truth, right=len(when), **percentiles(when)
        )
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for callee, told in heard():
        kinds[callee.kind][told.first[1]] += 1
    for kind, counts in kinds.items():
        figures.note(
            "3. The same by kind of line", kind=kind, lines=counts.total(), **{word: counts[word] for word in TOLD}
        )
    assert share_of("human", "human") > (0.9 if FULL else 0.75)
    assert share_of("sit", "sit") > 0.75
    assert share_of("fax", "fax") > 0.75
    assert share_of("busy_tone", "busy_tone") > 0.7
    assert share_of("machine", "machine") > 0.6
    # Three lines are too few to say anything of music.
    assert not FULL or share_of("music", "music") > 0.5


def test_a_person_is_hardly_ever_taken_for_something_to_hang_up_on() -> None:
    people = of("human")
    machines = of("machine")
    figures = Figures()
    wrong: dict[str, list[str]] = {}
    right: dict[str, int] = {}
    for policy in get_args(OnMachine)[1:]:
        wrong[policy] = [callee.name for callee, told in people if acts(told, policy)]
        right[policy] = sum(acts(told, policy) for _, told in machines)
        figures.note(
            "4. Whom a policy acts on",
            on_machine=policy,
            people=len(people),
            acted_on=len(wrong[policy]),
            percent=100 * len(wrong[policy]) / len(people),
            machines=len(machines),
            left_alone=len(machines) - right[policy],
            percent_of_machines=100 * (1 - right[policy] / len(machines)),
        )
        assert len(wrong[policy]) <= max(1, 0.03 * len(people)), wrong[policy]
        assert len(wrong[policy]) / len(people) < 1 - right[policy] / len(machines), (
            "calling a person a machine is to be the rarer mistake"
        )
    first = [told for _, told in machines if told.first[1] == "human"]
    corrections = Counter(
        next((event.corrects for *_, event in told.verdicts if event.corrects), None) for told in first
    )
    figures.note(
        "5. Machines that were told as a person first",
        machines=len(machines),
        told_as_a_person=len(first),
        corrected_as_they_went_on=corrections["hasty"],
        corrected_by_the_beep=corrections["beep"],
        never=corrections[None],
    )


def test_people_are_told_soon_after_they_have_spoken() -> None:
    after = [told.first[0] - callee.marks["speech_ends"] for callee, told in of("human") if told.first[1] == "human"]
    short = [
        told.first[0]
        for callee, told in of("human")
        if told.first[1] == "human" and callee.marks["speech_ends"] - callee.marks["speech_begins"] < 0.9
    ]
    figures = Figures()
    figures.note(
        "6. How soon a person is told",
        measure="after the end of the first words",
        lines=len(after),
        **percentiles(after),
    )
    figures.note(
        "6. How soon a person is told",
        measure="after the answer, first words up to 0.9 s",
        lines=len(short),
        **percentiles(short),
    )
    assert np.percentile(after, 50) < 1.1


def test_beeps_are_told_when_they_have_ended_and_nothing_else_is_one() -> None:
    counts: Counter[str] = Counter()
    late: list[float] = []
    missed: Counter[str] = Counter()
    for callee, told in heard():
        if callee.beep is None:
            counts["lines without a beep"] += 1
            counts["a beep told there"] += told.beep_hertz is not None
            continue
        counts["beeps"] += 1
        over = told.greeting_over
        if told.beep_hertz is not None and over is not None and abs(over - callee.beep) < NEAR:
            late.append(over - callee.beep)
        else:
            missed[callee.beep_kind] += 1
    figures = Figures()
    figures.note(
        "7. Beeps",
        beeps=counts["beeps"],
        told=len(late),
        **percentiles(late),
        lines_without=counts["lines without a beep"],
        told_there=counts["a beep told there"],
    )
    for kind, count in missed.most_common():
        figures.note("8. Beeps that were missed, or told at another moment", beep=kind, times=count)
    assert len(late) > 0.85 * counts["beeps"]
    assert counts["a beep told there"] <= max(1, 0.03 * counts["lines without a beep"])
