"""RFC 4028 section 10: refreshes that come, that are refused, and that are missed."""

import pytest
from tests.support.messages import SDP, response
from tests.support.pair import Pair
from tests.support.solo import Solo
from tests.support.timed import KNOWS, OURS, TAKES_UPDATE, asked, asking, callee, within

from offhook.sip.events import ByeReceived, Failed, InviteReceived, Reinvited, ReinviteRefused, SessionExpired
from offhook.sip.session_state import State

pytestmark = pytest.mark.conformance

OURS_TO_REFRESH = "Session-Expires: 90;refresher=uas"
THEIRS_TO_REFRESH = "Session-Expires: 90;refresher=uac"


def reasons(solo: Solo) -> list[str]:
    return [str(reason) for reason in solo.requests("BYE")[-1].reasons]


def why(solo: Solo) -> str:
    (expired,) = solo.told(SessionExpired)
    said: str = expired.why
    return said


@pytest.mark.rfc(4028, "10")
def test_a_missed_refresh_of_the_peer_ends_in_a_bye_in_time() -> None:
    """The peer's own has been late for a while: one of ours is tried, and nobody answers that either."""
    solo = Solo()
    session = callee(solo, KNOWS, TAKES_UPDATE, THEIRS_TO_REFRESH)
    solo.run(59.9)
    assert solo.times("UPDATE")[0] == 52.5
    assert solo.requests("BYE") == []
    solo.run(60.5)
    assert solo.times("BYE")[0] == 60
    assert reasons(solo) == [
        'Q.850;cause=102;text="session timer expired"',
        'SIP;cause=408;text="session timer expired"',
    ]
    assert why(solo) == "no refresh within the 90 s agreed: none of the peer came, and ours was not answered"
    assert session.state is State.ENDING
    solo.run(200)
    solo.assert_empty()


@pytest.mark.rfc(4028, "10")
def test_thirty_two_seconds_before_a_long_interval_ends() -> None:
    solo = Solo()
    callee(solo, KNOWS, "Session-Expires: 1800;refresher=uac")
    solo.run(1790)
    assert solo.times("BYE")[0] == 1768


@pytest.mark.rfc(4028, "10")
def test_a_peer_whose_refresh_is_late_is_helped_out() -> None:
    """Our own refresh says that it stays the peer's turn, and the session lives on, as often as it takes."""
    solo = Solo()
    session = callee(solo, KNOWS, TAKES_UPDATE, THEIRS_TO_REFRESH)
    for turn in range(1, 11):
        solo.run(52.5 * turn + 0.1)
        update = asked(solo, "UPDATE")[-1]
        assert len(asked(solo, "UPDATE")) == turn
        assert update.headers.get("Session-Expires") == "90;refresher=uas"
        # The answer comes at once, so the next is due after as long again.
        solo.clock.now = solo.clock.start + 52.5 * turn
        solo.receive(response(update, 200, "alice", ("Session-Expires", "90;refresher=uas")))
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(4028, "10")
@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_has_lost_the_session_ends_it(update: bool, status: int) -> None:
    solo = Solo()
    session = callee(solo, KNOWS, *[TAKES_UPDATE] * update, OURS_TO_REFRESH)
    solo.run(45.1)
    (refresh,) = asked(solo, "UPDATE" if update else "INVITE")
    solo.receive(response(refresh, status, "alice"))
    assert len(solo.requests("BYE")) == 1
    assert session.state is State.ENDING
    assert why(solo).startswith(f"the peer answered our refresh with {status}")
    assert solo.told(Failed) == []


@pytest.mark.rfc(4028, "10")
@pytest.mark.parametrize("update", [True, False])
def test_a_refresh_that_nobody_answers_ends_it_before_the_interval_is_over(update: bool) -> None:
    solo = Solo()
    callee(solo, KNOWS, *[TAKES_UPDATE] * update, OURS_TO_REFRESH)
    solo.run(61)
    assert solo.times("BYE")[0] == 60
    assert why(solo) == "no refresh within the 90 s agreed: ours was not answered"
    solo.run(200)
    solo.assert_empty()


