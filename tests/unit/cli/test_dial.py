"""`offhook dial`: what it asks of the gateway, what it says of the call, and how it ends."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from offhook.api.local_key import LocalKey
from offhook.cli.dial import dial

pytestmark = pytest.mark.unit

TOKEN = "the-token"
NUMBER = "+14155550142"


def call(state: str, outcome: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    return {
        "call_id": "01m83xhfq87fhha168qh19vr9g", "state": state, "trunk": "acme", "from_number": "+14155550100",
        "to_number": NUMBER, "outcome": outcome, "end_reason": None, "end_detail": "", **values,
    }  # fmt: skip


def outcome(kind: str, status: int | None = None, reason: str = "", detail: str = "", hint: str = "") -> dict[str, Any]:
    return {"kind": kind, "status": status, "reason": reason, "q850": None, "detail": detail, "hint": hint}


class StandIn(BaseHTTPRequestHandler):
    """A gateway: `placing` is what POST gives, `looks` what GET does, one after the other."""

    placing: ClassVar[tuple[int, dict[str, Any]]] = (201, call("preparing"))
    looks: ClassVar[list[dict[str, Any]]] = []
    asked: ClassVar[list[tuple[str, str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(("POST", self.path, body))
        self._answer(*self.placing)

    def do_GET(self) -> None:
        self.asked.append(("GET", self.path, None))
        self._answer(200, self.looks.pop(0))

    def _answer(self, status: int, said: dict[str, Any]) -> None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            status = 401
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    StandIn.asked, StandIn.looks, StandIn.placing = [], [], (201, call("preparing"))
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(0.01))
        thread.start()
        LocalKey(f"http://127.0.0.1:{server.server_port}", TOKEN).leave(tmp_path / "data")
        (tmp_path / "offhook.toml").write_text(f'[node]\ndata_dir = "{tmp_path}/data"\n')
        yield tmp_path
        server.shutdown()
        thread.join()


def offhook(data: Path, *arguments: str) -> Result:
    app = Typer()
    app.command()(dial)
    return CliRunner().invoke(app, [NUMBER, "--agent", "bot", "--config", str(data / "offhook.toml"), *arguments])


def test_a_call_that_is_answered(data: Path) -> None:
    StandIn.looks = [call("calling"), call("ringing"), call("answered", outcome("answered", 200, "OK"))]
    result = offhook(data, "--data", "order=4711", "--data", "text=a=b", "--ring-timeout", "30")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"call 01m83xhfq87fhha168qh19vr9g: {NUMBER} by acme, from +14155550100",
        "preparing the agent",
        "calling",
        "ringing",
        "answered",
        "the agent is on the line; `offhook calls show 19vr9g` tells more once it is over",
    ]
    assert StandIn.asked[0] == (
        "POST",
        "/v1/calls",
        {
            "to": NUMBER,
            "agent": "bot",
            "ring_timeout": 30,
            "early_media": False,
            "record": False,
            "data": {"order": "4711", "text": "a=b"},
        },
    )
    assert [path for method, path, _ in StandIn.asked if method == "GET"] == [
        f"/v1/calls/01m83xhfq87fhha168qh19vr9g?wait=20.0&since={state}" for state in ("preparing", "calling", "ringing")
    ]


def test_a_number_that_is_kept_back_and_headers_of_the_invite(data: Path) -> None:
    StandIn.looks = [call("answered", outcome("answered", 200, "OK"))]
    assert offhook(data, "--private", "--header", "X-Campaign: spring", "--header", "X-A:b:c").exit_code == 0
    asked = StandIn.asked[0][2]
    assert (asked["private"], asked["headers"]) == (True, {"X-Campaign": "spring", "X-A": "b:c"})
    assert offhook(data, "--header", "X-Campaign").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (("--detect", "--wait"), True),
        (("--no-detect",), False),
        (("--detect", "--on-machine", "hang_up", "--wait"), {"on_machine": "hang_up"}),
        (("--on-machine", "voicemail", "--wait"), {"on_machine": "voicemail"}),
    ],
)
def test_who_answers_is_asked_for(arguments: tuple[str, ...], asked: object, data: Path) -> None:
    StandIn.looks = [call("ended" if "--wait" in arguments else "answered", outcome("answered", 200, "OK"))]
    assert offhook(data, *arguments).exit_code == 0
    assert StandIn.asked[0][2]["detect"] == asked


def test_who_has_answered_is_said_once_it_is_known(data: Path) -> None:
    answered = outcome("answered", 200, "OK")
    nothing = {"who": "unknown", "evidence": "nothing was heard that tells it", "on_machine": "hang_up"}
    machine = {"who": "machine", "confidence": 0.9, "evidence": "speech that goes on for 3.0 s\x1b[31m"}
    person = {"who": "human", "confidence": 0.7, "evidence": "0.4 s of speech, then 0.3 s of silence"}
    StandIn.looks = [call("answered", answered, answered_by=nothing), call("answered", answered, answered_by=person)]
    assert offhook(data, "--detect").stdout.splitlines()[-2] == f"answered by human: {person['evidence']}"
    StandIn.looks = [
        call("answered", answered, answered_by=nothing),
        call("answered", answered, answered_by=person),
        call("ended", answered, answered_by=machine, end_reason="no_person_answered"),
    ]
    assert offhook(data, "--detect", "--on-machine", "hang_up", "--wait").stdout.splitlines()[-3:] == [
        f"answered by human: {person['evidence']}",
        "answered by machine: speech that goes on for 3.0 s\\x1b[31m",
        "over, no_person_answered",
    ]
    StandIn.looks = [call("ended", answered, answered_by=nothing, end_reason="callee_hung_up")]
    assert "answered by unknown: nothing was heard that tells it" in offhook(data, "--detect", "--wait").stdout


@pytest.mark.parametrize(
    ("kind", "code"),
    [("busy", 3), ("refused", 4), ("no_answer", 5), ("cancelled", 6), ("failed", 1), ("of_tomorrow", 1)],
)
def test_how_it_ends_says_what_came_of_the_call(kind: str, code: int, data: Path) -> None:
    StandIn.looks = [call("ended", outcome(kind, 486, "Busy\x1b[31m", "486 Busy", "try later"))]
    result = offhook(data)
    assert result.exit_code == code
    assert result.stdout.splitlines()[-2:] == [
        f"{kind.replace('_', ' ')} (486 Busy\\x1b[31m): 486 Busy",
        "  try later",
    ]


def test_until_the_end_if_that_is_wanted(data: Path) -> None:
    answered = outcome("answered", 200, "OK")
    over = call("ended", answered, end_reason="callee_hung_up", end_detail="Q.850 16")
    StandIn.looks = [call("answered", answered), over]
    result = offhook(data, "--wait")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "over, callee_hung_up: Q.850 16")


def test_for_programs_the_call_alone(data: Path) -> None:
    StandIn.looks = [call("ended", outcome("busy", 486))]
    result = offhook(data, "--json")
    assert (result.exit_code, json.loads(result.stdout)["outcome"]["kind"]) == (3, "busy")


@pytest.mark.parametrize(("status", "code"), [(403, 1), (429, 1), (503, 1), (400, 2)])
def test_nobody_was_called(status: int, code: int, data: Path) -> None:
    StandIn.placing = status, {"code": "dial_not_listed", "message": "nobody lists it", "hint": "add it"}
    result = offhook(data)
    assert result.exit_code == code
    assert "nobody was called: nobody lists it\n  add it" in result.output


def test_data_without_a_name_is_a_mistake(data: Path) -> None:
    assert offhook(data, "--data", "4711").exit_code == 2
    assert StandIn.asked == []
