"""Who may ask the API: who has the local key, or where programs may ask, too, a key of the configuration.

Everybody else is told so, counted, and listed with the refusals.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from offhook.api.failures import TokenFailures
from offhook.api.keys import ApiKeys

Answer = Callable[[Request], Awaitable[Response]]

OnRefused = Callable[[str, str, str], None]
"""Told of a refusal: the source, the rule that was broken, and why in words."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who asks: the name of an API key, or None for who has the local key, and with it this machine."""

    key: str | None


KeyedAnswer: TypeAlias = Callable[[Request, Holder], Awaitable[Response]]


class Guard:
    """Stands before the routes of the API. `token` is that of the `LocalKey`, `now` monotonic seconds."""

    def __init__(
        self,
        token: str,
        refused: OnRefused,
        keys: ApiKeys | None = None,
        now: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._token = token.encode()
        self._refused = refused
        self._keys = keys or ApiKeys({})
        self._now = now
        self._failures = TokenFailures()

    def route(self, path: str, answer: Answer) -> Route:
        """A route for GET whose answer only the holder of the local key gets; others get 401."""

        async def guarded(request: Request) -> Response:
            token = _token_of(request)
            if self._is_local(token):
                return await answer(request)
            return self._refuse(request, path, token)

        return Route(path, guarded, methods=["GET"])

    def keyed(self, path: str, answer: KeyedAnswer, method: str) -> Route:
        """A route whose answer the holder of any key gets; others get 401, and who guesses on and on 429."""

        async def guarded(request: Request) -> Response:
            token, now = _token_of(request), self._now()
            if self._is_local(token):
                return await answer(request, Holder(None))
            source = request.client.host if request.client is not None else ""
            wait = self._failures.wait(source, token, now)
            if wait > 0:
                return _too_many(wait)
            owner = self._keys.owner(token) if token else None
            if owner is not None:
                self._failures.right(source, token)
                return await answer(request, Holder(owner))
            self._failures.wrong(source, token, now)
            return self._refuse(request, path, token)

        return Route(path, guarded, methods=[method])

    def _is_local(self, token: str) -> bool:
        return hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self._token)

    def _refuse(self, request: Request, path: str, token: str) -> Response:
        source = request.client.host if request.client is not None else ""
        self._refused(source, "api_token", f"{path} was asked for with {'a wrong' if token else 'no'} token")
        return _refusal("the token is not this gateway's" if token else "the token is missing")


def _token_of(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _refusal(message: str) -> Response:
    """Like that of every error of the API: `{code, message, hint, field}`."""
    hint = (
        "send the token that is in gateway.json of the gateway's data directory, or where calls are placed a [[key]], "
        "as Authorization: Bearer TOKEN"
    )
    return JSONResponse(
        {"code": "wrong_token", "message": message, "hint": hint, "field": "Authorization"},
        HTTPStatus.UNAUTHORIZED,
        {"WWW-Authenticate": "Bearer"},
    )


def _too_many(wait: float) -> Response:
    """What guesses, of a source, is not listened to for a while."""
    return JSONResponse(
        {
            "code": "too_many_failures",
            "message": "too many wrong tokens like this one, or in all, came from this address",
            "hint": "",
            "field": "Authorization",
        },
        HTTPStatus.TOO_MANY_REQUESTS,
        {"Retry-After": str(max(1, round(wait)))},
    )
