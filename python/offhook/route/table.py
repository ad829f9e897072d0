"""Where a call goes: routes in their order, and why none of them fits."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from heapq import merge
from typing import Literal, TypeAlias

from offhook.ids import RouteName, TrunkName
from offhook.route.destination_uri import DestinationUri, OtherUri
from offhook.route.early_media import NO_EARLY_MEDIA, EarlyMedia
from offhook.route.number import Number, read_caller, read_number
from offhook.route.pattern import ANY, Pattern
from offhook.route.quoting import printable
from offhook.route.trunk import Trunk

MAX_COMPARED = 100
"""Routes that fail equally much are compared in their text up to this many, so that a refusal stays cheap."""


class AnswerPolicy(Enum):
    """When the caller gets the 200."""

    WHEN_READY = "when-ready"
    AT_ONCE = "at-once"
    FIRST_AUDIO = "first-audio"


class RecordPolicy(Enum):
    """Whether calls are recorded: all, those whose agent asks for it, or none."""

    ALWAYS = "always"
    WHEN_ASKED = "when-asked"
    NEVER = "never"


class FallbackCause(Enum):
    """What a destination can do wrong so that another one is tried."""

    REFUSED = "refused"
    LATE = "late"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Fallback:
    """Another destination, for these causes."""

    on: frozenset[FallbackCause]
    to: DestinationUri


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What a route may look at.

    `to` is the number dialled, so the Request-URI's user (the To header is display, RFC 3261 8.1.1.2); `from_` the
    caller of the From header; both read by the trunk's country. `headers` are the INVITE's, names in any case.
    """

    trunk: TrunkName
    to: Number
    from_: Number
    headers: Sequence[tuple[str, str]] = ()

    @classmethod
    def read(
        cls,
        trunk: Trunk,
        *,
        to_user: str,
        from_user: str,
        from_host: str = "",
        withheld: bool = False,
        headers: Sequence[tuple[str, str]] = (),
    ) -> "CallFacts":
        """Read the facts of an INVITE that `trunk` sent: user parts become numbers by its country.

        A caller who is `withheld` is anonymous, whatever number there is.
        """
        caller = read_caller(from_user, from_host, trunk.country)
        return cls(
            trunk=trunk.name,
            to=read_number(to_user, trunk.country),
            from_=replace(caller, anonymous=True) if withheld else caller,
            headers=headers,
        )


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One condition of a route that the call doesn't meet: `field` as in the file (`to`, `headers.X-Queue`).

    `got` is made printable and cut, since the caller wrote it.
    """

    field: str
    expected: str
    got: str
    hint: str = ""

    def __post_init__(self) -> None:
        # The call's own text goes into logs and terminals.
        object.__setattr__(self, "got", printable(self.got))

    def __str__(self) -> str:
        return f"{self.field} is '{self.got}', not '{self.expected}'"


AGENT_HEADERS = ("X-*", "User-to-User")
"""Patterns of the header names that an agent may set where its route says nothing else."""

BargeIn: TypeAlias = Literal["off", "clear", "duck-then-decide", "agent"]
"""What the gateway does by itself when the caller speaks over the agent."""


DigitPolicy: TypeAlias = Literal["show", "mask", "withhold"]
"""Who may know which keys are pressed: whoever reads of the call, the agent alone, nobody."""


@dataclass(frozen=True, slots=True)
class Route:
    """One rule: its conditions, its destination, and how the call is treated on the way there.

    `to` and `from_` hold alternatives, of which one must fit. `ring_timeout` is the seconds that each destination, a
    fallback too, has to be ready, or to say its first word where that is what the call is answered at. `barge_in` is
    what the caller's speech does to what the agent says; None leaves it to the agent's utterances. `pass_headers` are
    patterns of the header names that the agent gets, None for the trunk's; `agent_headers` of those that it may set.
    `hold_music` is what a caller hears whom the agent holds; None is what its trunk says.
    `digits` is what the agent can only tighten. `hand_over_to` are the destinations that the agent may hand a call over
    to; a `*` in them stands for agents of the configuration alone.
    """

    name: RouteName
    destination: DestinationUri
    trunk: TrunkName | None = None
    to: tuple[Pattern, ...] = (ANY,)
    from_: tuple[Pattern, ...] = (ANY,)
    headers: tuple[tuple[str, Pattern], ...] = ()
    priority: int = 0
    answer: AnswerPolicy = AnswerPolicy.WHEN_READY
    early_media: EarlyMedia = NO_EARLY_MEDIA
    ring_timeout: float = 20.0
    barge_in: BargeIn | None = None
    hold_music: str | None = None
    digits: DigitPolicy = "mask"
    record: RecordPolicy = RecordPolicy.NEVER
    pass_headers: tuple[str, ...] | None = None
    agent_headers: tuple[str, ...] = AGENT_HEADERS
    fallback: tuple[Fallback, ...] = field(default=())
    hand_over_to: tuple[Pattern, ...] = ()

    def failed(self, facts: CallFacts) -> Iterator[str]:
        """The conditions that the call fails, in the order trunk, to, from, headers; none if the route fits."""
        if self.trunk is not None and self.trunk != facts.trunk:
            yield "trunk"
        if not _any_fits(self.to, facts.to):
            yield "to"
        if not _any_fits(self.from_, facts.from_):
            yield "from"
        for name, pattern in self.headers:
            if not any(pattern.matches(value) for value in _values(facts, name)):
                yield f"headers.{name}"

    def fits(self, facts: CallFacts) -> bool:
        """Say whether the call meets every condition."""
        return next(self.failed(facts), None) is None

    def mismatch(self, field: str, facts: CallFacts) -> Mismatch:
        """What a condition that `failed` names wants, and what the call has."""
        match field:
            case "trunk":
                return Mismatch(field, self.trunk or "", facts.trunk)
            case "to":
                return _number_mismatch(field, self.to, facts.to)
            case "from":
                return _number_mismatch(field, self.from_, facts.from_)
            case _:
                name = field.removeprefix("headers.")
                values = _values(facts, name)
                got = ", ".join(values) if values else "(absent)"
                return Mismatch(field, str(dict(self.headers)[name]), got)

    def covers(self, other: "Route") -> bool:
        """Say whether every call that fits `other` surely fits this route (so that `other` behind it is never used)."""
        if self.trunk is not None and self.trunk != other.trunk:
            return False
        numbers = all(
            any(mine.covers(theirs) for mine in ours)
            for ours, others in ((self.to, other.to), (self.from_, other.from_))
            for theirs in others
        )
        theirs = {name.lower(): pattern for name, pattern in other.headers}
        return numbers and all(
            name.lower() in theirs and pattern.covers(theirs[name.lower()]) for name, pattern in self.headers
        )


@dataclass(frozen=True, slots=True)
class Forward:
    """The call goes by this route."""

    route: Route

    @property
    def destination(self) -> DestinationUri:
        """Where the route sends it first."""
        return self.route.destination


@dataclass(frozen=True, slots=True)
class NoRoute:
    """No route fits.

    `nearest` is the route with the fewest conditions failed, best one for the number dialled, and `field`, `expected`,
    `got` the first of them; all are None or empty if there is no route at all. `hint` names the change, where the
    difference is a familiar one.
    """

    nearest: RouteName | None = None
    field: str = ""
    expected: str = ""
    got: str = ""
    hint: str = ""

    @property
    def why(self) -> str:
        """One sentence for the log and the record."""
        if self.nearest is None:
            return "there is no route"
        text = f"no route fits; nearest is '{self.nearest}': {self.field} is '{self.got}', not '{self.expected}'"
        return f"{text} ({self.hint})" if self.hint else text


Decision = Forward | NoRoute


@dataclass(frozen=True, slots=True)
class Step:
    """One route looked at, and what failed (nothing, for the route that is taken)."""

    route: Route
    mismatches: tuple[Mismatch, ...]


class RouteTable:
    """Routes by priority (higher first), then in file order. Immutable: a reload makes a new one."""

    def __init__(self, routes: Iterable[Route]) -> None:
        # sorted() is stable, so file order stays within a priority.
        self._routes = tuple(sorted(routes, key=lambda route: -route.priority))
        assert not any(isinstance(route.destination, OtherUri) for route in self._routes), (
            "refused by the configuration"
        )
        # Routes for exact numbers are found by the number; only those with a star are tried one by one.
        self._exact: dict[str, list[int]] = {}
        self._starred: list[int] = []
        for position, route in enumerate(self._routes):
            if all(pattern.exact for pattern in route.to):
                for text in {pattern.text for pattern in route.to}:
                    self._exact.setdefault(text, []).append(position)
            else:
                self._starred.append(position)

    def __len__(self) -> int:
        return len(self._routes)

    @property
    def routes(self) -> tuple[Route, ...]:
        """All routes in the order in which they are tried."""
        return self._routes

    def decide(self, facts: CallFacts) -> Decision:
        """Find the first route that fits."""
        texts = _texts(facts.to)
        for position in merge(self._starred, *(self._exact.get(text, ()) for text in texts)):
            route = self._routes[position]
            if route.fits(facts):
                return Forward(route)
        return self._nearest(facts)

    def explain(self, facts: CallFacts) -> list[Step]:
        """Look at every route in order until one fits, and keep what failed: the same tests as `decide`."""
        steps = []
        for route in self._routes:
            steps.append(Step(route, tuple(route.mismatch(field, facts) for field in route.failed(facts))))
            if not steps[-1].mismatches:
                break
        return steps

    def _nearest(self, facts: CallFacts) -> NoRoute:
        fewest, nearest = 0, list[tuple[Route, str]]()
        for route in self._routes:
            failed = list(route.failed(facts))
            # Among equals, a route for this very number is nearer than one for another.
            distance = 2 * len(failed) + ("to" in failed)
            if not nearest or distance < fewest:
                fewest, nearest = distance, []
            if distance == fewest and len(nearest) < MAX_COMPARED:
                nearest.append((route, failed[0]))
        if not nearest:
            return NoRoute()
        compared = [(route, route.mismatch(field, facts)) for route, field in nearest]
        # max() keeps the first of equals, so file order stays.
        route, mismatch = max(compared, key=lambda pair: _likeness(pair[1]))
        return NoRoute(route.name, mismatch.field, mismatch.expected, mismatch.got, mismatch.hint)


def _texts(number: Number) -> tuple[str, ...]:
    if number.anonymous:
        return ("anonymous",)
    return (number.text,) if number.e164 in (None, number.text) else (number.e164 or "", number.text)


def _values(facts: CallFacts, name: str) -> list[str]:
    return [value for header, value in facts.headers if header.lower() == name.lower()]


def _any_fits(patterns: tuple[Pattern, ...], number: Number) -> bool:
    if patterns == (ANY,):
        return True
    texts = _texts(number)
    return any(pattern.matches(text) for pattern in patterns for text in texts)


def _number_mismatch(name: str, patterns: tuple[Pattern, ...], number: Number) -> Mismatch:
    expected = " or ".join(pattern.text for pattern in patterns)
    got = number.canonical
    for pattern in patterns:
        for text in _texts(number):
            if Pattern("+" + pattern.text).matches(text):
                return Mismatch(
                    name, expected, got, f"only the '+' differs: the route lacks it, write '+{pattern.text}'"
                )
            if pattern.text.startswith("+") and Pattern(pattern.text[1:]).matches(text):
                fix = f"set the trunk's country, or write '{pattern.text[1:]}'"
                return Mismatch(name, expected, got, f"only the '+' differs: the call came without it; {fix}")
    return Mismatch(name, expected, got)


def _likeness(mismatch: Mismatch) -> int:
    """How alike the two sides of a mismatch are, in characters; the familiar '+' goes before all."""
    if mismatch.hint:
        return 1000
    count = 0
    for a, b in zip(mismatch.expected.lstrip("+"), mismatch.got.lstrip("+"), strict=False):
        if a != b:
            break
        count += 1
    return count
