"""What the API tells of workers."""

import json
from typing import Any, cast

import pytest
from tests.support.http_request import ask

from offhook.api.guard import Guard
from offhook.api.workers import worker_routes
from offhook.destination.dialect.worker import Hello
from offhook.destination.workers import Connection, Worker, Workers
from offhook.media.mux import Mux

pytestmark = pytest.mark.unit


class SilentMux:
    """A connection on which nothing is heard."""

    def send_text(self, text: str) -> None:
        pass


def hire(workers: Workers, name: str, *, now: float, source: str, instance: str = "") -> Worker:
    connection = Connection(source)
    connection.mux = cast(Mux, SilentMux())
    hello = Hello(name, 10, None, None, instance, "offhook 9", {"zone": "b"})
    return workers.introduce(hello, frozenset({name}), connection, now)


async def listed(workers: Workers) -> list[dict[str, Any]]:
    routes = worker_routes(workers, Guard("t", lambda *_: None), lambda at: round(at * 1000))
    status, _, body = await ask(routes, "/v1/workers", headers={"Authorization": "Bearer t"})
    assert status == 200
    assert not any(worker.session in body.decode() for worker in workers), "whoever has a session is that worker"
    found: list[dict[str, Any]] = json.loads(body)["workers"]
    return found


async def test_who_is_connected_is_listed_with_what_it_does() -> None:
    workers = Workers(threads=2, gateway="edge", version="1")
    assert await listed(workers) == []
    hire(workers, "front", now=5.0, source="192.0.2.7", instance="box:1")
    night = hire(workers, "night", now=6.5, source="192.0.2.8")
    night.draining = True
    night.connections[0].stalled = True
    first, second = await listed(workers)
    assert first == {
        "agent": "front", "instance": "box:1", "address": "192.0.2.7", "software": "offhook 9", "labels": {"zone": "b"},
        "calls": 0, "max_calls": 10, "ready": None, "stalled": False, "draining": False, "connections": 1,
        "connections_wanted": 2, "connected_at": 5_000,
    }  # fmt: skip
    assert (second["instance"], second["stalled"], second["draining"]) == ("192.0.2.8", True, True)
    workers.part(night, 0, night.connections[0], "gone")
    assert [worker["agent"] for worker in await listed(workers)] == ["front"]
