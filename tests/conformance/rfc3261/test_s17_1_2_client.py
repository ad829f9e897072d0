"""RFC 3261 17.1.2: the client transaction of other methods."""

import pytest
from tests.support.clock import Clock
from tests.support.messages import request, response, to_send

from offhook.sip.effects import SendRequest
from offhook.sip.timers import DEFAULT_TIMERS
from offhook.sip.transaction.client import TRANSITIONS, ClientTransaction, Input, State
from offhook.sip.transaction.machine import PassResponse, Report, Trouble

pytestmark = pytest.mark.conformance


class Run:
    def __init__(self, transport: str = "udp") -> None:
        self.clock = Clock()
        self.bye = request("BYE", to="<sip:bob@192.0.2.2>;tag=bob")
        self.machine = ClientTransaction(to_send(self.bye, transport), DEFAULT_TIMERS, self.clock.now)
        self.log: list[tuple[float, object]] = []
        self.take()

    def take(self) -> None:
        self.log += [(self.clock.elapsed, effect) for effect in self.machine.drain()]

    def receive(self, status: int) -> None:
        self.machine.receive(response(self.bye, status), self.clock.now)
        self.take()

    def run(self, until: float) -> None:
        self.clock.run(self.machine, until, self.take)

    @property
    def sent_at(self) -> list[float]:
        return [at for at, effect in self.log if isinstance(effect, SendRequest)]

    @property
    def passed(self) -> list[int]:
        return [effect.response.status for _, effect in self.log if isinstance(effect, PassResponse)]

    @property
    def reports(self) -> list[tuple[float, Trouble]]:
        return [(at, effect.trouble) for at, effect in self.log if isinstance(effect, Report)]


@pytest.mark.rfc(3261, "17.1.2.2")
def test_timer_e_doubles_up_to_t2_until_timer_f() -> None:
    run = Run()
    run.run(100)
    assert run.sent_at == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert run.reports == [(32, Trouble.TIMEOUT)]
    assert run.machine.terminated


@pytest.mark.rfc(3261, "17.1.2.2")
def test_over_a_reliable_transport_it_is_sent_once() -> None:
    run = Run("tcp")
    run.run(100)
    assert run.sent_at == [0]
    assert run.reports == [(32, Trouble.TIMEOUT)]


@pytest.mark.rfc(3261, "17.1.2.2")
def test_in_proceeding_it_is_repeated_every_t2_and_timer_f_goes_on() -> None:
    run = Run()
    run.run(0.6)
    run.receive(100)
    run.run(100)
    assert run.sent_at == [0, 0.5, 1.5, 5.5, 9.5, 13.5, 17.5, 21.5, 25.5, 29.5]
    assert run.passed == [100]
    assert run.reports == [(32, Trouble.TIMEOUT)]


@pytest.mark.rfc(3261, "17.1.2.2")
@pytest.mark.parametrize("status", [200, 302, 481, 500, 603])
def test_a_final_response_is_passed_once_and_its_repetitions_swallowed_for_t4(status: int) -> None:
    run = Run()
    run.receive(status)
    run.receive(status)
    run.run(4.9)
    run.receive(status)
    assert run.passed == [status]
    assert run.machine.state is State.COMPLETED
    run.run(5)
    assert run.machine.terminated
    assert run.sent_at == [0]


@pytest.mark.rfc(3261, "17.1.2.2")
def test_timer_k_is_zero_over_a_reliable_transport() -> None:
    run = Run("tcp")
    run.receive(200)
    run.run(0)
    assert run.machine.terminated


@pytest.mark.rfc(3261, "17.1.4")
@pytest.mark.parametrize("first", [None, 100])
def test_a_transport_error_is_told_and_ends_it(first: int | None) -> None:
    run = Run()
    if first:
        run.receive(first)
    run.machine.transport_failed(run.clock.now)
    run.take()
    assert run.reports == [(0, Trouble.TRANSPORT)]
    assert run.machine.terminated


def test_every_pair_outside_the_table_changes_nothing() -> None:
    for state in State:
        for step in Input:
            if (state, step) in TRANSITIONS:
                continue
            run = Run()
            run.machine.state = state
            run.machine._step(step, run.clock.now)
            assert (run.machine.state, run.machine.drain(), run.machine.ignored) == (state, [], 1)
