import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.ids import TrunkName
from offhook.route.limits import MAX_LOOP_LAG, Admission, Admitted, Limit, Limits, Refused

pytestmark = pytest.mark.unit

ACME, BETA = TrunkName("acme"), TrunkName("beta")


def limits(calls: int | None = None, cps: float | None = None, **trunks: Limit) -> Limits:
    return Limits(Limit(calls, cps), {TrunkName(name): limit for name, limit in trunks.items()}, {"bot": 2})


def admit(admission: Admission, now: float = 0, trunk: TrunkName = ACME, lag: float = 0) -> int:
    verdict = admission.admit(trunk, now, lag)
    assert isinstance(verdict, Admitted)
    return verdict.ticket


def refusal(admission: Admission, now: float = 0, trunk: TrunkName = ACME, lag: float = 0) -> Refused:
    verdict = admission.admit(trunk, now, lag)
    assert isinstance(verdict, Refused)
    return verdict


def test_places_are_given_and_given_back() -> None:
    admission = Admission(limits(calls=2))
    first = admit(admission)
    admit(admission)
    assert refusal(admission) == Refused("limit_calls", 2, 3, 10)
    admission.release(first)
    admission.release(first)
    assert admission.calls == 1
    admit(admission)
    assert refusal(admission).slug == "limit_calls"


def test_a_trunk_has_its_own_places() -> None:
    admission = Admission(limits(calls=10, acme=Limit(max_calls=1)))
    ticket = admit(admission)
    assert refusal(admission) == Refused("limit_trunk_calls", 1, 2, 10, "acme")
    admit(admission, trunk=BETA)
    admission.release(ticket)
    assert admission.trunk_calls("acme") == 0
    admit(admission)


def test_the_rate_lets_a_second_of_calls_through_at_once() -> None:
    admission = Admission(limits(cps=5))
    for _ in range(5):
        admit(admission, 100.0)
    assert refusal(admission, 100.0) == Refused("limit_cps", 5, 6, 1)
    assert refusal(admission, 100.19).slug == "limit_cps"
    admit(admission, 100.2)
    assert refusal(admission, 100.2).slug == "limit_cps"


def test_a_slow_rate_says_when_to_come_back() -> None:
    admission = Admission(limits(acme=Limit(max_cps=0.1)))
    admit(admission)
    assert refusal(admission, 2.5) == Refused("limit_trunk_cps", 0.1, 1.1, 8, "acme")
    admit(admission, 2.5, BETA)
    admit(admission, 10)


def test_a_refused_call_costs_no_token() -> None:
    admission = Admission(limits(cps=2, acme=Limit(max_cps=1)))
    admit(admission)
    for _ in range(5):
        assert refusal(admission).slug == "limit_trunk_cps"
    admit(admission, trunk=BETA)


def test_draining_refuses_all_and_ends_nothing() -> None:
    admission = Admission(limits(calls=1))
    ticket = admit(admission)
    admission.draining = True
    refused = refusal(admission)
    assert refused.slug == "draining"
    assert refused.retry_after > 0
    assert admission.calls == 1
    admission.release(ticket)
    assert refusal(admission).slug == "draining"


def test_a_late_event_loop_takes_no_new_calls() -> None:
    admission = Admission(limits())
    admit(admission, lag=MAX_LOOP_LAG)
    assert refusal(admission, lag=0.4).slug == "limit_loop_lag"
    assert "400 ms late" in refusal(admission, lag=0.4).why


def test_agents_have_places_too() -> None:
    admission = Admission(limits())
    assert admission.enter_agent("bot") is None
    assert admission.enter_agent("bot") is None
    assert admission.enter_agent("bot") == Refused("limit_agent_calls", 2, 3, 10, "bot")
    admission.leave_agent("bot")
    assert admission.enter_agent("bot") is None
    for _ in range(1000):
        assert admission.enter_agent("unlimited") is None
    admission.leave_agent("never-entered")


def test_a_limit_and_a_failed_match_never_share_words() -> None:
    # security D8: a wrong number in a trunk must not read like a flood, nor a flood like a wrong number.
    admission = Admission(limits(calls=1, cps=1, acme=Limit(1, 1)))
    admit(admission)
    calls = ("limit_calls", "limit_trunk_calls", "limit_agent_calls")
    rates = ("limit_cps", "limit_trunk_cps")
    whys = [Refused(slug, 1, 2, 1, "acme").why for slug in (*calls, *rates, "limit_loop_lag", "draining")]
    for why in whys:
        for word in ("match", "fit", "allow", "route", "unknown", "stranger", "flood"):
            assert word not in why
    assert "max_cps of 'acme' is 1" in whys[3]


@given(
    st.floats(0.1, 50),
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=100),
)
def test_never_more_than_the_rate_and_one_burst(rate: float, steps: list[tuple[float, bool]]) -> None:
    admission = Admission(limits(calls=20, cps=rate))
    now, admitted, running = 0.0, 0, []
    for gap, end in steps:
        now += gap
        if end and running:
            admission.release(running.pop())
        verdict = admission.admit(ACME, now)
        if isinstance(verdict, Admitted):
            admitted += 1
            running.append(verdict.ticket)
        else:
            assert verdict.retry_after >= 1
        assert admitted <= max(1.0, rate) + rate * now + 1e-6
        assert admission.calls == admission.trunk_calls("acme") == len(running) <= 20
