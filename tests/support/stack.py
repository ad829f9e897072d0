"""A SIP stack on sockets of this machine that answers every call, and what it was told."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

from offhook.sip.effects import Source, Target
from offhook.sip.events import Event, InviteReceived
from offhook.sip.message import Message
from offhook.sip.screening import Admit
from offhook.sip.uri import SipUri
from offhook.sip.user_agent import UserAgent, UserAgentConfig
from offhook.transport.driver import Gate, SipStack
from offhook.transport.limits import TransportLimits
from offhook.transport.listener import Listener
from offhook.transport.tls_failure import TlsFailure
from offhook.transport.tls_keeper import TlsKeeper

from .messages import SDP

CALM = TransportLimits(sweep_interval=0.05, max_connections_per_source=4, write_buffer=16 << 10)
"""Nobody is cut off for being slow: a busy machine may be."""
QUICK = TransportLimits(
    first_message_timeout=0.35,
    half_message_timeout=0.15,
    idle_timeout=0.8,
    sweep_interval=0.05,
    connect_timeout=1.0,
    max_connections_per_source=4,
    write_buffer=16 << 10,
)


class Names:
    """A resolver that knows what it is told."""

    def __init__(self, **known: tuple[Target, ...]) -> None:
        self.known = known

    async def resolve(self, uri: SipUri) -> tuple[Target, ...]:
        if uri.host == "broken":
            raise RuntimeError("no such luck")
        return self.known.get(uri.host, ())


class Running:
    """A stack that answers every call, and what it was told."""

    def __init__(
        self,
        *uris: str,
        limits: TransportLimits = CALM,
        gate: Gate | None = None,
        config: UserAgentConfig | None = None,
        tls: TlsKeeper | None = None,
        knows: Callable[[str], bool] = lambda remote: True,
        names: dict[str, tuple[Target, ...]] | None = None,
    ) -> None:
        self.peer = object()
        self.user_agent = UserAgent(
            config or UserAgentConfig(), random.SystemRandom(), lambda request, source, user: Admit(self.peer)
        )
        self.events: list[Event] = []
        self.seen: list[tuple[str, Message, Source]] = []
        self.tls_failures: list[TlsFailure] = []
        self.on_event: Callable[[Event, float], None] = self._answer
        options: dict[str, Any] = {"gate": gate} if gate is not None else {}
        self.stack = SipStack(
            self.user_agent,
            [Listener(uri) for uri in uris or ("udp://127.0.0.1:0", "tcp://127.0.0.1:0")],
            resolver=Names(trunk=(Target("tcp", "127.0.0.1", 1), Target("udp", "127.0.0.1", 1)), **(names or {})),
            on_event=self._take,
            on_message=lambda direction, message, source, now: self.seen.append((direction, message, source)),
            limits=limits,
            tls=tls,
            knows=knows,
            on_tls_failure=self.tls_failures.append,
            **options,
        )

    def _take(self, event: Event, now: float) -> None:
        self.events.append(event)
        self.on_event(event, now)

    def _answer(self, event: Event, now: float) -> None:
        if isinstance(event, InviteReceived):
            event.session.answer(SDP, now=now)

    def port(self, transport: str) -> int:
        return next(port for kind, _, port in self.stack.addresses if kind == transport)

    async def until(self, condition: Callable[[], bool], within: float = 20.0) -> None:
        """Wait until something has come true."""
        async with asyncio.timeout(within):
            while not condition():  # noqa: ASYNC110 - what is waited for happens in sockets
                await asyncio.sleep(0.005)

    async def told(self, kind: type, within: float = 20.0) -> Any:
        """Wait for an event."""
        await self.until(lambda: any(isinstance(event, kind) for event in self.events), within)
        return next(event for event in self.events if isinstance(event, kind))


@contextlib.asynccontextmanager
async def running(*uris: str, **options: Any) -> AsyncIterator[Running]:
    node = Running(*uris, **options)
    await node.stack.start()
    try:
        yield node
    finally:
        await node.stack.close()
