"""RFC 3261 section 22: challenges sent and answered."""

import random
import re

import pytest
from tests.support.messages import SDP, request, response
from tests.support.pair import Pair, Peer
from tests.support.solo import Solo

from offhook.sip.digest import Challenger, Credentials
from offhook.sip.effects import Source
from offhook.sip.events import Answered, HungUp, InviteReceived, OptionsAnswered, Refused
from offhook.sip.message import Request
from offhook.sip.screening import Admit, Challenge, Drop, Verdict
from offhook.sip.uri import parse_uri

pytestmark = pytest.mark.conformance

ALICE = Credentials("alice", "secret", frozenset({"192.0.2.1", "192.0.2.2", "trunk.example"}))

CHALLENGE = 'Digest realm="trunk.example", nonce="abc", algorithm=SHA-256, qop="auth"'


def digest_screen(node_or_solo: object, passwords: dict[str, str]) -> object:
    """A screen that admits whoever knows a password."""
    challenger = Challenger("offhook", secret=b"s" * 32, rng=random.Random(5))

    def screen(request: Request, source: Source, user: str | None) -> Verdict:
        if user is None:
            return Challenge(challenger, passwords.get)
        return Admit(Peer(user))

    return screen


@pytest.mark.rfc(3261, "22.2")
@pytest.mark.parametrize(("status", "theirs", "ours"), [
    (401, "WWW-Authenticate", "Authorization"),
    (407, "Proxy-Authenticate", "Proxy-Authorization"),
])  # fmt: skip
def test_a_challenged_invite_is_sent_again_with_another_number_and_branch(status: int, theirs: str, ours: str) -> None:
    solo = Solo()
    session = solo.invite(credentials=ALICE)
    first = solo.requests("INVITE")[0]
    ack, second = solo.receive(response(first, status, "bob", (theirs, CHALLENGE)))
    assert ack.method == "ACK"
    assert isinstance(second, Request)
    assert (second.call_id, second.from_.tag, second.to.tag) == (first.call_id, first.from_.tag, None)
    assert second.cseq.number == first.cseq.number + 1
    assert second.via.branch != first.via.branch
    assert 'username="alice"' in (second.headers.get(ours) or "")
    assert "secret" not in bytes(second).decode()
    (ack,) = solo.receive(response(second, 200, body=SDP))
    assert (ack.cseq.number, ack.headers.get(ours)) == (2, second.headers.get(ours))
    assert session.request.cseq.number == 2
    solo.do(session.hang_up)
    assert solo.requests("BYE")[0].cseq.number == 3


@pytest.mark.rfc(3261, "22.3")
def test_a_proxy_and_the_peer_may_both_ask() -> None:
    solo = Solo()
    solo.invite(credentials=ALICE)
    solo.receive(response(solo.requests("INVITE")[-1], 407, "p", ("Proxy-Authenticate", CHALLENGE)))
    solo.receive(response(solo.requests("INVITE")[-1], 401, "u", ("WWW-Authenticate", CHALLENGE.replace("abc", "def"))))
    last = solo.requests("INVITE")[-1]
    assert 'nonce="abc"' in (last.headers.get("Proxy-Authorization") or "")
    assert 'nonce="def"' in (last.headers.get("Authorization") or "")
    assert last.cseq.number == 3


@pytest.mark.rfc(3261, "22.1")
def test_wrong_credentials_are_not_tried_again() -> None:
    solo = Solo()
    solo.invite(credentials=ALICE)
    for _ in range(3):
        solo.receive(response(solo.requests("INVITE")[-1], 401, "u", ("WWW-Authenticate", CHALLENGE)))
    assert len(solo.requests("INVITE")) == 2
    assert [event.response.status for event in solo.told(Refused)] == [401]


@pytest.mark.rfc(7616, "3.3")
def test_a_stale_nonce_is_renewed_but_not_for_ever() -> None:
    solo = Solo()
    solo.invite(credentials=ALICE)
    for _ in range(10):
        solo.receive(response(solo.requests("INVITE")[-1], 401, "u", ("WWW-Authenticate", CHALLENGE + ", stale=TRUE")))
    assert len(solo.requests("INVITE")) == 4
    assert [event.response.status for event in solo.told(Refused)] == [401]


@pytest.mark.parametrize(
    "credentials",
    [
        None,
        Credentials("alice", "secret", frozenset({"other-trunk.example"})),
        Credentials("alice", "secret", frozenset({"192.0.2.1"}), realms=frozenset({"other.example"})),
        Credentials("alice", "secret", frozenset({"192.0.2.1"}), algorithms=("SHA-512-256",)),
    ],
)
def test_a_strangers_challenge_gets_nothing(credentials: Credentials | None) -> None:
    solo = Solo()
    solo.invite(credentials=credentials)
    solo.receive(response(solo.requests("INVITE")[0], 401, "u", ("WWW-Authenticate", CHALLENGE)))
    assert len(solo.requests("INVITE")) == 1
    assert [event.response.status for event in solo.told(Refused)] == [401]
    assert all("Authorization" not in effect.request.headers for _, effect in solo.sent)  # type: ignore[union-attr]


