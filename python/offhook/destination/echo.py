"""`echo:`, the test that carriers have: what the caller says comes back. `echo:NAME` plays a recorded prompt first."""

import wave
from collections.abc import Sequence
from functools import cache
from importlib import resources

from offhook.destination.base import (
    AgentAudio,
    AnsweredBy,
    Destination,
    DestinationListener,
    DigitsState,
    GreetingOver,
    HandOverResult,
    HoldAction,
    Holder,
    HoldFailure,
    TransferResult,
)
from offhook.destination.dialect.facts import AgentFacts, EndCause
from offhook.errors import DestinationError
from offhook.media.leg import RtpLeg

_PROMPT_MARK = "prompt"


class EchoDestination:
    """An echo inside the media plane. Ready at once, never ends the call."""

    def __init__(self, prompt: str | None, listener: DestinationListener) -> None:
        self._prompt = prompt
        self._listener = listener
        self._leg: RtpLeg | None = None

    @property
    def uri(self) -> str:
        return f"echo:{self._prompt or ''}"

    async def prepare(self, leg: RtpLeg, facts: AgentFacts) -> None:
        if self._prompt is not None:
            prompt(self._prompt)
        self._leg = leg

    def begin(self) -> None:
        assert self._leg is not None, "begin follows prepare"
        if self._prompt is None:
            self._leg.echo(True)
        else:
            samples, rate = prompt(self._prompt)
            self._leg.play(samples, rate, mark=_PROMPT_MARK)
        # A route that answers at the first audio has it here and now.
        self._listener(self, AgentAudio())

    def await_audio(self) -> None:
        self._listener(self, AgentAudio())

    def speak_early(self) -> None:
        """An echo has nothing to say by itself."""

    def played(self, mark: str) -> None:
        # Not before: the echo would queue up behind the prompt and stay late by its length for the whole call.
        if mark == _PROMPT_MARK and self._leg is not None:
            self._leg.echo(True)

    def digits_masked(self, state: DigitsState) -> None:
        """An echo has nobody to tell."""

    def recording(self, state: str, at_ms: int) -> None:
        """An echo has nobody to tell."""

    def transferred(self, result: TransferResult) -> None:
        """An echo transfers nobody."""

    def handed_over(self, result: HandOverResult) -> None:
        """An echo hands nobody over."""

    def held(self, by: Holder) -> None:
        """An echo has nobody to tell."""

    def resumed(self, by: Holder, held_ms: int) -> None:
        """An echo has nobody to tell."""

    def rerouted(self, facts: AgentFacts) -> None:
        """An echo was told nothing."""

    def hold_failed(self, action: HoldAction, code: HoldFailure, status: int | None, message: str) -> None:
        """An echo asks for nothing."""

    def answered_by(self, told: AnsweredBy | GreetingOver) -> None:
        """An echo does not care."""

    def stats(self) -> dict[str, int]:
        return {}

    def close(self, reason: str, causes: Sequence[EndCause] = ()) -> None:
        if self._leg is not None:
            self._leg.echo(False)
            self._leg = None


@cache
def prompt(name: str) -> tuple[bytes, int]:
    """The recorded prompt of that name: PCM16 little-endian mono, and its rate in Hz.

    Raises `DestinationError` (`internal_error`) when there is none of that name; `prompt_names()` lists them.
    """
    file = resources.files("offhook.destination") / "prompts" / f"{name}.wav"
    if name not in prompt_names():
        raise DestinationError(
            f"no recorded prompt '{name}'", code="internal_error", hint=f"there are: {', '.join(prompt_names())}"
        )
    with file.open("rb") as stream, wave.open(stream) as reader:
        return reader.readframes(reader.getnframes()), reader.getframerate()


@cache
def prompt_names() -> tuple[str, ...]:
    """The names that may follow `echo:`."""
    folder = resources.files("offhook.destination") / "prompts"
    return tuple(sorted(entry.name.removesuffix(".wav") for entry in folder.iterdir() if entry.name.endswith(".wav")))


def _is_a_destination(echo: EchoDestination) -> Destination:
    return echo
