"""Two user agents and whatever they want of session timers: the call stays up, whoever refreshes it."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.pair import Node, Pair
from tests.support.timed import OURS

from offhook.sip.events import (
    AckMissing,
    Answered,
    ByeReceived,
    InviteReceived,
    Reinvited,
    SessionExpired,
    SessionFailed,
)
from offhook.sip.session_timer import TimerSetting
from offhook.sip.user_agent import UserAgentConfig

pytestmark = pytest.mark.scenario

BASIC = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS")
SETTINGS: "st.SearchStrategy[TimerSetting]" = st.sampled_from(["off", "accept", 90, 120, 600])
SIDES = st.tuples(SETTINGS, st.booleans(), st.sampled_from([90, 100, 200]))
WHO = st.sampled_from(["caller", "callee", "both"])
CHANGES = st.lists(st.tuples(st.floats(0, 500), WHO, st.sampled_from(["reinvite", "update"])), max_size=8)


def config(side: tuple[TimerSetting, bool, int]) -> UserAgentConfig:
    setting, update, least = side
    return UserAgentConfig(
        session_timer=setting,
        supported=() if setting == "off" else ("timer",),
        allow=(*BASIC, "UPDATE") if update else BASIC,
        min_session_interval=least,
    )


@settings(max_examples=300 if os.environ.get("OFFHOOK_PROVE") == "1" else 15, deadline=None)
@given(SIDES, SIDES, CHANGES, st.floats(0, 0.4), st.integers(0, 100), st.booleans())
def test_no_call_is_lost_for_its_timer(
    caller: tuple[TimerSetting, bool, int],
    callee: tuple[TimerSetting, bool, int],
    changes: list[tuple[float, str, str]],
    delay: float,
    seed: int,
    refuses: bool,
) -> None:
    """Changes of either side and of both at once come in between; with `refuses` one side takes none of them.

    Then the other falls silent, and both are rid of the call, if there was a timer at all.
    """
    pair = Pair()
    pair.netem.seed, pair.netem.delay, pair.netem.jitter = seed, delay, delay / 4
    pair.uac = pair.node("uac", "192.0.2.1", config(caller))
    pair.uas = pair.node("uas", "192.0.2.2", config(callee))
    pair.uas.on[InviteReceived] = lambda event: event.session.answer(OURS, now=pair.uas.now)

    def take(event: Reinvited, node: Node) -> None:
        if refuses and event.request.sdp != OURS:
            event.session.reject_reinvite(488, now=node.now)
        else:
            event.session.answer_reinvite(OURS, now=node.now)

    for node in (pair.uac, pair.uas):
        node.on[Reinvited] = lambda event, n=node: take(event, n)
    ours = pair.call(OURS)
    pair.run(5)
    assert len(pair.uac.told(Answered)) == 1, pair.ladder()
    theirs = pair.uas.told(InviteReceived)[-1].session
    for at, who, verb in sorted(changes):
        pair.run(max(0.0, at - pair.clock.elapsed))
        for node, session in ((pair.uac, ours), (pair.uas, theirs)):
            if who in ("both", "caller" if session is ours else "callee"):
                node.perform(lambda now, s=session, v=verb: getattr(s, v)(b"v=0 changed", now=now))
    pair.run(2000)
    for node in (pair.uac, pair.uas):
        assert node.told(SessionExpired) == node.told(SessionFailed) == node.told(ByeReceived) == [], pair.ladder()
    was_on = ours.timer.is_on, theirs.timer.is_on
    # Whatever crossed what: where a timer runs, somebody believes that it is his.
    assert not any(was_on) or ours.timer.by_us or theirs.timer.by_us
    pair.filters.append(lambda sender, message: False)
    pair.run(2000)
    for node, on in zip((pair.uac, pair.uas), was_on, strict=True):
        # It may have begun in the middle of a refresh.
        assert bool(node.told(SessionExpired) or node.told(AckMissing)) is on, pair.ladder()
    if all(was_on):
        pair.assert_nothing_left()
