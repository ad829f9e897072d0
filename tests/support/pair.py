"""Two user agents joined in memory: every message goes through bytes and the parser, time jumps from event to event."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from offhook.sip.effects import LocalAddress, Resolve, SendRequest, SendResponse, Source, Target, Tell
from offhook.sip.events import Event
from offhook.sip.message import Message, Request, Response
from offhook.sip.parser import MessageError, parse_datagram
from offhook.sip.screening import Admit, Verdict
from offhook.sip.user_agent import UserAgent, UserAgentConfig

from .clock import Clock
from .netem import Netem

Filter = Callable[["Node", Message], bool]
"""Whether a message may leave its sender."""


@dataclass(frozen=True)
class Peer:
    """What the screens of the tests admit somebody as."""

    name: str
    nat: bool = False


@dataclass(frozen=True)
class Passed:
    """One message that left a node, at seconds after the start."""

    at: float
    sender: str
    message: Message
    transport: str
    to: tuple[str, int]
    lost: bool

    def __str__(self) -> str:
        message = self.message
        what = message.method if isinstance(message, Request) else f"{message.status} {message.cseq.method}"
        return f"{self.at:8.3f} {self.sender} {what}{' (lost)' if self.lost else ''}"


class Node:
    """A user agent with an address, its events, and what it does with them."""

    def __init__(self, network: "Network", name: str, host: str, config: UserAgentConfig, seed: int) -> None:
        self.network = network
        self.name = name
        self.host = host
        self.peer = Peer("the other")
        self.screen: Callable[[Request, Source, str | None], Verdict] = lambda request, source, user: Admit(self.peer)
        self.user_agent = UserAgent(
            config, random.Random(seed), lambda request, source, user: self.screen(request, source, user), self._local
        )
        self.events: list[Event] = []
        self.on: dict[type, Callable[[Any], None]] = {}
        """What to do at an event, by its class."""
        self.refused_transports: set[str] = set()
        """Transports by which nothing can be sent to this node."""
        self.names: dict[str, tuple[Target, ...]] = {}
        """DNS as this node sees it."""

    @property
    def now(self) -> float:
        return self.network.clock.now

    def _local(self, peer: Source | Target) -> LocalAddress:
        return LocalAddress(self.host, 5060, peer.transport)

    def told(self, kind: type) -> list[Any]:
        """The events of one class, in order."""
        return [event for event in self.events if type(event) is kind]

    def perform(self, action: Callable[[float], Any]) -> Any:
        """Run one input, then drain."""
        result = action(self.now)
        self.drain()
        return result

    def drain(self) -> None:
        while effects := self.user_agent.drain():
            for effect in effects:
                match effect:
                    case SendRequest(request, target, wire, transaction):
                        self.network.send(self, request, wire, target.transport, target.remote, transaction)
                    case SendResponse(response, source, to, wire, transaction):
                        address = source.remote if source.transport != "udp" else to
                        self.network.send(self, response, wire, source.transport, address, transaction)
                    case Resolve(resolution, uri):
                        targets = self.names.get(uri.host, ())
                        self.network.at(
                            0.0,
                            lambda r=resolution, t=targets: self.perform(
                                lambda now: self.user_agent.resolved(r, t, now)
                            ),
                        )
                    case Tell(event):
                        self.events.append(event)
                        action = self.on.get(type(event))
                        if action is not None:
                            try:
                                action(event)
                            except Exception as error:
                                session = getattr(event, "session", None)
                                assert session is not None
                                self.user_agent.session_failed(session, error, self.now)


@dataclass(order=True)
class _Event:
    at: float
    order: int
    action: Callable[[], None] = field(compare=False)


class Network:
    """Nodes, one clock, one netem. `log` holds every message in the order it left."""

    def __init__(self, netem: Netem | None = None) -> None:
        self.clock = Clock()
        self.netem = netem or Netem()
        self.nodes: dict[str, Node] = {}
        self.log: list[Passed] = []
        self.filters: list[Filter] = []
        self._queue: list[_Event] = []
        self._order = 0

    def node(self, name: str, host: str, config: UserAgentConfig | None = None) -> Node:
        node = Node(self, name, host, config or UserAgentConfig(), seed=len(self.nodes) + self.netem.seed * 100)
        self.nodes[host] = node
        return node

    def at(self, delay: float, action: Callable[[], None]) -> None:
        """Do something later."""
        self._order += 1
        heapq.heappush(self._queue, _Event(self.clock.now + delay, self._order, action))

    def send(
        self, sender: Node, message: Message, wire: bytes, transport: str, to: tuple[str, int], transaction: int | None
    ) -> None:
        receiver = self.nodes.get(to[0])
        allowed = all(allows(sender, message) for allows in self.filters)
        failed = receiver is None or transport in receiver.refused_transports
        fates = [] if failed or not allowed else self.netem.fates() if transport == "udp" else [self.netem.delay]
        self.log.append(Passed(self.clock.elapsed, sender.name, message, transport, to, not fates))
        if failed:
            self.at(0.0, lambda: sender.perform(lambda now: sender.user_agent.transport_failed(transaction, now)))
            return
        source = Source(transport, (sender.host, 5060), (to[0], 5060), flow=1 if transport == "udp" else 2)
        for delay in fates:
            assert receiver is not None
            self.at(delay, lambda: self.deliver(receiver, wire, source))

    def deliver(self, receiver: Node, wire: bytes, source: Source) -> None:
        """Let a node receive bytes, as its transport would."""

        def receive(now: float) -> None:
            try:
                message = parse_datagram(wire)
            except MessageError as error:
                receiver.user_agent.receive_broken(error, source, now)
            else:
                receiver.user_agent.receive(message, source, now)

        receiver.perform(receive)

    def run(self, seconds: float) -> None:
        """Let time pass: timers of all nodes and datagrams in flight, in order."""
        end = self.clock.now + seconds
        for _ in range(1_000_000):
            timers = [(at, node) for node in self.nodes.values() if (at := node.user_agent.next_timeout()) is not None]
            first = min(timers, key=lambda pair: pair[0], default=None)
            queued = self._queue[0].at if self._queue else None
            if queued is not None and queued <= end and (first is None or queued <= first[0]):
                event = heapq.heappop(self._queue)
                self.clock.now = max(self.clock.now, event.at)
                event.action()
            elif first is not None and first[0] <= end:
                self.clock.now = max(self.clock.now, first[0])
                first[1].perform(first[1].user_agent.handle_timeout)
            else:
                self.clock.now = end
                return
        raise AssertionError(f"no end in sight (seed {self.netem.seed})")

    def sent(self, sender: str, what: str | int, method: str | None = None) -> list[Passed]:
        """What a node sent: requests by method, responses by status (and CSeq method)."""
        return [
            passed
            for passed in self.log
            if passed.sender == sender
            and (
                (isinstance(passed.message, Request) and passed.message.method == what)
                or (
                    isinstance(passed.message, Response)
                    and passed.message.status == what
                    and method in (None, passed.message.cseq.method)
                )
            )
        ]

    def ladder(self) -> str:
        """Everything that passed, for a failing test."""
        return f"seed {self.netem.seed}\n" + "\n".join(str(passed) for passed in self.log)


class Pair(Network):
    """A caller at 192.0.2.1 and a callee at 192.0.2.2."""

    def __init__(self, netem: Netem | None = None, config: UserAgentConfig | None = None) -> None:
        super().__init__(netem)
        self.uac = self.node("uac", "192.0.2.1", config)
        self.uas = self.node("uas", "192.0.2.2", config)

    def call(self, offer: bytes | None = b"v=0 offer", **options: Any) -> Any:
        """The caller invites the callee."""
        from offhook.sip.uri import parse_uri

        transport = options.pop("transport", None)
        uri = parse_uri("sip:bob@192.0.2.2" + (f";transport={transport}" if transport else ""))
        return self.uac.perform(
            lambda now: self.uac.user_agent.invite(
                uri, "<sip:alice@192.0.2.1>", "<sip:bob@192.0.2.2>", offer, now, **options
            )
        )

    def assert_nothing_left(self) -> None:
        """No transaction, dialog or timer is left in either user agent."""
        for node in self.nodes.values():
            assert len(node.user_agent.transactions) == 0, self.ladder()
            assert node.user_agent.open_dialogs == 0, self.ladder()
            assert node.user_agent.next_timeout() is None, self.ladder()
