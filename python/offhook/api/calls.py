"""`/v1/calls`: place a call, look how it stands, end it."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from offhook.api.body import body_of
from offhook.api.guard import Guard, Holder
from offhook.api.idempotency import LONGEST_KEY, Idempotency, OtherRequest
from offhook.call.out.detect import DetectWish, OnMachine
from offhook.call.out.dialler import Dialler
from offhook.call.out.outbound import OutboundCall
from offhook.call.out.outcome import NotPlaced, Outcome
from offhook.call.out.wish import LONGEST_RINGING, RING_TIMEOUT, Wish
from offhook.call.state import CallState
from offhook.destination.dialect.facts import MAX_VALUE, plain
from offhook.errors import LocalProtocolError
from offhook.ids import CallId
from offhook.route.destination_uri import AgentUri
from offhook.route.pattern import names_fit
from offhook.route.table import AGENT_HEADERS
from offhook.sip.outgoing import check_header

MAX_BODY = 64 * 1024
"""Bytes of a request."""

MAX_WAIT = 60.0
"""Seconds that a look may wait for news."""

_REMEMBERED = 1024
_MOST = 32

Short = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class DetectRequest(BaseModel):
    """What is done where no person answers; what is left out is as the agent's configuration says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on_machine: OnMachine | None = None


class DialRequest(BaseModel):
    """The body of `POST /v1/calls`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: Short
    agent: Short
    trunk: Short | None = None
    caller_id: Short | None = None
    ring_timeout: Annotated[float, Field(ge=1, le=LONGEST_RINGING, allow_inf_nan=False)] = RING_TIMEOUT
    max_duration: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] | None = None
    early_media: bool = False
    record: bool = False
    private: bool = False
    headers: Annotated[dict[str, str], Field(max_length=_MOST)] = Field(default_factory=dict)
    detect: bool | DetectRequest | None = None
    data: Annotated[dict[Short, Annotated[str, StringConstraints(max_length=MAX_VALUE)]], Field(max_length=_MOST)] = (
        Field(default_factory=dict)
    )

    @field_validator("headers")
    @classmethod
    def _headers_that_may_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        # Who calls, on whose account and how urgently is the trunk's to say, not a key's.
        foreign = next((name for name in headers if not names_fit(AGENT_HEADERS, name)), None)
        if foreign is not None:
            raise ValueError(f"{foreign[:64]!r} is none of {', '.join(AGENT_HEADERS)}, which alone may be set")
        try:
            return dict(check_header(name, value) for name, value in headers.items())
        except LocalProtocolError as error:
            raise ValueError(str(error)) from error


@dataclass(slots=True)
class _Known:
    key: str | None
    call: OutboundCall | None
    last: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is answered, as plain values: an answer that is given twice is rendered twice."""

    status: HTTPStatus
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        return JSONResponse(dict(self.body), self.status, dict(self.headers))


