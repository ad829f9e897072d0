"""The loop of SIP: one input, then drain, then re-arm one timer. Faults end here, and nothing stops a reader."""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar

import structlog

from offhook.sip.effects import Address, Resolve, SendKeepAlive, SendRequest, SendResponse, Source, Target, Tell
from offhook.sip.events import Event
from offhook.sip.message import Message
from offhook.sip.parser import MessageError, parse_datagram
from offhook.sip.uri import SipUri
from offhook.sip.user_agent import UserAgent
from offhook.transport.flows import Flows, IpNetwork
from offhook.transport.icmp import Undelivered
from offhook.transport.limits import TransportLimits
from offhook.transport.listener import Listener
from offhook.transport.tls_failure import TlsFailure

if TYPE_CHECKING:
    from offhook.transport.tls_keeper import TlsKeeper

T = TypeVar("T")

Direction: TypeAlias = Literal["in", "out"]
Gate: TypeAlias = Callable[[str, str], bool]
"""(transport, remote address) to whether anything of it is read at all."""
OnEvent: TypeAlias = Callable[[Event, float], None]
OnTlsFailure: TypeAlias = Callable[[TlsFailure], None]
OnMessage: TypeAlias = Callable[[Direction, Message, Source, float], None]
"""Every message that was parsed or sent; the Source names both ends, whichever way it went."""

MAX_RESOLUTIONS = 256

LOG_INTERVAL = 1.0

log = structlog.get_logger("offhook.transport")


class Resolver(Protocol):
    """RFC 3263."""

    async def resolve(self, uri: SipUri) -> tuple[Target, ...]:
        """The targets of a URI, best first; empty if there are none."""


def _everybody(transport: str, remote: str) -> bool:
    return True


