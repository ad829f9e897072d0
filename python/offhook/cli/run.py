"""`offhook run`: the gateway in the foreground."""

import asyncio
import gc
import os
import secrets
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from offhook import builtin
from offhook.api.local_key import own_url
from offhook.cli.agent_process import AgentProcess, agent_name
from offhook.config.load import LocalAgent, default_file, load
from offhook.config.schema import Config, TrunkConfig
from offhook.errors import OffhookError
from offhook.observe.log import Form, configure
from offhook.transport.udp import own_addresses

if TYPE_CHECKING:
    from offhook.app import Gateway

REFUSED = 1

_LOOK_EVERY = 0.05
_SPEECHLESS_SECONDS = 3.0


def run_gateway(path: Path | None, *, lan: bool, log: Form, agent: Path | None = None, dev: bool = False) -> int:
    """Load the configuration, run until told to stop, and return the exit code.

    `agent` is a file with an agent that is run beside the gateway in a process of its own, with `dev` started again
    when its files change. An agent that can't be run ends the gateway, too. Without a file of either kind it is the
    built-in agent, if the extra `agent` is installed.

    Raises `ConfigError` with every problem of the file, `TransportError` for a port that is taken, and `OffhookError`
    with code `extension_missing` when the media core was not built.
    """
    path = path or default_file(os.environ, Path.cwd())
    agent, local = _local_agent(agent, path)
    config = load(path, os.environ, lan=lan, agent=local, machine=own_addresses())
    token = _token(config, local) if local is not None else ""
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
    console = Console(stderr=True, highlight=False, emoji=False)
    for warning in config.warnings:
        console.print(_warning(str(warning)), soft_wrap=True)

    async def serve() -> int:
        failed = False
        # It takes 50 to 80 ms, many times that on a busy machine: a call that came meanwhile would be refused as late.
        gc.collect()
        async with Gateway(config, log_stats=writer.stats) as gateway:
            banner = _banner(config, gateway, local)
            _calm_collector()
            if agent is None or local is None:
                console.print(banner, soft_wrap=True)
                await gateway.serve()
            else:
                async with AgentProcess(agent, own_url(gateway.http_address, "ws"), token, reload=dev) as beside:
                    ready = _tell_when_ready(console, banner, local.name, lambda: gateway.has_worker(local.name))
                    failed = await _until_it_fails(gateway.serve(), beside, ready)
        # All is closed and written; a signal more, while the interpreter winds up, must not make a failure of it.
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_IGN)
        return REFUSED if failed else 0

    try:
        with _runner() as runner:
            return runner.run(serve())
    finally:
        writer.close()


def _local_agent(agent: Path | None, config: Path | None) -> tuple[Path | None, LocalAgent | None]:
    """The agent to be started beside the gateway, and as what the configuration knows it."""
    token = secrets.token_urlsafe(24)
    if agent is not None:
        return agent, LocalAgent(agent_name(agent, os.environ), token)
    if config is None and builtin.can_speak():
        # It takes a second or two to load; who calls before gets the echo test.
        return builtin.SCRIPT, LocalAgent(builtin.NAME, token, fallback="echo:welcome")
    return None, None


async def _until_it_fails(
    serving: Coroutine[Any, Any, None], beside: AgentProcess, meanwhile: Coroutine[Any, Any, None]
) -> bool:
    """Serve until told to stop, or until the agent has failed; whether it has."""
    gateway, failed = asyncio.ensure_future(serving), asyncio.ensure_future(beside.failed.wait())
    telling = asyncio.ensure_future(meanwhile)
    try:
        await asyncio.wait({gateway, failed}, return_when=asyncio.FIRST_COMPLETED)
        if gateway.done():
            gateway.result()
            return False
        return True
    finally:
        for task in (gateway, failed, telling):
            task.cancel()
        await asyncio.wait({gateway, failed, telling})


