"""What goes out is counted: per trunk, agent and key, at once, by the second and by the day, against limits.

Days are those of UTC. What a day has used is kept across restarts (`DayUse`), and an alarm is raised once a day where
80 % of a limit are used.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Literal, NamedTuple

from offhook.route.limits import Bucket

ALARM_AT = 0.8
"""The part of a limit at which an alarm is raised."""

DAY = 86400.0


class Party(NamedTuple):
    """Who has limits of its own: a `[[trunk]]`, an `[[agent]]` or a `[[key]]`, by name."""

    kind: Literal["trunk", "agent", "key"]
    name: str


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """What may go out; None is no limit. `max_cps` lets a burst of one second through."""

    max_cps: float | None = None
    max_transfers_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class OverLimit:
    """A limit stands against it. `slug` names it, `retry_after` is whole seconds until it may be otherwise."""

    slug: str
    why: str
    hint: str
    retry_after: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """80 % of a limit are used: `used` of `limit`, which is the setting's name and value."""

    party: Party
    setting: str
    used: float
    limit: float


@dataclass(frozen=True, slots=True)
class DayUse:
    """What one has used of a day, for the store. `day` counts from 1970-01-01 UTC."""

    kind: str
    name: str
    day: int
    transfers: int = 0


@dataclass(slots=True)
class _Meter:
    day: int = 0
    transfers: int = 0
    bucket: Bucket | None = None
    alarmed: set[str] = field(default_factory=set)


class Usage:
    """Counts what goes out. Pure: `now` is monotonic seconds, `at` UTC seconds since 1970.

    Only those are counted that have limits; their number is that of the configuration. `used` is what an earlier
    process wrote down.
    """

    def __init__(self, limits: Mapping[Party, OutboundLimits], used: Iterable[DayUse] = ()) -> None:
        self._limits = {party: limit for party, limit in limits.items() if limit != OutboundLimits()}
        self._meters = {party: _Meter() for party in self._limits}
        self._alarms: list[Alarm] = []
        self._changed: set[Party] = set()
        for row in used:
            meter = next((m for party, m in self._meters.items() if party == (row.kind, row.name)), None)
            if meter is not None:
                meter.day, meter.transfers = row.day, row.transfers

    def admit_transfer(self, parties: Sequence[Party], now: float, at: float) -> OverLimit | None:
        """Count a transfer, or say which limit stands against it; then nothing is counted."""
        known = [party for party in parties if party in self._limits]
        buckets = []
        for party in known:
            limit, meter = self._limits[party], self._meter(party, at)
            if limit.max_transfers_per_day is not None and meter.transfers >= limit.max_transfers_per_day:
                return self._over(party, "max_transfers_per_day", limit.max_transfers_per_day, at)
            if limit.max_cps is not None:
                bucket = meter.bucket = meter.bucket or Bucket(limit.max_cps, now)
                if (wait := bucket.wait(now)) > 0:
                    return self._over(party, "max_cps", limit.max_cps, at, max(1, ceil(wait)))
                buckets.append(bucket)
        for bucket in buckets:
            bucket.take()
        for party in known:
            meter = self._meters[party]
            meter.transfers += 1
            self._changed.add(party)
            self._watch(party, "max_transfers_per_day", meter.transfers, self._limits[party].max_transfers_per_day)
        return None

    def alarms(self) -> list[Alarm]:
        """What has come near a limit since this was last asked."""
        raised, self._alarms = self._alarms, []
        return raised

    def changes(self) -> list[DayUse]:
        """What has to be written down since this was last asked."""
        changed, self._changed = self._changed, set()
        return [
            DayUse(party.kind, party.name, self._meters[party].day, self._meters[party].transfers)
            for party in sorted(changed)
        ]

    def near_limits(self, at: float) -> list[str]:
        """Which limits are used to 80 % or more today, such as `trunk acme: max_transfers_per_day`."""
        return [
            f"{party.kind} {party.name}: {setting}"
            for party in self._meters
            for setting in sorted(self._meter(party, at).alarmed)
        ]

    def _meter(self, party: Party, at: float) -> _Meter:
        meter, today = self._meters[party], int(at // DAY)
        # A clock that was set back doesn't give a day's limits twice.
        if today > meter.day:
            meter.day, meter.transfers = today, 0
            meter.alarmed.clear()
        return meter

    def _watch(self, party: Party, setting: str, used: float, limit: float | None) -> None:
        alarmed = self._meters[party].alarmed
        if limit is not None and used >= ALARM_AT * limit and setting not in alarmed:
            alarmed.add(setting)
            self._alarms.append(Alarm(party, setting, used, limit))

    def _over(self, party: Party, setting: str, limit: float, at: float, wait: int | None = None) -> OverLimit:
        slug, unit = _SETTINGS[setting]
        where = f"`outbound.{setting}` of the [[{party.kind}]] '{party.name}'"
        return OverLimit(
            slug,
            f"{party.kind} '{party.name}' has had its {limit:g} {unit}",
            f"raise {where} if they are wanted",
            wait if wait is not None else ceil(DAY - at % DAY),
        )


_SETTINGS = {
    "max_cps": ("limit_outbound_cps", "a second"),
    "max_transfers_per_day": ("limit_transfers", "transfers of the day"),
}