class CallDesk:
    """Calls out as the API has them: the ones that are on, and the last of those that are over.

    `wall` turns monotonic seconds into UTC milliseconds, `agents` are the names that a call may go on to.
    """

    def __init__(
        self,
        dialler: Dialler,
        agents: Collection[str],
        *,
        now: Callable[[], float],
        wall: Callable[[float], int],
        detects: Mapping[str, DetectWish] | None = None,
    ) -> None:
        self._dialler = dialler
        self._agents = agents
        self._detects = detects or {}
        self._wall = wall
        self._known: OrderedDict[CallId, _Known] = OrderedDict()
        self._idempotency: Idempotency[_Answer] = Idempotency(
            now, lambda answer: answer.status < HTTPStatus.TOO_MANY_REQUESTS
        )

    def routes(self, guard: Guard) -> list[Route]:
        """What is asked with a key."""
        return [
            guard.keyed("/v1/calls", self._post, "POST"),
            guard.keyed("/v1/calls/{call_id}", self._get, "GET"),
            guard.keyed("/v1/calls/{call_id}", self._delete, "DELETE"),
        ]

    async def _post(self, request: Request, holder: Holder) -> Response:
        body = await body_of(request, MAX_BODY)
        if body is None:
            return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"a request has at most {MAX_BODY} bytes")
        try:
            wish = self._wish(DialRequest.model_validate_json(body), holder)
        except ValidationError as error:
            return _invalid(error)
        if isinstance(wish, Response):
            return wish
        key = request.headers.get("idempotency-key", "")
        if not key:
            return (await self._dial(wish)).response()
        if len(key) > LONGEST_KEY:
            message = f"an Idempotency-Key has at most {LONGEST_KEY} characters"
            return _error(HTTPStatus.BAD_REQUEST, "bad_request", message, field="Idempotency-Key")
        try:
            asked = hashlib.sha256(body).digest()
            answer = await self._idempotency.once(holder.key or "", key, asked, lambda: self._dial(wish))
        except OtherRequest:
            message = "this Idempotency-Key was sent with another request before"
            return _error(HTTPStatus.CONFLICT, "idempotency_conflict", message, field="Idempotency-Key")
        return answer.response()

    def _wish(self, asked: DialRequest, holder: Holder) -> Wish | Response:
        if asked.agent not in self._agents:
            message = f"there is no [[agent]] '{asked.agent}'"
            return _error(HTTPStatus.BAD_REQUEST, "unknown_agent", message, field="agent")
        if asked.early_media and asked.record:
            message = "what is heard before the answer is not recorded, and an announcement would come too late"
            return _error(HTTPStatus.BAD_REQUEST, "bad_request", message, hint="leave one out", field="early_media")
        return Wish(
            to=asked.to,
            agent=AgentUri(asked.agent),
            trunk=asked.trunk,
            caller_id=asked.caller_id,
            ring_timeout=asked.ring_timeout,
            max_duration=asked.max_duration,
            early_media=asked.early_media,
            record=asked.record,
            private=asked.private,
            headers=tuple(asked.headers.items()),
            data=asked.data,
            detect=self._detect(asked),
            key=holder.key,
        )

    def _detect(self, asked: DialRequest) -> DetectWish | None:
        """Who answers is told where this call asks for it, or else its agent's configuration, or else its trunk's."""
        own = self._detects.get(asked.agent, DetectWish())
        if asked.detect is None:
            return own
        wish = asked.detect.on_machine if isinstance(asked.detect, DetectRequest) else None
        return replace(own, listens=True, on_machine=wish or own.on_machine) if asked.detect is not False else None

    async def _dial(self, wish: Wish) -> _Answer:
        placed = await self._dialler.dial(wish, self._over)
        if isinstance(placed, NotPlaced):
            return _not_placed(placed)
        self._keep(placed, wish.key)
        return _Answer(HTTPStatus.CREATED, self._view(placed), {"Location": f"/v1/calls/{placed.id}"})

    def _keep(self, call: OutboundCall, key: str | None) -> None:
        self._known[call.id] = _Known(key, call)
        over = [call_id for call_id, known in self._known.items() if known.call is None]
        for call_id in over[: max(0, len(over) - _REMEMBERED)]:
            del self._known[call_id]

    def _over(self, call: OutboundCall) -> None:
        known = self._known.get(call.id)
        if known is not None:
            known.call, known.last = None, self._view(call)

    async def _get(self, request: Request, holder: Holder) -> Response:
        known = self._find(request, holder)
        if known is None:
            return _no_such_call()
        wait, since = _seconds(request.query_params.get("wait", "")), request.query_params.get("since", "")
        if wait is None:
            return _error(HTTPStatus.BAD_REQUEST, "bad_request", "`wait` is a number of seconds", field="wait")
        told = known.call.answerer.verdict if known.call is not None else None
        try:
            async with asyncio.timeout(min(wait, MAX_WAIT)):
                while (call := known.call) is not None and _state(call) == since and call.answerer.verdict is told:
                    await call.changed()
        except TimeoutError:
            pass
        return JSONResponse(dict(known.last) if known.call is None else self._view(known.call))

    async def _delete(self, request: Request, holder: Holder) -> Response:
        known = self._find(request, holder)
        if known is None:
            return _no_such_call()
        if known.call is not None:
            known.call.give_up("by who asked for it" if holder.key is None else f"by the key '{holder.key}'")
        return Response(status_code=HTTPStatus.ACCEPTED if known.call is not None else HTTPStatus.NO_CONTENT)

    def _find(self, request: Request, holder: Holder) -> _Known | None:
        """A call that this holder may know of: of a key, its own."""
        known = self._known.get(CallId(request.path_params["call_id"]))
        return known if known is not None and holder.key in (None, known.key) else None

    def _view(self, call: OutboundCall) -> dict[str, Any]:
        outcome = call.decided.result() if call.decided.done() else None
        return {
            "call_id": call.id,
            "direction": call.direction,
            "state": _state(call),
            "trunk": call.trunk.name,
            "from_number": call.facts.from_number,
            "to_number": call.facts.to_number,
            "agent": call.agent.uri.name if isinstance(call.agent.uri, AgentUri) else None,
            "placed_at": self._wall(call.arrived_at),
            "rang_at": self._at(call.rang_at),
            "answered_at": self._at(call.answered_at),
            "ended_at": self._at(call.ended_at),
            "outcome": _outcome(outcome) if outcome is not None else None,
            "end_reason": call.reason.slug if call.reason is not None else None,
            "end_detail": call.end_detail,
            "answered_by": call.answerer.summary() or None,
            "variables": call.variables.values,
        }

    def _at(self, at: float | None) -> int | None:
        return None if at is None else self._wall(at)


