"""What an examination came to, for people (lines of text) and for programs (one JSON object)."""

from collections.abc import Iterable
from typing import Any

from rich.text import Text

from offhook.examine.call_log import CallLog
from offhook.examine.check import Outcome
from offhook.examine.judge import Verdict
from offhook.observe.printable import printable
from offhook.report.page import heading, wrapped

_SIGNS = {
    Outcome.GOOD: ("✔", "green"),
    Outcome.NOTE: ("·", ""),
    Outcome.WARNING: ("⚠", "yellow"),
    Outcome.FAULT: ("✘", "bold red"),
    Outcome.NOT_JUDGED: (" ", "dim"),
}
_WORDS = {
    Outcome.GOOD: "good",
    Outcome.NOTE: "note",
    Outcome.WARNING: "warning",
    Outcome.FAULT: "fault",
    Outcome.NOT_JUDGED: "not_judged",
}
_COLUMN = 29


def lines(verdict: Verdict, width: int) -> Iterable[Text]:
    """The whole page: a line for each check, then what to change, the worst first."""
    for check in verdict.checks:
        sign, style = _SIGNS[check.outcome]
        yield from wrapped(f"{sign} {check.title:<{_COLUMN}}", printable(check.found), width, style)
    advised = [check for check in verdict.checks if check.advice and check.outcome >= Outcome.NOTE]
    if advised:
        yield from heading("What to change")
        for check in sorted(advised, key=lambda check: -check.outcome):
            sign, style = _SIGNS[check.outcome]
            yield from wrapped(f"{sign} {check.title:<{_COLUMN}}", printable(check.advice), width, style)
    yield Text("")
    yield Text(summary(verdict), style="bold green" if verdict.is_good else "bold red")


def summary(verdict: Verdict) -> str:
    """The verdict in one line."""
    counted = [
        f"{count} {noun}{'' if count == 1 else 's'}"
        for outcome, noun in ((Outcome.FAULT, "fault"), (Outcome.WARNING, "warning"), (Outcome.NOTE, "note"))
        if (count := len(verdict.of(outcome)))
    ]
    where = printable(verdict.plan.uri.redacted)
    said = ", ".join(counted) or "nothing to change"
    return f"{where}: {'good' if verdict.is_good else 'faulty'} ({said}; {len(verdict.logs)} calls)"


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The same for programs; times are milliseconds."""
    return {
        "url": verdict.plan.uri.redacted,
        "dialect": verdict.plan.uri.dialect,
        "good": verdict.is_good,
        "checks": [
            {
                "name": check.name,
                "title": check.title,
                "outcome": _WORDS[check.outcome],
                "found": check.found,
                "advice": check.advice,
                "figures": dict(check.figures),
            }
            for check in verdict.checks
        ],
        "calls": [_call(log) for log in verdict.logs],
    }


def _call(log: CallLog) -> dict[str, Any]:
    return {
        "scene": log.scene,
        "label": log.label,
        "unreached": log.unreached or None,
        "rejected": log.rejected or None,
        "first_audio_ms": _since(log.answered_at, log.first_audio_at),
        "first_sound_ms": _since(log.answered_at, log.first_sound()),
        "audio_messages": log.audio_messages,
        "audio_s": round(log.audio_seconds, 2),
        "most_ahead_s": round(log.playout.most_ahead, 2),
        "marks": len(log.marks),
        "clears": len(log.clears),
        "closed_ms": _since(log.hung_up_at, log.close_came_at),
        "close_code": log.close_code,
        "ended_by_agent": None if log.agent_end is None else str(log.agent_end),
        "ended_as_by_gateway": log.cut or None,
        "garbage": {code: garbage.count for code, garbage in log.garbage.items()},
    }


def _since(first: float | None, then: float | None) -> float | None:
    return None if first is None or then is None else round((then - first) * 1000, 1)
