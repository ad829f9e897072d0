"""One user agent and a peer that is written by hand, message by message."""

import random
from collections.abc import Callable
from typing import Any

from offhook.sip.effects import LocalAddress, Resolve, SendRequest, SendResponse, Source, Tell
from offhook.sip.events import Event
from offhook.sip.message import Message, Request, Response
from offhook.sip.parser import MessageError, parse_datagram
from offhook.sip.screening import Admit, Verdict
from offhook.sip.uri import Uri, parse_uri
from offhook.sip.user_agent import UserAgent, UserAgentConfig

from .clock import Clock
from .messages import UDP
from .pair import Peer


class Solo:
    """A user agent at 192.0.2.2 with what it sent and told. Time passes by `run`."""

    def __init__(self, config: UserAgentConfig | None = None, seed: int = 1) -> None:
        self.clock = Clock()
        self.peer = Peer("trunk")
        self.screen: Callable[[Request, Source, str | None], Verdict] = lambda request, source, user: Admit(self.peer)
        self.user_agent = UserAgent(
            config or UserAgentConfig(),
            random.Random(seed),
            lambda request, source, user: self.screen(request, source, user),
            lambda peer: LocalAddress("192.0.2.2", 5060, peer.transport),
        )
        self.sent: list[tuple[float, SendRequest | SendResponse]] = []
        self.events: list[Event] = []
        self.resolves: list[Resolve] = []

    @property
    def now(self) -> float:
        return self.clock.now

    def drain(self) -> None:
        for effect in self.user_agent.drain():
            match effect:
                case SendRequest() | SendResponse():
                    # What we write can be read: by the same rules as anybody's.
                    parse_datagram(effect.wire)
                    self.sent.append((self.clock.elapsed, effect))
                case Resolve():
                    self.resolves.append(effect)
                case Tell(event):
                    self.events.append(event)

    def receive(self, message: Message, source: Source = UDP) -> "list[Response | Request]":
        """Let it receive a message; returns what it sent at once."""
        before = len(self.sent)
        self.user_agent.receive(message, source, self.now)
        self.drain()
        return [_message(effect) for _, effect in self.sent[before:]]

    def receive_bytes(self, data: bytes, source: Source = UDP) -> "list[Response | Request]":
        """Let it receive a datagram."""
        before = len(self.sent)
        try:
            message = parse_datagram(data)
        except MessageError as error:
            self.user_agent.receive_broken(error, source, self.now)
            self.drain()
        else:
            self.receive(message, source)
        return [_message(effect) for _, effect in self.sent[before:]]

    def do(self, verb: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a verb now, then drain."""
        result = verb(*args, now=self.now, **options)
        self.drain()
        return result

    def invite(self, uri: str = "sip:bob@192.0.2.1", offer: bytes | None = b"v=0 offer", **options: Any) -> Any:
        """Call somebody; the INVITE is the last thing sent."""
        target: Uri = parse_uri(uri)
        return self.do(self.user_agent.invite, target, "<sip:us@192.0.2.2>", f"<{uri}>", offer, **options)

    def run(self, until: float) -> None:
        """Let time pass until so many seconds after the start."""
        self.clock.run(self.user_agent, until, self.drain)

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    def requests(self, method: str) -> list[Request]:
        """Requests that it sent, by method."""
        return [e.request for _, e in self.sent if isinstance(e, SendRequest) and e.request.method == method]

    def responses(self, status: int) -> list[Response]:
        """Responses that it sent, by status."""
        return [e.response for _, e in self.sent if isinstance(e, SendResponse) and e.response.status == status]

    def times(self, what: str | int) -> list[float]:
        """When it sent requests of a method, or responses of a status."""
        return [
            at
            for at, e in self.sent
            if (isinstance(e, SendRequest) and e.request.method == what)
            or (isinstance(e, SendResponse) and e.response.status == what)
        ]

    def last(self) -> Any:
        """The last effect that sent something."""
        return self.sent[-1][1]

    def assert_empty(self) -> None:
        """Nothing is kept of anything."""
        assert len(self.user_agent.transactions) == 0
        assert self.user_agent.open_dialogs == 0
        assert self.user_agent.next_timeout() is None


def _message(effect: SendRequest | SendResponse) -> Request | Response:
    return effect.request if isinstance(effect, SendRequest) else effect.response
