"""The trace: which SIP message belongs to the timeline of which call."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, TypeAlias

from offhook.errors import RemoteProtocolError
from offhook.ids import CallId
from offhook.report.timeline import MAX_TEXT, Timeline
from offhook.sip.effects import Source
from offhook.sip.message import Request, Response

Direction: TypeAlias = Literal["in", "out"]

# INVITEs that are no call (yet), how many messages about each, and for how many seconds they are kept: a challenge is
# answered within these, and what strangers send is not remembered any longer.
_MAX_OPEN = 256
_MESSAGES_EACH = 12
_OPEN_SECONDS = 32.0

_CallerKey: TypeAlias = tuple[str, str, str]
"""Call-ID, the caller's tag, the caller's address: the same Call-ID of two trunks is two calls."""

_DialogKey: TypeAlias = tuple[str, str]
"""Call-ID and our own tag, which nobody else can guess."""


@dataclass(frozen=True, slots=True)
class _Seen:
    at: float
    direction: Direction
    wire: bytes
    source: Source
    is_invite: bool


@dataclass(slots=True)
class _Open:
    since: float
    messages: deque[_Seen] = field(default_factory=lambda: deque(maxlen=_MESSAGES_EACH))


class SipTrace:
    """Sees every SIP message of the gateway and keeps those of calls, each in its call's timeline.

    An INVITE comes before its call: what is said about it is held back, bounded, until `claim`.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[_CallerKey, _Open] = OrderedDict()
        self._callers: dict[_CallerKey, Timeline] = {}
        self._dialogs: dict[_DialogKey, Timeline] = {}

    def see(self, direction: Direction, message: Request | Response, source: Source, at: float) -> None:
        """Take note of a message that was received ("in") or sent ("out") at `at`, monotonic seconds."""
        try:
            from_tag, to_tag = message.from_.tag or "", message.to.tag or ""
            call_id = message.call_id
        except RemoteProtocolError:
            # It names no call.
            return
        by_caller = isinstance(message, Request) == (direction == "in")
        caller_tag, our_tag = (from_tag, to_tag) if by_caller else (to_tag, from_tag)
        key = (call_id, caller_tag, source.remote[0])
        timeline = (self._dialogs.get((call_id, our_tag)) if our_tag else None) or self._callers.get(key)
        if timeline is not None:
            _write(timeline, direction, _kept(message, shows_digits=timeline.shows_digits), source, at)
            return
        begins = direction == "in" and isinstance(message, Request) and message.method == "INVITE" and not to_tag
        found = self._open.get(key)
        if found is None and begins:
            found = self._hold(key, at)
        if found is not None:
            found.messages.append(_Seen(at, direction, _kept(message), source, begins))

    def claim(self, request: Request, source: Source, call_id: CallId, now: float) -> tuple[Timeline, float]:
        """The timeline of an INVITE that is a call from now on, with what was seen of it; and when it arrived.

        That is the INVITE that was admitted: a challenge before it is in the timeline and in nobody's account.
        """
        try:
            held = self._open.pop(_caller_key(request, source), None)
        except RemoteProtocolError:
            # It is refused for what can't be read in it, and nothing was held back.
            held = None
        messages = held.messages if held is not None else ()
        timeline = Timeline(call_id, started=min((seen.at for seen in messages), default=now))
        if source.tls is not None:
            timeline.add("note", timeline.started or now, note=f"it came over TLS: {source.tls}")
        for seen in messages:
            _write(timeline, seen.direction, seen.wire, seen.source, seen.at)
        return timeline, max((seen.at for seen in messages if seen.is_invite), default=now)

    def follow(self, request: Request, source: Source, our_tag: str, timeline: Timeline) -> None:
        """Write what is said about this call into its timeline, until `forget`."""
        self._callers[_caller_key(request, source)] = timeline
        self._dialogs[request.call_id, our_tag] = timeline

    def forget(self, request: Request, source: Source, our_tag: str) -> None:
        """The call's account is closed."""
        timeline = self._dialogs.pop((request.call_id, our_tag), None)
        key = _caller_key(request, source)
        # A later INVITE of the same caller with the same Call-ID may have taken its place.
        if self._callers.get(key) is timeline:
            self._callers.pop(key, None)

    def _hold(self, key: _CallerKey, at: float) -> _Open:
        while self._open:
            oldest = next(iter(self._open.values()))
            if len(self._open) < _MAX_OPEN and at - oldest.since < _OPEN_SECONDS:
                break
            self._open.popitem(last=False)
        held = self._open[key] = _Open(at)
        return held

    def __len__(self) -> int:
        return len(self._open) + len(self._callers) + len(self._dialogs)


# Each message of a call names its two ends: one text of each for all of them.
@lru_cache(1024)
def host_port(address: tuple[str, int]) -> str:
    """`host:port`, with the brackets that IPv6 needs."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _caller_key(request: Request, source: Source) -> _CallerKey:
    return (request.call_id, request.from_.tag or "", source.remote[0])


def _kept(message: Request | Response, *, shows_digits: bool = False) -> bytes:
    """What is kept of a message. The body of an INFO holds the keys that are pressed: a card number, a PIN."""
    wire = bytes(message)
    if message.body and not shows_digits and _may_hold_digits(message):
        wire = wire[: -len(message.body)] + b"(not kept: it may hold digits)"
    return wire[: 4 * MAX_TEXT]


def _may_hold_digits(message: Request | Response) -> bool:
    if isinstance(message, Request) and message.method == "INFO":
        return True
    try:
        return message.cseq.method == "INFO"
    except RemoteProtocolError:
        # It may answer an INFO, for all that can be read of it.
        return True


def _write(timeline: Timeline, direction: Direction, wire: bytes, source: Source, at: float) -> None:
    timeline.add_sip(
        at,
        direction,
        wire,
        transport=source.transport,
        remote=host_port(source.remote),
        local=host_port(source.local),
    )
