"""What the talk page's browser asks for over HTTP: its files, who can be called, and a ticket for a call."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from offhook.api.body import body_of
from offhook.api.upgrade import Declined
from offhook.talk.access import Access
from offhook.talk.choices import Choices

PAGE = "/talk"
API = "/v1/talk"

LINES: Mapping[str, tuple[str, ...]] = {"wideband": ("G722", "PCMU", "PCMA"), "telephone": ("PCMU", "PCMA")}
"""How a call may sound, the default first: the codecs that it offers."""

_MOST_BODY = 4096
_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # A page of one version and a script of the next don't understand each other.
    "Cache-Control": "no-cache",
}


class Desk(Protocol):
    """Where calls are made."""

    @property
    def choices(self) -> Choices: ...
    @property
    def access(self) -> Access: ...
    async def make_ready(self) -> Declined | None: ...


def page_files() -> dict[str, bytes]:
    """The page's files by name, read once."""
    folder = files("offhook.talk") / "page"
    return {item.name: item.read_bytes() for item in folder.iterdir() if item.name.rpartition(".")[2] in _KINDS}


def talk_routes(desk: Desk, *, node: str, version: str) -> list[Route]:
    """The routes of the page, of its files, and of what it asks for."""
    contents = page_files()

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        body = contents.get(name)
        if body is None:
            return Response(status_code=404)
        return Response(body, media_type=_KINDS[name.rpartition(".")[2]], headers=_HEADERS)

    async def what_can_be_called(request: Request) -> Response:
        declined = _judge(desk, request)
        if declined is not None:
            return _refusal(declined)
        choices = [
            {"id": choice.id, "name": choice.name, "destination": choice.destination, "number": choice.number}
            for choice in desk.choices
        ]
        return _answer({"gateway": node, "version": version, "choices": choices, "lines": list(LINES)})

    async def call(request: Request) -> Response:
        declined = _judge(desk, request)
        if declined is not None:
            return _refusal(declined)
        asked = await _object(request)
        choice = desk.choices.get(str(asked.get("choice", "")))
        codecs = LINES.get(str(asked.get("line", "wideband")))
        if choice is None or codecs is None:
            field = "choice" if choice is None else "line"
            what = f"`{field}` is none of those that GET {API} names"
            return _refusal(Declined(HTTPStatus.BAD_REQUEST, "bad_field", what, about=field))
        declined = await desk.make_ready()
        if declined is not None:
            return _refusal(declined)
        return _answer({"ticket": desk.access.give_ticket(choice, codecs)}, status=201)

    return [
        Route(PAGE, page, methods=["GET"]),
        Route(PAGE + "/{name}", page, methods=["GET"]),
        Route(API, what_can_be_called, methods=["GET"]),
        Route(API, call, methods=["POST"]),
    ]


def _judge(desk: Desk, request: Request) -> Declined | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return desk.access.judge(
        request.client.host if request.client is not None else "",
        token.strip() if scheme.lower() == "bearer" else None,
        request.headers.get("origin"),
        request.headers.get("host"),
    )


async def _object(request: Request) -> dict[str, Any]:
    """The JSON object of a request, empty where there is none."""
    body = await body_of(request, _MOST_BODY)
    if body is None:
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _answer(body: Mapping[str, Any], status: int = 200) -> Response:
    return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})


def _refusal(declined: Declined) -> Response:
    """As every error of the API: `{code, message, hint, field}`."""
    body = {"code": declined.code, "message": declined.message, "hint": declined.hint, "field": declined.about}
    return JSONResponse(body, status_code=declined.status, headers={**declined.headers, "Cache-Control": "no-store"})