@pytest.mark.rfc(4028, "10")
@pytest.mark.parametrize("update", [True, False])
def test_a_refresh_that_nobody_answers_in_a_long_interval_ends_it_with_the_transaction(update: bool) -> None:
    solo = Solo()
    callee(solo, KNOWS, *[TAKES_UPDATE] * update, "Session-Expires: 1800;refresher=uas")
    solo.run(940)
    assert solo.times("BYE")[0] == 932
    assert why(solo) == "our refresh was not answered: timeout"


@pytest.mark.rfc(4028, "10")
@pytest.mark.parametrize("update", [True, False])
def test_a_refresh_that_the_network_does_not_take_is_tried_again(update: bool) -> None:
    """A connection that is gone for a moment is no time-out, and the sound may well go on."""
    solo = Solo()
    session = callee(solo, KNOWS, *[TAKES_UPDATE] * update, OURS_TO_REFRESH)
    for at in (45, 52.5, 56.25):
        solo.run(at)
        solo.user_agent.transport_failed(solo.last().transaction, solo.now)
        solo.drain()
        assert session.state is State.CONFIRMED
    solo.run(58.2)
    refresh = asked(solo, "UPDATE" if update else "INVITE")[-1]
    solo.receive(response(refresh, 200, "alice", ("Session-Expires", "90;refresher=uac"), body=b"" if update else SDP))
    solo.run(100)
    assert session.state is State.CONFIRMED
    assert solo.told(Failed) == solo.told(SessionExpired) == []


@pytest.mark.rfc(4028, "10")
def test_a_refresh_that_the_network_never_takes_ends_it_in_time() -> None:
    solo = Solo()
    callee(solo, KNOWS, TAKES_UPDATE, OURS_TO_REFRESH)
    while not solo.told(SessionExpired):
        solo.run(solo.clock.elapsed + 0.01)
        if solo.last().transaction is not None and asked(solo, "UPDATE"):
            solo.user_agent.transport_failed(solo.last().transaction, solo.now)
            solo.drain()
    assert solo.clock.elapsed == pytest.approx(60, abs=0.02)
    assert why(solo) == "no refresh within the 90 s agreed: ours found no way to the peer"


@pytest.mark.rfc(4028, "10")
def test_a_refused_update_is_followed_by_a_reinvite_and_remembered() -> None:
    solo = Solo()
    session = callee(solo, KNOWS, TAKES_UPDATE, OURS_TO_REFRESH)
    solo.run(45)
    solo.receive(response(asked(solo, "UPDATE")[-1], 405, "alice"))
    solo.run(45.1)
    (invite,) = asked(solo, "INVITE")
    assert invite.body == OURS
    solo.receive(response(invite, 200, "alice", ("Session-Expires", "90;refresher=uac"), body=SDP))
    solo.run(95)
    assert (len(asked(solo, "UPDATE")), len(asked(solo, "INVITE"))) == (1, 2)
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(4028, "10")
def test_a_refused_reinvite_is_tried_again_and_the_session_ends_by_its_time() -> None:
    """488 is no sign that the peer is gone: the layer above is not told, and the call goes on until it must end."""
    solo = Solo()
    session = callee(solo, KNOWS, OURS_TO_REFRESH)
    for _ in range(20):
        solo.run(solo.clock.elapsed + 1)
        if solo.clock.elapsed < 45:
            solo.run(45)
        if session.state is State.CONFIRMED and session.timer.state.name == "ASKING":
            solo.receive(response(asked(solo, "INVITE")[-1], 488, "alice"))
    assert len(asked(solo, "INVITE")) == 4
    assert solo.told(ReinviteRefused) == []
    assert solo.times("BYE")[0] == 60
    assert why(solo).endswith("ours got 488 Not Acceptable Here")


@pytest.mark.rfc(4028, "10")
def test_a_reinvite_that_meets_another_comes_again() -> None:
    solo = Solo()
    session = callee(solo, KNOWS, OURS_TO_REFRESH)
    solo.run(45.1)
    solo.receive(response(asked(solo, "INVITE")[-1], 491, "alice"))
    # We have not made the Call-ID: 0 to 2 s (RFC 3261 14.1).
    solo.run(47.2)
    assert len(asked(solo, "INVITE")) == 2
    solo.receive(response(asked(solo, "INVITE")[-1], 200, "alice", ("Session-Expires", THEIRS), body=SDP))
    assert session.timer.by_us is False


