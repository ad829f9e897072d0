"""A destination that has another one do the talking: what it is told of the call, it passes on."""

from collections.abc import Mapping
from typing import Literal

from offhook.destination.base import (
    AnsweredBy,
    Destination,
    DigitsState,
    GreetingOver,
    HandOverResult,
    HoldAction,
    Holder,
    HoldFailure,
    TransferResult,
)
from offhook.destination.dialect.facts import AgentFacts


class PassingOn:
    """What goes to `_inner`, once there is one; before that there is nobody to tell.

    To be ready (`prepare`) and to be closed is each destination's own.
    """

    _inner: Destination | None = None

    def begin(self) -> None:
        assert self._inner is not None, "begin follows prepare"
        self._inner.begin()

    def rerouted(self, facts: AgentFacts) -> None:
        if self._inner is not None:
            self._inner.rerouted(facts)

    def await_audio(self) -> None:
        if self._inner is not None:
            self._inner.await_audio()

    def speak_early(self) -> None:
        if self._inner is not None:
            self._inner.speak_early()

    def played(self, mark: str) -> None:
        if self._inner is not None:
            self._inner.played(mark)

    def digits_masked(self, state: DigitsState) -> None:
        if self._inner is not None:
            self._inner.digits_masked(state)

    def recording(self, state: Literal["on", "paused", "off"], at_ms: int) -> None:
        if self._inner is not None:
            self._inner.recording(state, at_ms)

    def transferred(self, result: TransferResult) -> None:
        if self._inner is not None:
            self._inner.transferred(result)

    def handed_over(self, result: HandOverResult) -> None:
        if self._inner is not None:
            self._inner.handed_over(result)

    def held(self, by: Holder) -> None:
        if self._inner is not None:
            self._inner.held(by)

    def resumed(self, by: Holder, held_ms: int) -> None:
        if self._inner is not None:
            self._inner.resumed(by, held_ms)

    def hold_failed(self, action: HoldAction, code: HoldFailure, status: int | None, message: str) -> None:
        if self._inner is not None:
            self._inner.hold_failed(action, code, status, message)

    def answered_by(self, told: AnsweredBy | GreetingOver) -> None:
        if self._inner is not None:
            self._inner.answered_by(told)

    def stats(self) -> Mapping[str, int]:
        return self._inner.stats() if self._inner is not None else {}
