"""`offhook agents test` as it is used: what it prints, and with what it ends."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest
from tests.support import planted
from tests.support.clock import run_virtual
from tests.support.gateway import ports
from tests.support.planted import PlantedAgent, listening
from typer.testing import CliRunner, Result
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from offhook.cli.root import app
from offhook.errors import OffhookError

pytestmark = pytest.mark.interop

PORT = ports(2)
URL = f"ws://127.0.0.1:{PORT}/agent"
Server = Callable[[], AbstractAsyncContextManager[Any]]


@pytest.fixture
def offhook(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command in virtual time, with an agent's server in the same loop if one is given."""

    def run(*arguments: str, server: Server | None = None, width: int = 110) -> Result:
        async def with_server(main: Coroutine[Any, Any, int]) -> int:
            if server is None:
                return await main
            async with server():
                return await main

        monkeypatch.setattr("offhook.cli.agents.asyncio.run", lambda main: run_virtual(with_server(main)))
        return CliRunner().invoke(app, ["agents", "test", *arguments], env={"COLUMNS": str(width)})

    return run


def agent(kind: type[PlantedAgent], dialect: str) -> Server:
    return partial(listening, kind(dialect), PORT)


def refusing(status: int, body: str) -> Server:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus(status), body)

    return partial(serve, PlantedAgent("twilio").serve, "127.0.0.1", PORT, process_request=refuse)


def test_a_good_agent_line_by_line(offhook: Callable[..., Result]) -> None:
    result = offhook(f"twilio+{URL}", server=agent(PlantedAgent, "twilio"), width=140)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("✔ can be reached")
    assert all(line.startswith("✔ ") for line in lines[:15])
    assert [line[2:31].strip() for line in lines[1:15]] == [
        "its messages can be read",
        "waits for the start",
        "stays on the line",
        "is heard",
        "greets in time",
        "speaks at the right rate",
        "sends sound evenly",
        "answers the caller",
        "can be interrupted",
        "uses marks rightly",
        "bears a key",
        "lets go of the call",
        "keeps calls apart",
        "takes call after call",
    ]
    assert lines[-1] == f"twilio+{URL}: good (nothing to change; 11 calls)"
    assert "the caller speaks while it speaks" in result.stderr, "it says what it is doing"


def test_a_faulty_agent_says_what_to_change_the_worst_first(offhook: Callable[..., Result]) -> None:
    class TwoMistakes(planted.NeverClears):
        async def send_mark(self, call: planted.PlantedCall, name: str) -> None:
            """None."""

    result = offhook(f"twilio+{URL}", server=agent(TwoMistakes, "twilio"), width=80)
    assert result.exit_code == 1
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    _, _, advice = result.stdout.partition("What to change\n")
    assert advice.startswith("✘ can be interrupted")
    assert "· uses marks rightly" in advice
    assert "faulty (1 fault, 1 note; 11 calls)" in advice


def test_for_programs(offhook: Callable[..., Result]) -> None:
    result = offhook(URL, "--json", "--calls", "2", server=agent(planted.LeaksACall, "offhook"))
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["url"], found["dialect"], found["good"]) == (URL, "offhook", False)
    fault = next(check for check in found["checks"] if check["outcome"] == "fault")
    assert fault["name"] == "hang_up"
    assert fault["advice"]
    assert fault["figures"]["open"] == 7
    assert [call["scene"] for call in found["calls"]] == [
        "talk", "interrupt", "together", "together", "short", "short", "again",
    ]  # fmt: skip
    assert found["calls"][0]["closed_ms"] is None
    assert found["calls"][0]["first_sound_ms"] < 200


