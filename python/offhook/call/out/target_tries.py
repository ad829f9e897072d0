"""How a call out goes through the targets of its trunk: what each is offered, how long it has, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from offhook.call.out.outbound_leg import CalleeLeg
from offhook.call.out.target_health import TargetHealth, spelt, what_came_of
from offhook.call.screen import TrunkScreen
from offhook.ids import TrunkName
from offhook.report.timeline import Timeline
from offhook.route.trunk import Trunk
from offhook.sip.effects import Source, Target
from offhook.sip.message import Response

MAX_TRIES = 8
"""Targets that one call asks, those of all its trunks together."""

LONGEST_SEARCH = 32.0
"""Seconds after the first INVITE of a call in which another target may be asked: the time that a lone one has."""


@dataclass(slots=True)
class Search:
    """What the tries of one call share, whichever trunk they are of: how many, and since when."""

    tries: int = 0
    began_at: float | None = None
    told: list[str] = field(default_factory=list)
    """Which target has failed, and why."""

    def may_go_on(self, now: float) -> bool:
        """Whether another target may be asked now."""
        in_time = self.began_at is None or now - self.began_at < LONGEST_SEARCH
        return self.tries < MAX_TRIES and in_time


class TargetTries:
    """The tries of one call by one trunk, as `sip/tries.py` asks for them.

    `source_to` says from which address of ours a target is reached; `has_others` whether another trunk would follow.
    `counted` hears of each try with its outcome: `answered`, `unavailable` (503) or `unreachable`.
    """

    def __init__(
        self,
        trunk: Trunk,
        leg: CalleeLeg,
        timeline: Timeline,
        health: TargetHealth,
        screen: TrunkScreen,
        search: Search,
        *,
        now: Callable[[], float],
        source_to: Callable[[Target], Source],
        has_others: bool,
        counted: Callable[[TrunkName, str], None],
    ) -> None:
        self._trunk, self._timeline = trunk, timeline
        self._leg: CalleeLeg | None = leg
        self._health, self._screen, self._search = health, screen, search
        self._now, self._source_to, self._has_others, self._counted = now, source_to, has_others, counted
        self._called: list[str] = []
        self._asked: Target | None = None

    @property
    def goes_on(self) -> bool:
        """Whether another trunk would be asked after the last target."""
        return self._has_others and self._search.may_go_on(self._now())

    def offer(self, target: Target, now: float) -> bytes | None:
        """Our offer towards this target, or None where it can't be asked (any more)."""
        if self._leg is None:
            return None
        if not self._search.may_go_on(now):
            self._timeline.add("note", now, note=f"{spelt(target)} is not asked: the call has looked for long enough")
            return None
        refused = self._leg.face(self._source_to(target))
        if refused is not None:
            self._timeline.add("note", now, note=f"{spelt(target)} is not asked: {refused.detail}")
            return None
        self._search.began_at = now if self._search.began_at is None else self._search.began_at
        self._search.tries += 1
        if self._search.tries > 1 and target != self._asked:
            self._timeline.add("note", now, note=f"goes to {spelt(target)}")
        self._asked = target
        if target.host not in self._called:
            self._called.append(target.host)
            self._screen.called(target.host)
        return self._leg.offer

    def patience(self) -> float:
        """Seconds that a target may be silent while there are others."""
        return self._trunk.target_timeout

    def heard(self, target: Target, response: Response, now: float) -> None:
        """It works, unless it says that it does not."""
        if response.status != 503:
            self._health.succeeded(self._trunk.name, target, now)
            if response.status >= 200:
                self._counted(self._trunk.name, "answered")

    def failed(self, target: Target, why: str, response: Response | None, now: float) -> None:
        """It is asked last for a while, and the call's account says so."""
        told = what_came_of(target, why)
        self._timeline.add("note", now, note=f"tried {told}")
        self._search.told.append(told)
        if response is None:
            self._health.failed(self._trunk.name, target, why, now)
        else:
            self._health.refused(self._trunk.name, target, why, response.retry_after, now)
        self._counted(self._trunk.name, "unavailable" if response is not None else "unreachable")

    def over(self) -> None:
        """The call is over, and its leg is not held on to."""
        self._leg = None

    def forget(self) -> None:
        """Nothing more is awaited from any of them."""
        for host in self._called:
            self._screen.forgotten(host)
        self._called.clear()
