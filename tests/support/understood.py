"""What a recogniser makes of a whole sound."""

import asyncio
from contextlib import suppress

from offhook.speech.protocol import Heard, SpeechStarted, SpeechToText, Transcript

_AT_FIRST, _AFTER = 8.0, 1.0
"""Seconds in which an engine on a busy machine has cut what it was given, so that nothing more will come of it."""


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
    # Each stretch that is told gets its words. That there is no further one is only told by silence.
    async with asyncio.timeout(30):
        while True:
            changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_AFTER if events else _AT_FIRST):
                    await changed.wait()
                continue
            if _count(events, SpeechStarted) == _count(events, Transcript):
                break
    assert listening.dropped_ms == 0
    await listening.close()
    await reader
    return " ".join(event.text for event in events if isinstance(event, Transcript))


def _count(events: list[Heard], kind: type[Heard]) -> int:
    return sum(isinstance(event, kind) for event in events)
