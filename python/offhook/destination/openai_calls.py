"""Calls that wait for OpenAI's webhook: which of ours it asks about, and what it is told."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from offhook.destination.platform_api import ApiSpec, PlatformApi
from offhook.errors import DestinationError
from offhook.platform import openai
from offhook.platform.webhook import Verifier

_log = structlog.get_logger("offhook.platform")

MAX_WAITING = 4096
"""Calls that may wait for their webhook at one time."""

_LAST_WORDS = 1.0

MAX_TOLD = 64
"""Requests to OpenAI on the way that no call waits for any more."""


@dataclass(frozen=True, slots=True)
class OpenAISpec:
    """What an agent of OpenAI's is and does. `api` and `verifier` are None where a server of its owner's is asked.

    `strangers` says what happens to a call of the project that is not ours: nothing, since another server may be asked
    too, or a refusal.
    """

    name: str
    model: str = ""
    instructions: str = ""
    voice: str | None = None
    api: ApiSpec | None = None
    verifier: Verifier | None = None
    strangers: str = "ignore"

    @property
    def surface(self) -> openai.Surface:
        """The API that has its model."""
        return openai.surface_of(self.model)


class Waiting:
    """One call of ours at OpenAI, from its INVITE on. `call_id` is OpenAI's, empty until its webhook came.

    `other_event` is the event by which the API that does not have our model has asked about it, empty if none has.
    """

    __slots__ = ("_calls", "asked", "call_id", "is_over", "media", "other_event", "spec", "token")

    def __init__(self, calls: "OpenAICalls", spec: OpenAISpec, token: str) -> None:
        self._calls = calls
        self.spec = spec
        self.token = token
        self.call_id = ""
        self.media = ""
        self.other_event = ""
        self.is_over = False
        self.asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when it was accepted; holds a `DestinationError` if that could not be done."""

    def over(self, *, answered: bool) -> None:
        """The call has ended, or has never been: what OpenAI still has of it is given back. May be repeated."""
        if self.is_over:
            return
        self.is_over = True
        self._calls.let_go(self, answered)
        if self.asked.done() and not self.asked.cancelled():
            # Seen or not, it is nobody's any more.
            self.asked.exception()
        else:
            self.asked.cancel()


class OpenAICalls:
    """The calls of all agents of this kind, by the tokens in their INVITEs. Lives on the event loop.

    `token` makes one that nobody can guess.
    """

    def __init__(self, api: PlatformApi, *, token: Callable[[], str] = lambda: secrets.token_urlsafe(24)) -> None:
        self._api = api
        self._token = token
        self._waiting: dict[str, Waiting] = {}
        self._given_up: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def expect(self, spec: OpenAISpec) -> Waiting:
        """A call is about to be dialled; `Waiting.token` goes into its INVITE (`openai.CALL_HEADER`)."""
        if len(self._waiting) >= MAX_WAITING:
            raise DestinationError(f"{MAX_WAITING} calls wait for OpenAI's webhook", code="agent_refused")
        waiting = Waiting(self, spec, self._token())
        self._waiting[waiting.token] = waiting
        return waiting

    def incoming(self, spec: OpenAISpec, call: openai.IncomingCall) -> str:
        """OpenAI asks about a call, and has proven that it is OpenAI. Returns what is done, for the log.

        `accepted`: it is ours and is accepted. `late`: it was ours and is rejected, since nobody waits any more.
        `rejected` or `ignored`: it is somebody else's. `left`: the API that has our model asks about it, too.
        """
        assert spec.api is not None, "only then its webhook is ours"
        token = call.header(openai.CALL_HEADER)
        waiting = self._waiting.get(token)
        if call.surface != spec.surface:
            if waiting is not None and waiting.spec.name == spec.name:
                waiting.other_event = call.event
            return "left"
        if waiting is not None and waiting.spec.name == spec.name and not waiting.call_id:
            waiting.call_id, waiting.media = call.call_id, call.media
            self._do(self._accept(waiting))
            return "accepted"
        if waiting is not None and waiting.spec.name == spec.name:
            # Asked about before, by another id of the webhook or as another of our legs: the first accept counts.
            return "ignored"
        late = token in self._given_up
        if late or spec.strangers == "reject":
            self._tell(spec, call.call_id, "reject", openai.rejected())
            return "late" if late else "rejected"
        return "ignored"

    def let_go(self, waiting: Waiting, answered: bool) -> None:
        """Have done with a call. What was accepted there, and never came to be answered, is hung up."""
        self._waiting.pop(waiting.token, None)
        if not waiting.call_id:
            self._given_up[waiting.token] = None
            while len(self._given_up) > MAX_WAITING:
                del self._given_up[next(iter(self._given_up))]
        elif not answered:
            self._tell(waiting.spec, waiting.call_id, "hangup", {})

    async def close(self) -> None:
        """Let what is on the way be told, for a second; then give it up."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=_LAST_WORDS)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, waiting: Waiting) -> None:
        spec = waiting.spec
        assert spec.api is not None, "asked by its webhook"
        session = openai.accepted(spec.model, spec.instructions, spec.voice)
        try:
            await self._api.post(spec.api, openai.path(spec.surface, waiting.call_id, "accept"), session)
        except DestinationError as error:
            if not waiting.asked.done():
                waiting.asked.set_exception(error)
        else:
            if not waiting.asked.done():
                waiting.asked.set_result(None)

    def _tell(self, spec: OpenAISpec, call_id: str, action: str, body: Mapping[str, object]) -> None:
        """Tell OpenAI what no call of ours waits for."""
        if spec.api is None or len(self._tasks) >= MAX_TOLD + len(self._waiting):
            return
        self._do(self._send(spec, spec.api, call_id, action, body))

    async def _send(
        self, spec: OpenAISpec, api: ApiSpec, call_id: str, action: str, body: Mapping[str, object]
    ) -> None:
        try:
            await self._api.post(api, openai.path(spec.surface, call_id, action), body)
        except DestinationError as error:
            _log.warning("openai.not_told", agent=spec.name, action=action, openai_call_id=call_id, why=str(error))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
