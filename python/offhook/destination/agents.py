"""The `[[agent]]`s of the configuration, as destinations know them."""

from collections.abc import Mapping

from offhook.config.schema import AgentConfig, Config
from offhook.destination.openai_calls import OpenAISpec
from offhook.destination.platform_agent import PlatformSpec
from offhook.destination.platform_api import ApiSpec
from offhook.destination.wire import AgentSpec
from offhook.platform import openai, retell
from offhook.platform.profile import PLATFORMS
from offhook.platform.webhook import Verifier, secret_of


def agent_spec(agent: AgentConfig, config: Config) -> AgentSpec | PlatformSpec:
    """How an `[[agent]]` is reached, its credentials with it. Those of kind `worker` dial us, and have no URL."""
    if agent.kind in PLATFORMS:
        return _platform_spec(agent, config)
    if agent.kind == "worker":
        return AgentSpec(agent.name, "worker", "", encoding=agent.encoding, sample_rate=agent.audio_rate)
    assert agent.url is not None, "the configuration asks for the url of these kinds"
    headers = {name: secret.reveal() for name, secret in agent.headers.items()}
    if agent.token is not None:
        headers["Authorization"] = f"Bearer {agent.token.reveal()}"
    return AgentSpec(
        name=agent.name,
        dialect=agent.kind,
        url=str(agent.url),
        headers=tuple(headers.items()),
        origin=agent.origin,
        connect_timeout=agent.connect_timeout,
        encoding=agent.encoding,
        sample_rate=agent.audio_rate,
        tls_verify=agent.tls_verify,
        tls_ca=agent.tls_ca,
    )


def openai_agents(specs: Mapping[str, AgentSpec | PlatformSpec]) -> dict[str, OpenAISpec]:
    """The agents whose calls OpenAI asks about, by name."""
    platforms = (spec for spec in specs.values() if isinstance(spec, PlatformSpec))
    return {spec.openai.name: spec.openai for spec in platforms if spec.openai is not None}


def _platform_spec(agent: AgentConfig, config: Config) -> PlatformSpec:
    assert agent.trunk is not None, "the configuration asks for it"
    trunk = config.trunk(agent.trunk)
    assert trunk is not None, "the configuration asks for a trunk with a host"
    assert trunk.host is not None, "the configuration asks for a trunk with a host"
    platform = PLATFORMS[agent.kind]
    url = agent.api_url or (openai.API if platform.asks_by_webhook else retell.API)
    api = ApiSpec(url, agent.api_key.reveal()) if agent.api_key is not None else None
    secret = agent.webhook_secret
    return PlatformSpec(
        agent.kind,
        trunk.name,
        trunk.host,
        dial=agent.dial or platform.dials or "",
        variables=agent.variables,
        agent_id=agent.agent_id or "",
        api=api if platform.registers else None,
        openai=OpenAISpec(
            agent.name,
            agent.model or "",
            agent.instructions or "",
            agent.voice,
            api,
            Verifier(secret_of(secret.reveal())) if secret is not None else None,
            agent.other_calls,
        )
        if platform.asks_by_webhook
        else None,
    )


def worker_tokens(config: Config) -> dict[str, str]:
    """The tokens of the agents of kind `worker`, by name."""
    return {
        agent.name: agent.token.reveal()
        for agent in config.agents
        if agent.kind == "worker" and agent.token is not None
    }
