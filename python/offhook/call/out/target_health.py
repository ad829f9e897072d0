"""Which targets of trunks can be reached, by what came of calls and of OPTIONS: pure, with time and chance handed in.

A target that fails is asked last, for a while that grows with each time it fails again. When the while is over one
call, or OPTIONS, tries it in its old place (half-open); the rest follow once it has answered.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from offhook.ids import TrunkName
from offhook.sip.effects import Address, Target

FIRST_PAUSE = 10.0
"""Seconds for which a target that has failed is asked last; doubled each time that it fails again."""
LONGEST_PAUSE = 300.0
LONGEST_RETRY_AFTER = 600.0
"""What Retry-After may ask for: a carrier's typing error must not cost us a target for a day."""
STEADY = 120.0
"""Seconds without a failure after which a target counts as one that never failed: until then a new one weighs more."""
BUSY_LIMIT = 3
"""503 without Retry-After so often in a row are the target's own trouble, and not that of the number called."""
TRIAL = 8.0
"""Seconds that whoever tries a target again has it for itself."""
REMEMBERED = 900.0
"""Seconds after which a target that nobody has asked for is no longer counted: its DNS names others by now."""
MAX_TARGETS = 1_024

TargetState: TypeAlias = Literal["up", "down", "trial"]

Key: TypeAlias = tuple[str, str, Address]


@dataclass(slots=True)
class _State:
    trunk: TrunkName
    target: Target
    pauses: int = 0
    busy: int = 0
    down_until: float | None = None
    trial_until: float = 0.0
    asked_at: float = 0.0
    changed_at: float = 0.0
    failed_at: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class TargetRow:
    """What is known of a target: `since` is when that began, `again` when a failed one is tried, monotonic seconds."""

    trunk: TrunkName
    target: Target
    state: TargetState
    since: float
    why: str = ""
    again: float | None = None


Changed: TypeAlias = Callable[[TargetRow], None]
"""Hears of a target that has gone down, or come back."""


def spelt(target: Target) -> str:
    """A target in words: `udp 198.51.100.1:5060`."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{target.transport} {host}:{target.port}"


def what_came_of(target: Target, why: str) -> str:
    """A target that failed and why, the address once: `tcp 198.51.100.1:5060: connection refused`."""
    return f"{spelt(target)}: {_without_address(target, why)}"


def _without_address(target: Target, why: str) -> str:
    # Connections that can't be made are told of with where they were to go.
    return why.removeprefix(f"{target.host} port {target.port} by {target.transport.upper()}: ")


class TargetHealth:
    """The targets of all trunks, at most `MAX_TARGETS`; those that nobody has asked for longest are forgotten first."""

    def __init__(self, chance: Callable[[], float], changed: Changed = lambda row: None) -> None:
        self._chance = chance
        self._changed = changed
        self._states: OrderedDict[Key, _State] = OrderedDict()

    def in_order(self, trunk: TrunkName, targets: Sequence[Target], now: float) -> tuple[Target, ...]:
        """The targets as they are best asked: those that are down go last, the one that may be back soonest first.

        Nothing drops out: where all are down, each is tried all the same.
        """
        states = [self._state(trunk, target, now) for target in targets]
        good: list[Target] = []
        bad: list[tuple[float, int]] = []
        for number, (target, state) in enumerate(zip(targets, states, strict=True)):
            if state.down_until is None:
                good.append(target)
            elif state.down_until <= now and state.trial_until <= now:
                if not good:
                    state.trial_until = now + TRIAL
                good.append(target)
            else:
                bad.append((state.down_until, number))
        return (*good, *(targets[number] for _, number in sorted(bad)))

    def is_down(self, trunk: TrunkName, now: float) -> bool:
        """Whether all targets of a trunk that were asked of late are down, and none is due to be tried again."""
        states = [
            state for state in self._states.values() if state.trunk == trunk and now - state.asked_at < REMEMBERED
        ]
        return bool(states) and all(state.down_until is not None and state.down_until > now for state in states)

    def succeeded(self, trunk: TrunkName, target: Target, now: float) -> None:
        """It has said something that is no 503: it works."""
        state = self._state(trunk, target, now)
        state.busy, state.trial_until = 0, 0.0
        if state.down_until is not None:
            state.down_until, state.changed_at, state.why = None, now, ""
            self._changed(self._row(state, now))

    def failed(self, trunk: TrunkName, target: Target, why: str, now: float) -> None:
        """Nothing came from it, or nothing reached it."""
        self._fail(self._state(trunk, target, now), _without_address(target, why), None, now)

    def refused(self, trunk: TrunkName, target: Target, why: str, retry_after: int | None, now: float) -> None:
        """It said 503: it is down for as long as it asks for, or after several in a row (one may be the number's)."""
        state = self._state(trunk, target, now)
        state.busy += 1
        if retry_after is not None or state.busy >= BUSY_LIMIT or state.down_until is not None:
            self._fail(state, why, retry_after, now)

    def rows(self, now: float) -> list[TargetRow]:
        """What is known of each."""
        return [self._row(state, now) for state in self._states.values() if now - state.asked_at < REMEMBERED]

    def _fail(self, state: _State, why: str, retry_after: int | None, now: float) -> None:
        state.why, state.trial_until = why, 0.0
        if state.down_until is not None and state.down_until > now and retry_after is None:
            # Calls that were under way say what is known already.
            return
        if state.down_until is None and now - state.failed_at > STEADY:
            state.pauses = 0
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**state.pauses) * (0.8 + 0.4 * self._chance())
        if retry_after is not None:
            pause = min(max(retry_after, 1.0), LONGEST_RETRY_AFTER)
        else:
            state.pauses = min(state.pauses + 1, 10)
        was_up = state.down_until is None
        state.down_until, state.failed_at = now + pause, now
        if was_up:
            state.changed_at = now
            self._changed(self._row(state, now))

    def _state(self, trunk: TrunkName, target: Target, now: float) -> _State:
        key = _key(trunk, target)
        state = self._states.get(key)
        if state is None:
            # Long ago: what has never failed has been steady.
            state = self._states[key] = _State(trunk, target, changed_at=now, failed_at=now - 2 * STEADY)
            if len(self._states) > MAX_TARGETS:
                self._states.popitem(last=False)
        self._states.move_to_end(key)
        state.asked_at = now
        return state

    def _row(self, state: _State, now: float) -> TargetRow:
        told: TargetState = "up"
        if state.down_until is not None:
            told = "trial" if state.trial_until > now else "down"
        return TargetRow(state.trunk, state.target, told, state.changed_at, state.why, state.down_until)


def _key(trunk: TrunkName, target: Target) -> Key:
    return (trunk, target.transport, target.remote)
