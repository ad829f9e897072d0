"""One call's ear: real speech is cut, an engine that only counts is asked, and the order is kept."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from tests.support.gateway import REPOSITORY
from tests.support.speech import read_wav

from offhook.speech.errors import SpeechError
from offhook.speech.listening import Ears, SegmentedListening
from offhook.speech.protocol import Heard, SpeechStarted, SpeechStopped, Transcript
from offhook.speech.resample import Sound, from_pcm, resampled
from offhook.speech.segments import LONGEST_MS, Segment, Segmenter
from offhook.speech.voice_activity import CHUNK, VoiceActivity

pytestmark = pytest.mark.unit

# The first sentence of two: one stretch of speech.
SENTENCE = read_wav(REPOSITORY / "python/offhook/phone/sounds/sentence.wav")[0][:21_600].tobytes()
SILENCE = bytes(16 * 600)


async def counted(sound: Sound) -> str:
    return f"{len(sound) / 16_000:.1f} s"


@asynccontextmanager
async def ear(
    recognise: Callable[[Sound], Awaitable[str]] = counted, *, partials: bool = False
) -> AsyncIterator[SegmentedListening]:
    ears = Ears(recognise, 16_000)
    await ears.warm_up()
    try:
        yield ears.open(8_000, partials)
    finally:
        await ears.close()


async def heard(listening: SegmentedListening, count: int) -> list[Heard]:
    """So many events."""
    events: list[Heard] = []
    async with asyncio.timeout(20):
        async for event in listening:
            events.append(event)
            if len(events) == count:
                break
    return events


def test_speech_is_told_from_silence_and_noise() -> None:
    def chances(sound: Sound) -> list[float]:
        judge = VoiceActivity()
        return [judge.judge(sound[at : at + CHUNK]) for at in range(0, len(sound) - CHUNK + 1, CHUNK)]

    speech = chances(from_pcm(SENTENCE))
    noise = chances(np.random.default_rng(3).normal(0, 0.05, 16_000).astype(np.float32))
    assert sum(chance > 0.5 for chance in speech) > 0.7 * len(speech)
    assert max(noise) < 0.5


async def test_a_sentence_starts_stops_and_is_known_in_this_order() -> None:
    async with ear() as listening:
        for at in range(0, len(SENTENCE), 320):
            listening.write(SENTENCE[at : at + 320])
        listening.write(SILENCE)
        listening.finish()
        started, stopped, final = await heard(listening, 3)
        assert isinstance(started, SpeechStarted)
        assert isinstance(stopped, SpeechStopped)
        assert isinstance(final, Transcript)
        assert started.at_ms < 300
        assert final.final
        assert (final.start_ms, final.end_ms) == (started.at_ms, stopped.at_ms)
        assert stopped.silence_ms >= 200
        # The lead and the tail are in what the engine got.
        assert float(final.text.split()[0]) * 1000 >= stopped.at_ms - started.at_ms
        assert listening.dropped_ms == 0


async def test_finish_ends_what_is_being_said_at_once() -> None:
    async with ear() as listening:
        listening.write(SENTENCE[:16_000])
        listening.finish()
        started, stopped, final = await heard(listening, 3)
        assert isinstance(started, SpeechStarted)
        assert stopped == SpeechStopped(992, 0)
        assert isinstance(final, Transcript)


async def test_partials_come_before_the_final_one_and_never_after() -> None:
    async with ear(partials=True) as listening:
        listening.write(SENTENCE[:28_800])
        started, guess = await heard(listening, 2)
        assert isinstance(started, SpeechStarted)
        assert isinstance(guess, Transcript)
        assert not guess.final
        listening.write(SENTENCE[28_800:])
        listening.write(SILENCE)
        listening.finish()
        stopped, answer = await heard(listening, 2)
        assert isinstance(stopped, SpeechStopped)
        assert isinstance(answer, Transcript)
        assert answer.final
        assert answer.end_ms > guess.end_ms


async def test_what_may_work_the_next_time_is_tried_once_more_and_then_the_reader_is_told() -> None:
    tries = 0

    async def flaky(sound: Sound) -> str:
        nonlocal tries
        tries += 1
        if tries != 2:
            raise SpeechError("busy", retryable=True)
        return "words"

    async with ear(flaky) as listening:
        listening.write(SENTENCE)
        listening.finish()
        events = await heard(listening, 3)
        assert isinstance(events[-1], Transcript)
        assert events[-1].text == "words"
        listening.write(SENTENCE)
        listening.finish()
        with pytest.raises(SpeechError, match="busy"):
            await heard(listening, 9)
        assert tries == 4


async def test_what_is_too_much_is_dropped_oldest_first_and_counted() -> None:
    async with ear() as listening:
        for _ in range(300):
            listening.write(bytes(1_600))
        assert listening.dropped_ms == 10_000


async def test_after_close_iteration_ends_and_the_engine_is_let_go() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def endless(sound: Sound) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ""

    async with ear(endless) as listening:
        listening.write(SENTENCE)
        listening.finish()
        await begun.wait()
        await listening.close()
        assert cancelled.is_set()
        assert [type(event) for event in await heard(listening, 9)] == [SpeechStarted, SpeechStopped]
        listening.write(SENTENCE)
        await listening.close()


def test_a_stretch_that_does_not_end_is_cut_and_nothing_is_lost() -> None:
    segmenter, found = Segmenter(8_000, 16_000), []
    # Speech without a pause: the sentence over and over, without its silence.
    speech = from_pcm(SENTENCE)[2_000:19_000]
    for _ in range(10):
        found += segmenter.feed(speech)
    found += segmenter.finish()
    segments = [event for event in found if isinstance(event, Segment)]
    assert len(segments) >= 2
    assert all(segment.end_ms - segment.start_ms <= LONGEST_MS for segment in segments)
    starts = [event.at_ms for event in found if isinstance(event, SpeechStarted)]
    stops = [event.at_ms for event in found if isinstance(event, SpeechStopped)]
    assert len(starts) == len(stops) == len(segments)
    total = len(resampled(speech, 8_000, 16_000)) * 10 / 16
    assert sum(segment.end_ms - segment.start_ms for segment in segments) > 0.8 * total
