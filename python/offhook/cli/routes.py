"""`offhook routes test`: where would this call go, and why? The gateway's own code, without a call."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from offhook.call.facts import facts_of
from offhook.cli.check import REFUSED, USED_WRONGLY
from offhook.config.load import default_file, examine
from offhook.config.routing import build_routing
from offhook.config.schema import Config
from offhook.route.destination_uri import AgentUri, DestinationUri, WorkerUri
from offhook.route.dry_run import DryRun, Question, try_call
from offhook.route.trunk import parse_source
from offhook.sip.headers import NameAddr
from offhook.sip.message import Headers, Request
from offhook.sip.uri import SipUri

app = typer.Typer(help="Look at routes.", no_args_is_help=True)


@app.callback()
def routes() -> None:
    """Look at routes."""


@app.command("test")
def try_route(
    to: Annotated[str, typer.Option("--to", help="The dialled number, or a SIP URI with the trunk's domain.")],
    source: Annotated[str, typer.Option("--source", help="IP address that the call comes from.")] = "127.0.0.1",
    caller: Annotated[str, typer.Option("--from", help="The caller's number or SIP URI.")] = "anonymous",
    domain: Annotated[str, typer.Option("--domain", help="Request-URI host; tells trunks apart.")] = "",
    user: Annotated[str | None, typer.Option("--user", help="Inbound user that the caller proves.")] = None,
    transport: Annotated[str, typer.Option("--transport", help="udp, tcp or tls.")] = "udp",
    certificate: Annotated[
        str | None, typer.Option("--certificate", help="SIP domain that the caller's certificate proves (TLS).")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", help='A header of the INVITE, "X-Queue: sales".')
    ] = None,
    file: Annotated[Path | None, typer.Option("--config", help="The file, as in `offhook check`.")] = None,
    lan: Annotated[bool, typer.Option("--lan", help="As in `offhook run`.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Tell which trunk and route a call would take, step by step.

    Exit status 0: a route takes it. 1: it is refused. 2: the question or the configuration is wrong.
    """
    if parse_source(source) is None:
        raise typer.BadParameter(f"'{source}' is no IP address", param_hint="--source")
    if transport not in ("udp", "tcp", "tls"):
        raise typer.BadParameter("udp, tcp or tls", param_hint="--transport")
    found = examine(file or default_file(os.environ, Path()), os.environ, lan=lan)
    if found.config is None:
        for problem in found.errors:
            typer.echo(str(problem), err=True)
        raise typer.Exit(USED_WRONGLY)
    to_user, to_host = _user_and_host(to)
    from_user, from_host = _user_and_host(caller)
    routing = build_routing(found.config)
    headers = [_header(text) for text in header or ()]
    invite = _invite((to_user, domain or to_host), (from_user, from_host), headers)
    question = Question(
        source_ip=source,
        to_user=to_user,
        from_user=from_user,
        transport="tls" if certificate else transport,
        domain=domain or to_host,
        from_host=from_host,
        user=user,
        headers=headers,
        facts=lambda trunk: facts_of(invite, trunk),
        proven=(certificate.lower(),) if certificate else (),
    )
    run = try_call(routing.trunks, routing.routes, question)
    typer.echo(json.dumps(_json(run), indent=2, ensure_ascii=False) if as_json else _text(run, found.config))
    if run.route is None:
        raise typer.Exit(REFUSED)


def _user_and_host(text: str) -> tuple[str, str]:
    """`+1415…`, `sales@host`, `sip:sales@host:5060;transport=tcp`: the user part and the host."""
    for scheme in ("sip:", "sips:", "tel:"):
        text = text.removeprefix(scheme)
    user, _, rest = text.rpartition("@") if "@" in text else (text, "", "")
    host = rest.partition(";")[0].partition("?")[0]
    return user, host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]


def _invite(to: tuple[str, str], from_: tuple[str, str], headers: list[tuple[str, str]]) -> Request:
    """The INVITE that is meant, as far as a gateway reads it for its routes."""
    (to_user, to_host), (from_user, from_host) = to, from_
    caller = SipUri(from_host.strip("[]") or "invalid", user=from_user or None)
    return Request(
        "INVITE",
        SipUri(to_host.strip("[]") or "invalid", user=to_user or None),
        Headers([("From", str(NameAddr(caller))), *headers]),
        b"",
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise typer.BadParameter(f"'{text}' is no header", param_hint='--header "X-Queue: sales"')
    return name.strip(), value.strip()


_VERDICTS = {True: "yes", False: "no", None: ""}


def _text(run: DryRun, config: Config) -> str:
    lines = [f"{step.subject:<7} {_VERDICTS[step.ok]:<4} {step.text}" for step in run.steps]
    if run.route is None:
        hint = " (--domain gives the host)" if run.steps[-1].subject == "domain" else ""
        return "\n".join([*lines, f"refused: {run.slug}: {run.why}{hint}"])
    route = run.route
    lines.append(f"goes to {_described(route.destination, config)} by route '{route.name}'")
    lines.append(f"answered {route.answer.value}, {route.ring_timeout:g} s to get ready")
    if route.barge_in is not None:
        lines.append(f"a caller who speaks over the agent: {route.barge_in}")
    lines += [
        f"on {', '.join(sorted(cause.value for cause in fallback.on))}: {_described(fallback.to, config)}"
        for fallback in route.fallback
    ]
    lines.append("(limits are not part of this test)")
    return "\n".join(lines)


def _described(destination: DestinationUri, config: Config) -> str:
    agent = config.agent(destination.name) if isinstance(destination, AgentUri | WorkerUri) else None
    if agent is not None and agent.kind == "worker":
        return f"{destination} (its workers, which dial the gateway)"
    if agent is None or agent.url is None:
        return destination.redacted
    return f"{destination} ({agent.kind}, {agent.url.redacted})"


def _json(run: DryRun) -> dict[str, object]:
    route, facts = run.route, run.facts
    return {
        "ok": route is not None,
        "code": run.slug or None,
        "message": run.why,
        "trunk": run.trunk and run.trunk.name,
        "to": facts and facts.to.canonical,
        "from": facts and facts.from_.canonical,
        "route": route and route.name,
        "destination": route and route.destination.redacted,
        "answer": route and route.answer.value,
        "ring_timeout": route and route.ring_timeout,
        "barge_in": route and (route.barge_in or "auto"),
        "fallback": [
            {"on": sorted(cause.value for cause in fallback.on), "to": fallback.to.redacted}
            for fallback in (route.fallback if route else ())
        ],
        "steps": [{"subject": step.subject, "ok": step.ok, "text": step.text} for step in run.steps],
    }
