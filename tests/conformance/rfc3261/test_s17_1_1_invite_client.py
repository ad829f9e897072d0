"""RFC 3261 17.1.1 and RFC 6026: the INVITE client transaction."""

import pytest
from tests.support.clock import Clock
from tests.support.messages import request, response, sent, to_send

from offhook.sip.effects import SendRequest
from offhook.sip.timers import DEFAULT_TIMERS, TimerValues
from offhook.sip.transaction.invite_client import TRANSITIONS, Input, InviteClientTransaction, State
from offhook.sip.transaction.machine import PassResponse, Report, Trouble

pytestmark = pytest.mark.conformance


class Run:
    """A transaction, its clock, and everything it asked for with its time."""

    def __init__(self, transport: str = "udp", timers: TimerValues = DEFAULT_TIMERS) -> None:
        self.clock = Clock()
        self.invite = request("INVITE")
        self.machine = InviteClientTransaction(to_send(self.invite, transport), timers, self.clock.now)
        self.log: list[tuple[float, object]] = []
        self.take()

    def take(self) -> None:
        self.log += [(self.clock.elapsed, effect) for effect in self.machine.drain()]

    def receive(self, status: int, tag: str = "bob") -> None:
        self.machine.receive(response(self.invite, status, tag), self.clock.now)
        self.take()

    def run(self, until: float) -> None:
        self.clock.run(self.machine, until, self.take)

    def sent_at(self, method: str) -> list[float]:
        return [at for at, effect in self.log if isinstance(effect, SendRequest) and effect.request.method == method]

    def passed(self) -> list[int]:
        return [effect.response.status for _, effect in self.log if isinstance(effect, PassResponse)]

    def reports(self) -> list[tuple[float, Trouble]]:
        return [(at, effect.trouble) for at, effect in self.log if isinstance(effect, Report)]


@pytest.mark.rfc(3261, "17.1.1.2")
def test_timer_a_doubles_until_timer_b() -> None:
    run = Run()
    run.run(100)
    assert run.sent_at("INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert run.reports() == [(32, Trouble.TIMEOUT)]
    assert run.machine.terminated
    assert run.machine.next_timeout() is None


@pytest.mark.rfc(3261, "17.1.1.2")
def test_over_a_reliable_transport_the_invite_is_sent_once() -> None:
    run = Run("tcp")
    run.run(100)
    assert run.sent_at("INVITE") == [0]
    assert run.reports() == [(32, Trouble.TIMEOUT)]


@pytest.mark.rfc(3261, "17.1.1.1")
def test_timers_follow_t1() -> None:
    run = Run(timers=TimerValues(t1=0.1))
    run.run(100)
    assert run.sent_at("INVITE") == [0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3]
    assert run.reports() == [(6.4, Trouble.TIMEOUT)]


@pytest.mark.rfc(3261, "17.1.1.2")
@pytest.mark.parametrize("status", [100, 180, 199])
def test_a_provisional_response_stops_retransmission_and_timer_b(status: int) -> None:
    run = Run()
    run.run(0.6)
    run.receive(status)
    run.receive(183)
    run.run(1000)
    assert run.sent_at("INVITE") == [0, 0.5]
    assert run.passed() == [status, 183]
    assert run.machine.state is State.PROCEEDING
    assert run.reports() == []


@pytest.mark.rfc(3261, "17.1.1.2")
@pytest.mark.parametrize("first", [None, 180])
@pytest.mark.parametrize("status", [300, 404, 486, 503, 603, 699])
def test_a_refusal_is_acknowledged_and_passed_once(first: int | None, status: int) -> None:
    run = Run()
    if first is not None:
        run.receive(first)
    run.receive(status)
    for _ in range(3):
        run.receive(status)
    assert run.passed() == [*([first] if first else []), status]
    assert len(run.sent_at("ACK")) == 4
    run.run(31.9)
    assert run.machine.state is State.COMPLETED
    run.run(32)
    assert run.machine.terminated


@pytest.mark.rfc(3261, "17.1.1.2")
def test_timer_d_is_zero_over_a_reliable_transport() -> None:
    run = Run("tcp")
    run.receive(486)
    run.run(0)
    assert run.machine.terminated


@pytest.mark.rfc(3261, "17.1.1.3")
def test_the_ack_to_a_refusal_copies_what_it_must() -> None:
    invite = request("INVITE", "Route: <sip:p1.example;lr>, <sip:p2.example;lr>", 'Proxy-Authorization: Digest a="b"')
    machine = InviteClientTransaction(to_send(invite), DEFAULT_TIMERS, 0.0)
    machine.drain()
    machine.receive(response(invite, 486, "their-tag"), 0.1)
    ack = next(effect.request for effect in machine.drain() if isinstance(effect, SendRequest))
    assert ack.method == "ACK"
    assert str(ack.request_uri) == str(invite.request_uri)
    assert [str(via) for via in ack.vias] == [str(invite.via)]
    assert str(ack.from_) == str(invite.from_)
    assert ack.to.tag == "their-tag"
    assert (ack.call_id, ack.cseq.number, ack.cseq.method) == (invite.call_id, invite.cseq.number, "ACK")
    assert [str(route) for route in ack.routes] == ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]
    assert ack.headers.get("Proxy-Authorization") == 'Digest a="b"'
    assert ack.body == b""


