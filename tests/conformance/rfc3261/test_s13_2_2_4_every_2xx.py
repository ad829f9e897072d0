"""RFC 3261 13.2.2.4 and 14.1: every 2xx to an INVITE of ours is acknowledged, whatever is wrong with it."""

import pytest
from tests.support.messages import SDP, response
from tests.support.sessions import callee, caller, within
from tests.support.solo import Solo

from offhook.sip.digest import Credentials
from offhook.sip.effects import SendRequest, Target
from offhook.sip.events import Answered, Failed, FailureCause, HungUp, ReinviteAnswered
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request, Response
from offhook.sip.parser import parse_datagram
from offhook.sip.session_state import State

pytestmark = pytest.mark.conformance

BROKEN = b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0"
"""A multipart body without an end."""

UNREADABLE = [
    pytest.param("Contact: <sip:", id="Contact"),
    pytest.param("Contact: *", id="wildcard"),
    pytest.param("Contact: <sip:a@192.0.2.1>, <sip:b@192.0.2.1>", id="two-Contacts"),
    pytest.param("Contact: <tel:+14155550100>", id="tel-Contact"),
    pytest.param("Record-Route: <sip:", id="Record-Route"),
    pytest.param("Supported: " + ",".join("x" * 2000), id="Supported"),
    pytest.param("Session-Expires: 90\r\nSession-Expires: 90", id="twice"),
    pytest.param("RSeq: none", id="RSeq"),
]


def answer(to: Request, *lines: str, tag: str = "alice", body: bytes = SDP, kind: str = "application/sdp") -> Response:
    """A 200 as it comes from the wire, with whole lines of its own."""
    contact = () if any(line.startswith("Contact") for line in lines) else ("Contact: <sip:alice@192.0.2.1>",)
    head = [
        "SIP/2.0 200 OK",
        f"Via: {to.via}",
        f"From: {to.from_}",
        f"To: {to.to}" if to.to.tag else f"To: {to.to};tag={tag}",
        f"Call-ID: {to.call_id}",
        f"CSeq: {to.cseq.number} {to.cseq.method}",
        *contact,
        *lines,
        *([f"Content-Type: {kind}"] if body else []),
        f"Content-Length: {len(body)}\r\n\r\n",
    ]
    message = parse_datagram("\r\n".join(head).encode() + body)
    assert isinstance(message, Response)
    return message


def acknowledged(solo: Solo, invite: Request) -> list[SendRequest]:
    return [
        effect
        for _, effect in solo.sent
        if isinstance(effect, SendRequest)
        and effect.request.method == "ACK"
        and effect.request.cseq.number == invite.cseq.number
    ]


@pytest.mark.rfc(3261, "14.1")
@pytest.mark.parametrize("line", UNREADABLE)
@pytest.mark.parametrize("who", [callee, caller])
def test_our_change_is_acknowledged_and_the_peer_stays_where_it_was(line: str, who: object) -> None:
    solo = Solo()
    session: InviteSession = who(solo)  # type: ignore[operator]
    assert session.dialog is not None
    before = session.dialog.remote_target
    solo.do(session.reinvite, b"v=0 ours")
    invite = solo.requests("INVITE")[-1]
    solo.receive(answer(invite, line))
    solo.receive(answer(invite, line))
    assert len(acknowledged(solo, invite)) == 2, "and its repetition again"
    assert [event.response.sdp for event in solo.told(ReinviteAnswered)] == [SDP]
    assert session.state is State.CONFIRMED
    if line.startswith("Contact"):
        assert session.dialog.remote_target == before
    assert session.dialog.offers.local == b"v=0 ours"


