"""INVITE client transaction: RFC 3261 17.1.1 with the Accepted state of RFC 6026."""

from enum import Enum

from offhook.sip.effects import SendRequest
from offhook.sip.message import Headers, Request, Response
from offhook.sip.timers import Timer, TimerValues
from offhook.sip.transaction.machine import Machine, PassResponse, Report, Trouble


class State(Enum):
    """The states of RFC 6026 figure 4."""

    CALLING = "calling"
    LEFT = "left"
    """Ours: another target is asked meanwhile, and the INVITE is not repeated. What still comes is heard."""
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class Input(Enum):
    """What may happen: a response by class, a timer, a broken transport, or the user that gives up."""

    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "300-699"
    TIMER_A = "timer A"
    TIMER_B = "timer B"
    TIMER_D = "timer D"
    TIMER_M = "timer M"
    TRANSPORT_ERROR = "transport error"
    PATIENCE = "nothing came in the time that a target has"
    LEAVE = "another target is asked"
    ABANDON = "abandoned by TU"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.CALLING, Input.PROVISIONAL): State.PROCEEDING,
    (State.CALLING, Input.SUCCESS): State.ACCEPTED,
    (State.CALLING, Input.FAILURE): State.COMPLETED,
    (State.CALLING, Input.TIMER_A): State.CALLING,
    (State.CALLING, Input.TIMER_B): State.TERMINATED,
    (State.CALLING, Input.TRANSPORT_ERROR): State.TERMINATED,
    (State.CALLING, Input.ABANDON): State.TERMINATED,
    (State.CALLING, Input.PATIENCE): State.CALLING,
    (State.CALLING, Input.LEAVE): State.LEFT,
    (State.LEFT, Input.PROVISIONAL): State.PROCEEDING,
    (State.LEFT, Input.SUCCESS): State.ACCEPTED,
    (State.LEFT, Input.FAILURE): State.COMPLETED,
    (State.LEFT, Input.TIMER_B): State.TERMINATED,
    (State.LEFT, Input.TRANSPORT_ERROR): State.TERMINATED,
    (State.LEFT, Input.ABANDON): State.TERMINATED,
    (State.PROCEEDING, Input.PROVISIONAL): State.PROCEEDING,
    (State.PROCEEDING, Input.SUCCESS): State.ACCEPTED,
    (State.PROCEEDING, Input.FAILURE): State.COMPLETED,
    # RFC 3261 9.1: 64*T1 after a CANCEL without a final response the user gives the transaction up.
    (State.PROCEEDING, Input.ABANDON): State.TERMINATED,
    # Its responses may still come on another connection (18.2.2); the user says whether they are waited for.
    (State.PROCEEDING, Input.TRANSPORT_ERROR): State.PROCEEDING,
    (State.PROCEEDING, Input.LEAVE): State.PROCEEDING,
    (State.PROCEEDING, Input.TIMER_B): State.TERMINATED,
    (State.COMPLETED, Input.FAILURE): State.COMPLETED,
    (State.COMPLETED, Input.TIMER_D): State.TERMINATED,
    (State.COMPLETED, Input.TRANSPORT_ERROR): State.TERMINATED,
    (State.ACCEPTED, Input.SUCCESS): State.ACCEPTED,
    (State.ACCEPTED, Input.TIMER_M): State.TERMINATED,
}