THEIRS = "90;refresher=uas"


@pytest.mark.rfc(4028, "7.4")
def test_a_reinvite_that_comes_again_offers_what_is_in_force_by_then() -> None:
    """Between the collision and the second try the peer's own change was answered, with another version of ours."""
    solo = Solo()
    session = callee(solo, KNOWS, OURS_TO_REFRESH)
    solo.run(45.1)
    solo.receive(response(asked(solo, "INVITE")[-1], 491, "alice"))
    solo.receive(within(session, "INVITE", 2, body=SDP))
    solo.do(session.answer_reinvite, b"v=0 by now")
    solo.receive(within(session, "ACK", 2))
    solo.run(48)
    assert [refresh.body for refresh in asked(solo, "INVITE")] == [OURS, b"v=0 by now"]


@pytest.mark.rfc(4028, "10")
def test_any_change_of_either_side_is_a_refresh() -> None:
    solo = Solo()
    session = callee(solo, KNOWS, OURS_TO_REFRESH)
    solo.run(40)
    solo.receive(within(session, "INVITE", 2, KNOWS, OURS_TO_REFRESH, body=SDP))
    solo.do(session.answer_reinvite, OURS)
    solo.receive(within(session, "ACK", 2))
    solo.run(80)
    solo.do(session.reinvite, b"v=0 hold")
    solo.receive(response(asked(solo, "INVITE")[-1], 200, "alice", ("Session-Expires", "90;refresher=uac"), body=SDP))
    solo.run(124.9)
    assert len(asked(solo, "INVITE")) == 1
    solo.run(125.1)
    assert len(asked(solo, "INVITE")) == 2


@pytest.mark.rfc(4028, "10")
def test_the_end_of_the_call_is_the_end_of_its_timer() -> None:
    for by_us in (True, False):
        solo = Solo()
        session = callee(solo, KNOWS, OURS_TO_REFRESH)
        if by_us:
            solo.do(session.hang_up)
            solo.receive(response(solo.requests("BYE")[-1], 200, "alice"))
        else:
            solo.receive(within(session, "BYE", 2))
        solo.run(100)
        assert asked(solo, "INVITE") == []
        solo.assert_empty()


def call(pair: Pair) -> None:
    pair.uas.on[InviteReceived] = lambda event: event.session.answer(OURS, now=pair.uas.now)
    for node in (pair.uac, pair.uas):
        node.on[Reinvited] = lambda event, n=node: event.session.answer_reinvite(OURS, now=n.now)
    pair.call(OURS)
    pair.run(1)


@pytest.mark.rfc(4028, "10")
def test_two_of_us_stay_up_for_as_long_as_they_like() -> None:
    """A call of four hours on a line that loses a message in twenty, refreshed all along."""
    pair = Pair(config=asking(90))
    pair.netem.seed, pair.netem.delay, pair.netem.loss = 3, 0.05, 0.05
    call(pair)
    pair.run(14_400)
    assert pair.uac.told(SessionExpired) == pair.uas.told(SessionExpired) == [], pair.ladder()[-2000:]
    ours = pair.uac.told(InviteReceived) + pair.uas.told(InviteReceived)
    session = ours[0].session
    assert session.timer.refreshes > 14_400 / 90
    pair.uas.perform(lambda now: session.hang_up(now=now))
    pair.run(200)
    assert len(pair.uac.told(ByeReceived)) == 1
    pair.assert_nothing_left()


@pytest.mark.rfc(4028, "10")
@pytest.mark.parametrize("silent", ["uac", "uas"])
def test_a_side_that_falls_silent_is_let_go_by_the_other(silent: str) -> None:
    pair = Pair(config=asking(90))
    call(pair)
    pair.run(100)
    pair.filters.append(lambda sender, message: False)
    pair.run(400)
    assert len(pair.uac.told(SessionExpired)) == len(pair.uas.told(SessionExpired)) == 1
    pair.assert_nothing_left()
