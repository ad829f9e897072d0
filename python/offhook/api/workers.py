"""`/v1/workers`: who is connected to take calls."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from offhook.api.guard import Guard
from offhook.destination.workers import Worker, Workers


def worker_routes(workers: Workers, guard: Guard, wall: Callable[[float], int]) -> list[Route]:
    """`/v1/workers` is the list of connected workers. `wall` turns monotonic seconds into UTC milliseconds."""

    async def all_of_them(request: Request) -> Response:
        return JSONResponse({"workers": [_shown(worker, workers, wall) for worker in workers]})

    return [guard.route("/v1/workers", all_of_them)]


def _shown(worker: Worker, workers: Workers, wall: Callable[[float], int]) -> dict[str, Any]:
    # Its session is a secret, and stays one.
    return {
        "agent": worker.name,
        "instance": worker.title,
        "address": worker.source,
        "software": worker.hello.software,
        "labels": dict(worker.hello.labels),
        "calls": worker.calls,
        "max_calls": worker.max_calls,
        "ready": worker.ready,
        "stalled": worker.stalled,
        "draining": worker.draining,
        "connections": len(worker.connections),
        "connections_wanted": workers.threads,
        "connected_at": wall(worker.connected_at),
    }
