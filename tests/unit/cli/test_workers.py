"""The list of workers: asked of the gateway by its own API, told in a line each."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from offhook.api.local_key import FILE, LocalKey
from offhook.cli.workers import workers
from offhook.errors import OffhookError

pytestmark = pytest.mark.unit

TOKEN = "the-token"
WIDTH = {"COLUMNS": "120"}


def worker(**values: Any) -> dict[str, Any]:
    return {
        "agent": "front", "instance": "box:7", "address": "192.0.2.7", "software": "offhook 0.1", "labels": {},
        "calls": 3, "max_calls": 10, "ready": None, "stalled": False, "draining": False, "connections": 2,
        "connections_wanted": 2, "connected_at": 1_795_000_000_000, **values,
    }  # fmt: skip


class StandIn(BaseHTTPRequestHandler):
    """A gateway that knows these workers."""

    known: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        right = (self.path, self.headers["Authorization"]) == ("/v1/workers", f"Bearer {TOKEN}")
        body = json.dumps({"workers": self.known} if right else {"code": "wrong_token"}).encode()
        self.send_response(200 if right else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(0.01))
        thread.start()
        LocalKey(f"http://127.0.0.1:{server.server_port}", TOKEN).leave(tmp_path / "data")
        yield tmp_path / "data"
        server.shutdown()
        thread.join()


def offhook(data: Path, *arguments: str) -> Result:
    file = data.parent / "offhook.toml"
    file.write_text(f'[node]\ndata_dir = "{data}"\n')
    app = Typer()
    app.command()(workers)
    return CliRunner().invoke(app, ["--config", str(file), *arguments], env={**WIDTH, "TZ": "UTC"})


def test_each_is_a_line_with_what_it_does(data: Path) -> None:
    StandIn.known = [
        worker(agent="night", instance="z\x1b[2J"),
        worker(),
        worker(calls=10),
        worker(stalled=True),
        worker(draining=True, stalled=True),
        worker(connections=1),
        worker(ready=0, software=""),
    ]
    title, *lines = offhook(data).stdout.splitlines()
    assert title.split() == ["AGENT", "WORKER", "ADDRESS", "CALLS", "STATE", "VERSION", "SINCE"]
    assert [line.split()[0] for line in lines] == ["front"] * 6 + ["night"]
    for line, said in zip(
        lines, ["takes calls", "full", "stalled", "draining", "1 of 2 connections", "warming up", "takes"], strict=True
    ):
        assert said in line
    assert "3 of 10" in lines[0]
    assert "192.0.2.7" in lines[0]
    assert lines[0].endswith("18 Nov 11:06")
    assert "\x1b" not in lines[-1], "nothing that a worker says acts on the terminal"


def test_where_no_terminal_is_nothing_is_cut_off(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIn.known = [worker(instance="a-machine-with-a-long-name:30211", address="2001:db8::7")]
    monkeypatch.setitem(WIDTH, "COLUMNS", "40")
    title, line = offhook(data).stdout.splitlines()
    assert title.endswith("SINCE")
    assert line.endswith("18 Nov 11:06")


def test_json_is_what_the_gateway_says(data: Path) -> None:
    StandIn.known = [worker()]
    assert json.loads(offhook(data, "--json").stdout) == [worker()]


def test_nobody_there(data: Path) -> None:
    StandIn.known = []
    assert "offhook worker agent.py" in offhook(data).stdout


def test_where_no_gateway_runs_it_says_so(data: Path, tmp_path: Path) -> None:
    gone = LocalKey("http://127.0.0.1:1", TOKEN)
    wrong = LocalKey(json.loads((data / FILE).read_text())["url"], "another")
    for key, said in [(None, "no gateway runs"), (gone, "does not answer"), (wrong, "is not the gateway")]:
        (data / FILE).unlink()
        if key is not None:
            key.leave(data)
        result = offhook(data)
        assert isinstance(result.exception, OffhookError)
        assert (result.exception.code, said in str(result.exception)) == ("gateway_not_running", True)
        (data / FILE).touch()