@pytest.mark.rfc(3264, "8")
@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"", ""), (BROKEN, "multipart/mixed;boundary=x"), (b"hello", "text/plain"), (SDP, "application/sdp;;=")],
)
@pytest.mark.parametrize("offer", [b"v=0 ours", None])
def test_without_a_description_the_old_one_stays_in_force(body: bytes, kind: str, offer: bytes | None) -> None:
    solo = Solo()
    session = caller(solo)
    assert session.dialog is not None
    before = session.dialog.offers.local
    solo.do(session.reinvite, offer)
    invite = solo.requests("INVITE")[-1]
    solo.receive(answer(invite, body=body, kind=kind))
    assert len(acknowledged(solo, invite)) == 1
    assert [event.response.sdp for event in solo.told(ReinviteAnswered)] == [None]
    assert session.dialog.offers.local == before
    solo.do(session.reinvite, b"v=0 again")
    assert solo.requests("INVITE")[-1].body == b"v=0 again", "nothing stands in the way of the next change"


@pytest.mark.rfc(3261, "13.2.2.4")
@pytest.mark.parametrize("line", UNREADABLE)
def test_the_first_answer_is_acknowledged_where_the_invite_went(line: str) -> None:
    solo = Solo()
    session: InviteSession = solo.invite("sip:alice@192.0.2.1")
    invite = solo.requests("INVITE")[-1]
    solo.receive(answer(invite, line))
    (ack,) = acknowledged(solo, invite)
    assert ack.target == Target("udp", "192.0.2.1", 5060)
    assert len(solo.told(Answered)) == 1
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3261, "13.2.2.4")
def test_the_answer_without_a_contact_to_a_call_of_a_number_is_acknowledged_where_the_invite_went() -> None:
    solo = Solo()
    next_hop = parse_datagram(b"OPTIONS sip:192.0.2.1 SIP/2.0\r\n\r\n").request_uri  # type: ignore[union-attr]
    session: InviteSession = solo.invite("tel:+14155550100", next_hop=next_hop)
    invite = solo.requests("INVITE")[-1]
    solo.receive(answer(invite, "Contact: *"))
    (ack,) = acknowledged(solo, invite)
    assert ack.target == Target("udp", "192.0.2.1", 5060)
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3261, "13.2.2.4")
@pytest.mark.parametrize(
    "line",
    [
        pytest.param("Record-Route: <tel:+14155550100>", id="no-sip-uri"),
        pytest.param("\r\n".join(f"Record-Route: <sip:p{n}.example;lr>" for n in range(40)), id="endless"),
    ],
)
@pytest.mark.parametrize("is_stray", [False, True])
def test_an_answer_whose_route_set_leads_nowhere_gets_ack_and_bye(line: str, is_stray: bool) -> None:
    solo = Solo()
    session: InviteSession = solo.invite("sip:alice@192.0.2.1")
    invite = solo.requests("INVITE")[-1]
    if is_stray:
        solo.receive(response(invite, 200, "first", body=SDP))
    before = len(acknowledged(solo, invite))
    solo.receive(answer(invite, line))
    assert len(acknowledged(solo, invite)) == before + 1
    (bye,) = solo.requests("BYE")
    assert bye.to.tag == "alice"
    if is_stray:
        assert session.state is State.CONFIRMED
    else:
        assert [event.cause for event in solo.told(Failed)] == [FailureCause.UNUSABLE]
        assert solo.told(Answered) == []
        assert bye.headers.get_all("Reason")[0].startswith("Q.850;cause=111")
    solo.receive(response(bye, 200, "alice"))
    if not is_stray:
        assert len(solo.told(HungUp)) == 1
        solo.run(400)
        solo.assert_empty()


@pytest.mark.rfc(3261, "13.2.1")
@pytest.mark.parametrize(("body", "kind"), [(b"", ""), (BROKEN, "multipart/mixed;boundary=x"), (b"x", "text/plain")])
def test_a_200_without_the_offer_that_was_asked_for_gets_ack_and_bye(body: bytes, kind: str) -> None:
    solo = Solo()
    session: InviteSession = solo.invite("sip:alice@192.0.2.1", offer=None)
    invite = solo.requests("INVITE")[-1]
    solo.receive(answer(invite, body=body, kind=kind))
    assert len(acknowledged(solo, invite)) == 1
    assert [event.cause for event in solo.told(Failed)] == [FailureCause.UNUSABLE]
    assert len(solo.requests("BYE")) == 1
    assert session.is_over


