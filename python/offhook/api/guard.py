"""Who may ask the API: who has the local key. Everybody else is told so, counted, and listed with the refusals."""

import hmac
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Answer = Callable[[Request], Awaitable[Response]]

OnRefused = Callable[[str, str, str], None]
"""Told of a refusal: the source, the rule that was broken, and why in words."""


class Guard:
    """Stands before the routes of the API. `token` is that of the `LocalKey`."""

    def __init__(self, token: str, refused: OnRefused) -> None:
        self._token = token.encode()
        self._refused = refused

    def route(self, path: str, answer: Answer) -> Route:
        """A route for GET whose answer only the holder of the key gets; others get 401."""

        async def guarded(request: Request) -> Response:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            token = token.strip() if scheme.lower() == "bearer" else ""
            if hmac.compare_digest(token.encode(), self._token):
                return await answer(request)
            source = request.client.host if request.client is not None else ""
            self._refused(source, "api_token", f"{path} was asked for with {'a wrong' if token else 'no'} token")
            return _refusal("the token is not this gateway's" if token else "the token is missing")

        return Route(path, guarded, methods=["GET"])


def _refusal(message: str) -> Response:
    """Like that of every error of the API: `{code, message, hint, field}`."""
    hint = "send the token that is in gateway.json of the gateway's data directory as Authorization: Bearer TOKEN"
    return JSONResponse(
        {"code": "wrong_token", "message": message, "hint": hint, "field": "Authorization"},
        HTTPStatus.UNAUTHORIZED,
        {"WWW-Authenticate": "Bearer"},
    )
