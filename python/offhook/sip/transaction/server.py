"""Server transaction of every method but INVITE: RFC 3261 17.2.2 with the limits of RFC 4320."""

from enum import Enum

from offhook.errors import LocalProtocolError
from offhook.sip.effects import Address, SendResponse, Source
from offhook.sip.message import Request, Response
from offhook.sip.timers import Timer, TimerValues
from offhook.sip.transaction.machine import Machine, Report, Trouble


class State(Enum):
    """The states of RFC 3261 figure 8."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    TERMINATED = "terminated"


class Input(Enum):
    """What may happen. Timer F stands for the client's own: an answer after it would be of no use (RFC 4320 4.2)."""

    REQUEST = "request"
    PROVISIONAL = "100 from TU"
    FINAL = "200-699 from TU"
    TIMER_F = "timer F"
    TIMER_J = "timer J"
    TRANSPORT_ERROR = "transport error"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.TRYING, Input.REQUEST): State.TRYING,
    (State.TRYING, Input.PROVISIONAL): State.PROCEEDING,
    (State.TRYING, Input.FINAL): State.COMPLETED,
    (State.TRYING, Input.TIMER_F): State.TERMINATED,
    (State.TRYING, Input.TRANSPORT_ERROR): State.TERMINATED,
    (State.PROCEEDING, Input.REQUEST): State.PROCEEDING,
    (State.PROCEEDING, Input.PROVISIONAL): State.PROCEEDING,
    (State.PROCEEDING, Input.FINAL): State.COMPLETED,
    (State.PROCEEDING, Input.TIMER_F): State.TERMINATED,
    (State.PROCEEDING, Input.TRANSPORT_ERROR): State.TERMINATED,
    (State.COMPLETED, Input.REQUEST): State.COMPLETED,
    (State.COMPLETED, Input.TIMER_J): State.TERMINATED,
    (State.COMPLETED, Input.TRANSPORT_ERROR): State.TERMINATED,
}


class ServerTransaction(Machine[State, Input]):
    """Answers a request once and its repetitions with the same answer."""

    TIMER_INPUTS = {Timer.F: Input.TIMER_F, Timer.J: Input.TIMER_J}
    terminated_state = State.TERMINATED

    __slots__ = ("_last", "reply_to", "request", "source")

    def __init__(
        self,
        request: Request,
        source: Source,
        reply_to: Address,
        timers: TimerValues,
        transaction_id: int,
        now: float,
    ) -> None:
        super().__init__(State.TRYING, TRANSITIONS, timers, transaction_id, reliable=source.transport != "udp")
        self.request = request
        self.source = source
        self.reply_to = reply_to
        self._last: SendResponse | None = None
        self._start(Timer.F, now, timers.transaction)

    def receive(self, request: Request, now: float) -> None:
        """A repetition of the request."""
        self._step(Input.REQUEST, now)

    def respond(self, response: Response, now: float) -> None:
        """Send a response of the user: before the final one only 100 is allowed, 408 never (RFC 4320)."""
        if 100 < response.status < 200 or response.status == 408:
            raise LocalProtocolError(f"{response.status} must not answer {self.request.method} (RFC 4320)")
        step = Input.PROVISIONAL if response.status == 100 else Input.FINAL
        if (self.state, step) not in TRANSITIONS:
            raise LocalProtocolError(f"a {response.status} can't follow in {self.state.name}")
        self._last = SendResponse(response, self.source, self.reply_to, bytes(response), self.transaction_id)
        self._step(step, now, ours=True)

    def transport_failed(self, now: float) -> None:
        """The last response could not be sent."""
        self._step(Input.TRANSPORT_ERROR, now)

    def _act(self, step: Input, before: State, now: float) -> None:
        match step:
            case Input.REQUEST:
                # In Trying there is nothing to repeat yet.
                if self._last is not None:
                    self._effects.append(self._last)
            case Input.PROVISIONAL:
                assert self._last is not None, "set by respond"
                self._effects.append(self._last)
            case Input.FINAL:
                assert self._last is not None, "set by respond"
                self._effects.append(self._last)
                self._deadlines.pop(Timer.F, None)
                self._start(Timer.J, now, self.timers.completed_server(reliable=self.reliable))
            case Input.TIMER_F:
                self._effects.append(Report(Trouble.TIMEOUT))
            case Input.TRANSPORT_ERROR:
                self._effects.append(Report(Trouble.TRANSPORT))
            case Input.TIMER_J:
                pass
