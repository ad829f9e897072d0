"""A worker of the SDK in the test's own process, on a real gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.gateway import Gateway

from offhook.agent import Agent
from offhook.agent.worker import Gateway as Dialled
from offhook.agent.worker import Worker

TOKEN = "a-token-of-the-tests"


def agent_table(name: str) -> str:
    """The `[[agent]]` that such a worker serves."""
    return f'\n[[agent]]\nname = "{name}"\nkind = "worker"\ntoken = "{TOKEN}"\n'


@asynccontextmanager
async def working(agent: Agent, gateway: Gateway, name: str = "front") -> AsyncIterator[Worker]:
    """The agent, warm and connected as `name`; at the end it is stopped and its engines are closed."""
    agent.name = name
    await agent.warm_up()
    worker = Worker(agent, Dialled.of(gateway.http, TOKEN))
    running = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(30):
            await worker.is_connected.wait()
        yield worker
    finally:
        running.cancel()
        await asyncio.wait({running})
        await agent.speech.close()