@pytest.mark.parametrize("method", ["BYE", "INVITE"])
def test_a_caller_of_ours_who_challenges_gets_nothing(method: str) -> None:
    solo = Solo()
    solo.receive(request(body=SDP))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    solo.receive(request("ACK", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}", branch="z9hG4bKa"))
    if method == "BYE":
        solo.do(session.hang_up)
    else:
        solo.do(session.reinvite, SDP)
    solo.receive(response(solo.requests(method)[0], 407, "alice", ("Proxy-Authenticate", CHALLENGE)))
    assert len(solo.requests(method)) == 1


def test_a_challenged_bye_is_sent_again() -> None:
    solo = Solo()
    session = solo.invite(credentials=ALICE)
    solo.receive(response(solo.requests("INVITE")[0], 200, body=SDP))
    solo.do(session.hang_up)
    (second,) = solo.receive(response(solo.requests("BYE")[0], 401, "bob", ("WWW-Authenticate", CHALLENGE)))
    assert (second.method, second.cseq.number) == ("BYE", 3)
    solo.receive(response(second, 200))
    assert [event.response.status for event in solo.told(HungUp)] == [200]


def test_challenged_options_are_sent_again() -> None:
    solo = Solo()
    solo.do(solo.user_agent.options, parse_uri("sip:192.0.2.1"), "<sip:us@192.0.2.2>", "t", credentials=ALICE)
    (second,) = solo.receive(response(solo.requests("OPTIONS")[0], 401, "u", ("WWW-Authenticate", CHALLENGE)))
    assert second.cseq.number == 2
    solo.receive(response(second, 200))
    assert len(solo.told(OptionsAnswered)) == 1


def test_a_cancelled_invite_is_not_sent_again() -> None:
    solo = Solo()
    session = solo.invite(credentials=ALICE)
    solo.receive(response(solo.requests("INVITE")[0], 100, None))
    solo.do(session.hang_up)
    solo.receive(response(solo.requests("INVITE")[0], 401, "u", ("WWW-Authenticate", CHALLENGE)))
    assert len(solo.requests("INVITE")) == 1


# ---------------------------------------------------------------------- server


@pytest.mark.rfc(3261, "22.2")
def test_a_whole_call_by_digest() -> None:
    pair = Pair()
    pair.uas.screen = digest_screen(pair, {"alice": "secret"})  # type: ignore[assignment]
    pair.uas.on[InviteReceived] = lambda event: event.session.answer(SDP, now=pair.uas.now)
    session = pair.call(credentials=ALICE)
    pair.run(1)
    pair.uac.perform(lambda now: session.hang_up(now=now))
    pair.run(100)
    assert len(pair.sent("uas", 401, "INVITE")) == 1
    assert len(pair.sent("uas", 401, "BYE")) == 1
    assert [event.peer.name for event in pair.uas.told(InviteReceived)] == ["alice"]
    assert len(pair.uac.told(Answered)) == 1
    assert [event.response.status for event in pair.uac.told(HungUp)] == [200]
    pair.assert_nothing_left()


@pytest.mark.rfc(3261, "22.1")
def test_a_call_by_digest_can_be_cancelled() -> None:
    pair = Pair()
    pair.uas.screen = digest_screen(pair, {"alice": "secret"})  # type: ignore[assignment]
    pair.uas.on[InviteReceived] = lambda event: event.session.ring(now=pair.uas.now)
    session = pair.call(credentials=ALICE)
    pair.run(1)
    pair.uac.perform(lambda now: session.hang_up(now=now))
    pair.run(100)
    assert [event.response.status for event in pair.uac.told(Refused)] == [487]
    pair.assert_nothing_left()


@pytest.mark.parametrize(
    "credentials", [Credentials("alice", "wrong", ALICE.hosts), Credentials("bob", "x", ALICE.hosts)]
)
def test_a_wrong_password_and_an_unknown_user_look_the_same(credentials: Credentials) -> None:
    pair = Pair()
    pair.uas.screen = digest_screen(pair, {"alice": "secret"})  # type: ignore[assignment]
    pair.call(credentials=credentials)
    pair.run(100)
    assert pair.uas.told(InviteReceived) == []
    answers = [
        re.sub(r'((nonce|branch|tag|rport)="?[^";\r]+|CSeq: .)', "", bytes(passed.message).decode())
        for passed in pair.sent("uas", 401)
    ]
    assert len(answers) == 2
    assert len(set(answers)) == 1
    assert [event.response.status for event in pair.uac.told(Refused)] == [401]
    pair.assert_nothing_left()


@pytest.mark.rfc(3261, "22.1")
def test_a_challenge_costs_no_memory() -> None:
    solo = Solo()
    solo.screen = digest_screen(solo, {})  # type: ignore[assignment]
    for number in range(50):
        solo.receive(request(branch=f"z9hG4bK{number}", call_id=str(number)))
        solo.receive(request("ACK", branch=f"z9hG4bK{number}", call_id=str(number), to="<sip:b@192.0.2.2>;tag=x"))
    assert len(solo.responses(401)) == 50
    solo.assert_empty()


def test_an_authenticated_user_may_still_be_unknown_to_the_screen() -> None:
    pair = Pair()
    inner = digest_screen(pair, {"alice": "secret"})

    def screen(request: Request, source: Source, user: str | None) -> Verdict:
        return Drop("other trunk") if user is not None else inner(request, source, user)  # type: ignore[operator]

    pair.uas.screen = screen
    pair.call(credentials=ALICE)
    pair.run(10)
    assert pair.uas.told(InviteReceived) == []
