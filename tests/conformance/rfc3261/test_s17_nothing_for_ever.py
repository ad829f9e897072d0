"""RFC 3261 section 17: no fault, and nobody's silence, leaves a transaction that no timer ends."""

from collections.abc import Callable

import pytest
from tests.conformance.rfc3261.test_s22_authentication import ALICE, digest_screen
from tests.support.messages import SDP, request, response
from tests.support.sessions import callee, within
from tests.support.solo import Solo

from offhook.sip.digest import answer
from offhook.sip.events import InfoReceived, InviteReceived, InviteRefused, SessionFailed
from offhook.sip.invite import InviteSession
from offhook.sip.message import Response

pytestmark = pytest.mark.conformance


def received(solo: Solo) -> InviteSession:
    solo.receive(request(body=SDP))
    session: InviteSession = solo.told(InviteReceived)[-1].session
    return session


def ringing(solo: Solo) -> InviteSession:
    session = received(solo)
    solo.do(session.ring)
    return session


def calling(solo: Solo) -> InviteSession:
    session: InviteSession = solo.invite("sip:alice@192.0.2.1")
    return session


def proceeding(solo: Solo) -> InviteSession:
    session = calling(solo)
    solo.receive(response(solo.requests("INVITE")[-1], 180, "alice"))
    return session


def asked_to_change(solo: Solo) -> InviteSession:
    session = callee(solo)
    solo.receive(within(session, "INVITE", 2, SDP))
    return session


def changing(solo: Solo) -> InviteSession:
    session = callee(solo)
    solo.do(session.reinvite, b"v=0 ours")
    solo.receive(response(solo.requests("INVITE")[-1], 180, "alice"))
    return session


@pytest.mark.rfc(6026, "7.1")
@pytest.mark.parametrize(
    "make", [received, ringing, calling, proceeding, asked_to_change, changing], ids=lambda make: make.__name__
)
def test_a_session_that_cannot_even_say_goodbye_leaves_nothing(
    make: Callable[[Solo], InviteSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours, and another while the first is told to the peer."""
    solo = Solo()
    session = make(solo)

    def fails(self: InviteSession, now: float) -> None:
        raise RuntimeError("again")

    monkeypatch.setattr(InviteSession, "fail", fails)
    solo.user_agent.session_failed(session, RuntimeError("once"), solo.now)
    solo.drain()
    assert len(solo.told(SessionFailed)) == 1
    solo.run(400)
    solo.assert_empty()
    monkeypatch.undo()
    # Nor is its verdict kept for ever: the same INVITE later is a new one.
    before = len(solo.told(InviteReceived))
    solo.receive(request(body=SDP, branch="z9hG4bKlater"))
    assert len(solo.told(InviteReceived)) == before + 1


@pytest.mark.rfc(3261, "17.2.2")
def test_keys_that_nobody_has_answered_do_not_stand_in_the_way_of_later_ones() -> None:
    solo = Solo()
    session = callee(solo)
    for number in range(2, 12):
        solo.receive(within(session, "INFO", number, b"5", content_type="application/dtmf"))
    assert (len(solo.told(InfoReceived)), len(solo.responses(503))) == (8, 2)
    solo.run(40)
    solo.receive(within(session, "INFO", 20, b"5", content_type="application/dtmf"))
    assert len(solo.told(InfoReceived)) == 9
    assert solo.do(session.answer_info)
    assert solo.responses(200)[-1].cseq.number == 20


@pytest.mark.rfc(3261, "22.1")
@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Contact: <tel:+14155550100>", 400),
        ("Session-Expires: 90\r\nSession-Expires: 90", 400),
        ("\r\n".join(f"Record-Route: <sip:p{n}.example;lr>" for n in range(40)), 400),
    ],
)
def test_who_has_proven_himself_is_told_what_is_broken(line: str, status: int) -> None:
    """It got no answer at all: the screen was asked a second time, and wanted its proof again."""
    solo = Solo()
    solo.screen = digest_screen(solo, {"alice": "secret"})  # type: ignore[assignment]
    (challenge,) = solo.receive(request(body=SDP))
    assert isinstance(challenge, Response)
    proof = answer(
        challenge.challenges, ALICE, sent_to="192.0.2.2", method="INVITE", uri="sip:bob@192.0.2.2", cnonce="c"
    )
    contact = None if line.startswith("Contact") else "<sip:alice@192.0.2.1>"
    invite = request("INVITE", f"Authorization: {proof}", line, branch="z9hG4bKtwo", cseq=2, body=SDP, contact=contact)
    (refused,) = solo.receive(invite)
    assert refused.status == status  # type: ignore[union-attr]
    assert [event.peer.name for event in solo.told(InviteRefused)] == ["alice"]
    solo.run(100)
    solo.assert_empty()
