"""One gateway with an agent, for phones that change their calls."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.interop.baresip.phone import tone, write_wav
from tests.interop.kamailio.proxy import HOST
from tests.interop.mid_call.line import BEFORE, WAITING
from tests.support.agent import Agent, agent_on
from tests.support.gateway import Gateway, ports, running_gateway

PORT = ports(1)

_TOML = f"""
[[trunk]]
name = "phones"
allow = ["127.0.0.1", "{HOST}"]
media_allow = ["127.0.0.1"]
transfer_to = "*"

[[route]]
name = "sounds"
to = "sounds"
destination = "ws://127.0.0.1:{PORT}/agent"
early_media = "{{before}}"
hold_music = "{{waiting}}"
record = true

[[route]]
name = "silence"
to = "silence"
destination = "ws://127.0.0.1:{PORT}/agent"
hold_music = "silence"

[[route]]
name = "keys"
to = "keys"
destination = "ws://127.0.0.1:{PORT}/agent"
digits = "show"

[[route]]
name = "agent"
destination = "ws://127.0.0.1:{PORT}/agent"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("gateway")
    toml = _TOML.format(before=sound(directory / "before.wav", BEFORE), waiting=sound(directory / "hold.wav", WAITING))
    with running_gateway(directory, toml) as gateway:
        yield gateway


def sound(path: Path, hz: float) -> Path:
    """A file of this tone, which goes round without a seam."""
    write_wav(path, tone(hz, 2.0))
    return path


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    async with agent_on(PORT, "offhook") as agent:
        yield agent
