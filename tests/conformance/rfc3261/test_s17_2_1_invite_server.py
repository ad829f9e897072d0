"""RFC 3261 17.2.1 and RFC 6026: the INVITE server transaction."""

import pytest
from tests.support.clock import Clock
from tests.support.messages import TCP, UDP, request

from offhook.errors import LocalProtocolError
from offhook.sip.effects import SendResponse, Source
from offhook.sip.timers import DEFAULT_TIMERS
from offhook.sip.transaction.invite_server import TRANSITIONS, Input, InviteServerTransaction, State
from offhook.sip.transaction.machine import PassAck, Report, Trouble

pytestmark = pytest.mark.conformance


class Run:
    def __init__(self, source: Source = UDP) -> None:
        self.clock = Clock()
        self.invite = request("INVITE")
        self.machine = InviteServerTransaction(self.invite, source, source.remote, DEFAULT_TIMERS, 1)
        self.log: list[tuple[float, object]] = []

    def take(self) -> None:
        self.log += [(self.clock.elapsed, effect) for effect in self.machine.drain()]

    def respond(self, status: int) -> None:
        self.machine.respond(self.invite.response(status, to_tag="tag"), self.clock.now)
        self.take()

    def receive(self, method: str) -> None:
        self.machine.receive(request(method), self.clock.now)
        self.take()

    def run(self, until: float) -> None:
        self.clock.run(self.machine, until, self.take)

    def sent_at(self, status: int) -> list[float]:
        return [at for at, e in self.log if isinstance(e, SendResponse) and e.response.status == status]

    @property
    def reports(self) -> list[tuple[float, Trouble]]:
        return [(at, effect.trouble) for at, effect in self.log if isinstance(effect, Report)]


@pytest.mark.rfc(3261, "17.2.1")
def test_a_repeated_invite_gets_the_last_provisional_again() -> None:
    run = Run()
    run.receive("INVITE")
    assert run.log == []
    run.respond(100)
    run.receive("INVITE")
    run.respond(180)
    run.receive("INVITE")
    assert [e.response.status for _, e in run.log if isinstance(e, SendResponse)] == [100, 100, 180, 180]


@pytest.mark.rfc(3261, "17.2.1")
def test_a_refusal_is_repeated_by_timer_g_until_timer_h() -> None:
    run = Run()
    run.respond(486)
    run.run(100)
    assert run.sent_at(486) == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert run.reports == [(32, Trouble.TIMEOUT)]
    assert run.machine.terminated


@pytest.mark.rfc(3261, "17.2.1")
def test_over_a_reliable_transport_a_refusal_is_sent_once_and_timer_h_runs() -> None:
    run = Run(TCP)
    run.respond(486)
    run.run(100)
    assert run.sent_at(486) == [0]
    assert run.reports == [(32, Trouble.TIMEOUT)]


@pytest.mark.rfc(3261, "17.2.1")
def test_the_ack_ends_the_repetition_and_timer_i_the_transaction() -> None:
    run = Run()
    run.respond(486)
    run.run(0.6)
    run.receive("INVITE")
    run.receive("ACK")
    assert run.machine.state is State.CONFIRMED
    run.receive("ACK")
    run.receive("INVITE")
    run.run(5.5)
    assert run.sent_at(486) == [0, 0.5, 0.6]
    assert run.machine.state is State.CONFIRMED
    run.run(5.6)
    assert run.machine.terminated
    assert run.reports == []


@pytest.mark.rfc(3261, "17.2.1")
def test_timer_i_is_zero_over_a_reliable_transport() -> None:
    run = Run(TCP)
    run.respond(486)
    run.receive("ACK")
    run.run(0)
    assert run.machine.terminated


@pytest.mark.rfc(6026, "7.1")
def test_after_a_2xx_repeated_invites_are_absorbed_for_64_t1() -> None:
    run = Run()
    run.respond(180)
    run.respond(200)
    for _ in range(5):
        run.receive("INVITE")
    assert run.sent_at(200) == [0]
    run.run(31.9)
    run.receive("INVITE")
    assert run.sent_at(180) == [0]
    assert run.machine.state is State.ACCEPTED
    run.run(32)
    assert run.machine.terminated
    assert run.reports == []


@pytest.mark.rfc(6026, "7.1")
def test_the_user_repeats_its_2xx_through_the_transaction() -> None:
    run = Run()
    run.respond(200)
    run.run(0.5)
    run.respond(200)
    assert run.sent_at(200) == [0, 0.5]


@pytest.mark.rfc(6026, "7.1")
def test_an_ack_in_accepted_is_passed_to_the_user() -> None:
    run = Run()
    run.respond(200)
    run.receive("ACK")
    assert [effect.request.method for _, effect in run.log if isinstance(effect, PassAck)] == ["ACK"]
    assert run.machine.state is State.ACCEPTED


@pytest.mark.rfc(6026, "7.1")
@pytest.mark.parametrize(("status", "state"), [(100, State.PROCEEDING), (486, State.COMPLETED), (200, State.ACCEPTED)])
def test_a_transport_error_is_told_and_the_state_stays(status: int, state: State) -> None:
    run = Run(TCP)
    run.respond(status)
    run.machine.transport_failed(run.clock.now)
    run.take()
    assert run.reports == [(0, Trouble.TRANSPORT)]
    assert run.machine.state is state


@pytest.mark.rfc(3261, "17.2.1")
@pytest.mark.parametrize(("first", "second"), [(486, 200), (486, 486), (200, 486), (200, 180), (486, 180)])
def test_after_a_final_response_another_one_is_our_mistake(first: int, second: int) -> None:
    run = Run()
    run.respond(first)
    with pytest.raises(LocalProtocolError):
        run.respond(second)
    run.take()
    assert run.sent_at(first) == [0]


@pytest.mark.rfc(3261, "17.2.1")
@pytest.mark.rfc(6026, "8.7")
def test_the_table_is_that_of_the_figure() -> None:
    arrows = {(before.name, step.name, after.name) for (before, step), after in TRANSITIONS.items()}
    assert arrows == {
        ("PROCEEDING", "INVITE", "PROCEEDING"),
        ("PROCEEDING", "PROVISIONAL", "PROCEEDING"),
        ("PROCEEDING", "SUCCESS", "ACCEPTED"),
        ("PROCEEDING", "FAILURE", "COMPLETED"),
        ("PROCEEDING", "TRANSPORT_ERROR", "PROCEEDING"),
        # Ours: after a fault that leaves no answer.
        ("PROCEEDING", "ABANDON", "TERMINATED"),
        ("COMPLETED", "INVITE", "COMPLETED"),
        ("COMPLETED", "TIMER_G", "COMPLETED"),
        ("COMPLETED", "ACK", "CONFIRMED"),
        ("COMPLETED", "TIMER_H", "TERMINATED"),
        ("COMPLETED", "TRANSPORT_ERROR", "COMPLETED"),
        ("CONFIRMED", "INVITE", "CONFIRMED"),
        ("CONFIRMED", "ACK", "CONFIRMED"),
        ("CONFIRMED", "TRANSPORT_ERROR", "CONFIRMED"),
        ("CONFIRMED", "TIMER_I", "TERMINATED"),
        ("ACCEPTED", "INVITE", "ACCEPTED"),
        ("ACCEPTED", "ACK", "ACCEPTED"),
        ("ACCEPTED", "SUCCESS", "ACCEPTED"),
        ("ACCEPTED", "TRANSPORT_ERROR", "ACCEPTED"),
        ("ACCEPTED", "TIMER_L", "TERMINATED"),
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
