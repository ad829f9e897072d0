"""`/health/live`, `/health/ready` and `/metrics`: what an orchestrator and a Prometheus ask."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether new calls are taken, and if not, why. `detail` goes into the answer as it is."""

    ready: bool
    reason: str = ""
    detail: Mapping[str, object] = field(default_factory=dict)


def health_routes(readiness: Callable[[], Readiness], registry: CollectorRegistry) -> list[Route]:
    """What is asked without a password.

    `/health/live` is 200 while the event loop turns; `/health/ready` is 200 while new calls are taken, else 503 with
    the reason; `/metrics` is the text format of Prometheus.
    """

    async def live(request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(request: Request) -> Response:
        state = readiness()
        body = {"ready": state.ready, "reason": state.reason, **state.detail}
        return JSONResponse(body, status_code=200 if state.ready else 503)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", metrics)]
