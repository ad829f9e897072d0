"""What an orchestrator and a Prometheus are told."""

import asyncio
import json
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Counter

from offhook.api.health import Readiness, http_app

pytestmark = pytest.mark.unit


async def get(path: str, readiness: Callable[[], Readiness], method: str = "GET") -> tuple[int, str, bytes]:
    """Ask the application as a server would, without one."""
    registry = CollectorRegistry()
    Counter("offhook_things", "Things.", registry=registry).inc()
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"gateway")],
        "client": ("192.0.2.1", 5),
        "server": ("gateway", 80),
    }
    await http_app(readiness, registry)(scope, receive, send)  # type: ignore[arg-type]
    headers = dict(sent[0]["headers"])  # type: ignore[call-overload]
    body = b"".join(message.get("body", b"") for message in sent[1:])  # type: ignore[misc]
    return sent[0]["status"], headers.get(b"content-type", b"").decode(), body  # type: ignore[return-value]


def asked(path: str, state: Readiness | None = None, method: str = "GET") -> tuple[int, str, bytes]:
    return asyncio.run(get(path, lambda: state or Readiness(True), method))


def test_it_lives_while_it_answers_even_while_it_takes_no_calls() -> None:
    assert asked("/health/live", Readiness(False, "draining"))[0] == 200


def test_it_is_ready_while_it_takes_calls() -> None:
    status, _, body = asked("/health/ready", Readiness(True, "", {"calls": 3, "capacity": 10}))
    assert status == 200
    assert json.loads(body) == {"ready": True, "reason": "", "calls": 3, "capacity": 10}


@pytest.mark.parametrize("reason", ["draining", "full"])
def test_it_says_why_it_is_not_ready(reason: str) -> None:
    status, _, body = asked("/health/ready", Readiness(False, reason))
    assert status == 503
    assert json.loads(body)["reason"] == reason


def test_metrics_are_what_prometheus_reads() -> None:
    status, kind, body = asked("/metrics")
    assert status == 200
    assert kind.startswith("text/plain")
    assert b"offhook_things_total 1.0" in body


def test_nothing_else_is_there_and_nothing_can_be_changed() -> None:
    assert asked("/")[0] == 404
    assert asked("/health/ready", method="POST")[0] == 405
