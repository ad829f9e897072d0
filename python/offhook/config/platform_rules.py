"""What an agent on a platform needs and what has no meaning for it: settings, and the trunk that it is called by."""

from collections.abc import Iterator, Mapping

from offhook.config.lines import Path
from offhook.config.problems import Finding
from offhook.config.schema import AgentConfig, HttpConfig, TrunkConfig
from offhook.config.schema.platform import PlatformAgent
from offhook.config.values import is_loopback
from offhook.platform.openai import is_project
from offhook.platform.profile import PLATFORMS, Platform
from offhook.platform.webhook import WebhookError, secret_of

_OF_WEBSOCKETS = (
    "url", "token", "headers", "origin", "connect_timeout", "tls_ca", "tls_verify", "encoding", "sample_rate",
)  # fmt: skip
_OF_OPENAI = ("webhook_secret", "model", "instructions", "voice", "other_calls")
_OF_ALL = ("trunk", "dial", "variables")
_WITH_A_SECRET = ("api_key", "api_url", "model", "instructions", "voice", "other_calls")


def errors(path: Path, agent: AgentConfig, trunks: Mapping[str, TrunkConfig]) -> Iterator[Finding]:
    """Everything that is missing or contradicts itself. `trunks` are those with no mistake of their own, by name."""
    platform = PLATFORMS.get(agent.kind)
    if platform is None:
        for name in PlatformAgent.model_fields:
            if name in agent.model_fields_set:
                kinds = ", ".join(kind for kind in PLATFORMS if name in _settings(PLATFORMS[kind]))
                yield Finding((*path, name), f"has no meaning for kind '{agent.kind}'", f"it is of kinds {kinds}")
        return
    meant = _settings(platform)
    for name in (*_OF_WEBSOCKETS, *PlatformAgent.model_fields):
        if name in agent.model_fields_set and name not in meant:
            yield Finding(
                (*path, name), f"has no meaning for kind '{agent.kind}'", f"{platform.title} is called by SIP"
            )
    yield from _line(path, agent, platform, trunks)
    if agent.dial is None and platform.dials is None and not platform.registers:
        yield _missing(path, "dial", agent, "its name or number there, or {to}; for openai-sip the project's id")
    if platform.registers:
        for name, hint in (("agent_id", "its id there"), ("api_key", "a key to the API")):
            if getattr(agent, name) is None:
                yield _missing(path, name, agent, hint)
    if platform.asks_by_webhook:
        yield from _openai(path, agent)


def warnings(path: Path, agent: AgentConfig, http: HttpConfig | None) -> Iterator[Finding]:
    """What works, but hardly as meant."""
    if agent.kind not in PLATFORMS or agent.webhook_secret is None or http is None:
        return
    if is_loopback(http.listen.host):
        yield Finding(
            (*path, "webhook_secret"),
            f"OpenAI's webhook comes from the internet, and [http] listen {http.listen} is of this machine alone",
            f"put a proxy with TLS in front of it that passes on POST /v1/webhooks/openai/{agent.name}",
        )


def _settings(platform: Platform) -> tuple[str, ...]:
    """What has a meaning for agents of this kind."""
    if platform.registers:
        return ("trunk", "variables", "agent_id", "api_key", "api_url")
    return (*_OF_ALL, "api_key", "api_url", *_OF_OPENAI) if platform.asks_by_webhook else _OF_ALL


def _line(path: Path, agent: AgentConfig, platform: Platform, trunks: Mapping[str, TrunkConfig]) -> Iterator[Finding]:
    """The trunk that leads there."""
    if agent.trunk is None:
        yield _missing(path, "trunk", agent, "the [[trunk]] that it is called by")
        return
    trunk = trunks.get(agent.trunk)
    if trunk is None:
        return
    transport = trunk.transport or ("tls" if trunk.tls == "required" else "udp")
    if trunk.host is None:
        hint = f'host = "{platform.host}"' if platform.host else "write where the platform is into its host"
        yield Finding((*path, "trunk"), f"trunk '{trunk.name}' has no host, so nothing is called by it", hint)
    elif not trunk.caller_id:
        message = f"trunk '{trunk.name}' has no caller_id, and its calls have to show a number"
        yield Finding((*path, "trunk"), message, 'write caller_id = "+NUMBER" into the [[trunk]]: the one of this line')
    elif transport not in platform.transports:
        message = f"{platform.title} does not take calls over {transport}, which trunk '{trunk.name}' has"
        yield Finding((*path, "trunk"), message, f'transport = "{platform.transports[-1]}" in the [[trunk]]')


def _openai(path: Path, agent: AgentConfig) -> Iterator[Finding]:
    if agent.dial is not None and "{" not in agent.dial and not is_project(agent.dial):
        yield Finding((*path, "dial"), f"'{agent.dial}' is no project's id", "it begins with proj_")
    if agent.webhook_secret is None:
        for name in _WITH_A_SECRET:
            if name in agent.model_fields_set:
                hint = "with it the gateway takes OpenAI's webhook and accepts the calls itself"
                yield Finding((*path, name), "has no meaning without webhook_secret", hint)
        return
    try:
        secret_of(agent.webhook_secret.reveal())
    except WebhookError as error:
        yield Finding((*path, "webhook_secret"), str(error), error.hint)
    for name, hint in (("api_key", "calls are accepted with it"), ("model", "such as gpt-realtime, or gpt-live-1")):
        if getattr(agent, name) is None:
            yield _missing(path, name, agent, hint)


def _missing(path: Path, name: str, agent: AgentConfig, hint: str) -> Finding:
    return Finding((*path, name), f"is required for kind '{agent.kind}'", hint)
