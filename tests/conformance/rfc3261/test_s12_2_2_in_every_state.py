"""RFC 3261 8.2 and 12.2.2: what can't be served is refused in each state of a session, and changes none."""

import random
from collections.abc import Callable

import pytest
from tests.support.messages import SDP, request, response
from tests.support.pair import Peer
from tests.support.sessions import callee, caller, within
from tests.support.solo import Solo

from offhook.sip.digest import Challenger
from offhook.sip.events import InfoReceived, InviteReceived, InviteRefused, Reinvited
from offhook.sip.invite import InviteSession
from offhook.sip.message import Response
from offhook.sip.screening import Admit, Challenge
from offhook.sip.session_state import State

pytestmark = pytest.mark.conformance

DTMF = "application/dtmf"


def ringing(solo: Solo) -> InviteSession:
    solo.receive(request(body=SDP))
    session: InviteSession = solo.told(InviteReceived)[-1].session
    solo.do(session.ring)
    return session


def calling(solo: Solo) -> InviteSession:
    session: InviteSession = solo.invite("sip:alice@192.0.2.1")
    solo.receive(response(solo.requests("INVITE")[-1], 183, "alice"))
    return session


def accepted(solo: Solo) -> InviteSession:
    session = ringing(solo)
    solo.do(session.answer, SDP)
    return session


def closing(solo: Solo) -> InviteSession:
    session = accepted(solo)
    solo.do(session.hang_up)
    return session


def ending(solo: Solo) -> InviteSession:
    session = callee(solo)
    solo.do(session.hang_up)
    return session


def told(solo: Solo) -> int:
    """How many events there were about sessions."""
    return len([event for event in solo.events if not isinstance(event, InviteRefused)])


STATES = [ringing, calling, accepted, callee, caller, closing, ending]


@pytest.mark.rfc(3261, "12.2.2")
@pytest.mark.parametrize("make", STATES, ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    ("method", "headers", "body", "kind", "status", "told"),
    [
        pytest.param("INFO", ("Require: x-none",), b"", "", 420, "Unsupported", id="Require"),
        pytest.param("INVITE", ("Require: x-none",), SDP, "application/sdp", 420, "Unsupported", id="Require-INVITE"),
        pytest.param("INVITE", (), b"<x/>", "text/xml", 415, "Accept", id="body"),
        pytest.param("UPDATE", (), b"<x/>", "text/xml", 415, "Accept", id="body-UPDATE"),
        pytest.param("INFO", (), b"<x/>", "text/xml", 415, "Accept", id="body-INFO"),
        pytest.param(
            "UPDATE", ("Content-Encoding: gzip",), SDP, "application/sdp", 415, "Accept-Encoding", id="encoding"
        ),
        pytest.param("SUBSCRIBE", ("Event: x",), b"", "", 405, "Allow", id="method"),
        pytest.param("BREW", (), b"", "", 501, "Allow", id="unknown-method"),
        pytest.param("INFO", ("Info-Package: x",), b"", "", 469, "Recv-Info", id="package"),
    ],
)
def test_what_cannot_be_served_is_refused_and_changes_nothing(
    make: Callable[[Solo], InviteSession],
    method: str,
    headers: tuple[str, ...],
    body: bytes,
    kind: str,
    status: int,
    told: str,
) -> None:
    solo = Solo()
    session = make(solo)
    assert session.dialog is not None
    events, state, target = len(solo.events), session.state, session.dialog.remote_target
    theirs = f"Session-ID: {'a' * 32};remote={'0' * 32}"
    refused = solo.receive(
        within(session, method, 7, body, theirs, *headers, content_type=kind, contact="<sip:evil@192.0.2.9>")
    )[-1]
    assert isinstance(refused, Response)
    assert refused.status == status
    assert told in refused.headers
    assert str(refused.session_id) == f"{session.letterhead.session_id.local};remote={'a' * 32}"
    assert (session.state, session.dialog.remote_target) == (state, target)
    assert [event for event in solo.events[events:] if isinstance(event, Reinvited | InfoReceived)] == []
    # It counts in the order of the peer's requests; a repetition gets the same.
    again = solo.receive(
        within(session, method, 7, body, theirs, *headers, content_type=kind, contact="<sip:evil@192.0.2.9>")
    )[-1]
    assert (again.status, again.to.tag) == (status, refused.to.tag)  # type: ignore[union-attr]
    (late,) = solo.receive(within(session, "OPTIONS", 6))
    assert late.status == 500  # type: ignore[union-attr]
    late = solo.receive(within(session, "INVITE", 5, SDP, "Require: x-none"))[-1]
    assert late.status == 500  # type: ignore[union-attr]