@pytest.mark.rfc(3261, "13.2.2.4")
@pytest.mark.parametrize("is_first", [True, False])
def test_a_bye_before_our_answer_to_its_offer_does_not_cost_the_ack(is_first: bool) -> None:
    solo = Solo()
    if is_first:
        session: InviteSession = solo.invite("sip:alice@192.0.2.1", offer=None)
    else:
        session = caller(solo)
        solo.do(session.reinvite, None)
    invite = solo.requests("INVITE")[-1]
    solo.receive(answer(invite))
    assert session.owes_answer
    solo.receive(within(session, "BYE", 1))
    assert len(acknowledged(solo, invite)) == 1
    solo.receive(answer(invite))
    assert len(acknowledged(solo, invite)) == 2, "its repetition, too"
    assert session.state is State.TERMINATED
    assert solo.requests("BYE") == []
    solo.run(400)
    solo.assert_empty()


@pytest.mark.rfc(3261, "22.1")
@pytest.mark.parametrize("offer", [b"v=0 ours", None])
def test_the_ack_to_a_change_has_the_credentials_of_the_change(offer: bytes | None) -> None:
    solo = Solo()
    session = caller(solo)
    session.credentials = Credentials("us", "secret", frozenset({"192.0.2.1", "192.0.2.2"}))
    solo.do(session.reinvite, offer)
    challenge = ("WWW-Authenticate", 'Digest realm="example", nonce="n", qop="auth", algorithm=SHA-256')
    solo.receive(response(solo.requests("INVITE")[-1], 401, "alice", challenge))
    invite = solo.requests("INVITE")[-1]
    solo.receive(answer(invite))
    if offer is None:
        solo.do(session.acknowledge, SDP)
    (ack,) = acknowledged(solo, invite)
    assert ack.request.headers.get("Authorization") == invite.headers.get("Authorization")
    assert ack.request.headers.get("Authorization")


@pytest.mark.rfc(3261, "13.2.2.4")
def test_a_broken_reliable_183_is_acknowledged_too() -> None:
    solo = Solo()
    solo.invite("sip:alice@192.0.2.1", offer=b"v=0 offer")
    invite = solo.requests("INVITE")[-1]
    made = answer(invite, "Require: 100rel", "RSeq: 1", body=BROKEN, kind="multipart/mixed;boundary=x")
    solo.receive_bytes(bytes(made).replace(b"SIP/2.0 200 OK", b"SIP/2.0 183 Session Progress"))
    assert len(solo.requests("PRACK")) == 1


@pytest.mark.rfc(3261, "8.1.3.3")
@pytest.mark.parametrize("name", ["From", "To", "Call-ID", "CSeq"])
def test_a_response_that_does_not_say_what_it_answers_is_dropped(name: str) -> None:
    solo = Solo()
    solo.invite("sip:alice@192.0.2.1")
    made = bytes(answer(solo.requests("INVITE")[-1])).decode()
    value = next(line for line in made.split("\r\n") if line.startswith(f"{name}:"))
    assert solo.receive_bytes(made.replace(value, f"{value}\r\n{value}").encode()) == []
    assert solo.user_agent.counters["broken_messages"] == 1


@pytest.mark.rfc(3261, "17.1.3")
def test_an_answer_with_another_number_is_none_to_a_change_of_ours() -> None:
    solo = Solo()
    session = caller(solo)
    solo.do(session.reinvite, b"v=0 hold")
    invite = solo.requests("INVITE")[-1]
    right = answer(invite)
    wrong = parse_datagram(bytes(right).replace(f"CSeq: {invite.cseq.number} ".encode(), b"CSeq: 0 "))
    assert isinstance(wrong, Response)
    solo.receive(wrong)
    assert acknowledged(solo, invite) == []
    assert solo.told(ReinviteAnswered) == []
    solo.receive(right)
    assert len(acknowledged(solo, invite)) == 1
    assert len(solo.told(ReinviteAnswered)) == 1
