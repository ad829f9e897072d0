"""The gate's count of what leaves: one for all calls, which tells what comes near its limits and writes down days."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import structlog

from offhook.route.trunk import Trunk
from offhook.route.usage import DayUse, OverLimit, Party, Usage

_log = structlog.get_logger("offhook.dial")


InTurn: TypeAlias = Literal["all", "trunk", "nobody"]
"""For whom a call is one more of a second: its trunk, agent and key, its trunk alone, or nobody any more."""


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
        refused: Callable[[str, str], None] = lambda way, rule: None,
    ) -> None:
        self._usage, self._wall, self._keep, self._alarmed = usage, wall, keep, alarmed
        self.refused = refused
        """Counts what was not dialled: by who asked (`dial` or `transfer`), and by which rule."""

    def transfer(self, trunk: str, agent: str | None, key: str | None, now: float) -> OverLimit | None:
        """Count a transfer of a trunk's call by an agent; a limit that stands against it, if there is one.

        `key` is the API key that the call was asked for with, if it was.
        """
        against = self._usage.admit_transfer(self._parties(trunk, agent, key), now, self._at(now))
        self._told()
        return against

    def call(
        self,
        trunk: Trunk,
        number: str,
        agent: str | None,
        key: str | None,
        now: float,
        *,
        in_turn: InTurn = "all",
    ) -> "CountedCall | OverLimit":
        """Count a call to `number` (E.164) by `trunk`, for an agent and an API key, or say what is against it.

        `in_turn` are those for whom it is one more call of a second.
        """
        parties = self._parties(trunk.name, agent, key)
        turns = {"all": parties, "trunk": parties[:1], "nobody": []}[in_turn]
        admitted = self._usage.admit_call(parties, trunk.rate(number), now, self._at(now), turns)
        self._told()
        return admitted if isinstance(admitted, OverLimit) else CountedCall(self, admitted)

    def answered(self, ticket: int, now: float) -> None:
        """A counted call was answered."""
        self._usage.answered(ticket, now, self._at(now))
        self._told()

    def time_left(self, ticket: int, now: float) -> tuple[float, str] | None:
        """How long a counted call may go on, and the limit that ends it then."""
        left = self._usage.time_left(ticket, now, self._at(now))
        self._told()
        return left

    def used_up(self, ticket: int) -> str:
        """Whose limit ends a counted call that has no time left, in words."""
        return self._usage.used_up(ticket)

    def release(self, ticket: int, now: float) -> None:
        """A counted call is over."""
        self._usage.release(ticket, now, self._at(now))
        self._told()

    def near_limits(self, now: float) -> list[str]:
        """Which limits are used to 80 % or more today."""
        return self._usage.near_limits(self._at(now))

    def _at(self, now: float) -> float:
        return self._wall(now) / 1000

    def _parties(self, trunk: str, agent: str | None, key: str | None) -> list[Party]:
        parties = [Party("trunk", trunk)]
        if agent is not None:
            parties.append(Party("agent", agent))
        if key is not None:
            parties.append(Party("key", key))
        return parties

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


class CountedCall:
    """The gate's word for one call out. Times are monotonic seconds."""

    __slots__ = ("_gate", "_ticket")

    def __init__(self, gate: DialGate, ticket: int) -> None:
        self._gate, self._ticket = gate, ticket

    def answered(self, now: float) -> None:
        """From now on it costs."""
        self._gate.answered(self._ticket, now)

    def time_left(self, now: float) -> tuple[float, str] | None:
        """Seconds after which it is to be asked again, or has to end at 0, and the limit's slug; None without one."""
        return self._gate.time_left(self._ticket, now)

    def used_up(self) -> str:
        """Whose limit has left no time, in words, and what to raise."""
        return self._gate.used_up(self._ticket)

    def release(self, now: float) -> None:
        """The call is over. May be repeated."""
        self._gate.release(self._ticket, now)