class InviteClientTransaction(Machine[State, Input]):
    """Repeats an INVITE until somebody answers, acknowledges a refusal, and passes every 2xx of every fork.

    After `patience` seconds without any response it says so once, and goes on unless it is left (`leave`).
    """

    TIMER_INPUTS = {
        Timer.A: Input.TIMER_A,
        Timer.B: Input.TIMER_B,
        Timer.D: Input.TIMER_D,
        Timer.M: Input.TIMER_M,
        Timer.PATIENCE: Input.PATIENCE,
    }
    terminated_state = State.TERMINATED

    __slots__ = ("_a_interval", "_ack", "_is_left", "_received", "_send", "request", "target")

    def __init__(self, send: SendRequest, timers: TimerValues, now: float, *, patience: float | None = None) -> None:
        assert send.transaction is not None, "a client transaction has an id"
        super().__init__(State.CALLING, TRANSITIONS, timers, send.transaction, reliable=send.target.transport != "udp")
        self.request = send.request
        self.target = send.target
        self._send = send
        self._ack: SendRequest | None = None
        self._received: Response | None = None
        self._a_interval = timers.t1
        self._is_left = False
        self._effects.append(self._send)
        self._start(Timer.B, now, timers.transaction)
        if not self.reliable:
            self._start(Timer.A, now, self._a_interval)
        if patience is not None and patience < timers.transaction:
            self._start(Timer.PATIENCE, now, patience)

    def receive(self, response: Response, now: float) -> None:
        """A response that matches this transaction."""
        self._received = response
        if response.status < 200:
            self._step(Input.PROVISIONAL, now)
        elif response.status < 300:
            self._step(Input.SUCCESS, now)
        else:
            self._step(Input.FAILURE, now)
        self._received = None

    def transport_failed(self, now: float) -> None:
        """The request, or the ACK, could not be sent."""
        self._step(Input.TRANSPORT_ERROR, now)

    def leave(self, now: float) -> None:
        """The user asks another target: the INVITE is not repeated, and what comes late is passed on for 64*T1."""
        self._step(Input.LEAVE, now)

    def abandon(self, now: float) -> None:
        """The user no longer waits for a final response."""
        self._step(Input.ABANDON, now)

    def _act(self, step: Input, before: State, now: float) -> None:
        match step:
            case Input.TIMER_A:
                self._effects.append(self._send)
                # RFC 3261 17.1.1.2: doubled without the cap of T2 that other methods have.
                self._a_interval *= 2
                self._start(Timer.A, now, self._a_interval)
            case Input.PROVISIONAL:
                if before is not State.PROCEEDING:
                    self._deadlines.clear()
                if before is State.LEFT:
                    self._start(Timer.B, now, self.timers.transaction)
                self._pass()
            case Input.SUCCESS:
                if before is not State.ACCEPTED:
                    self._deadlines.clear()
                    self._start(Timer.M, now, self.timers.transaction)
                self._pass()
            case Input.FAILURE:
                self._acknowledge()
                if before is not State.COMPLETED:
                    self._deadlines.clear()
                    self._pass()
                    self._start(Timer.D, now, self.timers.completed_client_invite(reliable=self.reliable))
            case Input.TIMER_B:
                if not self._is_left:
                    self._effects.append(Report(Trouble.TIMEOUT))
            case Input.PATIENCE:
                self._effects.append(Report(Trouble.SLOW))
            case Input.LEAVE:
                self._is_left = True
                self._deadlines.clear()
                self._start(Timer.B, now, self.timers.transaction)
            case Input.TRANSPORT_ERROR:
                if not self._is_left:
                    self._effects.append(Report(Trouble.TRANSPORT))
            case Input.TIMER_D | Input.TIMER_M | Input.ABANDON:
                pass

    def _pass(self) -> None:
        assert self._received is not None, "only responses are passed"
        self._effects.append(PassResponse(self._received))

    def _acknowledge(self) -> None:
        if self._ack is None:
            assert self._received is not None, "only a response is acknowledged"
            ack = acknowledge_refusal(self.request, self._received)
            self._ack = SendRequest(ack, self.target, bytes(ack), self.transaction_id)
        self._effects.append(self._ack)


def acknowledge_refusal(invite: Request, response: Response) -> Request:
    """The ACK to a final response other than 2xx: same Request-URI, branch and Route, To of the response (17.1.1.3)."""
    headers = [("Via", str(invite.via))]
    headers += [("Route", value) for value in invite.headers.get_all("Route")]
    headers += [
        ("Max-Forwards", "70"),
        ("From", str(invite.from_)),
        ("To", str(response.to)),
        ("Call-ID", invite.call_id),
        ("CSeq", f"{invite.cseq.number} ACK"),
    ]
    # RFC 3261 22.1: the credentials of the INVITE go with its ACK.
    headers += [
        (name, value) for name in ("Authorization", "Proxy-Authorization") for value in invite.headers.get_all(name)
    ]
    if (ours := invite.session_id) is not None:
        theirs = response.session_id
        headers.append(("Session-ID", str(ours if theirs is None else ours.hearing(theirs))))
    return Request("ACK", invite.request_uri, Headers(headers), b"")


def cancel_of(invite: Request, headers: tuple[tuple[str, str], ...] = ()) -> Request:
    """The CANCEL of an INVITE as it was sent: Request-URI, top Via, Route, From, To, Call-ID, number (RFC 3261 9.1)."""
    return Request(
        "CANCEL",
        invite.request_uri,
        Headers(
            [
                ("Via", str(invite.via)),
                *(("Route", route) for route in invite.headers.get_all("Route")),
                ("Max-Forwards", "70"),
                ("From", str(invite.from_)),
                ("To", str(invite.to)),
                ("Call-ID", invite.call_id),
                ("CSeq", f"{invite.cseq.number} CANCEL"),
                *headers,
            ]
        ),
        b"",
    )
