"""A Pipecat bot that needs no keys and no network: it greets, then says back what you said, like a parrot.

Start it as any Pipecat bot, with the Twilio transport, and let offhook call it at ws://127.0.0.1:7860/ws:

    pip install "pipecat-ai[runner,silero,websocket]"
    python pipecat_bot.py -t twilio

Speak over it and it stops (an interruption). A key beeps, `#` says goodbye and hangs up. Nothing in here knows of
offhook: the transport, the serializer, the voice detection and the runner are Pipecat's own. The guide is
docs/guides/pipecat.md.
"""

import argparse
import array
import math
import wave
from collections import deque
from pathlib import Path

from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    EndWorkerFrame,
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    StartFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.runner.types import RunnerArguments
from pipecat.runner.utils import create_transport
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_processor import UserTurnProcessor
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

# The line's own rate. At another one Pipecat's resampler keeps back some 100 ms, the end of each sentence among them.
RATE = 8_000
GREETING = ((523, 0.2), (659, 0.2), (784, 0.4))
GOODBYE = ((784, 0.3), (659, 0.3), (523, 0.6))
# The voice is detected a little after it began; what was said before that belongs to the turn.
HEARD_BEFORE = 0.5


class Parrot(FrameProcessor):
    """Says back what it heard. `greeting` is a WAV file to begin with, `keep` one for all that was heard."""

    def __init__(self, greeting: str | None, keep: Path | None) -> None:
        super().__init__()
        self._greeting = greeting
        self._keep = keep
        self._heard: list[bytes] = []
        self._turn: list[bytes] | None = None
        self._before: deque[bytes] = deque()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case StartFrame():
                await self.push_frame(frame, direction)
                await self._play(read(self._greeting) if self._greeting else melody(GREETING))
                return
            case InputAudioRawFrame():
                self._hear(frame)
                return
            case InputDTMFFrame():
                await self._key(frame.button.value)
            case UserStartedSpeakingFrame():
                self._turn = list(self._before)
            case UserStoppedSpeakingFrame() if self._turn:
                said, self._turn = b"".join(self._turn), None
                logger.info(f"the caller spoke for {len(said) / 2 / RATE:.1f} s")
                await self._play(said)
            case InterruptionFrame():
                logger.info("interrupted")
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        await super().cleanup()
        if self._keep is not None:
            with wave.open(str(self._keep), "wb") as writer:
                writer.setparams((1, 2, RATE, 0, "NONE", ""))
                writer.writeframes(b"".join(self._heard))

    def _hear(self, frame: InputAudioRawFrame) -> None:
        if self._keep is not None:
            self._heard.append(frame.audio)
        if self._turn is not None:
            self._turn.append(frame.audio)
        self._before.append(frame.audio)
        while sum(map(len, self._before)) > HEARD_BEFORE * RATE * 2:
            self._before.popleft()

    async def _key(self, key: str) -> None:
        logger.info(f"key {key}")
        if key != "#":
            await self._play(melody(((700, 0.24),)))
            return
        await self._play(melody(GOODBYE))
        # Ends the pipeline behind what is still to be played; Pipecat then closes the socket, which hangs up.
        await self.push_frame(EndWorkerFrame())

    async def _play(self, sound: bytes) -> None:
        await self.push_frame(OutputAudioRawFrame(sound, sample_rate=RATE, num_channels=1))


def melody(notes: tuple[tuple[int, float], ...]) -> bytes:
    """Notes of so many Hz and seconds as PCM16."""
    samples = array.array("h")
    for hz, seconds in notes:
        samples.extend(round(8000 * math.sin(2 * math.pi * hz * n / RATE)) for n in range(round(seconds * RATE)))
    return samples.tobytes()


def read(path: str) -> bytes:
    """A WAV file of 8 kHz, mono, 16 bit."""
    with wave.open(path) as reader:
        if (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) != (RATE, 1, 2):
            raise SystemExit(f"{path}: should be {RATE} Hz, mono, 16 bit")
        return reader.readframes(reader.getnframes())


async def bot(runner_args: RunnerArguments) -> None:
    """Pipecat's runner calls this for each call."""
    transport = await create_transport(
        runner_args,
        {"twilio": lambda: FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True)},
    )
    call, options = runner_args.call_data, runner_args.cli_args
    logger.info(f"call from {call['from']} to {call['to']}, with {call['body']}")
    worker = PipelineWorker(
        Pipeline(
            [
                transport.input(),
                VADProcessor(vad_analyzer=SileroVADAnalyzer()),
                UserTurnProcessor(
                    user_turn_strategies=UserTurnStrategies(
                        stop=[SpeechTimeoutUserTurnStopStrategy(wait_for_transcript=False)]
                    )
                ),
                Parrot(options.greeting, Path(options.keep, f"{call['call_id']}.wav") if options.keep else None),
                transport.output(),
            ]
        ),
        params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
    )

    @transport.event_handler("on_client_disconnected")
    async def on_client_disconnected(transport: object, websocket: object) -> None:
        logger.info("the caller is gone")
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    from pipecat.runner.run import main

    parser = argparse.ArgumentParser(description="A parrot on the phone")
    parser.add_argument("--greeting", help="WAV file to begin with: 8 kHz, mono, 16 bit")
    parser.add_argument("--keep", help="folder for a WAV file of what was heard in each call")
    main(parser)
