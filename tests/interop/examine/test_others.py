"""Agents that others wrote, or that a reader of the docs would write: nothing is wrong with them."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.interop.examine.examining import check_of, named, plan_for, verdict_on
from tests.support.agents_python import agents_python
from tests.support.gateway import ports
from tests.support.undisturbed import undisturbed
from websockets.asyncio.server import serve

from offhook.examine.check import Outcome
from offhook.examine.judge import judge
from offhook.examine.plan import Pace
from offhook.examine.scenes import examine
from offhook.phone.sound import load

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[3]
PORT = ports(2)


@undisturbed
def test_the_agent_of_the_protocols_page_is_good() -> None:
    page = (ROOT / "docs/reference/offhook-protocol.md").read_text()
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert example, "the page has an example"
    names: dict[str, Any] = {}
    exec(example[1].replace("asyncio.run(main())", ""), names)

    @asynccontextmanager
    async def server() -> AsyncIterator[str]:
        async with serve(names["call"], "127.0.0.1", 0, subprotocols=["offhook.v1"]) as running:
            yield f"ws://127.0.0.1:{next(iter(running.sockets)).getsockname()[1]}/"

    verdict = verdict_on(server)
    assert named(verdict, Outcome.FAULT, Outcome.WARNING) == {}
    assert "says back what it hears" in check_of(verdict, "answers").found
    assert "an echo" in named(verdict, Outcome.NOT_JUDGED)["interruption"]
    assert "`clear`" in check_of(verdict, "digits").found


async def listens() -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", PORT)
    except OSError:
        return False
    writer.close()
    return True


@undisturbed
async def test_an_agent_on_aiohttp_is_good() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    script = ROOT / "tests/interop/agents/aiohttp_agent.py"
    process = await asyncio.create_subprocess_exec(
        agents_python(), "-u", script, str(PORT), env=environ, stdout=asyncio.subprocess.DEVNULL, stderr=sys.stderr
    )
    try:
        # Real time: less of it than a caller has, and fewer words.
        pace = Pace(greeting=0.2, listening=0.6, answer=1.0)
        plan = replace(
            plan_for(f"ws://127.0.0.1:{PORT}/agent", pace=pace, short_calls=4), voice=load("sentence")[:14_000]
        )
        for _ in range(600):
            if await listens():
                break
            await asyncio.sleep(0.1)
        logs = await examine(plan)
        verdict = judge(plan, logs)
    finally:
        process.terminate()
        await process.wait()
    assert named(verdict, Outcome.FAULT, Outcome.WARNING) == {}
    assert logs[0].format.encoding == "pcmu"
    assert "says back what it hears" in check_of(verdict, "answers").found