@pytest.mark.rfc(3261, "12.2.2")
@pytest.mark.parametrize("make", STATES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("method", ["BYE", "INVITE", "UPDATE", "INFO", "OPTIONS", "PRACK", "NOTIFY", "REFER"])
def test_a_request_of_another_peer_is_481_and_changes_nothing(
    make: Callable[[Solo], InviteSession], method: str
) -> None:
    solo = Solo()
    session = make(solo)
    session.peer = solo.peer
    solo.screen = lambda request, source, user: Admit(Peer("another"))
    assert session.dialog is not None
    before = session.state, session.dialog.remote_target, session.dialog.remote_cseq, told(solo)
    pair = session.letterhead.session_id
    body = SDP if method in ("INVITE", "UPDATE") else b""
    mark = f"Session-ID: {'a' * 32};remote={'b' * 32}"
    answers = solo.receive(within(session, method, 900, body, mark, contact="<sip:evil@192.0.2.9>"))
    assert [answer.status for answer in answers] in ([481], [405])  # type: ignore[union-attr]
    # It learns nothing of the pair, and teaches none.
    assert pair.local not in str(answers[0].session_id)
    assert session.letterhead.session_id == pair
    assert (session.state, session.dialog.remote_target, session.dialog.remote_cseq, told(solo)) == before


@pytest.mark.rfc(3261, "15.1.2")
@pytest.mark.parametrize("method", ["INFO", "INVITE", "UPDATE", "OPTIONS", "PRACK"])
@pytest.mark.parametrize("make", [closing, ending], ids=lambda make: make.__name__)
def test_who_has_hung_up_hears_bye_alone(make: Callable[[Solo], InviteSession], method: str) -> None:
    """Before the ACK, too, when the BYE of ours still waits for it."""
    solo = Solo()
    session = make(solo)
    events = len(solo.events)
    body = SDP if method == "INVITE" else b""
    answer = solo.receive(within(session, method, 9, body, *(["RAck: 1 1 INVITE"] if method == "PRACK" else [])))[-1]
    assert answer.status == 481  # type: ignore[union-attr]
    assert len(solo.events) == events
    (answer,) = solo.receive(within(session, "BYE", 10))
    assert answer.status == 200  # type: ignore[union-attr]
    assert session.state is State.TERMINATED
    solo.run(200)
    solo.assert_empty()


@pytest.mark.rfc(3261, "8.1.1.6")
@pytest.mark.parametrize("make", [accepted, callee, caller], ids=lambda make: make.__name__)
def test_the_last_hop_of_a_request_within_a_dialog_is_ours(make: Callable[[Solo], InviteSession]) -> None:
    solo = Solo()
    session = make(solo)
    (answer,) = solo.receive(within(session, "OPTIONS", 9, max_forwards=0))  # type: ignore[arg-type]
    assert answer.status == 200  # type: ignore[union-attr]


@pytest.mark.rfc(7989, "6")
@pytest.mark.parametrize("make", [callee, caller], ids=lambda make: make.__name__)
def test_the_pair_is_one_in_refusals_that_know_no_session(make: Callable[[Solo], InviteSession]) -> None:
    """A challenge within the dialog, and 481 after its end: our half is the one that the peer knows."""
    solo = Solo()
    session = make(solo)
    ours = session.letterhead.session_id.local
    mark = f"Session-ID: {'a' * 32};remote={ours}"
    challenger = Challenger("edge", ("SHA-256",), secret=bytes(32), rng=random.Random(1))
    admit = solo.screen
    solo.screen = lambda request, source, user: Challenge(challenger, {}.get)
    (challenge,) = solo.receive(within(session, "INFO", 5, b"", mark))
    assert (challenge.status, str(challenge.session_id)) == (401, f"{ours};remote={'a' * 32}")  # type: ignore[union-attr]
    solo.screen = admit
    solo.receive(within(session, "BYE", 6, b"", mark))
    (gone,) = solo.receive(within(session, "INFO", 7, b"", mark))
    assert (gone.status, str(gone.session_id)) == (481, f"{ours};remote={'a' * 32}")  # type: ignore[union-attr]
