"""The verdict: all checks, from the logs of all calls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offhook.examine import call_checks, sound_checks, talk_checks
from offhook.examine.call_log import CallLog
from offhook.examine.check import Check, Outcome, explained
from offhook.examine.examination import Examination
from offhook.examine.plan import Plan

CHECKS: Sequence[Callable[[Examination], Check | None]] = (
    call_checks.reached,
    call_checks.ready,
    sound_checks.readable,
    talk_checks.before_start,
    call_checks.stays,
    sound_checks.speaks,
    talk_checks.in_time,
    sound_checks.rate,
    sound_checks.pace,
    talk_checks.answers,
    talk_checks.interruption,
    talk_checks.marks,
    talk_checks.digits,
    call_checks.hang_up,
    call_checks.together,
    call_checks.again,
)
"""All checks, in the order in which they are shown."""

_WITHOUT_A_CALL = CHECKS[:4]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an examination came to."""

    plan: Plan
    logs: tuple[CallLog, ...]
    checks: tuple[Check, ...]

    def of(self, outcome: Outcome) -> list[Check]:
        """The checks that came out so."""
        return [check for check in self.checks if check.outcome is outcome]

    @property
    def is_good(self) -> bool:
        """Whether no fault was found."""
        return not self.of(Outcome.FAULT)


def judge(plan: Plan, logs: Sequence[CallLog]) -> Verdict:
    """Judge an examination's calls."""
    of = Examination(plan, logs)
    looks = CHECKS if of.talk.is_answered else _WITHOUT_A_CALL
    found = [check for look in looks if (check := look(of)) is not None]
    return Verdict(plan, of.logs, tuple(explained(found)))
