"""What a recogniser makes of a whole sound."""

import asyncio

from offhook.speech.protocol import Heard, SpeechStarted, SpeechToText, Transcript


async def understood(engine: SpeechToText, pcm: bytes, rate: int = 8_000) -> str:
    """The words of PCM16, written faster than it sounds."""
    listening = engine.listen(rate=rate)
    events: list[Heard] = []

    async def read() -> None:
        async for event in listening:
            events.append(event)
            changed.set()

    changed, reader = asyncio.Event(), asyncio.create_task(read())
    pcm += bytes(rate)
    for at in range(0, len(pcm), rate * 2):
        listening.write(pcm[at : at + rate * 2])
        await asyncio.sleep(0.05)
    listening.finish()
    # What is still to be cut takes milliseconds; after that each stretch that was told gets its words.
    await asyncio.sleep(0.3)
    async with asyncio.timeout(30):
        while _count(events, SpeechStarted) > _count(events, Transcript):
            changed.clear()
            await changed.wait()
    assert listening.dropped_ms == 0
    await listening.close()
    await reader
    return " ".join(event.text for event in events if isinstance(event, Transcript))


def _count(events: list[Heard], kind: type[Heard]) -> int:
    return sum(isinstance(event, kind) for event in events)
