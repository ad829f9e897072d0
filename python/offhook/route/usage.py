"""What goes out is counted: per trunk, agent and key, at once, by the second and by the day, against limits.

Days are those of UTC. What a day has used is kept across restarts (`DayUse`), and an alarm is raised once a day where
80 % of a limit are used. Minutes count from the answer, by the second; money by the minute begun, as carriers do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor
from typing import Literal, NamedTuple

from offhook.route.limits import RETRY_CALLS, Bucket

ALARM_AT = 0.8
"""The part of a limit at which an alarm is raised."""

DAY = 86400.0

LOOK_AGAIN = 60.0
"""Seconds after which a call that is counted is looked at again, and written down."""

# A call ends so much before a minute begins that can't be paid.
_MARGIN = 0.5
_CENT = 1e-9
_INSTANT = 1e-3


class Party(NamedTuple):
    """Who has limits of its own: a `[[trunk]]`, an `[[agent]]` or a `[[key]]`, by name."""

    kind: Literal["trunk", "agent", "key"]
    name: str


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """What may go out; None is no limit. `max_cps` lets a burst of one second through, spend is in the rates' money."""

    max_calls: int | None = None
    max_cps: float | None = None
    max_minutes_per_day: float | None = None
    max_spend_per_day: float | None = None
    max_transfers_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class OverLimit:
    """A limit stands against it. `slug` names it, `retry_after` is whole seconds until it may be otherwise."""

    slug: str
    why: str
    hint: str
    retry_after: int | None


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
    seconds: float = 0.0
    spend: float = 0.0


@dataclass(slots=True)
class _Meter:
    use: DayUse
    bucket: Bucket | None = None
    alarmed: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Call:
    parties: tuple[Party, ...]
    rate: float
    answered_at: float | None = None
    counted: float = 0.0
    minutes: int = 0
    nearest: tuple[Party, str] | None = None
    """Whose setting ends it first, as far as that was asked."""