def test_the_dialect_and_what_the_server_asks_for(offhook: Callable[..., Result]) -> None:
    asked: list[Request] = []

    def look(connection: ServerConnection, request: Request) -> Response:
        asked.append(request)
        return connection.respond(HTTPStatus.FORBIDDEN, "no such tenant")

    server = partial(serve, PlantedAgent("twilio").serve, "127.0.0.1", PORT, process_request=look)
    result = offhook(
        URL, "--dialect", "twilio", "--token", "s3cret", "--header", "X-Tenant: ada", "--origin", "https://pbx.example",
        server=server,
    )  # fmt: skip
    assert result.exit_code == 2
    assert f"twilio+{URL} answered the upgrade with HTTP 403: no such tenant" in result.stderr
    assert "--token, --header and --origin" in result.stderr
    headers = asked[0].headers
    assert (headers["Authorization"], headers["X-Tenant"]) == ("Bearer s3cret", "ada")
    assert headers["Origin"] == "https://pbx.example"
    assert headers["User-Agent"].startswith("offhook/")
    assert "Sec-WebSocket-Protocol" not in headers
    assert "Sec-WebSocket-Extensions" not in headers
    assert "s3cret" not in result.output


@pytest.mark.parametrize(
    ("arguments", "server", "said", "hint"),
    [
        ([URL], None, f"nothing listens on port {PORT}", "start the agent"),
        ([URL], refusing(404, "not here"), "HTTP 404: not here", "the path of its URL is wrong"),
        ([URL], agent(PlantedAgent, "twilio"), "did not choose the subprotocol offhook.v1", f"twilio+{URL}"),
        (["ws://nowhere.invalid/"], None, "there is no host nowhere.invalid", "check the spelling"),
        ([f"wss://127.0.0.1:{PORT}/"], agent(PlantedAgent, "twilio"), "no TLS there", "ws:// in place of wss://"),
    ],
    ids=["closed port", "wrong path", "wrong dialect", "unknown host", "no TLS"],
)
def test_a_server_that_cannot_be_reached(
    offhook: Callable[..., Result], arguments: list[str], server: Server | None, said: str, hint: str
) -> None:
    result = offhook(*arguments, server=server)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert hint in result.stderr
    result = offhook(*arguments, "--json", server=server)
    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert said in error["message"]
    assert hint in error["hint"]


def test_a_server_that_accepts_and_says_nothing(offhook: Callable[..., Result]) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            writer.close()

    def server() -> AbstractAsyncContextManager[Any]:
        class Listening:
            async def __aenter__(self) -> None:
                self.server = await asyncio.start_server(mute, "127.0.0.1", PORT)

            async def __aexit__(self, *_: object) -> None:
                self.server.close()

        return Listening()

    result = offhook(URL, "--timeout", "3", server=server)
    assert result.exit_code == 2
    assert "the WebSocket upgrade took longer than 3 s" in result.stderr


def test_wrong_use_is_told_before_anything_is_dialled(offhook: Callable[..., Result]) -> None:
    for arguments, said in (
        (["http://127.0.0.1/"], "an agent's WebSocket is written wss://"),
        (["echo:"], "is no agent behind a WebSocket"),
        ([URL, "--header", "X Tenant"], "is no header"),
        ([URL, "--audio", "opus/48000"], "pcm16/16000"),
        ([URL, "--say", "nowhere.wav"], "can't be read"),
    ):
        result = offhook(*arguments)
        text = result.output
        if isinstance(result.exception, OffhookError):
            text += f"{result.exception} {result.exception.hint}"
        assert result.exit_code != 0
        assert said in " ".join(text.replace("│", " ").split()), text


def test_what_the_agent_writes_does_not_reach_the_terminal(offhook: Callable[..., Result]) -> None:
    class Nasty(PlantedAgent):
        async def started(self, call: planted.PlantedCall) -> None:
            await call.socket.close(1011, "\x1b[2J\u202egone")

    result = offhook(f"twilio+{URL}", "--calls", "0", server=agent(Nasty, "twilio"))
    assert "\\x1b[2J\\u202egone" in result.stdout
    assert "\x1b" not in result.stdout
