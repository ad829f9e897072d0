"""Whatever a peer says, in whatever order, a user agent stands, and forgets it all in the end."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.messages import SDP, TCP, UDP, request, response
from tests.support.solo import Solo

from offhook.sip.events import InviteReceived, Reinvited, SessionFailed
from offhook.sip.message import Request

pytestmark = pytest.mark.scenario

METHODS = ["INVITE", "ACK", "BYE", "CANCEL", "INFO", "OPTIONS", "UPDATE"]
STEPS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2**32)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(STEPS)
@example([(0, 4_294_967_296), (0, 4830439), (7, 0)])
def test_no_order_of_messages_verbs_and_timers_breaks_it(steps: list[tuple[int, int]]) -> None:
    solo = Solo()
    sessions = []
    ours = []
    for kind, seed in steps:
        rng = random.Random(seed)
        sessions = [event.session for event in solo.told(InviteReceived)]
        session = rng.choice(sessions) if sessions else None
        if kind <= 4:
            tag = f";tag={session.local_tag}" if session is not None and rng.random() < 0.7 else ""
            solo.receive(
                request(
                    rng.choice(METHODS),
                    branch=f"z9hG4bK{rng.randrange(6)}",
                    to=f"<sip:bob@192.0.2.2>{tag}",
                    call_id=f"call-{rng.randrange(2)}" if session is None else session.sip_call_id,
                    cseq=rng.randrange(1, 6),
                    body=rng.choice([b"", SDP]),
                ),
                rng.choice([UDP, TCP]),
            )
        elif kind <= 6 and solo.sent:
            asked = [effect.request for _, effect in solo.sent if hasattr(effect, "request")]
            if asked:
                to = rng.choice(asked)
                if isinstance(to, Request) and to.method != "ACK":
                    solo.receive(response(to, rng.choice([100, 180, 200, 401, 481, 486, 491, 503]), f"t{seed % 3}"))
        elif kind == 7:
            solo.run(solo.clock.elapsed + rng.choice([0.1, 1, 5, 40]))
        elif kind == 8 and session is not None:
            verb = rng.choice(["ring", "answer", "reject", "hang_up", "reinvite", "answer_info"])
            arguments = {"answer": (SDP,), "reject": (486,), "reinvite": (SDP,)}.get(verb, ())
            solo.do(getattr(session, verb), *arguments)
        elif kind == 9:
            for event in solo.told(Reinvited):
                solo.do(event.session.answer_reinvite, SDP)
        elif kind == 10:
            call = solo.invite("sip:bob@192.0.2.1", rng.choice([None, SDP]))
            ours.append(call)
            if rng.random() < 0.5:
                solo.do(call.hang_up)
        elif kind == 11 and solo.sent:
            solo.user_agent.transport_failed(rng.choice(solo.sent)[1].transaction, solo.now)
            solo.drain()
    assert solo.told(SessionFailed) == []
    calls = [*ours, *(event.session for event in solo.told(InviteReceived))]
    for session in calls:
        solo.do(session.hang_up)
    solo.run(solo.clock.elapsed + 500)
    for session in calls:
        solo.do(session.hang_up)
    solo.run(solo.clock.elapsed + 500)
    solo.assert_empty()
