"""The session timer of one session: what it agrees to, says and does, each on its own."""

import pytest
from tests.support.messages import request, response

from offhook.sip.message import Request, Response
from offhook.sip.session_timer import (
    LEAST_INTERVAL,
    MAX_RAISES,
    MAX_TRIES,
    TRANSITIONS,
    Action,
    Input,
    SessionTimer,
    State,
    TimerPolicy,
    TimerSetting,
)

pytestmark = pytest.mark.unit

SUPPORTED = "Supported: timer"


def timer(setting: TimerSetting = "accept", minimum: int = LEAST_INTERVAL) -> SessionTimer:
    return SessionTimer(TimerPolicy(setting, minimum))


def answer(*headers: tuple[str, str], status: int = 200, method: str = "INVITE") -> Response:
    return response(request(method), status, "bob", *headers)


def asked(*headers: str, method: str = "INVITE") -> Request:
    return request(method, *headers)


def said(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return dict(headers)


def ours(setting: TimerSetting = "accept", seconds: int = 1800) -> SessionTimer:
    """A timer since 0 s that we refresh, with a peer that keeps it, too."""
    made = timer(setting)
    made.accept(asked(SUPPORTED, f"Session-Expires: {seconds};refresher=uas"), 0.0)
    assert made.state is State.OURS
    return made


def theirs(seconds: int = 1800) -> SessionTimer:
    made = timer()
    made.accept(asked(SUPPORTED, f"Session-Expires: {seconds};refresher=uac"), 0.0)
    assert made.state is State.THEIRS
    return made


def test_the_table_ends_in_expired() -> None:
    """An interval that runs ends with its deadline, and nothing begins one again after that."""
    running = {State.OURS, State.THEIRS, State.ASKING, State.REFUSED}
    assert {state for state, step in TRANSITIONS if step is Input.DEADLINE} == running
    assert not [state for state, _ in TRANSITIONS if state is State.EXPIRED]


@pytest.mark.rfc(4028, "9")
@pytest.mark.parametrize(
    ("supports", "asked_for", "answered"),
    # Table 2 of the RFC, and two peers that name a refresher without saying that they know timers.
    [
        (False, "", "uas"),
        (False, ";refresher=uac", "uac"),
        (False, ";refresher=uas", "uas"),
        (True, "", "uac"),
        (True, ";refresher=uac", "uac"),
        (True, ";refresher=uas", "uas"),
    ],
)
def test_who_refreshes(supports: bool, asked_for: str, answered: str) -> None:
    made = timer()
    headers = said(made.accept(asked(*[SUPPORTED] * supports, f"Session-Expires: 1800{asked_for}"), 0.0))
    assert headers["Session-Expires"] == f"1800;refresher={answered}"
    # Who does not know timers can't be asked to.
    assert ("Require" in headers) is (supports or asked_for != "")
    assert made.by_us is (answered == "uas")


@pytest.mark.rfc(4028, "9")
@pytest.mark.parametrize(
    ("setting", "headers", "seconds"),
    [
        ("accept", ["Session-Expires: 600"], 600),
        (1800, ["Session-Expires: 600"], 600),
        (1800, ["Session-Expires: 7200"], 1800),
        (1800, ["Session-Expires: 7200", "Min-SE: 3600"], 3600),
        (1800, [], 1800),
        (1800, ["Min-SE: 3600"], 3600),
    ],
)
def test_how_long(setting: TimerSetting, headers: list[str], seconds: int) -> None:
    """Never longer than the peer asks for, never shorter than it allows, and as short as we want between them."""
    made = timer(setting)
    agreed = said(made.accept(asked(SUPPORTED, *headers), 0.0))
    assert int(agreed["Session-Expires"].partition(";")[0]) == made.interval == seconds


def test_what_nobody_asks_for_is_not_begun() -> None:
    made = timer()
    assert made.accept(asked(SUPPORTED), 0.0) == ()
    assert made.ask() == ()
    assert made.next_timeout() is None


@pytest.mark.parametrize("headers", [[SUPPORTED], []])
def test_what_only_we_ask_for_is_refreshed_by_us(headers: list[str]) -> None:
    made = timer(1800)
    agreed = said(made.accept(asked(*headers), 0.0))
    assert agreed["Session-Expires"] == "1800;refresher=uas"
    assert ("Require" in agreed) is bool(headers)


def test_off_is_silent() -> None:
    made = timer("off")
    assert made.objection(asked(SUPPORTED, "Session-Expires: 5")) is None
    assert made.accept(asked(SUPPORTED, "Session-Expires: 1800"), 0.0) == ()
    assert made.ask() == ()
    made.answered(answer(("Session-Expires", "1800;refresher=uac")), 0.0)
    assert made.state is State.OFF
    assert not made.raised(answer(("Min-SE", "3600"), status=422))


@pytest.mark.rfc(4028, "9")
def test_an_interval_too_small_is_refused_with_the_smallest() -> None:
    made = timer()
    assert said(made.objection(asked(SUPPORTED, "Session-Expires: 89")) or ()) == {"Min-SE": "90"}
    assert made.objection(asked(SUPPORTED, "Session-Expires: 90")) is None
    assert made.objection(asked(SUPPORTED)) is None
    assert said(timer(minimum=120).objection(asked(SUPPORTED, "Session-Expires: 90")) or ()) == {"Min-SE": "120"}


@pytest.mark.rfc(4028, "9")
def test_an_interval_too_small_of_a_proxy_is_prolonged() -> None:
    """Erratum 1687: the caller does not know timers, so it could do nothing about a 422."""
    made = timer()
    wish = asked("Session-Expires: 30")
    assert made.objection(wish) is None
    assert said(made.accept(wish, 0.0)) == {"Session-Expires": "90;refresher=uas"}


@pytest.mark.parametrize("value", ["soon", "", "-1", "90 s"])
def test_what_cannot_be_read_asks_for_nothing(value: str) -> None:
    made = timer()
    wish = asked(SUPPORTED, f"Session-Expires: {value}", "Min-SE: whatever")
    assert made.objection(wish) is None
    assert made.accept(wish, 0.0) == ()


@pytest.mark.rfc(4028, "4")
def test_the_compact_form() -> None:
    made = timer()
    assert said(made.accept(asked("k: timer", "x: 600;refresher=uas"), 0.0))["Session-Expires"] == "600;refresher=uas"
    assert said(made.accept(asked("SUPPORTED: TIMER", "session-EXPIRES: 600"), 0.0))["Require"] == "timer"


@pytest.mark.rfc(4028, "9")
def test_require_is_knowing() -> None:
    made = timer()
    made.accept(asked("Require: timer", "Session-Expires: 600"), 0.0)
    assert made.state is State.THEIRS


@pytest.mark.rfc(4028, "10")
@pytest.mark.parametrize(("seconds", "refresh", "rescue", "end"), [(90, 45, 52.5, 60), (1800, 900, 1334, 1768)])
def test_when(seconds: int, refresh: float, rescue: float, end: float) -> None:
    """We refresh at half of it, help out if the peer is late, and end it 32 s or a third before its end."""
    mine, peers = ours(seconds=seconds), theirs(seconds)
    assert mine.next_timeout() == refresh
    assert mine.handle_timeout(refresh - 0.1, ready=True) is None
    assert mine.handle_timeout(refresh, ready=True) is Action.REFRESH
    assert mine.handle_timeout(end, ready=True) is Action.EXPIRE
    assert (mine.state, mine.next_timeout()) == (State.EXPIRED, None)
    assert peers.next_timeout() == rescue
    assert peers.handle_timeout(rescue, ready=True) is Action.REFRESH
    assert peers.handle_timeout(end, ready=True) is Action.EXPIRE
    assert "none of the peer came, and ours was not answered" in peers.why


def test_a_refresh_that_cannot_leave_looks_again() -> None:
    mine = ours(seconds=90)
    assert mine.handle_timeout(45.0, ready=False) is None
    assert mine.next_timeout() == 47.0
    assert mine.handle_timeout(47.0, ready=True) is Action.REFRESH


def test_a_refresh_that_was_dropped_for_something_else_comes_again() -> None:
    mine = ours()
    assert mine.handle_timeout(900.0, ready=True) is Action.REFRESH
    assert mine.handle_timeout(934.9, ready=True) is None
    assert mine.handle_timeout(935.0, ready=True) is Action.REFRESH


@pytest.mark.rfc(4028, "7.4")
def test_what_a_refresh_of_ours_says() -> None:
    """The interval and the roles stay; the longest Min-SE that was heard of in the dialog goes along."""
    assert said(ours(seconds=600).ask()) == {"Session-Expires": "600;refresher=uac"}
    made = timer()
    made.accept(asked(SUPPORTED, "Session-Expires: 600;refresher=uac", "Min-SE: 300"), 0.0)
    made.accept(asked(SUPPORTED, "Session-Expires: 600;refresher=uac", "Min-SE: 120"), 10.0)
    assert said(made.ask()) == {"Session-Expires": "600;refresher=uas", "Min-SE": "300"}


@pytest.mark.rfc(4028, "7.1")
def test_what_a_first_invite_of_ours_says() -> None:
    assert timer().ask() == ()
    assert timer(1800).ask() == (("Session-Expires", "1800"),)
    assert timer("off").ask() == ()


@pytest.mark.rfc(4028, "7.2")
@pytest.mark.parametrize(
    ("setting", "value", "state", "binding"),
    [
        (1800, "1800;refresher=uac", State.OURS, True),
        (1800, "1800;refresher=uas", State.THEIRS, True),
        ("accept", "1800;refresher=uas", State.THEIRS, True),
        ("accept", "1800;refresher=uac", State.OURS, True),
        # It must say who; where it does not, two who refresh are better than none.
        (1800, "1800", State.OURS, True),
        (1800, "1800;refresher=someone", State.OURS, True),
        (1800, None, State.OURS, False),
        (1800, "soon", State.OURS, False),
        ("accept", None, State.OFF, False),
    ],
)
def test_what_the_answer_to_us_makes_of_it(
    setting: TimerSetting, value: str | None, state: State, binding: bool
) -> None:
    made = timer(setting)
    made.ask()
    made.answered(answer(*([("Session-Expires", value)] if value else [])), 0.0)
    assert made.state is state
    if state is State.OURS:
        assert made.handle_timeout(900.0, ready=True) is Action.REFRESH
        # Whom nothing was agreed with is refreshed, and not hung up on.
        assert made.handle_timeout(1768.0, ready=True) is (Action.EXPIRE if binding else Action.REFRESH)


@pytest.mark.rfc(4028, "7.2")
def test_an_answer_without_a_timer_stops_the_peers_and_not_ours() -> None:
    peers = theirs()
    peers.answered(answer(), 10.0)
    assert (peers.state, peers.interval, peers.next_timeout()) == (State.OFF, None, None)
    mine = ours()
    mine.answered(answer(), 10.0)
    assert (mine.state, mine.interval, mine.next_timeout()) == (State.OURS, 1800, 910.0)


def test_a_tiny_interval_of_the_peer_makes_no_flood() -> None:
    made = timer(1800)
    made.answered(answer(("Session-Expires", "0;refresher=uac")), 0.0)
    assert (made.interval, made.next_timeout()) == (10, 5.0)


@pytest.mark.rfc(4028, "9")
def test_each_refresh_agrees_anew() -> None:
    made = theirs()
    made.accept(asked(SUPPORTED, "Session-Expires: 600;refresher=uas", method="UPDATE"), 100.0)
    assert (made.state, made.interval, made.next_timeout()) == (State.OURS, 600, 400.0)
    # Not named: it stays with whom it is.
    made.accept(asked(SUPPORTED, "Session-Expires: 600", method="UPDATE"), 200.0)
    assert made.state is State.OURS
    made.accept(asked(SUPPORTED, "Session-Expires: 120;refresher=uac"), 300.0)
    assert (made.state, made.interval) == (State.THEIRS, 120)
    assert made.refreshes == 3


@pytest.mark.parametrize(
    ("made", "headers", "agreed"),
    [
        # A hold of a peer that says nothing of its timer: kept with who knows timers, or while it is ours.
        (theirs, [SUPPORTED], {"Session-Expires": "1800;refresher=uac", "Require": "timer"}),
        (ours, [SUPPORTED], {"Session-Expires": "1800;refresher=uas", "Require": "timer"}),
        (ours, [], {"Session-Expires": "1800;refresher=uas"}),
        (theirs, [], {}),
    ],
)
def test_a_reinvite_that_says_nothing_of_the_timer(made, headers, agreed) -> None:  # type: ignore[no-untyped-def]
    kept = made()
    assert said(kept.accept(asked(*headers), 100.0)) == agreed
    assert kept.is_on is bool(agreed)


@pytest.mark.rfc(4028, "7.3")
def test_a_422_is_asked_again_for_as_much_as_it_wants() -> None:
    made = timer(90)
    assert made.raised(answer(("Min-SE", "1800"), status=422))
    assert said(made.ask()) == {"Session-Expires": "1800", "Min-SE": "1800"}
    # As much as we ask for already, less, or nothing at all: asking again would be no use.
    for value in ("1800", "90", "x"):
        assert not made.raised(answer(("Min-SE", value), status=422))
    assert not made.raised(answer(status=422))


def test_a_peer_that_raises_for_ever_is_left() -> None:
    made = timer(90)
    raised = [made.raised(answer(("Min-SE", str(100 + n)), status=422)) for n in range(10)]
    assert raised == [True] * MAX_RAISES + [False] * (10 - MAX_RAISES)


@pytest.mark.rfc(4028, "10")
def test_a_refused_update_becomes_a_reinvite() -> None:
    for status in (405, 501, 500, 488, 403):
        mine = ours()
        assert not mine.no_update
        mine.handle_timeout(900.0, ready=True)
        mine.refused(answer(status=status, method="UPDATE"), 900.1)
        assert mine.handle_timeout(900.1, ready=True) is Action.REFRESH
        assert mine.no_update


@pytest.mark.rfc(4028, "10")
def test_a_refused_refresh_is_tried_again_and_not_for_ever() -> None:
    mine = ours()
    tried = []
    now = 900.0
    while (action := mine.handle_timeout(now, ready=True)) is Action.REFRESH:
        tried.append(now)
        mine.refused(answer(status=488), now)
        following = mine.next_timeout()
        assert following is not None
        now = following
    assert action is Action.EXPIRE
    assert now == 1768
    assert len(tried) == MAX_TRIES
    assert mine.why == "no refresh within the 1800 s agreed: ours got 488 Not Acceptable Here"


@pytest.mark.parametrize(
    ("status", "retry", "following"),
    [(500, "30", 930.0), (503, "30", 930.0), (500, "0", 901.0), (503, "99999", 1334.0), (500, None, 1334.0)],
)
def test_a_refusal_for_a_while(status: int, retry: str | None, following: float) -> None:
    mine = ours()
    mine.handle_timeout(900.0, ready=True)
    mine.refused(answer(*([("Retry-After", retry)] if retry else []), status=status), 900.0)
    assert mine.next_timeout() == following


def test_a_422_to_a_refresh_asks_for_more_at_once() -> None:
    mine = ours()
    mine.handle_timeout(900.0, ready=True)
    mine.refused(answer(("Min-SE", "3600"), status=422), 900.0)
    assert mine.handle_timeout(900.0, ready=True) is Action.REFRESH
    assert said(mine.ask()) == {"Session-Expires": "3600;refresher=uac", "Min-SE": "3600"}
    # 10: only a 2xx prolongs it.
    assert mine.handle_timeout(1768.0, ready=True) is Action.EXPIRE


def test_a_peer_that_keeps_no_timer_is_refreshed_for_ever() -> None:
    made = timer(1800)
    made.answered(answer(), 0.0)
    for turn in range(1, 20):
        assert made.next_timeout() == 900.0 * turn
        assert made.handle_timeout(900.0 * turn, ready=True) is Action.REFRESH
        made.refused(answer(status=488), 900.0 * turn)
    assert made.state is State.REFUSED


def test_a_peer_that_refreshes_after_all() -> None:
    """Both send one at once: the later 2xx counts, and a refusal of ours that comes late changes nothing."""
    peers = theirs(90)
    assert peers.handle_timeout(52.5, ready=True) is Action.REFRESH
    peers.accept(asked(SUPPORTED, "Session-Expires: 90;refresher=uac", method="UPDATE"), 53.0)
    assert peers.state is State.THEIRS
    peers.refused(answer(status=491), 53.1)
    assert (peers.state, peers.next_timeout()) == (State.THEIRS, 53.0 + 52.5)
    peers.answered(answer(("Session-Expires", "90;refresher=uac")), 53.2)
    assert peers.state is State.OURS


def test_the_end() -> None:
    mine = ours()
    mine.end()
    assert (mine.state, mine.next_timeout(), mine.interval) == (State.OFF, None, 1800)
