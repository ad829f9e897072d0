"""`offhook run`: the gateway in the foreground."""

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from offhook.config.load import default_file, load
from offhook.config.schema import Config
from offhook.errors import OffhookError
from offhook.observe.log import Form, configure


def run_gateway(path: Path | None, *, lan: bool, log: Form) -> int:
    """Load the configuration, run until told to stop, and return the exit code.

    Raises `ConfigError` with every problem of the file, `TransportError` for a port that is taken, and `OffhookError`
    with code `extension_missing` when the media core was not built.
    """
    config = load(path or default_file(os.environ, Path.cwd()), os.environ, lan=lan)
    # What follows needs the media core; a missing one is said before a port is opened.
    try:
        from offhook.app import Gateway
    except ImportError as error:
        if error.name != "offhook._media":
            raise
        raise OffhookError(
            "the media core (offhook._media) is not built",
            code="extension_missing",
            hint="run `pip install .` in the project's folder with Rust installed, or install a wheel",
        ) from error

    writer = configure(log)
    console = Console(stderr=True, highlight=False)
    for warning in config.warnings:
        console.print(f"[yellow]warning:[/] {warning}", soft_wrap=True)

    async def serve() -> None:
        # It takes 50 to 80 ms, many times that on a busy machine: a call that came meanwhile would be refused as late.
        gc.collect()
        async with Gateway(config, log_stats=writer.stats) as gateway:
            console.print(_banner(config, gateway), soft_wrap=True)
            _calm_collector()
            await gateway.serve()
        # All is closed and written; a signal more, while the interpreter winds up, must not make a failure of it.
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_IGN)

    try:
        with _runner() as runner:
            runner.run(serve())
    finally:
        writer.close()
    return 0


def _calm_collector() -> None:
    """Take what was loaded at the start out of the garbage collector's sight.

    A full collection walks every object there is: some 200,000 of libraries and configuration that never go away cost
    50 to 80 ms each time, in the middle of calls. What calls leave behind is young and few.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _runner() -> "asyncio.Runner":
    if sys.platform != "win32":
        import uvloop

        return asyncio.Runner(loop_factory=uvloop.new_event_loop)
    return asyncio.Runner()


def _banner(config: Config, gateway: "object") -> str:
    from offhook.app import Gateway

    assert isinstance(gateway, Gateway), "made just above"
    listeners = "  ".join(gateway.listening)
    source = str(config.source) if config.source else "built-in defaults"
    trunks = ", ".join(f"{trunk.name} ({_sources(trunk.allow)})" for trunk in config.trunks)
    routes = ", ".join(f"{route.name} → {route.destination.redacted}" for route in config.routes)
    host, port = gateway.http_address
    lines = [
        f"[bold]offhook[/] is ready. Configuration: {source}",
        f"  SIP     {listeners}",
        f"  media   UDP {config.media.ports}, room for {gateway.call_capacity} calls at once; behind one NAT address "
        f"{gateway.unheard_capacity} may set up at the same moment",
        f"  HTTP    http://{host}:{port}/health/ready  /metrics",
        *([f"  TLS     {gateway.tls_summary}"] if gateway.tls_summary else []),
        f"  trunks  {trunks}",
        f"  routes  {routes}",
    ]
    if config.source is None:
        port = gateway.sip_port
        lines.append(f"Call it from a softphone on this machine: [bold]sip:hello@127.0.0.1:{port}[/]")
    return "\n".join(lines)


def _sources(allow: "tuple[object, ...]") -> str:
    names = [str(network) for network in allow[:3]]
    more = [f"{len(allow) - 3} more"] if len(allow) > 3 else []
    return ", ".join([*names, *more]) or "by password"
