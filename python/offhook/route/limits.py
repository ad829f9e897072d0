"""Admission: how many calls may run and how fast they may come. A limit's words are never those of a failed match."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from offhook.ids import TrunkName

RETRY_CALLS = 10
"""Retry-After, seconds, when all places are taken: calls end one by one, so soon."""
RETRY_DRAINING = 30
"""Retry-After, seconds, while the gateway lets its calls end before it stops."""
RETRY_LOOP_LAG = 2
"""Retry-After, seconds, when the signalling itself is late."""
MAX_LOOP_LAG = 0.25
"""Seconds by which the event loop may be late before new calls are refused."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Calls at one time and calls a second; None is no limit. `max_cps` lets a burst of one second through."""

    max_calls: int | None = None
    max_cps: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The node's limit, and those of trunks and agents that have one of their own."""

    node: Limit
    trunks: Mapping[TrunkName, Limit] = field(default_factory=dict)
    agents: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call has its place until `Admission.release(ticket)`."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The call has no place.

    `slug` is the end reason (`limit_calls`, `limit_trunk_cps`, `draining` ...), `limit` the setting's value, `value`
    what it would have become, `retry_after` whole seconds for the Retry-After header.
    """

    slug: str
    limit: float
    value: float
    retry_after: int
    name: str = ""

    @property
    def why(self) -> str:
        """One sentence for the log and the record."""
        whose = f" of '{self.name}'" if self.name else ""
        match self.slug:
            case "draining":
                return "the gateway is stopping and takes no new calls"
            case "limit_loop_lag":
                return f"the signalling is {self.value * 1000:.0f} ms late, more than {self.limit * 1000:.0f} ms"
            case "limit_cps" | "limit_trunk_cps":
                return f"max_cps{whose} is {self.limit:g}, this call comes too soon"
            case _:
                return f"max_calls{whose} is {self.limit:g}, all are in use"


class Bucket:
    """A token bucket that holds one second's worth, at least one token."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._size = max(1.0, rate)
        self._tokens = self._size
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until a token is there; 0 if it is. Time that goes backwards counts as none."""
        self._tokens = min(self._size, self._tokens + max(0.0, now - self._at) * self.rate)
        self._at = max(self._at, now)
        # A token short by a rounding error is a token: 10 a second must let 10 through each second.
        return 0.0 if self._tokens >= 1.0 - 1e-9 else (1.0 - self._tokens) / self.rate

    def take(self) -> None:
        self._tokens -= 1.0


class Admission:
    """Counts calls and their rate for the node and for each trunk. Pure: time comes as `now`, monotonic seconds.

    One ticket for each call, given back once; giving it back twice changes nothing. A refused call takes no token.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.draining = False
        """Set while the gateway stops: every new call is refused, running ones go on."""
        self._next_ticket = 1
        self._tickets: dict[int, TrunkName] = {}
        self._trunk_calls: dict[TrunkName, int] = {}
        self._agent_calls: dict[str, int] = {}
        self._buckets: dict[TrunkName | None, Bucket] = {}

    @property
    def calls(self) -> int:
        """Calls that have a place now."""
        return len(self._tickets)

    def trunk_calls(self, trunk: str) -> int:
        """Calls of this trunk that have a place now."""
        return self._trunk_calls.get(TrunkName(trunk), 0)

    def admit(self, trunk: TrunkName, now: float, loop_lag: float = 0.0) -> Admitted | Refused:
        """Give a call of `trunk` a place, or say which limit stands against it.

        The first that fails is named: draining, loop lag, node calls, trunk calls, node rate, trunk rate.
        `loop_lag` is how late the event loop runs, in seconds.
        """
        if self.draining:
            return Refused("draining", 0, self.calls, RETRY_DRAINING)
        if loop_lag > MAX_LOOP_LAG:
            return Refused("limit_loop_lag", MAX_LOOP_LAG, loop_lag, RETRY_LOOP_LAG)
        node, own = self.limits.node, self.limits.trunks.get(trunk, Limit())
        if node.max_calls is not None and self.calls >= node.max_calls:
            return Refused("limit_calls", node.max_calls, self.calls + 1, RETRY_CALLS)
        if own.max_calls is not None and self.trunk_calls(trunk) >= own.max_calls:
            return Refused("limit_trunk_calls", own.max_calls, self.trunk_calls(trunk) + 1, RETRY_CALLS, trunk)
        buckets = []
        rates: tuple[tuple[TrunkName | None, float | None, str], ...] = (
            (None, node.max_cps, "limit_cps"),
            (trunk, own.max_cps, "limit_trunk_cps"),
        )
        for key, rate, slug in rates:
            if rate is None:
                continue
            bucket = self._bucket(key, rate, now)
            if (wait := bucket.wait(now)) > 0:
                return Refused(slug, rate, rate + 1, max(1, ceil(wait)), key or "")
            buckets.append(bucket)
        for bucket in buckets:
            bucket.take()
        ticket, self._next_ticket = self._next_ticket, self._next_ticket + 1
        self._tickets[ticket] = trunk
        self._trunk_calls[trunk] = self.trunk_calls(trunk) + 1
        return Admitted(ticket)

    def release(self, ticket: int) -> None:
        """Give a call's place back when it has ended."""
        trunk = self._tickets.pop(ticket, None)
        if trunk is None:
            return
        left = self._trunk_calls[trunk] - 1
        if left:
            self._trunk_calls[trunk] = left
        else:
            del self._trunk_calls[trunk]

    def enter_agent(self, agent: str) -> Refused | None:
        """Count a call into an agent; a refusal (`limit_agent_calls`) if its `max_calls` are in use.

        Every entry that was not refused is undone by one `leave_agent`.
        """
        limit, calls = self.limits.agents.get(agent), self._agent_calls.get(agent, 0)
        if limit is not None and calls >= limit:
            return Refused("limit_agent_calls", limit, calls + 1, RETRY_CALLS, agent)
        self._agent_calls[agent] = calls + 1
        return None

    def leave_agent(self, agent: str) -> None:
        """Count a call out of an agent."""
        left = self._agent_calls.get(agent, 0) - 1
        if left > 0:
            self._agent_calls[agent] = left
        else:
            self._agent_calls.pop(agent, None)

    def _bucket(self, key: TrunkName | None, rate: float, now: float) -> Bucket:
        bucket = self._buckets.get(key)
        # Bounded by the trunks of the file: `trunk` is an identified one, never text from the wire.
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[key] = Bucket(rate, now)
        return bucket
