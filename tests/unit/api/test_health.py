"""What an orchestrator and a Prometheus are told."""

import asyncio
import json

import pytest
from prometheus_client import CollectorRegistry, Counter
from tests.support.http_request import ask

from offhook.api.health import Readiness, health_routes

pytestmark = pytest.mark.unit


def asked(path: str, state: Readiness | None = None, method: str = "GET") -> tuple[int, str, bytes]:
    registry = CollectorRegistry()
    Counter("offhook_things", "Things.", registry=registry).inc()
    routes = health_routes(lambda: state or Readiness(True), registry)
    status, headers, body = asyncio.run(ask(routes, path, method=method))
    return status, headers.get("content-type", ""), body


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