def _state(call: OutboundCall) -> str:
    """`preparing` (the agent), `calling`, `ringing`, `answered`, `ended`."""
    match call.state:
        case CallState.ARRIVED | CallState.PREPARING:
            return "preparing"
        case CallState.CALLING:
            return "calling" if call.rang_at is None else "ringing"
        case CallState.ENDED:
            return "ended"
        case _:
            return "answered"


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "kind": outcome.kind,
        "status": outcome.status,
        "reason": outcome.reason,
        "q850": outcome.q850,
        "causes": plain(outcome.causes),
        "end_reason": outcome.end_reason or None,
        "detail": outcome.detail,
        "hint": outcome.hint,
    }


def _not_placed(refused: NotPlaced) -> _Answer:
    """Nobody was called: a rule (403), a limit (429, of the node 503), or no way to the trunk (502)."""
    outcome, status, headers = refused.outcome, HTTPStatus.BAD_GATEWAY, {}
    if outcome.end_reason == "dial_refused":
        status = HTTPStatus.TOO_MANY_REQUESTS if refused.retry_after is not None else HTTPStatus.FORBIDDEN
    elif refused.retry_after is not None or outcome.end_reason in ("no_port", "draining"):
        status = HTTPStatus.SERVICE_UNAVAILABLE
    if refused.retry_after is not None:
        headers = {"Retry-After": str(refused.retry_after)}
    body = {
        "code": refused.code,
        "message": outcome.detail,
        "hint": outcome.hint,
        "field": None,
        "call_id": refused.call_id,
        "outcome": _outcome(outcome),
    }
    return _Answer(status, body, headers)


def _seconds(text: str) -> float | None:
    try:
        value = float(text or 0)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _invalid(error: ValidationError) -> Response:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or None
    message = str(first["msg"]).removeprefix("Value error, ")
    return _error(HTTPStatus.BAD_REQUEST, "bad_request", message[:300], field=where)


def _no_such_call() -> Response:
    hint = "calls that are over for long are known to `offhook calls` alone"
    return _error(HTTPStatus.NOT_FOUND, "not_found", "there is no such call", hint=hint)


def _error(status: HTTPStatus, code: str, message: str, *, hint: str = "", field: str | None = None) -> Response:
    return JSONResponse({"code": code, "message": message, "hint": hint, "field": field}, status)
