"""Where the talk page's calls are made: the door that browsers come in by, and the phone that they all share."""

import asyncio
import ipaddress
import secrets
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import structlog

from offhook._media import EngineConfig, MediaError
from offhook.api.upgrade import Accepted, Declined, UpgradeRequest
from offhook.call.news import Follower
from offhook.destination.dialect.facts import AgentFacts
from offhook.media.plane import MediaPlane
from offhook.sip.effects import Source, Target
from offhook.sip.events import Event
from offhook.sip.message import Request
from offhook.sip.screening import Admit, Drop, Verdict
from offhook.sip.uri import SipUri
from offhook.sip.user_agent import UserAgent, UserAgentConfig
from offhook.talk.access import TICKET_SECONDS, Access, Ticket
from offhook.talk.browser_call import CALLER, BrowserCall
from offhook.talk.choices import Choices
from offhook.talk.words import SUBPROTOCOL, TICKET
from offhook.transport.driver import SipStack

_log = structlog.get_logger("offhook.talk")

_HOST: Final = "127.0.0.1"
# What the two ends of the SIP connection within the process are told as; no socket has these.
_GATEWAY: Final = (_HOST, 5060)
_PHONE: Final = (_HOST, 1)
# The dynamic ports of RFC 6335: those of calls are the gateway's own.
_MEDIA_PORTS: Final = (49_152, 65_533)
_LAST_GOODBYES: Final = 1.0


class TalkDesk:
    """Makes the page's calls, `max_calls` of them at one time.

    `media` is the address of the gateway's media sockets, and `now` monotonic seconds. Nothing of it costs anything
    before the first call.
    """

    def __init__(
        self, choices: Choices, access: Access, *, media: str, max_calls: int, version: str, now: Callable[[], float]
    ) -> None:
        self.choices = choices
        self.access = access
        self._address = _reachable(media)
        self._max_calls = max_calls
        self._now = now
        self._calls: dict[str, BrowserCall] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._plane: MediaPlane | None = None
        self._target: Target | None = None
        self._stack = SipStack(
            UserAgent(
                UserAgentConfig(user_agent=f"offhook-talk/{version}", contact_user=CALLER),
                secrets.SystemRandom(),
                _screen,
            ),
            [],
            resolver=_NoNames(),
            on_event=_on_event,
        )

    @property
    def calls(self) -> int:
        """Calls that have not ended."""
        return len(self._calls)

    async def open(self, gateway: SipStack) -> int:
        """Connect to the gateway's own stack; the id of the connection there, which is the page's alone."""
        await self._stack.start()
        here, there = self._stack.join(gateway, _PHONE, _GATEWAY)
        self._target = Target("tcp", *_GATEWAY, flow=here)
        return there

    async def close(self) -> None:
        """Hang up what still runs, and let go."""
        for call in tuple(self._calls.values()):
            call.hang_up()
        try:
            async with asyncio.timeout(_LAST_GOODBYES):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("talk.calls_left", calls=len(self._calls))
        await self._stack.close()
        if self._plane is not None:
            await self._plane.close()

    async def make_ready(self) -> Declined | None:
        """Make ready for a call that is about to be placed; why it can't be, if so."""
        if self.calls >= self._max_calls:
            return self._too_many()
        if self._plane is None:
            try:
                plane = MediaPlane(
                    EngineConfig(
                        addresses=(self._address,),
                        port_min=_MEDIA_PORTS[0],
                        port_max=_MEDIA_PORTS[1],
                        threads=1,
                        max_legs=2 * self._max_calls + 8,
                        max_wires=2 * self._max_calls + 8,
                    )
                )
            except MediaError as error:
                return Declined(HTTPStatus.SERVICE_UNAVAILABLE, error.code, f"no media core for the page: {error}")
            self._plane = await plane.__aenter__()
        return None

    def judge(self, request: UpgradeRequest) -> Accepted | Declined:
        """Decide about a browser's request for the WebSocket of its call."""
        if SUBPROTOCOL not in request.subprotocols:
            return Declined(
                HTTPStatus.BAD_REQUEST,
                "wrong_subprotocol",
                f"this gateway's page speaks {SUBPROTOCOL}",
                "load the page again",
                "Sec-WebSocket-Protocol",
            )
        strange = self.access.strange_origin(request.source, request.headers.get("origin"), request.headers.get("host"))
        if strange is not None:
            return strange
        names = [name.removeprefix(TICKET) for name in request.subprotocols if name.startswith(TICKET)]
        ticket = self.access.take_ticket(names[0]) if names else None
        if ticket is None or self._plane is None:
            return Declined(
                HTTPStatus.UNAUTHORIZED,
                "no_ticket",
                f"the ticket is missing, was used, or is older than {TICKET_SECONDS:g} s",
                "ask for a new one by POST",
                "Sec-WebSocket-Protocol",
            )
        if self.calls >= self._max_calls:
            return self._too_many()
        return Accepted(SUBPROTOCOL, lambda fd, answer: self._begin(ticket, fd, answer))

    def follower(self, facts: AgentFacts) -> Follower | None:
        """Who follows a call of the gateway: the page's own call, if it is one of the page's."""
        call = self._calls.get(facts.sip_call_id)
        if call is None:
            return None
        call.known_as(facts.call_id)
        return call.follow

    def _begin(self, ticket: Ticket, fd: int, answer: bytes) -> None:
        assert self._plane is not None, "made ready when the ticket was given"
        assert self._target is not None, "opened before anybody is let in"
        call = BrowserCall(
            ticket, self._plane, self._stack, self._target, self._address, over=lambda call: self._ended(call)
        )
        call.begin(fd, answer)
        self._calls[call.sip_call_id] = call
        self._idle.clear()
        _log.info("talk.called", choice=ticket.choice.id, sip_call_id=call.sip_call_id)

    def _ended(self, call: BrowserCall) -> None:
        self._calls.pop(call.sip_call_id, None)
        if not self._calls:
            self._idle.set()

    def _too_many(self) -> Declined:
        return Declined(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "too_many_calls",
            f"{self.calls} calls of the talk page are running, as many as there may be",
            "end one of them, or raise talk.max_calls",
        )


class _NoNames:
    """Everything that this phone sends has its connection already."""

    async def resolve(self, uri: SipUri) -> tuple[Target, ...]:
        """Nothing is looked up."""
        return ()


def _on_event(event: Event, now: float) -> None:
    call = getattr(getattr(event, "session", None), "context", None)
    if isinstance(call, BrowserCall):
        call.take(event, now)


def _screen(request: Request, source: Source, user: str | None) -> Verdict:
    """The phone takes no calls."""
    return Admit(None) if request.has_to_tag else Drop("no_calls_taken")


def _reachable(media: str) -> str:
    """Where the page's own media is: beside the gateway's, on this machine."""
    address = ipaddress.ip_address(media)
    if not address.is_unspecified:
        return media
    return "::1" if address.version == 6 else _HOST
