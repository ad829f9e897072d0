"""Below the words: the caller's sound comes back a second later, frame by frame, until a key is pressed.

No speech engine is needed. `call.audio()` gives PCM16 of 20 ms, `call.play()` takes it, as a stream too.

    offhook run raw_frames.py
"""

from collections.abc import AsyncIterator

from offhook import Agent, Call

DELAY = 50  # frames of 20 ms

agent = Agent("delay", rate=8_000)


async def later(call: Call) -> AsyncIterator[bytes]:
    """The caller's frames, a second after they came."""
    waiting: list[bytes] = []
    async for frame in call.audio():
        waiting.append(frame)
        if len(waiting) > DELAY:
            yield waiting.pop(0)


@agent.on_call
async def echo(call: Call) -> None:
    await call.play(later(call), barge_in="off")


@agent.on_dtmf
async def stop(call: Call, digit: str) -> None:
    await call.hang_up(f"the caller pressed {digit}", now=True)


if __name__ == "__main__":
    agent.run()
