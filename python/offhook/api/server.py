"""The HTTP server inside our own event loop."""

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Iterator, Mapping
from typing import cast

import uvicorn
from starlette.applications import Starlette

from offhook.api.connections import HttpBounds, HttpConnections
from offhook.api.guard import OnRefused
from offhook.api.upgrade import Judge, upgrade_protocol
from offhook.errors import TransportError

_STOP_LIMIT = 2.0
_BACKLOG = 256
_SWEEP_SECONDS = 1.0
_HINTS = {
    errno.EADDRINUSE: "another program has the port: stop it, or set [http] listen",
    errno.EADDRNOTAVAIL: "[http] listen wants an address of this machine, such as 127.0.0.1 or 0.0.0.0",
    errno.EACCES: "ports below 1024 are for root: set [http] listen to a higher one",
}


class HttpServer:
    """uvicorn on a socket that we bound, so that a taken port is one plain line and signals stay with the gateway.

    `upgrades` judge the requests for a WebSocket, by path; `refused` hears of whom `bounds` cut off.
    """

    def __init__(
        self,
        app: Starlette,
        host: str,
        port: int,
        upgrades: Mapping[str, Judge] | None = None,
        *,
        refused: OnRefused = lambda source, rule, why: None,
        bounds: HttpBounds | None = None,
    ) -> None:
        self._address = f"{host}:{port}"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            # Now, not when uvicorn gets to it: two gateways may both bind, only one may listen.
            self._socket.listen(_BACKLOG)
        except OSError as error:
            self._socket.close()
            raise TransportError(
                f"HTTP can't listen on {self._address}: {error.strerror or error}",
                address=self._address,
                hint=_HINTS.get(error.errno or 0, "set [http] listen"),
            ) from error
        self._connections = HttpConnections(refused, now=time.monotonic, bounds=bounds)
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            http=cast(type[asyncio.Protocol], self._connections.protocol),
            ws=cast(type[asyncio.Protocol], upgrade_protocol(upgrades or {})),
            server_header=False,
            timeout_keep_alive=5,
        )
        self._server = _QuietServer(config)
        self._task: asyncio.Task[None] | None = None
        self._next_sweep: asyncio.TimerHandle | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    async def start(self) -> None:
        """Begin to serve; returns at once."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="http")
        self._sweep()

    def _sweep(self) -> None:
        self._connections.sweep()
        self._next_sweep = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    async def close(self) -> None:
        """Stop serving; requests in work get two seconds."""
        if self._next_sweep is not None:
            self._next_sweep.cancel()
        try:
            if self._task is not None:
                self._server.should_exit = True
                await asyncio.wait_for(self._task, _STOP_LIMIT)
        except TimeoutError:
            self._server.force_exit = True
        finally:
            self._socket.close()


class _QuietServer(uvicorn.Server):
    """uvicorn takes SIGINT and SIGTERM for itself; they are the gateway's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