async def _tell_when_ready(console: Console, banner: str, agent: str, is_ready: Callable[[], bool]) -> None:
    """Print the banner when calls are answered by the agent, and a word before it if that takes a while.

    Its worker connects when its engines are loaded: a second or two on an idle machine.
    """
    loop, told = asyncio.get_running_loop(), False
    speechless_until = loop.time() + _SPEECHLESS_SECONDS
    while not is_ready():
        await asyncio.sleep(_LOOK_EVERY)
        if not told and loop.time() > speechless_until:
            console.print(f"offhook waits for the agent {agent}, which is being loaded …", soft_wrap=True)
            told = True
    console.print(banner, soft_wrap=True)


def _token(config: Config, agent: LocalAgent) -> str:
    """The token of the agent's worker: this run's own, or that of the file where it has an `[[agent]]` of the name."""
    known = next(known for known in config.agents if known.name == agent.name)
    if known.kind != "worker" or known.token is None:
        raise OffhookError(
            f"[[agent]] {known.name} of the configuration is of kind '{known.kind}'",
            code="agent_broken",
            hint='give the agent another name, or this [[agent]] the kind "worker" and a token',
        )
    return known.token.reveal()


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


def _warning(text: str) -> str:
    return f"[yellow]warning:[/] {escape(text)}"


def _banner(config: Config, gateway: "Gateway", agent: LocalAgent | None) -> str:
    """What is said at the start, as markup: what stands in brackets, such as an IPv6 address, is escaped."""
    listeners = "  ".join(gateway.listening)
    source = str(config.source) if config.source else "built-in defaults"
    trunks = ", ".join(f"{trunk.name} ({_sources(trunk)})" for trunk in config.trunks)
    routes = ", ".join(f"{route.name} → {route.destination.redacted}" for route in config.routes)
    host, port = gateway.http_address
    lines = [
        f"[bold]offhook[/] is ready. Configuration: {escape(source)}",
        f"  SIP     {escape(listeners)}",
        f"  media   UDP {config.media.ports}, room for {gateway.call_capacity} calls at once; behind one NAT address "
        f"{gateway.unheard_capacity} may set up at the same moment",
        f"  HTTP    http://{escape(host)}:{port}/health/ready  /metrics",
        *([f"  TLS     {escape(gateway.tls_summary)}"] if gateway.tls_summary else []),
        f"  trunks  {escape(trunks)}",
        f"  routes  {escape(routes)}",
    ]
    if gateway.talk_link and config.source is not None:
        own = "" if config.talk.token is None else " and your talk.token behind it"
        lines.append(f"  talk    {escape(gateway.talk_link)}{own}")
    if agent is not None:
        lines.append(f"  agent   {agent.name}{'' if _leads_to(config, agent) else ': [red]no route leads to it[/]'}")
    if config.source is None:
        port = gateway.sip_port
        if gateway.talk_link:
            lines.append(f"Talk to it in your browser: [bold]{escape(gateway.talk_link)}[/]")
        lines.append(f"Call it from a softphone on this machine: [bold]sip:hello@127.0.0.1:{port}[/]")
        if agent is None:
            lines.append("It answers with an echo test. For an agent that talks: pip install 'offhook\\[agent]'")
    return "\n".join(lines)


def _leads_to(config: Config, agent: LocalAgent) -> bool:
    destinations = {f"worker:{agent.name}", f"agent:{agent.name}"}
    return any(
        str(uri) in destinations
        for route in config.routes
        for uri in (route.destination, *(fallback.to for fallback in route.fallback))
    )


def _sources(trunk: TrunkConfig) -> str:
    """Where its calls come from, or by what it is known."""
    if trunk.allow:
        more = [f"{len(trunk.allow) - 3} more"] if len(trunk.allow) > 3 else []
        return ", ".join([*map(str, trunk.allow[:3]), *more])
    if trunk.inbound is not None or trunk.phones:
        return "by password"
    if trunk.tls_name is not None:
        return "by certificate"
    return "by registration" if trunk.register_ else "calls out alone"
