"""The gate's count of what leaves: one for all calls, which tells what comes near its limits and writes down days."""

from collections.abc import Callable, Sequence

import structlog

from offhook.route.usage import DayUse, OverLimit, Party, Usage

_log = structlog.get_logger("offhook.dial")


def _kept_nowhere(rows: Sequence[DayUse]) -> None:
    """A count that ends with the process."""


class DialGate:
    """Asks `usage` before anything leaves. `wall` turns monotonic seconds into UTC milliseconds.

    `keep` writes down what a day has used, and returns at once; `alarmed` hears whose limit and which.
    """

    def __init__(
        self,
        usage: Usage,
        *,
        wall: Callable[[float], int],
        keep: Callable[[Sequence[DayUse]], None] = _kept_nowhere,
        alarmed: Callable[[str, str], None] = lambda kind, setting: None,
    ) -> None:
        self._usage, self._wall, self._keep, self._alarmed = usage, wall, keep, alarmed

    def transfer(self, trunk: str, agent: str | None, now: float) -> OverLimit | None:
        """Count a transfer of a trunk's call by an agent; a limit that stands against it, if there is one."""
        parties = [Party("trunk", trunk), *([Party("agent", agent)] if agent is not None else [])]
        against = self._usage.admit_transfer(parties, now, self._wall(now) / 1000)
        self._told()
        return against

    def near_limits(self, now: float) -> list[str]:
        """Which limits are used to 80 % or more today."""
        return self._usage.near_limits(self._wall(now) / 1000)

    def _told(self) -> None:
        rows = self._usage.changes()
        if rows:
            self._keep(rows)
        for alarm in self._usage.alarms():
            _log.warning(
                "dial.limit_near",
                kind=alarm.party.kind,
                name=alarm.party.name,
                setting=alarm.setting,
                used=alarm.used,
                limit=alarm.limit,
            )
            self._alarmed(alarm.party.kind, alarm.setting)
