"""What a program says to its gateway to have somebody called, and what it makes of the answers."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from offhook import AgentError, DialRefused, Gateway
from offhook.agent import EndCause
from offhook.api.server import HttpServer

pytestmark = pytest.mark.unit

CALL = {
    "call_id": "01abc",
    "direction": "outbound",
    "state": "preparing",
    "trunk": "acme",
    "from_number": "+14155550100",
    "to_number": "+14155550142",
    "agent": "bot",
    "outcome": None,
    "end_reason": None,
    "end_detail": "",
}
BUSY = {
    "kind": "busy",
    "status": 486,
    "reason": "Busy Here",
    "q850": 17,
    "causes": [{"protocol": "Q.850", "cause": 17, "text": "User busy"}],
    "end_reason": "callee_busy",
    "detail": "486 Busy Here",
    "hint": "",
}


class Desk:
    """Answers as the gateway does: `looks` are the calls that further looks give, the last one on and on."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.looks: list[dict[str, Any]] = []
        self.refusal: tuple[int, dict[str, Any], dict[str, str]] | None = None

    async def answer(self, request: Request) -> Response:
        body = await request.body()
        where = f"{request.url.path}?{request.url.query}".rstrip("?")
        self.asked.append((request.method, where, dict(request.headers), json.loads(body) if body else None))
        if self.refusal is not None:
            status, said, headers = self.refusal
            return JSONResponse(said, status, headers)
        if request.method == "POST":
            return JSONResponse(CALL, 201)
        if request.method == "DELETE":
            return Response(status_code=202)
        return JSONResponse(self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])


@asynccontextmanager
async def desk() -> AsyncIterator[tuple[Desk, Gateway]]:
    served = Desk()
    methods = ["GET", "POST", "DELETE"]
    routes = [
        Route("/v1/calls", served.answer, methods=methods),
        Route("/v1/calls/{id}", served.answer, methods=methods),
    ]
    server = HttpServer(Starlette(routes=routes), "127.0.0.1", 0)
    await server.start()
    try:
        yield served, Gateway(f"http://127.0.0.1:{server.address[1]}", key="the-key")
    finally:
        await server.close()


async def test_a_wish_and_what_came_of_it() -> None:
    async with desk() as (served, gateway):
        call = await gateway.dial("+14155550142", agent="bot", data={"order": "4711"}, idempotency_key="one")
        assert (call.id, call.state, call.trunk, call.from_number) == ("01abc", "preparing", "acme", "+14155550100")
        method, path, headers, body = served.asked[0]
        assert (method, path) == ("POST", "/v1/calls")
        assert (headers["authorization"], headers["idempotency-key"]) == ("Bearer the-key", "one")
        assert body == {
            "to": "+14155550142",
            "agent": "bot",
            "early_media": False,
            "record": False,
            "headers": {},
            "data": {"order": "4711"},
        }
        served.looks = [
            CALL | {"state": "ringing"},
            CALL | {"state": "ended", "outcome": BUSY, "end_reason": "callee_busy"},
        ]
        assert await call.progress() == "ringing"
        assert served.asked[-1][1] == "/v1/calls/01abc?wait=30&since=preparing"
        outcome = await call.outcome()
        assert (outcome.kind, outcome.answered, outcome.status, outcome.q850) == ("busy", False, 486, 17)
        assert outcome.causes == (EndCause("Q.850", 17, "User busy"),)
        assert await call.ended() == "callee_busy"
        # Of one that is over nothing is asked any more.
        count = len(served.asked)
        assert await call.progress() == "ended"
        assert len(served.asked) == count
        await call.hang_up()
        assert served.asked[-1][:2] == ("DELETE", "/v1/calls/01abc")


async def test_nobody_is_called() -> None:
    async with desk() as (served, gateway):
        said = {"code": "limit_outbound_cps", "message": "too many", "hint": "wait", "field": None, "call_id": "01x"}
        served.refusal = 429, said, {"Retry-After": "7"}
        with pytest.raises(DialRefused, match="too many") as refused:
            await gateway.dial("+14155550142", agent="bot")
        error = refused.value
        assert (error.reason, error.status, error.retry_after) == ("limit_outbound_cps", 429, 7.0)
        assert (error.hint, error.call_id) == ("wait", "01x")
        with pytest.raises(AgentError, match="line end"):
            await gateway.dial("+14155550142", agent="bot", idempotency_key="a\r\nX-A: b")


@pytest.mark.parametrize("url", ["", "gateway:8080", "ftp://gateway", "http://"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(AgentError, match="is no gateway"):
        Gateway(url, key="k")


async def test_a_gateway_that_is_not_there() -> None:
    async with desk() as (_, gateway):
        pass
    with pytest.raises(AgentError, match="does not answer"):
        await gateway.dial("+14155550142", agent="bot")
