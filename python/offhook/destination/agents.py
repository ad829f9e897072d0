"""The `[[agent]]`s of the configuration, as destinations know them."""

from offhook.config.schema import AgentConfig, Config
from offhook.destination.wire import AgentSpec


def agent_spec(agent: AgentConfig) -> AgentSpec:
    """How an `[[agent]]` is reached, its credentials with it. Those of kind `worker` dial us, and have no URL."""
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


def worker_tokens(config: Config) -> dict[str, str]:
    """The tokens of the agents of kind `worker`, by name."""
    return {
        agent.name: agent.token.reveal()
        for agent in config.agents
        if agent.kind == "worker" and agent.token is not None
    }
