"""An agent on somebody else's platform, called by SIP: asked for by HTTP where it wants so, then dialled and joined.

The line to it is a call of its own by one of our trunks; what is here comes before that: whom to dial, what to tell,
and whose word the platform waits for.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from offhook.destination.base import (
    AgentNote,
    Destination,
    DestinationEvent,
    DestinationListener,
)
from offhook.destination.dialect.facts import AgentFacts, EndCause
from offhook.destination.openai_calls import OpenAICalls, OpenAISpec, Waiting
from offhook.destination.passing_on import PassingOn
from offhook.destination.platform_api import ApiSpec, PlatformApi
from offhook.destination.wire import Seat, nobody
from offhook.errors import DestinationError
from offhook.media.leg import RtpLeg
from offhook.platform import openai, retell
from offhook.platform.profile import PLATFORMS
from offhook.platform.retell import RetellError
from offhook.platform.variables import Told, fill, to_headers

WEBHOOK_WITHIN = 8.0
"""Seconds that OpenAI has to ask us about a call that we have sent there."""

# Only what goes into a SIP URI as it is: no parameters, no escapes, no other host.
_USER = re.compile(r"[A-Za-z0-9_.!~*'#+-]{1,128}")


@dataclass(frozen=True, slots=True)
class PlatformSpec:
    """An `[[agent]]` on a platform. `trunk` is the line to it, `host` that trunk's; `dial` the user part, with fields.

    `variables` are texts with fields (`offhook.platform.variables`). `agent_id` and `api` are for platforms that have a
    call registered, `openai` for the one that asks by webhook.
    """

    kind: str
    trunk: str
    host: str
    dial: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    agent_id: str = ""
    api: ApiSpec | None = None
    openai: OpenAISpec | None = None


Headers: TypeAlias = tuple[tuple[str, str], ...]


class Dial(Protocol):
    """How a call makes another one its destination."""

    def __call__(
        self, uri: str, trunk: str, headers: Headers, listener: DestinationListener, *, listed: bool
    ) -> Destination:
        """A call to a SIP URI by a trunk, with these headers in its INVITE.

        `listed` says that the configuration, or the platform itself, names whom to call: no caller chose it.
        """


class PlatformDestination(PassingOn):
    """One call's way to an agent on a platform. Whatever it does once it was dialled, the call to it does."""

    def __init__(
        self,
        uri: str,
        spec: PlatformSpec,
        listener: DestinationListener,
        *,
        dial: Dial,
        api: PlatformApi,
        calls: OpenAICalls,
        seat: Seat | None = None,
    ) -> None:
        self._uri = uri
        self._spec = spec
        self._listener = listener
        self._dial = dial
        self._api = api
        self._calls = calls
        self._seat = seat
        self._waiting: Waiting | None = None
        self._answered = False
        self._closed = False

    @property
    def uri(self) -> str:
        return self._uri

    async def prepare(self, leg: RtpLeg, facts: AgentFacts) -> None:
        if self._seat is not None:
            self._seat.take()
        spec, told = self._spec, told_of(facts)
        user = await self._registered(told) if PLATFORMS[spec.kind].registers else fill(spec.dial, told)
        if _USER.fullmatch(user) is None:
            raise DestinationError(
                f"{self._uri} can't be dialled: '{user[:80]!a}' is no user of a SIP URI",
                code="agent_refused",
                hint="change `dial` of the [[agent]]",
            )
        extra: Headers = ()
        if spec.openai is not None and spec.openai.verifier is not None:
            self._waiting = self._calls.expect(spec.openai)
            extra = ((openai.CALL_HEADER, self._waiting.token),)
        headers = to_headers(PLATFORMS[spec.kind], told, spec.variables, extra)
        for name, why in headers.left_out:
            self._tell(AgentNote("a variable was left out of the INVITE", {"header": name, "why": why}))
        listed = "{" not in spec.dial
        self._inner = self._dial(f"sip:{user}@{spec.host}", spec.trunk, headers.fields, self._passed_on, listed=listed)
        await (self._inner.prepare(leg, facts) if self._waiting is None else self._asked(leg, facts))
        self._answered = True

    async def _registered(self, told: Told) -> str:
        """Have the platform expect this call; it is dialled by the id that this gives."""
        spec = self._spec
        assert spec.api is not None, "the configuration asks for its key"
        body = retell.registration(spec.agent_id, told, spec.variables)
        answer = await self._api.post(spec.api, retell.REGISTER, body)
        try:
            call_id = retell.registered(answer)
        except RetellError as error:
            raise DestinationError(
                f"{spec.api.url}: {error}", code="agent_refused", hint="check `api_url` of the [[agent]]"
            ) from error
        self._tell(AgentNote(f"{PLATFORMS[spec.kind].title} expects the call", {"call_id": call_id}))
        return call_id

    async def _asked(self, leg: RtpLeg, facts: AgentFacts) -> None:
        """Dial, and let the platform ask us meanwhile by its webhook whether it may answer."""
        assert self._inner is not None, "dialled"
        assert self._waiting is not None, "expected"
        waiting = self._waiting
        dialling = asyncio.ensure_future(self._inner.prepare(leg, facts))
        try:
            await asyncio.wait({dialling, waiting.asked}, timeout=WEBHOOK_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            if waiting.call_id and not waiting.asked.done():
                # It has asked; what is told it takes its time, which is bounded.
                await asyncio.wait({dialling, waiting.asked}, return_when=asyncio.FIRST_COMPLETED)
            if not dialling.done():
                if not waiting.asked.done():
                    raise _not_asked(self._uri, waiting)
                waiting.asked.result()
                media = {"media": waiting.media} if waiting.media else {}
                self._tell(AgentNote("OpenAI was told to take the call", {"call_id": waiting.call_id, **media}))
            await dialling
        finally:
            dialling.cancel()

    def close(self, reason: str, causes: Sequence[EndCause] = ()) -> None:
        if self._closed:
            return
        self._closed = True
        if self._inner is not None:
            self._inner.close(reason, causes)
        if self._waiting is not None:
            self._waiting.over(answered=self._answered)
        if self._seat is not None:
            self._seat.give_back()
        # Its owner holds it, so it must not hold its owner: what is over is freed at once.
        self._listener = nobody

    def _passed_on(self, who: Destination, event: DestinationEvent) -> None:
        self._tell(event)

    def _tell(self, event: DestinationEvent) -> None:
        self._listener(self, event)


def told_of(facts: AgentFacts) -> Told:
    """What a platform is told of a call: what any agent would be."""
    return Told(
        call_id=facts.call_id,
        from_number="" if facts.identity.withheld else facts.from_number,
        to_number=facts.to_number,
        trunk=facts.trunk,
        route=facts.route,
        headers=facts.clean_headers(),
        data=facts.data,
        direction=facts.direction,
    )


def _not_asked(uri: str, waiting: Waiting) -> DestinationError:
    event = openai.EVENTS[waiting.spec.surface]
    hint = (
        f"its webhook for {event} has to be https://HOST/v1/webhooks/openai/{waiting.spec.name}, "
        "with HOST a name that leads from the internet to [http] listen"
    )
    if waiting.other_event:
        hint = f"only {waiting.other_event} came, which is of other models: subscribe the webhook to {event}, too"
    return DestinationError(
        f"{uri}: OpenAI did not ask about the call within {WEBHOOK_WITHIN:g} s", code="webhook_missing", hint=hint
    )


def _is_a_destination(platform: PlatformDestination) -> Destination:
    return platform
