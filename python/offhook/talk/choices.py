"""Whom the talk page can call: every route of the configuration, and every agent that no route leads to."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from offhook.config.schema import Config
from offhook.ids import RouteName, TrunkName
from offhook.route.destination_uri import AgentUri, DestinationUri, WorkerUri
from offhook.route.pattern import ANY, Pattern
from offhook.route.table import Route, RouteTable
from offhook.route.trunk import Trunk

TALK_TRUNK = TrunkName("@talk")
"""What its calls come by: no `[[trunk]]` may have such a name."""

HEADER = "X-Offhook-Talk"
"""The header that says which choice is meant. Agents don't get it."""

MAX_DURATION = 3600.0
"""Seconds after which a call of the page ends."""

MEDIA_TIMEOUT = 20.0
"""Seconds without its sound after which one ends."""

_CODECS = ("G722", "PCMU", "PCMA")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of those that can be called.

    `id` names it among the others. `number` is what counts as dialled: the route's own, if it is for one alone, else
    the name.
    """

    id: str
    name: str
    destination: str
    number: str


class Choices:
    """All that can be called, those first that calls try first, and the routes that their calls go by."""

    def __init__(self, routes: RouteTable, agents: Iterable[str]) -> None:
        reached = {name for route in routes.routes for name in _agents_of(route)}
        called = [(f"route:{route.name}", route) for route in routes.routes]
        for agent in agents:
            if agent not in reached:
                name = RouteName(f"@agent:{agent}")
                called.append((f"agent:{agent}", Route(name, AgentUri(agent))))
        self._choices = {
            choice: Choice(choice, str(route.name).removeprefix("@agent:"), route.destination.redacted, _number(route))
            for choice, route in called
        }
        self.table = RouteTable(
            # As its own callers would be treated, whoever they are.
            replace(route, trunk=TALK_TRUNK, to=(ANY,), from_=(ANY,), priority=0, headers=((HEADER, Pattern(choice)),))
            for choice, route in called
        )

    def __iter__(self) -> Iterator[Choice]:
        return iter(self._choices.values())

    def get(self, choice: str) -> Choice | None:
        """The choice of that id."""
        return self._choices.get(choice)


def choices_of(config: Config, routes: RouteTable) -> Choices:
    """What a configuration lets be called; `routes` is its table."""
    return Choices(routes, (agent.name for agent in config.agents))


def talk_trunk(max_calls: int) -> Trunk:
    """The trunk of the page's calls: known by the connection that they come on, and by nothing else."""
    return Trunk(
        name=TALK_TRUNK,
        codecs=_CODECS,
        media_timeout=MEDIA_TIMEOUT,
        max_duration=MAX_DURATION,
        max_calls=max_calls,
        pass_headers=(),
    )


def _agents_of(route: Route) -> Iterator[str]:
    destinations: list[DestinationUri] = [route.destination, *(fallback.to for fallback in route.fallback)]
    return (uri.name for uri in destinations if isinstance(uri, AgentUri | WorkerUri))


def _number(route: Route) -> str:
    exact = [pattern.text for pattern in route.to if pattern.exact]
    return exact[0] if exact else str(route.name).removeprefix("@agent:")
