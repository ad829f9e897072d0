"""Nobody without the key is told anything, and who tried is known."""

import hashlib
import json

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from tests.support.http_request import ask

from offhook.api.guard import Guard
from offhook.api.keys import ApiKeys

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


class Programs:
    """Programs behind one proxy, and a gateway that knows the keys of two of them."""

    KEYS = {"crm": "5f0c" * 16, "shop": "7a1c" * 16}

    def __init__(self) -> None:
        self.now = 0.0
        hashes = {name: hashlib.sha256(key.encode()).hexdigest() for name, key in self.KEYS.items()}
        guard = Guard("the-token", lambda *refusal: None, ApiKeys(hashes), lambda: self.now)
        self.routes = [guard.keyed("/v1/calls", lambda request, holder: answer(request), "POST")]

    async def asks(self, key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        status, _, _ = await ask(self.routes, "/v1/calls", method="POST", headers=headers)
        return int(status)


async def test_a_wrong_key_behind_a_proxy_locks_out_no_right_one() -> None:
    programs = Programs()
    assert [await programs.asks("old-key-of-the-shop") for _ in range(12)] == [401] * 10 + [429] * 2
    assert await programs.asks(programs.KEYS["crm"]) == 200
    # What begins alike is a guess at the same key.
    assert await programs.asks("old-key-2") == 429
    programs.now = 61.0
    assert await programs.asks("old-key-of-the-shop") == 401


async def test_who_guesses_at_all_kinds_of_keys_is_bounded_and_stops_no_key_that_was_right() -> None:
    programs = Programs()
    assert await programs.asks(programs.KEYS["crm"]) == 200
    answers = [await programs.asks(f"{number:06}-guess") for number in range(120)]
    assert answers == [401] * 100 + [429] * 20
    assert await programs.asks(programs.KEYS["crm"]) == 200
    assert await programs.asks(programs.KEYS["shop"]) == 429
    programs.now = 61.0
    assert await programs.asks(programs.KEYS["shop"]) == 200


async def test_a_key_is_not_guessed_to_its_end() -> None:
    programs = Programs()
    right = programs.KEYS["crm"]
    assert [await programs.asks(f"{right[:-2]}{number:02}") for number in range(12)] == [401] * 10 + [429] * 2
    assert await programs.asks(right) == 429
