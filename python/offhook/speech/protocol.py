"""What a speech engine is: three small protocols, and the values that go through them.

Sound is `bytes` of PCM16, little-endian, mono, with its rate beside it; no engine needs numpy in its signature. A
`SpeechToText` and a `TextToSpeech` are made once for a process, warmed up, and shared by all its calls; they infer in a
few threads of their own, never in the event loop, and all their methods are called from one event loop. A `Listening`
and a `TurnDetector` belong to one call.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a `Spoken`, and where in its sound it is, in milliseconds from the sound's first sample."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """A piece of synthesised speech.

    `text` is what the piece speaks, in the words that were given (not as they were normalised to be spoken). An engine
    that streams gives a sentence's text with the first piece of its sound, and empty text with the pieces that go on
    with the same sentence. `words` is empty where an engine doesn't know when it says what.
    """

    pcm: bytes
    rate: int
    text: str
    words: tuple[Word, ...] = ()

    @property
    def duration_ms(self) -> float:
        """How long the piece sounds."""
        return len(self.pcm) / 2 * 1000 / self.rate


@runtime_checkable
class TextToSpeech(Protocol):
    """A voice, shared by all calls."""

    @property
    def name(self) -> str:
        """What the voice is called in logs: the engine, and the voice where it has several."""
        ...

    async def warm_up(self) -> None:
        """Load everything and say a word to nobody, so that the first call waits for nothing. Idempotent."""
        ...

    def say(self, text: str, *, rate: int) -> AsyncGenerator[Spoken, None]:
        """Speak `text` at `rate` Hz (8000, 16000, 24000 or 48000), piece by piece, each as soon as it is made.

        A piece is a sentence or less. Closing the generator, or cancelling the task that reads it, is how speech is
        cancelled: at most the piece being made is finished. Text with nothing to say in it yields nothing. Raises
        `SpeechError` when the text can't be spoken; the engine stays usable.
        """
        ...

    async def close(self) -> None:
        """Let go of threads, connections and models. What is being said ends at its next piece. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody began to speak. `at_ms` counts the sound that was written to this `Listening`, as all times here do."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Silence since `at_ms`; for `silence_ms` already when it is told. A final `Transcript` follows."""

    at_ms: int
    silence_ms: int


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said from `start_ms` to `end_ms`.

    A partial one (`final` is False) is replaced by the next; a final one stays. Its text is empty where a sound was no
    words.
    """

    text: str
    final: bool
    start_ms: int
    end_ms: int


Heard = SpeechStarted | SpeechStopped | Transcript


class Listening(Protocol):
    """An ear for one call: sound goes in by `write`, what was heard comes out by iteration.

    For every stretch of speech: one `SpeechStarted`, partial transcripts where asked for, one `SpeechStopped`, one
    final `Transcript`, in this order. The final one comes when it is ready, so the next stretch may have begun.
    Iteration ends after `close`, or raises `SpeechError` when the engine is lost.
    """

    def write(self, pcm: bytes) -> None:
        """Hear this sound: any length, in order, silence too (it is the clock). Returns at once.

        What can't be kept up with is dropped, oldest first, and counted in `dropped_ms`.
        """
        ...

    def finish(self) -> None:
        """What is being said ends here: stop and the final transcript follow without awaiting a silence."""
        ...

    @property
    def dropped_ms(self) -> int:
        """How much sound was never heard because the engine was too slow."""
        ...

    def __aiter__(self) -> AsyncIterator[Heard]:
        """What is heard, as it is heard. One reader."""
        ...

    async def close(self) -> None:
        """Stop listening: what is being recognised is given up, iteration ends. Idempotent."""
        ...


@runtime_checkable
class SpeechToText(Protocol):
    """An engine that recognises speech, shared by all calls."""

    @property
    def name(self) -> str:
        """What the engine is called in logs: its name, and the model where it has several."""
        ...

    async def warm_up(self) -> None:
        """Load everything and recognise a moment of silence, so that the first call waits for nothing. Idempotent."""
        ...

    def listen(self, *, rate: int, partials: bool = False) -> Listening:
        """An ear for one call, for sound at `rate` Hz (8000, 16000, 24000 or 48000).

        `partials` asks for transcripts while somebody speaks; an engine that has none may leave them out.
        """
        ...

    async def close(self) -> None:
        """Let go of threads, connections and models; every `Listening` ends. Idempotent."""
        ...


class TurnDetector(Protocol):
    """Says when a caller has finished, and not only paused. One for each call, since it learns how this caller speaks.

    It does no I/O, has no clock and answers at once; `offhook.speech.turns.TurnTaking` asks it at the right times.
    """

    def wait(self, text: str, silence: float) -> float:
        """How many seconds more to wait, `silence` seconds after `text` was said, until the turn is over; 0 if it is.

        `text` is all that was said in this turn. If the caller goes on before, there is no end.
        """
        ...

    def went_on(self, text: str, silence: float) -> None:
        """The caller did go on, `silence` seconds after having said `text`; perhaps only after the turn was over."""
        ...
