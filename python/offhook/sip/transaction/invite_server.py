"""INVITE server transaction: RFC 3261 17.2.1 with the Accepted state of RFC 6026."""

from enum import Enum

from offhook.errors import LocalProtocolError
from offhook.sip.effects import Address, SendResponse, Source
from offhook.sip.message import Request, Response
from offhook.sip.timers import Timer, TimerValues
from offhook.sip.transaction.machine import Machine, PassAck, Report, Trouble


class State(Enum):
    """The states of RFC 6026 figure 5."""

    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class Input(Enum):
    """What may happen: a message of the peer, a response of the transaction user, a timer, a broken transport."""

    INVITE = "INVITE"
    ACK = "ACK"
    PROVISIONAL = "1xx from TU"
    SUCCESS = "2xx from TU"
    FAILURE = "300-699 from TU"
    TIMER_G = "timer G"
    TIMER_H = "timer H"
    TIMER_I = "timer I"
    TIMER_L = "timer L"
    TRANSPORT_ERROR = "transport error"
    ABANDON = "abandoned by TU"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.PROCEEDING, Input.INVITE): State.PROCEEDING,
    (State.PROCEEDING, Input.PROVISIONAL): State.PROCEEDING,
    (State.PROCEEDING, Input.SUCCESS): State.ACCEPTED,
    (State.PROCEEDING, Input.FAILURE): State.COMPLETED,
    # RFC 6026 7.1 and 8.8: a transport error is told, and the state stays.
    (State.PROCEEDING, Input.TRANSPORT_ERROR): State.PROCEEDING,
    # A fault of ours that left the user without words: it will never answer, and no timer ends this state.
    (State.PROCEEDING, Input.ABANDON): State.TERMINATED,
    (State.COMPLETED, Input.INVITE): State.COMPLETED,
    (State.COMPLETED, Input.ACK): State.CONFIRMED,
    (State.COMPLETED, Input.TIMER_G): State.COMPLETED,
    (State.COMPLETED, Input.TIMER_H): State.TERMINATED,
    (State.COMPLETED, Input.TRANSPORT_ERROR): State.COMPLETED,
    (State.CONFIRMED, Input.INVITE): State.CONFIRMED,
    (State.CONFIRMED, Input.ACK): State.CONFIRMED,
    (State.CONFIRMED, Input.TRANSPORT_ERROR): State.CONFIRMED,
    (State.CONFIRMED, Input.TIMER_I): State.TERMINATED,
    (State.ACCEPTED, Input.INVITE): State.ACCEPTED,
    (State.ACCEPTED, Input.ACK): State.ACCEPTED,
    (State.ACCEPTED, Input.SUCCESS): State.ACCEPTED,
    (State.ACCEPTED, Input.TRANSPORT_ERROR): State.ACCEPTED,
    (State.ACCEPTED, Input.TIMER_L): State.TERMINATED,
}


class InviteServerTransaction(Machine[State, Input]):
    """Absorbs repeated INVITEs, repeats a refusal until ACK, and lets a 2xx pass as often as the user sends it."""

    TIMER_INPUTS = {
        Timer.G: Input.TIMER_G,
        Timer.H: Input.TIMER_H,
        Timer.I: Input.TIMER_I,
        Timer.L: Input.TIMER_L,
    }
    terminated_state = State.TERMINATED

    __slots__ = ("_g_interval", "_last", "reply_to", "request", "source")

    def __init__(
        self, request: Request, source: Source, reply_to: Address, timers: TimerValues, transaction_id: int
    ) -> None:
        super().__init__(State.PROCEEDING, TRANSITIONS, timers, transaction_id, reliable=source.transport != "udp")
        self.request = request
        self.source = source
        self.reply_to = reply_to
        self._last: SendResponse | None = None
        self._g_interval = timers.t1

    def receive(self, request: Request, now: float) -> None:
        """A repeated INVITE, or the ACK that belongs to this transaction."""
        if request.method == "ACK":
            if self._step(Input.ACK, now) and self.state is State.ACCEPTED:
                # A 2xx is acknowledged with a new branch; one that keeps it is no reason to lose the ACK.
                self._effects.append(PassAck(request))
        else:
            self._step(Input.INVITE, now)

    def respond(self, response: Response, now: float) -> None:
        """Send a response of the transaction user; a second final response is a LocalProtocolError."""
        if response.status < 200:
            step = Input.PROVISIONAL
        elif response.status < 300:
            step = Input.SUCCESS
        else:
            step = Input.FAILURE
        if (self.state, step) not in TRANSITIONS:
            raise LocalProtocolError(f"a {response.status} can't follow in {self.state.name}")
        if self._last is None or self._last.response is not response:
            self._last = SendResponse(response, self.source, self.reply_to, bytes(response), self.transaction_id)
        self._step(step, now, ours=True)

    def abandon(self, now: float) -> None:
        """The user will send no final response."""
        self._step(Input.ABANDON, now)

    def transport_failed(self, now: float) -> None:
        """The last response could not be sent."""
        self._step(Input.TRANSPORT_ERROR, now)

    def _act(self, step: Input, before: State, now: float) -> None:
        match step:
            case Input.INVITE:
                # In Accepted the user repeats the 2xx, in Confirmed there is nothing left to say.
                if before in (State.PROCEEDING, State.COMPLETED):
                    self._repeat()
            case Input.PROVISIONAL:
                self._repeat()
            case Input.SUCCESS:
                self._repeat()
                if before is State.PROCEEDING:
                    self._start(Timer.L, now, self.timers.transaction)
            case Input.FAILURE:
                self._repeat()
                self._start(Timer.H, now, self.timers.transaction)
                if not self.reliable:
                    self._start(Timer.G, now, self._g_interval)
            case Input.TIMER_G:
                self._repeat()
                self._g_interval = min(2 * self._g_interval, self.timers.t2)
                self._start(Timer.G, now, self._g_interval)
            case Input.ACK:
                if before is State.COMPLETED:
                    self._deadlines.clear()
                    self._start(Timer.I, now, self.timers.absorb(reliable=self.reliable))
            case Input.TIMER_H:
                self._effects.append(Report(Trouble.TIMEOUT))
            case Input.TRANSPORT_ERROR:
                self._effects.append(Report(Trouble.TRANSPORT))
            case Input.TIMER_I | Input.TIMER_L | Input.ABANDON:
                pass

    def _repeat(self) -> None:
        if self._last is not None:
            self._effects.append(self._last)
