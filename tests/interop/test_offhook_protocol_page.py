"""The agent on the protocol's page is run as it stands there, against a client that does what the gateway does."""

import asyncio
import json
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from offhook.destination.dialect import offhook
from offhook.destination.dialect.facts import AgentFacts
from offhook.ids import CallId

pytestmark = pytest.mark.interop

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "offhook-protocol.md"
FACTS = AgentFacts(CallId("01abc"), "+14155550100", "+14155550123")


@asynccontextmanager
async def agent_of_the_page(tmp_path: Path) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    example = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert example, "the page has an example"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert "8765" in example[1]
    script = tmp_path / "agent.py"
    script.write_text(example[1].replace("8765", str(port)))
    process = await asyncio.create_subprocess_exec(sys.executable, "-u", script, stdout=asyncio.subprocess.PIPE)
    try:
        yield port, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def dial(port: int) -> ClientConnection:
    for _ in range(100):
        try:
            return await connect(
                f"ws://127.0.0.1:{port}/", subprotocols=[Subprotocol(offhook.SUBPROTOCOL)], compression=None, proxy=None
            )
        except OSError:
            await asyncio.sleep(0.05)
    raise AssertionError("the agent never listened")


async def test_the_example_takes_a_call_echoes_clears_and_hangs_up(tmp_path: Path) -> None:
    async with agent_of_the_page(tmp_path) as (port, process), await dial(port) as gateway:
        assert gateway.subprotocol == offhook.SUBPROTOCOL
        await gateway.send(offhook.ringing(FACTS, "pcm16/16000", ready_within_ms=20_000))
        assert offhook.parse(str(await gateway.recv())) == offhook.Ready("pcm16/16000")
        await gateway.send(offhook.start("pcm16/16000"))
        await gateway.send(bytes(range(64)) * 10)
        assert await gateway.recv() == bytes(range(64)) * 10
        await gateway.send(json.dumps({"type": "dtmf", "digit": "5", "duration_ms": 120, "at_ms": 20}))
        assert json.loads(await gateway.recv()) == {"type": "clear"}
        await gateway.send(json.dumps({"type": "cleared", "played_ms": 20, "dropped_ms": 0, "marks": []}))
        await gateway.send(json.dumps({"type": "dtmf", "digit": "#", "duration_ms": 120, "at_ms": 20}))
        assert offhook.parse(str(await gateway.recv())) == offhook.HangUp()
        await gateway.send(offhook.end("agent_hung_up"))
        await gateway.close()
        assert process.stdout
        assert await process.stdout.readline() == b"+14155550100 calls +14155550123\n"
        assert await process.stdout.readline() == b"over: agent_hung_up\n"
