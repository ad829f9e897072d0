"""`/v1/webhooks/openai/{agent}`: where OpenAI asks whether a call that came to a project by SIP is to be taken.

Nobody else is heard: what is not signed with the secret of that agent is refused, counted and listed with the
refusals. The answer is the same whatever becomes of the call; that is told by OpenAI's API.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from offhook.api.failures import Failures
from offhook.api.guard import OnRefused
from offhook.destination.openai_calls import OpenAICalls, OpenAISpec
from offhook.platform.openai import OpenAIError, read_event
from offhook.platform.webhook import MAX_BODY, WebhookError

_log = structlog.get_logger("offhook.platform")

PATH = "/v1/webhooks/openai/{agent}"


class OpenAIDoor:
    """Takes OpenAI's webhooks. `agents` are those that have a secret, `now` monotonic seconds, `wall` Unix time."""

    def __init__(
        self,
        calls: OpenAICalls,
        agents: Mapping[str, OpenAISpec],
        *,
        now: Callable[[], float],
        wall: Callable[[], float],
        refused: OnRefused,
    ) -> None:
        self._calls = calls
        self._agents = {name: spec for name, spec in agents.items() if spec.verifier is not None}
        self._now = now
        self._wall = wall
        self._refused = refused
        self._failures = Failures()

    def routes(self) -> list[Route]:
        """One route where an agent has a secret; none where no agent has."""
        return [Route(PATH, self._post, methods=["POST"])] if self._agents else []

    async def _post(self, request: Request) -> Response:
        source = request.client.host if request.client is not None else ""
        body = await _body_of(request)
        if body is None:
            return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"a webhook has at most {MAX_BODY} bytes")
        spec = self._agents.get(request.path_params["agent"])
        if spec is None or spec.verifier is None:
            return _error(HTTPStatus.NOT_FOUND, "not_found", "there is no such webhook")
        try:
            ident = spec.verifier.verify(request.headers, body, self._wall())
        except WebhookError as error:
            # What is signed is heard all the same: behind a proxy everybody has one address.
            if (wait := self._failures.wait(source, self._now())) > 0:
                headers = {"Retry-After": str(int(wait) + 1)}
                what = "too many were refused"
                return _error(HTTPStatus.TOO_MANY_REQUESTS, "too_many_failures", what, headers=headers)
            self._failures.add(source, self._now())
            self._refused(source, "webhook_signature", f"a webhook for agent '{spec.name}' came, and {error}")
            return _error(HTTPStatus.UNAUTHORIZED, error.code, str(error), hint=error.hint)
        if not spec.verifier.is_new(ident):
            return _taken()
        try:
            call = read_event(body)
        except OpenAIError as error:
            _log.warning("openai.webhook_unreadable", agent=spec.name, why=str(error))
            return _error(HTTPStatus.BAD_REQUEST, error.code, str(error))
        if call is not None:
            done = self._calls.incoming(spec, call)
            _log.info("openai.asked", agent=spec.name, openai_call_id=call.call_id, media=call.media, done=done)
        return _taken()


async def _body_of(request: Request) -> bytes | None:
    """The body; None if it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _taken() -> Response:
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _error(
    status: HTTPStatus, code: str, message: str, *, hint: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse({"code": code, "message": message, "hint": hint, "field": None}, status, dict(headers or {}))
