"""An agent that talks without end: what it hears is judged while the phone at the other end changes the call."""

import asyncio
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.support.agent import Agent, AgentCall
from tests.support.gateway import Gateway
from tests.support.tone import FRAME, decode, is_silent, share, tone

HZ = 1000.0
"""What the agent says."""
BEFORE, WAITING = 700.0, 1300.0
"""What the route `sounds` plays before the answer, and to who is on hold."""
WINDOW = 12 * FRAME
TOGETHER = 5
PAUSE = 0.3
"""Seconds of silence; on hold it is half a second and more."""
QUIET = 100.0
"""A sample below this is silence: a tone has 8,000."""


class Talking:
    """A call as the agent has it, which says `HZ` at the pace of speech."""

    def __init__(self, call: AgentCall) -> None:
        self.call = call

    async def hears(self, hz: float, within: float = 30.0) -> None:
        """Wait until the last that it has heard is this tone."""
        begin = len(self.call.audio)

        def found() -> bool:
            heard = self.call.audio
            last = bytes(heard[max(begin, len(heard) - WINDOW) :])
            return len(last) >= WINDOW and share(decode(last), hz) > 0.9

        await self.call.until(found, within, f"{hz} Hz")

    async def hears_nothing(self, within: float = 30.0) -> None:
        """Wait until it hears nothing, and see that this is so for a while."""
        heard = self.call.audio
        await self.call.until(lambda: is_silent(bytes(heard[-WINDOW:])), within, "silence")
        begin = len(heard)
        await self.call.until(lambda: len(heard) >= begin + WINDOW, within, "audio")
        assert is_silent(bytes(heard[begin:]))


@asynccontextmanager
async def talking(agent: Agent, ready: Callable[[], Awaitable[object]] | None = None) -> AsyncIterator[Talking]:
    """The agent's end of the call that comes next, answered once it is `ready`, and talking until the end."""
    call = await agent.call()
    await call.text("ringing")
    if ready is not None:
        await ready()
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


def heard_in_turn(side: "array[int]", *tones: float) -> list[float]:
    """What follows what on one side of a recording: these tones, of 0.1 s at least, and 0 for silence of `PAUSE`.

    Shorter silence is what a busy machine has left out.
    """
    found: list[float] = []
    silent = 0
    for at in range(0, len(side) - 800, 400):
        part = side[at : at + 800]
        what = next((hz for hz in tones if share(part, hz) > 0.9), None)
        what = 0.0 if max(map(abs, part)) < QUIET else what
        silent = silent + 1 if what == 0.0 else 0
        if what == 0.0 and 0.1 + 0.05 * (silent - 1) < PAUSE:
            continue
        if what is not None and (found or what) and found[-1:] != [what]:
            found.append(what)
    return found[:-1] if found[-1:] == [0.0] else found
