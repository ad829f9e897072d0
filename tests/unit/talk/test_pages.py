"""What a browser gets over HTTP: the page and its files without a token, everything else with it."""

import asyncio
import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import pytest
from starlette.applications import Starlette

from offhook.api.upgrade import Declined
from offhook.ids import RouteName
from offhook.route.destination_uri import EchoUri
from offhook.route.table import Route, RouteTable
from offhook.talk.access import Access
from offhook.talk.choices import Choices
from offhook.talk.pages import API, PAGE, page_files, talk_routes

pytestmark = pytest.mark.unit

TOKEN = "the-token-of-this-run"


class Desk:
    def __init__(self) -> None:
        self.choices = Choices(RouteTable([Route(RouteName("all"), EchoUri("welcome"))]), ["front-desk"])
        self.access = Access(TOKEN, (), now=lambda: 0.0, refused=lambda *_: None)
        self.declined: Declined | None = None

    async def make_ready(self) -> Declined | None:
        return self.declined


def ask(
    path: str,
    desk: Desk | None = None,
    *,
    method: str = "GET",
    body: bytes = b"",
    token: str | None = TOKEN,
    origin: str | None = None,
) -> tuple[int, Mapping[str, str], bytes]:
    """Ask the application as a server would, without one."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = {"host": "127.0.0.1:8080"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    if origin is not None:
        headers["origin"] = origin
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8080),
    }  # fmt: skip
    app = Starlette(routes=talk_routes(desk or Desk(), node="edge", version="1.2"))
    asyncio.run(app(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


def call(body: object, desk: Desk | None = None, **options: Any) -> tuple[int, dict[str, Any]]:
    status, _, answer = ask(API, desk, method="POST", body=json.dumps(body).encode(), **options)
    return status, json.loads(answer)


def test_the_page_loads_nothing_from_elsewhere_and_lets_nobody_frame_it() -> None:
    status, headers, body = ask(PAGE, token=None)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert b"<script>" not in body
    assert b"style=" not in body


def test_every_file_that_the_page_names_is_served_and_none_is_left_over() -> None:
    files = page_files()
    named = {"index.html"}
    for name, text in files.items():
        if name.endswith((".html", ".js")):
            named |= set(re.findall(r"(?:talk|\.)/([a-z]+\.(?:js|css|svg))", text.decode()))
            assert not re.search(r"https?://(?!localhost|www\.w3\.org)[a-z]", text.decode()), name
    assert named == set(files)
    for name in files:
        status, headers, body = ask(f"{PAGE}/{name}", token=None)
        assert (status, body) == (200, files[name])
        assert headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("name", ["talk.py", "..%2Fdesk.py", "../desk.py", "nothing.js", ""])
def test_nothing_else_is_a_file_of_it(name: str) -> None:
    assert ask(f"{PAGE}/{name}", token=None)[0] in (307, 404)


def test_who_can_be_called_is_told_to_whoever_has_the_token() -> None:
    status, headers, body = ask(API)
    assert (status, headers["cache-control"]) == (200, "no-store")
    assert json.loads(body) == {
        "gateway": "edge",
        "version": "1.2",
        "choices": [
            {"id": "route:all", "name": "all", "destination": "echo:welcome", "number": "all"},
            {"id": "agent:front-desk", "name": "front-desk", "destination": "agent:front-desk", "number": "front-desk"},
        ],
        "lines": ["wideband", "telephone"],
    }
    status, headers, body = ask(API, token="wrong")
    assert status == 401
    assert headers["www-authenticate"] == "Bearer"
    assert json.loads(body)["code"] == "wrong_token"
    assert "offhook run" in json.loads(body)["hint"]


def test_a_ticket_is_given_for_a_choice_and_how_it_is_to_sound() -> None:
    desk = Desk()
    status, answer = call({"choice": "route:all", "line": "telephone"}, desk)
    assert status == 201
    ticket = desk.access.take_ticket(answer["ticket"])
    assert ticket is not None
    assert (ticket.choice.id, ticket.codecs) == ("route:all", ("PCMU", "PCMA"))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"choice": "route:other"}, "choice"),
        ({"choice": ["route:all"]}, "choice"),
        ([], "choice"),
        ({"choice": "route:all", "line": "opus"}, "line"),
        ({"choice": "route:all", "more": "x" * 5_000}, "choice"),
    ],
)
def test_what_cannot_be_called_is_said_by_name(body: object, field: str) -> None:
    status, answer = call(body)
    assert (status, answer["code"], answer["field"]) == (400, "bad_field", field)


def test_a_call_that_has_no_room_is_refused_in_words_and_before_it_is_placed() -> None:
    desk = Desk()
    desk.declined = Declined(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_calls", "4 calls are running", "end one")
    assert call({"choice": "route:all"}, desk) == (
        503,
        {"code": "too_many_calls", "message": "4 calls are running", "hint": "end one", "field": None},
    )


def test_another_page_gets_no_ticket_though_it_had_the_token() -> None:
    assert call({"choice": "route:all"}, origin="http://evil.example")[1]["code"] == "strange_origin"
    assert call({"choice": "route:all"}, token=None)[1]["code"] == "wrong_token"
