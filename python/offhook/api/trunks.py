"""`/v1/trunks` and `/v1/phones`: which trunks there are, how our registrations stand, who has registered with us."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from offhook.api.guard import Guard
from offhook.config.schema import Config


def trunk_routes(
    config: Config,
    registrations: Callable[[], Mapping[str, Any]],
    targets: Callable[[], Mapping[str, Any]],
    phones: Callable[[], list[dict[str, Any]]],
    guard: Guard,
) -> list[Route]:
    """`/v1/trunks` is the list of the trunks in the file; `registration` is null where we do not register,
    `phones` how many may register with us.

    `targets` are the addresses that our calls, or OPTIONS, have gone to of late.
    `/v1/phones` is the list of the phones that may register with us, with the contacts of those that have.
    """

    async def all_of_them(request: Request) -> Response:
        states, addresses = registrations(), targets()
        trunks = [
            {
                "name": trunk.name,
                "host": trunk.host,
                "transport": trunk.transport,
                "phones": len(trunk.phones),
                "registration": states.get(trunk.name),
                "targets": addresses.get(trunk.name, []),
            }
            for trunk in config.trunks
        ]
        return JSONResponse({"trunks": trunks})

    async def all_phones(request: Request) -> Response:
        return JSONResponse({"phones": phones()})

    return [guard.route("/v1/trunks", all_of_them), guard.route("/v1/phones", all_phones)]
