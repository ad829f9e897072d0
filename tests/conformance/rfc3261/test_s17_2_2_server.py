"""RFC 3261 17.2.2 and RFC 4320: the server transaction of other methods."""

import pytest
from tests.support.clock import Clock
from tests.support.messages import TCP, UDP, request

from offhook.errors import LocalProtocolError
from offhook.sip.effects import SendResponse, Source
from offhook.sip.timers import DEFAULT_TIMERS
from offhook.sip.transaction.machine import Report, Trouble
from offhook.sip.transaction.server import TRANSITIONS, Input, ServerTransaction, State

pytestmark = pytest.mark.conformance


class Run:
    def __init__(self, source: Source = UDP) -> None:
        self.clock = Clock()
        self.options = request("OPTIONS")
        self.machine = ServerTransaction(self.options, source, source.remote, DEFAULT_TIMERS, 1, self.clock.now)
        self.log: list[tuple[float, object]] = []

    def take(self) -> None:
        self.log += [(self.clock.elapsed, effect) for effect in self.machine.drain()]

    def respond(self, status: int) -> None:
        self.machine.respond(self.options.response(status, to_tag="tag"), self.clock.now)
        self.take()

    def repeat(self) -> None:
        self.machine.receive(request("OPTIONS"), self.clock.now)
        self.take()

    def run(self, until: float) -> None:
        self.clock.run(self.machine, until, self.take)

    @property
    def sent(self) -> list[tuple[float, int]]:
        return [(at, e.response.status) for at, e in self.log if isinstance(e, SendResponse)]

    @property
    def reports(self) -> list[tuple[float, Trouble]]:
        return [(at, effect.trouble) for at, effect in self.log if isinstance(effect, Report)]


@pytest.mark.rfc(3261, "17.2.2")
def test_a_repeated_request_gets_the_last_response() -> None:
    run = Run()
    run.repeat()
    assert run.sent == []
    run.respond(100)
    run.repeat()
    run.respond(200)
    run.repeat()
    assert [status for _, status in run.sent] == [100, 100, 200, 200]


@pytest.mark.rfc(3261, "17.2.2")
def test_timer_j_ends_it_and_nothing_is_sent_unasked() -> None:
    run = Run()
    run.respond(200)
    run.run(31.9)
    assert run.machine.state is State.COMPLETED
    run.run(32)
    assert run.machine.terminated
    assert run.sent == [(0, 200)]
    assert run.reports == []


@pytest.mark.rfc(3261, "17.2.2")
def test_timer_j_is_zero_over_a_reliable_transport() -> None:
    run = Run(TCP)
    run.respond(200)
    run.run(0)
    assert run.machine.terminated


@pytest.mark.rfc(4320, "4.1")
@pytest.mark.parametrize("status", [180, 183, 199])
def test_no_provisional_but_100(status: int) -> None:
    run = Run()
    with pytest.raises(LocalProtocolError):
        run.respond(status)


@pytest.mark.rfc(4320, "4.2")
def test_never_a_408() -> None:
    run = Run()
    with pytest.raises(LocalProtocolError):
        run.respond(408)


@pytest.mark.rfc(4320, "4.2")
def test_a_user_that_is_too_slow_makes_us_silent() -> None:
    run = Run()
    run.run(100)
    assert run.sent == []
    assert run.reports == [(32, Trouble.TIMEOUT)]
    assert run.machine.terminated
    with pytest.raises(LocalProtocolError):
        run.respond(200)


@pytest.mark.rfc(3261, "17.2.4")
def test_a_transport_error_is_told() -> None:
    run = Run(TCP)
    run.respond(200)
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
