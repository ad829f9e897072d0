"""`/v1/webhooks/openai/{agent}`: where OpenAI asks whether a call that came to a project by SIP is to be taken.

Nobody else is heard: what is not signed with the secret of that agent is refused, counted and listed with the
refusals, which say why. Whoever has no secret gets one answer, in the same time, whatever was wrong: not even whether
there is an agent of that name. The answer is the same whatever becomes of a call; that is told by OpenAI's API.
"""

import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from offhook.api.body import body_of
from offhook.api.failures import Failures
from offhook.api.guard import OnRefused
from offhook.destination.openai_calls import OpenAICalls, OpenAISpec
from offhook.observe.printable import printable
from offhook.platform.openai import OpenAIError, OtherEvent, read_event
from offhook.platform.webhook import MAX_BODY, Verifier, WebhookError

_log = structlog.get_logger("offhook.platform")

PATH = "/v1/webhooks/openai/{agent}"

_LONGEST_NAME = 64


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
        # Who asks for an agent that there is not, is refused in the time that a wrong signature takes.
        self._nobodys = Verifier(secrets.token_bytes(32))

    def routes(self) -> list[Route]:
        """One route where an agent has a secret; none where no agent has."""
        return [Route(PATH, self._post, methods=["POST"])] if self._agents else []

    async def _post(self, request: Request) -> Response:
        source = request.client.host if request.client is not None else ""
        body = await body_of(request, MAX_BODY)
        if body is None:
            return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"a webhook has at most {MAX_BODY} bytes")
        name = request.path_params["agent"]
        spec = self._agents.get(name)
        verifier = spec.verifier if spec is not None and spec.verifier is not None else self._nobodys
        try:
            ident = verifier.verify(request.headers, body, self._wall())
        except WebhookError as error:
            return self._refuse(source, name, error, is_known=spec is not None)
        assert spec is not None, "nobody has the secret of no agent"
        if not verifier.is_new(ident):
            return _taken()
        try:
            event = read_event(body)
        except OpenAIError as error:
            _log.warning("openai.webhook_unreadable", agent=spec.name, why=str(error))
            return _error(HTTPStatus.BAD_REQUEST, error.code, str(error))
        if isinstance(event, OtherEvent):
            _log.info("openai.event_passed_over", agent=spec.name, type=printable(event.type))
            return _taken()
        done, media = self._calls.incoming(spec, event), event.media
        _log.info(
            "openai.asked", agent=spec.name, type=event.event, openai_call_id=event.call_id, media=media, done=done
        )
        return _taken()

    def _refuse(self, source: str, name: str, error: WebhookError, *, is_known: bool) -> Response:
        # What is signed is heard all the same: behind a proxy everybody has one address.
        if (wait := self._failures.wait(source, self._now())) > 0:
            headers = {"Retry-After": str(int(wait) + 1)}
            return _error(HTTPStatus.TOO_MANY_REQUESTS, "too_many_failures", "too many were refused", headers=headers)
        self._failures.add(source, self._now())
        shown = printable(name)[:_LONGEST_NAME]
        why = f"{error}" + (f" ({error.hint})" if error.hint else "")
        if not is_known:
            why = "there is no [[agent]] of that name with a webhook_secret"
        self._refused(source, "webhook_signature", f"a webhook for agent '{shown}' came, and {why}")
        if error.code == "wrong_time":
            # Whoever is told so has the secret.
            return _error(HTTPStatus.UNAUTHORIZED, error.code, str(error), hint=error.hint)
        hint = "the gateway's own list says what was wrong: offhook calls refused"
        message = "the webhook is not signed with the secret of an agent at this address"
        return _error(HTTPStatus.UNAUTHORIZED, "webhook_refused", message, hint=hint)


def _taken() -> Response:
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _error(
    status: HTTPStatus, code: str, message: str, *, hint: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse({"code": code, "message": message, "hint": hint, "field": None}, status, dict(headers or {}))
