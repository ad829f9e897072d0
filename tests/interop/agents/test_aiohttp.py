"""An agent on aiohttp, from the environment of the agent frameworks, in a process of its own."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.agents_python import agents_python
from tests.support.gateway import Gateway, ports, running_gateway, wait_until
from tests.support.plain_phone import PlainPhone
from tests.support.tone import tone

pytestmark = pytest.mark.interop

PORT = ports(2)
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "front"
destination = "ws://127.0.0.1:{PORT}/agent"
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running_gateway(tmp_path / "gateway", TOML) as running:
        yield running


@pytest.fixture
def agent_log(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "agent.log"
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with path.open("wb") as log:
        command = [str(agents_python()), "-u", str(Path(__file__).with_name("aiohttp_agent.py")), str(PORT)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ)
    try:
        wait_until(lambda: process.poll() is not None or "Running on" in path.read_text(), 60, path.read_text)
        assert process.poll() is None, path.read_text()
        yield path
    finally:
        process.terminate()
        process.wait(10)


async def test_sound_there_and_back_and_a_hang_up(gateway: Gateway, agent_log: Path) -> None:
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        await call.answered()
        call.say(tone(600, 1.5))
        await call.hears(600, frames=22)
        call.press("#")
        bye = await call.hung_up()
        assert 'text="agent_hung_up"' in bye.headers["reason"]
    record = gateway.record(call.call_id)
    assert record["end_reason"] == "agent_hung_up"
    assert record["wire"]["received_garbage"] == 0
    wait_until(lambda: "over 1000" in agent_log.read_text(), 30, agent_log.read_text)
