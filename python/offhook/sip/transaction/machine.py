"""What the four machines of RFC 3261 section 17 share: timers, effects, and the step through a table."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Generic, TypeAlias, TypeVar

from offhook.errors import LocalProtocolError
from offhook.sip.effects import SendRequest, SendResponse
from offhook.sip.message import Request, Response
from offhook.sip.timers import Timer, TimerValues


class Trouble(Enum):
    """Why a transaction ended, or may be left, without what it was made for."""

    TIMEOUT = "timeout"
    TRANSPORT = "transport"
    SLOW = "slow"
    """It has not ended, and nothing has been heard so far: another target may be asked meanwhile."""


@dataclass(frozen=True, slots=True)
class PassResponse:
    """A response for the transaction user of a client transaction."""

    response: Response


@dataclass(frozen=True, slots=True)
class PassAck:
    """An ACK that the transaction user of an accepted INVITE has to see (RFC 6026 7.1)."""

    request: Request


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the transaction user of a time-out or of a transport error."""

    trouble: Trouble


TransactionEffect: TypeAlias = SendRequest | SendResponse | PassResponse | PassAck | Report

StateT = TypeVar("StateT", bound=Enum)
InputT = TypeVar("InputT", bound=Enum)


class Machine(Generic[StateT, InputT]):
    """A state, its timers and the effects that wait to be drained. A subclass owns the table and the actions."""

    TIMER_INPUTS: ClassVar[dict[Timer, Enum]]
    terminated_state: ClassVar[Enum]

    __slots__ = (
        "_deadlines",
        "_effects",
        "_table",
        "ignored",
        "reliable",
        "state",
        "timers",
        "transaction_id",
        "user",
        "why",
    )

    def __init__(
        self,
        state: StateT,
        table: dict[tuple[StateT, InputT], StateT],
        timers: TimerValues,
        transaction_id: int,
        *,
        reliable: bool,
    ) -> None:
        self.state = state
        self.timers = timers
        self.reliable = reliable
        self.transaction_id = transaction_id
        self.ignored = 0
        """Inputs of the peer that the table does not know in the state they came in."""
        self.user: object = None
        """The transaction user, for whoever feeds the machine."""
        self.why = ""
        """What the network said when it failed, in words."""
        self._table = table
        self._deadlines: dict[Timer, float] = {}
        self._effects: list[TransactionEffect] = []

    @property
    def terminated(self) -> bool:
        """Whether the machine has come to its end and can be forgotten."""
        return self.state is self.terminated_state

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due; None for never."""
        deadlines = self._deadlines
        return min(deadlines.values()) if deadlines else None

    def handle_timeout(self, now: float) -> None:
        """Fire every timer that is due, the earliest first."""
        for timer in self._due(now):
            step: InputT = self.TIMER_INPUTS[timer]  # type: ignore[assignment]
            self._step(step, now)

    def drain(self) -> list[TransactionEffect]:
        """Hand over what has to be done."""
        effects, self._effects = self._effects, []
        return effects

    def _due(self, now: float) -> Iterator[Timer]:
        while self._deadlines:
            timer = min(self._deadlines, key=self._deadlines.__getitem__)
            if self._deadlines[timer] > now:
                return
            del self._deadlines[timer]
            yield timer

    def _step(self, step: InputT, now: float, *, ours: bool = False) -> bool:
        """Take one arrow of the table. What a peer may not do here is counted, what we may not do raises."""
        before = self.state
        after = self._table.get((before, step))
        if after is None:
            if ours:
                raise LocalProtocolError(f"{type(self).__name__} in {before.name} does not take {step.name}")
            self.ignored += 1
            return False
        self.state = after
        if after is self.terminated_state:
            self._deadlines.clear()
        self._act(step, before, now)
        return True

    def _start(self, timer: Timer, now: float, seconds: float) -> None:
        self._deadlines[timer] = now + seconds

    def _act(self, step: InputT, before: StateT, now: float) -> None:
        raise NotImplementedError
