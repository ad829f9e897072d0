"""One gateway with an agent, for phones that change their calls."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.interop.kamailio.proxy import HOST
from tests.support.agent import Agent, agent_on
from tests.support.gateway import Gateway, ports, running_gateway

PORT = ports(1)

_TOML = f"""
[[trunk]]
name = "phones"
allow = ["127.0.0.1", "{HOST}"]
media_allow = ["127.0.0.1"]

[[route]]
name = "agent"
destination = "ws://127.0.0.1:{PORT}/agent"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), _TOML) as gateway:
        yield gateway


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    async with agent_on(PORT, "offhook") as agent:
        yield agent