@pytest.mark.rfc(6026, "7.2")
def test_every_2xx_of_every_fork_reaches_the_user_until_timer_m() -> None:
    run = Run()
    run.receive(180)
    run.receive(200, "one")
    run.run(10)
    run.receive(200, "two")
    run.receive(200, "one")
    run.run(31.9)
    run.receive(200, "three")
    assert run.passed() == [180, 200, 200, 200, 200]
    assert run.sent_at("ACK") == []
    run.run(32)
    assert run.machine.terminated


@pytest.mark.rfc(6026, "7.2")
@pytest.mark.parametrize("late", [180, 486])
def test_in_accepted_only_2xx_count(late: int) -> None:
    run = Run()
    run.receive(200)
    run.receive(late)
    assert run.passed() == [200]
    assert run.sent_at("ACK") == []
    assert run.machine.ignored == 1


@pytest.mark.rfc(3261, "17.1.1.2")
def test_a_2xx_after_a_refusal_is_ignored() -> None:
    run = Run()
    run.receive(486)
    run.receive(200)
    run.receive(180)
    assert run.passed() == [486]
    assert run.machine.ignored == 2


@pytest.mark.rfc(3261, "17.1.4")
def test_a_transport_error_is_told_and_ends_it() -> None:
    run = Run("tcp")
    run.machine.transport_failed(run.clock.now)
    run.take()
    assert run.reports() == [(0, Trouble.TRANSPORT)]
    assert run.machine.terminated


@pytest.mark.rfc(3261, "17.1.1.2")
def test_an_ack_that_cannot_be_sent_is_told_too() -> None:
    run = Run()
    run.receive(486)
    run.machine.transport_failed(run.clock.now)
    run.take()
    assert run.reports() == [(0, Trouble.TRANSPORT)]
    assert run.machine.terminated


@pytest.mark.rfc(3261, "9.1")
def test_a_user_may_give_up_after_its_cancel() -> None:
    run = Run()
    run.receive(180)
    run.machine.abandon(run.clock.now)
    assert run.machine.terminated
    run.receive(200)
    assert run.passed() == [180]


@pytest.mark.rfc(3261, "17.1.1")
@pytest.mark.rfc(6026, "8.4")
def test_the_table_is_that_of_the_figure() -> None:
    arrows = {
        (before.name, step.name, after.name)
        for (before, step), after in TRANSITIONS.items()
        # What comes in when another target is asked meanwhile is no figure's (RFC 3263 4.3).
        if State.LEFT not in (before, after) and step not in (Input.PATIENCE, Input.LEAVE)
    }
    assert arrows == {
        ("CALLING", "TIMER_A", "CALLING"),
        ("CALLING", "TIMER_B", "TERMINATED"),
        ("CALLING", "TRANSPORT_ERROR", "TERMINATED"),
        ("CALLING", "ABANDON", "TERMINATED"),
        ("CALLING", "PROVISIONAL", "PROCEEDING"),
        ("CALLING", "FAILURE", "COMPLETED"),
        ("CALLING", "SUCCESS", "ACCEPTED"),
        ("PROCEEDING", "PROVISIONAL", "PROCEEDING"),
        ("PROCEEDING", "FAILURE", "COMPLETED"),
        ("PROCEEDING", "SUCCESS", "ACCEPTED"),
        ("PROCEEDING", "ABANDON", "TERMINATED"),
        ("PROCEEDING", "TRANSPORT_ERROR", "PROCEEDING"),
        ("PROCEEDING", "TIMER_B", "TERMINATED"),
        ("COMPLETED", "FAILURE", "COMPLETED"),
        ("COMPLETED", "TRANSPORT_ERROR", "TERMINATED"),
        ("COMPLETED", "TIMER_D", "TERMINATED"),
        ("ACCEPTED", "SUCCESS", "ACCEPTED"),
        ("ACCEPTED", "TIMER_M", "TERMINATED"),
    }


def test_every_pair_outside_the_table_changes_nothing() -> None:
    for state in State:
        for step in Input:
            if (state, step) in TRANSITIONS:
                continue
            run = Run()
            run.machine.state = state
            run.machine._step(step, run.clock.now)
            assert (run.machine.state, run.machine.drain(), run.machine.ignored) == (state, [], 1)


def test_what_is_sent_is_the_request_as_given() -> None:
    run = Run()
    assert sent([effect for _, effect in run.log]) == ["INVITE"]  # type: ignore[misc]