class SipStack:
    """A user agent with sockets. All its methods belong to the event loop that `start` ran in.

    `on_event(event, now)` may call verbs of sessions: what they ask for leaves when it returns. Outside of it verbs go
    through `perform`. An exception in `on_event` ends the event's session and nothing else. `tls` is needed for TLS,
    by whichever side; `knows` says of an address whether a trunk lists it, so that it goes first where there is a
    crowd; `on_tls_failure` hears of every handshake that came to nothing. `make_flows` puts another network in the
    place of sockets.
    """

    def __init__(
        self,
        user_agent: UserAgent,
        listeners: Sequence[Listener],
        *,
        local_networks: Sequence[IpNetwork | str] = (),
        resolver: Resolver,
        gate: Gate = _everybody,
        on_event: OnEvent,
        on_message: OnMessage | None = None,
        tls: "TlsKeeper | None" = None,
        knows: Callable[[str], bool] = lambda remote: True,
        on_tls_failure: OnTlsFailure | None = None,
        limits: TransportLimits | None = None,
        make_flows: Callable[..., Flows] = Flows,
    ) -> None:
        self.user_agent = user_agent
        self.counters: Counter[str] = Counter()
        self.limits = limits or TransportLimits()
        self._listeners = tuple(listeners)
        self._resolver = resolver
        self._gate = gate
        self._on_event = on_event
        self._on_message = on_message
        self._on_tls_failure = on_tls_failure
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed: float | None = None
        self._draining = False
        self._told_at: dict[str, float] = {}
        self._resolutions: set[asyncio.Task[None]] = set()
        self._flows = make_flows(
            self.limits,
            self.counters,
            [ipaddress.ip_network(network) if isinstance(network, str) else network for network in local_networks],
            on_datagram=self._on_datagram,
            on_message=self._on_stream_message,
            on_error=self._on_broken,
            on_failure=self._on_failure,
            admits=self._admits,
            in_use=user_agent.flows_in_use,
            tls=tls,
            knows=knows,
            on_tls_failure=self._on_tls_failed,
            on_undelivered=self._on_undelivered,
        )
        user_agent.local_address = self._flows.local_address
        user_agent.speaks_tls = tls is not None

    async def start(self) -> None:
        """Open the listeners and begin to read; TransportError if one can't be opened."""
        self._loop = asyncio.get_running_loop()
        await self._flows.open(self._listeners)

    def join(self, other: "SipStack", here: Address, there: Address) -> tuple[int, int]:
        """Connect to another stack of this process, both started; the ids of the connection here and there.

        No socket carries it, so nobody else can speak on it. `here` and `there` are the addresses that the two sides
        are told as.
        """
        return self._flows.join(other._flows, here, there)

    async def close(self) -> None:
        """Close all sockets. Sessions that are up are not ended: hang up and wait for that first."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._armed = None
        tasks = list(self._resolutions)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._flows.close()

    @property
    def addresses(self) -> tuple[tuple[str, str, int], ...]:
        """(transport, host, port) of every listener as it is bound."""
        udp = [("udp", *endpoint.address) for endpoint in self._flows.udp.values()]
        tcp = [(entry.listener.transport, *entry.address) for entry in self._flows.tcp.values()]
        return (*udp, *tcp)

    def reaches(self, target: Target) -> bool:
        """Whether the way to a target is open: by UDP it always is, else by a connection that is up."""
        return self._flows.reaches(target)

    @property
    def open_connections(self) -> int:
        """TCP and TLS connections that are up."""
        return sum(connection.is_of_the_network for connection in self._flows.connections.values())

    @property
    def open_handshakes(self) -> int:
        """TLS handshakes of peers that are not finished."""
        return self._flows.open_handshakes

    def perform(self, action: Callable[[float], T]) -> T:
        """Run one input at the loop's time, then do what it asked for. What it raises is the caller's."""
        assert self._loop is not None, "the stack is started"
        try:
            return action(self._loop.time())
        finally:
            self._drain()

    # ------------------------------------------------------------------ inputs

    def _admits(self, transport: str, remote: str) -> bool:
        try:
            return self._gate(transport, remote)
        except Exception:
            self._fault("gate")
            return False

    def _on_datagram(self, data: bytes, source: Source) -> None:
        try:
            message = parse_datagram(data, self.limits.message)
        except MessageError as error:
            self._on_broken(error, source)
            return
        self._on_stream_message(message, source)

    def _on_stream_message(self, message: Message, source: Source) -> None:
        assert self._loop is not None, "the stack is started"
        now = self._loop.time()
        self._watch("in", message, source, now)
        try:
            self.user_agent.receive(message, source, now)
        except Exception:
            self._fault("receive")
        self._drain()

    def _on_broken(self, error: MessageError, source: Source) -> None:
        assert self._loop is not None, "the stack is started"
        self.counters["broken_messages"] += 1
        try:
            self.user_agent.receive_broken(error, source, self._loop.time())
        except Exception:
            self._fault("receive_broken")
        self._drain()

    def _on_tls_failed(self, failure: TlsFailure) -> None:
        if self._on_tls_failure is None:
            return
        try:
            self._on_tls_failure(failure)
        except Exception:
            self._fault("on_tls_failure")

    def _on_failure(self, transaction: int, why: str = "") -> None:
        assert self._loop is not None, "the stack is started"
        try:
            self.user_agent.transport_failed(transaction, self._loop.time(), why)
        except Exception:
            self._fault("transport_failed")
        self._drain()

    def _on_undelivered(self, came_back: Undelivered) -> None:
        transaction = self.user_agent.transactions.undelivered(came_back.quoted, came_back.to)
        if transaction is not None:
            self._on_failure(transaction, came_back.why)

    def _on_timer(self) -> None:
        assert self._loop is not None, "the stack is started"
        armed, self._timer, self._armed = self._armed, None, None
        # The loop may round down; asking again for the same time would spin.
        now = max(self._loop.time(), armed or 0.0)
        try:
            self.user_agent.handle_timeout(now)
        except Exception:
            self._fault("handle_timeout")
        self._drain()

    # ------------------------------------------------------------------ effects

    def _drain(self) -> None:
        if self._draining:
            # An event's verb: the loop below sees to it.
            return
        self._draining = True
        try:
            while effects := self.user_agent.drain():
                for effect in effects:
                    match effect:
                        case SendResponse():
                            left = self._respond(effect)
                            self._watch_sent(effect.response, left, effect.source.transport, effect.to)
                        case SendRequest():
                            left = self._flows.send_request(effect.wire, effect.target, effect.transaction)
                            self._watch_sent(effect.request, left, effect.target.transport, effect.target.remote)
                        case SendKeepAlive(target):
                            self._flows.keep_alive(target)
                        case Resolve():
                            self._resolve(effect)
                        case Tell(event):
                            self._tell(event)
        finally:
            self._draining = False
        self._arm()

    def _respond(self, effect: SendResponse) -> Source | None:
        if effect.source.transport != "tls":
            return self._flows.send_response(effect.wire, effect.source, effect.to, effect.transaction)
        sent_by = effect.response.vias[0].sent_by[0] if effect.response.vias else ""
        return self._flows.send_response(effect.wire, effect.source, effect.to, effect.transaction, sent_by=sent_by)

    def _tell(self, event: Event) -> None:
        assert self._loop is not None, "the stack is started"
        now = self._loop.time()
        try:
            self._on_event(event, now)
        except Exception as error:
            self._fault("on_event")
            session = getattr(event, "session", None)
            if session is not None:
                self.user_agent.session_failed(session, error, now)

    def _arm(self) -> None:
        at = self.user_agent.next_timeout()
        if at == self._armed:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed = at
        if at is not None and self._loop is not None:
            self._timer = self._loop.call_at(at, self._on_timer)

    def _resolve(self, effect: Resolve) -> None:
        assert self._loop is not None, "the stack is started"
        if len(self._resolutions) >= MAX_RESOLUTIONS:
            self.counters["resolutions_refused"] += 1
            self._loop.call_soon(self._resolved, effect.resolution, ())
            return
        task = self._loop.create_task(self._look_up(effect))
        self._resolutions.add(task)
        task.add_done_callback(self._resolutions.discard)

    async def _look_up(self, effect: Resolve) -> None:
        targets: tuple[Target, ...] = ()
        try:
            async with asyncio.timeout(self.limits.dns_timeout):
                targets = await self._resolver.resolve(effect.uri)
        except Exception:
            self.counters["resolution_failures"] += 1
        self._resolved(effect.resolution, targets)

    def _resolved(self, resolution: int, targets: tuple[Target, ...]) -> None:
        try:
            self.perform(lambda now: self.user_agent.resolved(resolution, targets, now))
        except Exception:
            self._fault("resolved")

    # ------------------------------------------------------------------ watching

    def _watch_sent(self, message: Message, left: Source | None, transport: str, to: tuple[str, int]) -> None:
        if self._on_message is None or self._loop is None:
            return
        if left is None:
            # It waits for its connection, or can't be sent; where it was meant to go is known all the same.
            left = Source(transport, to, ("", 0))
        self._watch("out", message, left, self._loop.time())

    def _watch(self, direction: Direction, message: Message, source: Source, now: float) -> None:
        if self._on_message is None:
            return
        try:
            self._on_message(direction, message, source, now)
        except Exception:
            self._fault("on_message")

    def _fault(self, where: str) -> None:
        """A fault of ours: counted, told, survived. The log gets one a second of each kind, with the count so far."""
        self.counters[f"fault_{where}"] += 1
        now = self._loop.time() if self._loop is not None else 0.0
        if now - self._told_at.get(where, -LOG_INTERVAL) >= LOG_INTERVAL:
            self._told_at[where] = now
            log.exception("sip.fault", where=where, count=self.counters[f"fault_{where}"])
