"""A fault in one call ends that call, and no other."""

import pytest
from tests.support.messages import SDP
from tests.support.pair import Pair

from offhook.sip.events import Answered, ByeReceived, InviteReceived, Refused, SessionFailed
from offhook.sip.invite import InviteSession

pytestmark = pytest.mark.scenario


def answer_unless(pair: Pair, user: str, fault: Exception) -> None:
    def received(event: InviteReceived) -> None:
        if event.request.headers.get("X-Who") == user:
            raise fault
        event.session.answer(SDP, now=pair.uas.now)

    pair.uas.on[InviteReceived] = received


def test_a_handler_that_raises_ends_its_call_with_500() -> None:
    pair = Pair()
    answer_unless(pair, "bad", ZeroDivisionError())
    good = pair.call(headers=(("X-Who", "good"),))
    pair.call(headers=(("X-Who", "bad"),))
    also_good = pair.call(headers=(("X-Who", "good"),))
    pair.run(60)
    assert [event.session for event in pair.uac.told(Answered)] == [good, also_good]
    assert [event.response.status for event in pair.uac.told(Refused)] == [500]
    assert [type(event.exception) for event in pair.uas.told(SessionFailed)] == [ZeroDivisionError]


def test_a_handler_that_raises_in_a_running_call_ends_it_by_bye() -> None:
    pair = Pair()
    answer_unless(pair, "bad", ZeroDivisionError())

    def broken(event: object) -> None:
        raise KeyError("lost")

    from offhook.sip.events import Acknowledged

    pair.uas.on[Acknowledged] = broken
    pair.call()
    pair.run(60)
    assert len(pair.uac.told(ByeReceived)) == 1
    assert len(pair.uas.told(SessionFailed)) == 1
    pair.run(100)
    pair.assert_nothing_left()


def test_a_handler_that_raises_at_the_news_of_its_own_fault_is_not_told_again() -> None:
    pair = Pair()
    answer_unless(pair, "bad", ZeroDivisionError())

    def broken(event: object) -> None:
        raise KeyError("again")

    pair.uas.on[SessionFailed] = broken
    pair.call(headers=(("X-Who", "bad"),))
    pair.run(60)
    assert len(pair.uas.told(SessionFailed)) == 1
    assert pair.uas.user_agent.counters["session_faults"] == 2


@pytest.mark.parametrize("method", ["receive", "on_ack", "handle_timeout"])
def test_a_fault_inside_a_session_ends_that_session(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair()
    pair.uas.on[InviteReceived] = lambda event: event.session.answer(SDP, now=pair.uas.now)
    one, two = pair.call(), pair.call()
    if method == "handle_timeout":
        # Without the ACK the 2xx is repeated, which takes a timer.
        pair.filters.append(lambda sender, message: not (sender is pair.uac and message.cseq.method == "ACK"))
    victim = one
    inner = getattr(InviteSession, method)

    def broken(self: InviteSession, *arguments: object) -> None:
        if self.sip_call_id == victim.sip_call_id and not self.is_caller:
            raise ZeroDivisionError
        inner(self, *arguments)

    monkeypatch.setattr(InviteSession, method, broken)
    pair.run(1)
    if method == "receive":
        for session in (one, two):
            pair.uac.perform(lambda now, s=session: s.hang_up(now=now))
        pair.run(1)
    faults = pair.uas.told(SessionFailed)
    assert [event.session.sip_call_id for event in faults] == [victim.sip_call_id]
    assert len(pair.uac.told(Answered)) == 2
    assert not two.is_over or method == "receive"
    monkeypatch.undo()
    for session in (one, two):
        pair.uac.perform(lambda now, s=session: s.hang_up(now=now))
    pair.run(200)
    pair.assert_nothing_left()
