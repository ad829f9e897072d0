"""An agent that talks without end: what it hears is judged while the phone at the other end changes the call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.agent import Agent, AgentCall
from tests.support.gateway import Gateway
from tests.support.tone import FRAME, decode, share, tone

HZ = 1000.0
"""What the agent says."""
WINDOW = 12 * FRAME
TOGETHER = 5


class Talking:
    """A call as the agent has it, which says `HZ` at the pace of speech."""

    def __init__(self, call: AgentCall) -> None:
        self.call = call

    async def hears(self, hz: float, within: float = 5.0) -> None:
        """Wait until the last that it has heard is this tone."""
        begin = len(self.call.audio)

        def found() -> bool:
            heard = self.call.audio
            last = bytes(heard[max(begin, len(heard) - WINDOW) :])
            return len(last) >= WINDOW and share(decode(last), hz) > 0.9

        await self.call.until(found, within, f"{hz} Hz")


@asynccontextmanager
async def talking(agent: Agent) -> AsyncIterator[Talking]:
    """The agent's end of the call that comes next, answered and talking until the end."""
    call = await agent.call()
    await call.text("ringing")
    await call.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
    frames = tone(HZ, 1.0)

    async def talk() -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not call.closed.is_set():
            await call.play(frames[:TOGETHER], together=TOGETHER)
            due += TOGETHER * 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    task = asyncio.create_task(talk())
    try:
        yield Talking(call)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def sdp_notes(gateway: Gateway, sip_call_id: str) -> str:
    """What the timeline of a call says of its SDP, in order."""
    entries = gateway.explained(sip_call_id)["timeline"]["entries"]
    return "\n".join(str(entry["note"]) for entry in entries if entry["kind"] == "sdp")
