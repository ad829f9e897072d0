"""Client transaction of every method but INVITE: RFC 3261 17.1.2."""

from enum import Enum

from offhook.sip.effects import SendRequest
from offhook.sip.message import Response
from offhook.sip.timers import Timer, TimerValues
from offhook.sip.transaction.machine import Machine, PassResponse, Report, Trouble


class State(Enum):
    """The states of RFC 3261 figure 6."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    TERMINATED = "terminated"


class Input(Enum):
    """What may happen: a response by class, a timer, a broken transport."""

    PROVISIONAL = "1xx"
    FINAL = "200-699"
    TIMER_E = "timer E"
    TIMER_F = "timer F"
    TIMER_K = "timer K"
    TRANSPORT_ERROR = "transport error"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.TRYING, Input.PROVISIONAL): State.PROCEEDING,
    (State.TRYING, Input.FINAL): State.COMPLETED,
    (State.TRYING, Input.TIMER_E): State.TRYING,
    (State.TRYING, Input.TIMER_F): State.TERMINATED,
    (State.TRYING, Input.TRANSPORT_ERROR): State.TERMINATED,
    (State.PROCEEDING, Input.PROVISIONAL): State.PROCEEDING,
    (State.PROCEEDING, Input.FINAL): State.COMPLETED,
    (State.PROCEEDING, Input.TIMER_E): State.PROCEEDING,
    (State.PROCEEDING, Input.TIMER_F): State.TERMINATED,
    (State.PROCEEDING, Input.TRANSPORT_ERROR): State.TERMINATED,
    (State.COMPLETED, Input.TIMER_K): State.TERMINATED,
}


class ClientTransaction(Machine[State, Input]):
    """Repeats a request until its final response, and swallows the repetitions of that.

    Without any response it comes to nothing after `patience` seconds, where that is sooner than Timer F.
    """

    TIMER_INPUTS = {Timer.E: Input.TIMER_E, Timer.F: Input.TIMER_F, Timer.K: Input.TIMER_K}
    terminated_state = State.TERMINATED

    __slots__ = ("_e_interval", "_latest", "_received", "_send", "request", "target")

    def __init__(self, send: SendRequest, timers: TimerValues, now: float, *, patience: float | None = None) -> None:
        assert send.transaction is not None, "a client transaction has an id"
        super().__init__(State.TRYING, TRANSITIONS, timers, send.transaction, reliable=send.target.transport != "udp")
        self.request = send.request
        self.target = send.target
        self._send = send
        self._received: Response | None = None
        self._e_interval = timers.t1
        self._effects.append(self._send)
        self._latest = now + timers.transaction
        self._start(Timer.F, now, min(timers.transaction, timers.transaction if patience is None else patience))
        if not self.reliable:
            self._start(Timer.E, now, self._e_interval)

    def receive(self, response: Response, now: float) -> None:
        """A response that matches this transaction."""
        self._received = response
        self._step(Input.PROVISIONAL if response.status < 200 else Input.FINAL, now)
        self._received = None

    def transport_failed(self, now: float) -> None:
        """The request could not be sent."""
        self._step(Input.TRANSPORT_ERROR, now)

    def _act(self, step: Input, before: State, now: float) -> None:
        match step:
            case Input.TIMER_E:
                self._effects.append(self._send)
                # RFC 3261 17.1.2.2: once a provisional has come, the interval is T2 at once.
                in_proceeding = before is State.PROCEEDING
                self._e_interval = self.timers.t2 if in_proceeding else min(2 * self._e_interval, self.timers.t2)
                self._start(Timer.E, now, self._e_interval)
            case Input.PROVISIONAL:
                self._deadlines[Timer.F] = self._latest
                self._pass()
            case Input.FINAL:
                self._deadlines.clear()
                self._pass()
                self._start(Timer.K, now, self.timers.absorb(reliable=self.reliable))
            case Input.TIMER_F:
                self._effects.append(Report(Trouble.TIMEOUT))
            case Input.TRANSPORT_ERROR:
                self._effects.append(Report(Trouble.TRANSPORT))
            case Input.TIMER_K:
                pass

    def _pass(self) -> None:
        assert self._received is not None, "only responses are passed"
        self._effects.append(PassResponse(self._received))
