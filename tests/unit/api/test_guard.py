"""Nobody without the key is told anything, and who tried is known."""

import json

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from tests.support.http_request import ask

from offhook.api.guard import Guard

pytestmark = pytest.mark.unit


async def answer(request: Request) -> Response:
    return JSONResponse({"secret": 7})


@pytest.mark.parametrize("sent", ["Bearer the-token", "bearer  the-token "])
async def test_who_has_the_key_is_answered(sent: str) -> None:
    told: list[tuple[str, str, str]] = []
    guard = Guard("the-token", lambda *refusal: told.append(refusal))
    status, _, body = await ask([guard.route("/v1/x", answer)], "/v1/x", headers={"Authorization": sent})
    assert (status, json.loads(body), told) == (200, {"secret": 7}, [])


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "no"),
        ({"Authorization": "Bearer the-toke"}, "a wrong"),
        ({"Authorization": "Bearer ünïcode"}, "a wrong"),
        ({"Authorization": "Basic the-token"}, "no"),
        ({"Authorization": "the-token"}, "no"),
        ({"Authorization": "Bearer"}, "no"),
        ({"X-Authorization": "Bearer the-token"}, "no"),
    ],
)
async def test_who_has_not_is_told_so_and_counted(headers: dict[str, str], why: str) -> None:
    told: list[tuple[str, str, str]] = []
    guard = Guard("the-token", lambda *refusal: told.append(refusal))
    status, said, body = await ask([guard.route("/v1/x", answer)], "/v1/x", headers=headers)
    error = json.loads(body)
    assert (status, said["www-authenticate"]) == (401, "Bearer")
    assert (set(error), error["code"]) == ({"code", "message", "hint", "field"}, "wrong_token")
    assert told == [("192.0.2.1", "api_token", f"/v1/x was asked for with {why} token")]


async def test_only_questions_are_asked() -> None:
    guard = Guard("the-token", lambda *refusal: None)
    headers = {"Authorization": "Bearer the-token"}
    status, _, _ = await ask([guard.route("/v1/x", answer)], "/v1/x", method="POST", headers=headers)
    assert status == 405