class Usage:
    """Counts what goes out. Pure: `now` is monotonic seconds, `at` UTC seconds since 1970.

    Only those are counted that have limits; their number is that of the configuration. `used` is what an earlier
    process wrote down.
    """

    def __init__(self, limits: Mapping[Party, OutboundLimits], used: Iterable[DayUse] = ()) -> None:
        self._limits = {party: limit for party, limit in limits.items() if limit != OutboundLimits()}
        written = {(row.kind, row.name): row for row in used}
        self._meters = {party: _Meter(written.get(party, DayUse(*party, day=0))) for party in self._limits}
        self._calls: dict[int, _Call] = {}
        self._next_ticket = 1
        self._alarms: list[Alarm] = []
        self._changed: set[Party] = set()
        for party, meter in self._meters.items():
            self._use(party, meter.use)
        # What was near a limit before still is, and has been told.
        self._alarms, self._changed = [], set()

    def admit_transfer(self, parties: Sequence[Party], now: float, at: float) -> OverLimit | None:
        """Count a transfer, or say which limit stands against it; then nothing is counted."""
        known = self._known(parties)
        for party in known:
            most = self._limits[party].max_transfers_per_day
            if most is not None and self._today(party, at).transfers >= most:
                return _over(party, "max_transfers_per_day", most, _until_midnight(at))
        if (refused := self._take_turn(known, now)) is not None:
            return refused
        for party in known:
            use = self._today(party, at)
            self._use(party, replace(use, transfers=use.transfers + 1))
        return None

    def admit_call(
        self,
        parties: Sequence[Party],
        rate: float | None,
        now: float,
        at: float,
        in_turn: Sequence[Party] | None = None,
    ) -> int | OverLimit:
        """Count a call that is about to be made, and give its ticket; or say which limit stands against it.

        `rate` is what a minute costs, None if that isn't known. It counts as one of a second for those `in_turn`, all
        of them by default.
        """
        known = self._known(parties)
        self._settle(now, at)
        for party in known:
            if (refused := self._against_call(party, rate, at)) is not None:
                return refused
        if (refused := self._take_turn(known if in_turn is None else self._known(in_turn), now)) is not None:
            return refused
        ticket, self._next_ticket = self._next_ticket, self._next_ticket + 1
        self._calls[ticket] = _Call(tuple(known), rate or 0.0)
        for party in known:
            self._watch(party, "max_calls", len(self._calls_of(party)), self._limits[party].max_calls)
        return ticket

    def answered(self, ticket: int, now: float, at: float) -> None:
        """The call was answered: it costs from now on."""
        call = self._calls.get(ticket)
        if call is not None and call.answered_at is None:
            call.answered_at = now
            self._settle(now, at)

    def time_left(self, ticket: int, now: float, at: float) -> tuple[float, str] | None:
        """Seconds after which the call is over or asks again, and the limit's slug: at 0 it has to end.

        All calls that go on share what is left of a day. None without a limit on the day.
        """
        self._settle(now, at)
        call = self._calls.get(ticket)
        if call is None or call.answered_at is None:
            return None
        paid = call.answered_at + 60 * call.minutes - now - _MARGIN
        if paid <= 0 and all(self._affords(party, call.rate, at) for party in call.parties):
            self._pay(call, at)
            paid += 60
        left = [(*limit, party) for party in call.parties for limit in self._left(call, paid, party, at)]
        if not left:
            return None
        seconds, setting, party = min(left)
        call.nearest, slug = (party, setting), _SETTINGS[setting][0]
        # Less than any clock shows is nothing: who waits for it would ask again for ever.
        return min(seconds, LOOK_AGAIN) if seconds > _INSTANT else 0.0, slug

    def used_up(self, ticket: int) -> str:
        """Whose limit ends a call that has no time left, in words, and what to raise; empty where none does."""
        call = self._calls.get(ticket)
        if call is None or call.nearest is None:
            return ""
        party, setting = call.nearest
        over = _over(party, setting, getattr(self._limits[party], setting), None)
        return f"{over.why} ({over.hint})"

    def release(self, ticket: int, now: float, at: float) -> None:
        """The call is over. May be repeated."""
        self._settle(now, at)
        self._calls.pop(ticket, None)

    def alarms(self) -> list[Alarm]:
        """What has come near a limit since this was last asked."""
        raised, self._alarms = self._alarms, []
        return raised

    def changes(self) -> list[DayUse]:
        """What has to be written down since this was last asked."""
        changed, self._changed = self._changed, set()
        return [self._meters[party].use for party in sorted(changed)]

    def near_limits(self, at: float) -> list[str]:
        """Which limits are used to 80 % or more today, such as `trunk acme: max_transfers_per_day`."""
        for party in self._meters:
            self._today(party, at)
        return [
            f"{party.kind} {party.name}: {setting}"
            for party, meter in self._meters.items()
            for setting in sorted(meter.alarmed)
        ]

    def _known(self, parties: Sequence[Party]) -> list[Party]:
        return [party for party in parties if party in self._limits]

    def _calls_of(self, party: Party) -> list[_Call]:
        return [call for call in self._calls.values() if party in call.parties]

    def _against_call(self, party: Party, rate: float | None, at: float) -> OverLimit | None:
        limit, use, calls = self._limits[party], self._today(party, at), self._calls_of(party)
        if limit.max_calls is not None and len(calls) >= limit.max_calls:
            return _over(party, "max_calls", limit.max_calls, RETRY_CALLS)
        if limit.max_minutes_per_day is not None and use.seconds >= 60 * limit.max_minutes_per_day:
            return _over(party, "max_minutes_per_day", limit.max_minutes_per_day, _until_midnight(at))
        if limit.max_spend_per_day is None:
            return None
        if rate is None:
            why = f"what the call costs is not known, and {party.kind} '{party.name}' may spend so much a day"
            return OverLimit("dial_no_rate", why, "add the number's prefix to `rates` of the [[trunk]]", None)
        if not self._affords(party, rate, at):
            return _over(party, "max_spend_per_day", limit.max_spend_per_day, _until_midnight(at))
        return None

    def _take_turn(self, parties: Sequence[Party], now: float) -> OverLimit | None:
        buckets = []
        for party in parties:
            rate, meter = self._limits[party].max_cps, self._meters[party]
            if rate is None:
                continue
            bucket = meter.bucket = meter.bucket or Bucket(rate, now)
            if (wait := bucket.wait(now)) > 0:
                return _over(party, "max_cps", rate, max(1, ceil(wait)))
            buckets.append(bucket)
        for bucket in buckets:
            bucket.take()
        return None

    def _settle(self, now: float, at: float) -> None:
        """Count what the calls that go on have used since it was last counted."""
        for call in self._calls.values():
            if call.answered_at is None:
                continue
            lasted = max(call.counted, now - call.answered_at)
            begun = floor(lasted / 60) + 1
            seconds, minutes = lasted - call.counted, max(0, begun - call.minutes)
            call.counted = lasted
            for party in call.parties:
                use = self._today(party, at)
                self._use(party, replace(use, seconds=use.seconds + seconds))
            for _ in range(minutes):
                self._pay(call, at)

    def _pay(self, call: _Call, at: float) -> None:
        """The call has another minute."""
        call.minutes += 1
        for party in call.parties if call.rate else ():
            use = self._today(party, at)
            self._use(party, replace(use, spend=use.spend + call.rate))

    def _affords(self, party: Party, rate: float, at: float) -> bool:
        most = self._limits[party].max_spend_per_day
        # Those that ring may be answered any moment.
        ringing = sum(call.rate for call in self._calls_of(party) if call.answered_at is None)
        return most is None or self._today(party, at).spend + ringing + rate <= most + _CENT

    def _left(self, call: _Call, paid: float, party: Party, at: float) -> Iterable[tuple[float, str]]:
        limit = self._limits[party]
        if limit.max_minutes_per_day is not None:
            going_on = sum(each.answered_at is not None for each in self._calls_of(party))
            seconds = 60 * limit.max_minutes_per_day - self._today(party, at).seconds
            yield seconds / going_on, "max_minutes_per_day"
        if limit.max_spend_per_day is not None and call.rate:
            yield paid, "max_spend_per_day"

    def _today(self, party: Party, at: float) -> DayUse:
        meter, today = self._meters[party], int(at // DAY)
        # A clock that was set back doesn't give a day's limits twice.
        if today > meter.use.day:
            meter.use = DayUse(*party, day=today)
            meter.alarmed.clear()
        return meter.use

    def _use(self, party: Party, use: DayUse) -> None:
        self._meters[party].use = use
        self._changed.add(party)
        limit = self._limits[party]
        self._watch(party, "max_transfers_per_day", use.transfers, limit.max_transfers_per_day)
        self._watch(party, "max_minutes_per_day", use.seconds / 60, limit.max_minutes_per_day)
        self._watch(party, "max_spend_per_day", use.spend, limit.max_spend_per_day)

    def _watch(self, party: Party, setting: str, used: float, limit: float | None) -> None:
        alarmed = self._meters[party].alarmed
        if limit is not None and used >= ALARM_AT * limit and setting not in alarmed:
            alarmed.add(setting)
            self._alarms.append(Alarm(party, setting, used, limit))


def _until_midnight(at: float) -> int:
    return ceil(DAY - at % DAY)


def _over(party: Party, setting: str, limit: float, retry_after: int | None) -> OverLimit:
    slug, of_what = _SETTINGS[setting]
    return OverLimit(
        slug,
        f"{party.kind} '{party.name}' has had its {limit:g} {of_what}",
        f"raise `outbound.{setting}` of the [[{party.kind}]] '{party.name}' if they are wanted",
        retry_after,
    )


_SETTINGS = {
    "max_calls": ("limit_outbound_calls", "calls at one time"),
    "max_cps": ("limit_outbound_cps", "a second"),
    "max_minutes_per_day": ("limit_outbound_minutes", "minutes of the day"),
    "max_spend_per_day": ("limit_outbound_spend", "of money for the day"),
    "max_transfers_per_day": ("limit_transfers", "transfers of the day"),
}
