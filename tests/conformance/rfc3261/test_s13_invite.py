"""RFC 3261 section 13: the INVITE on both sides, its 2xx, its ACK, its forks."""

import pytest
from tests.support.messages import SDP, UDP, request, response
from tests.support.solo import Solo

from offhook.errors import LocalProtocolError
from offhook.sip.effects import Source
from offhook.sip.events import (
    AckMissing,
    Acknowledged,
    Answered,
    Failed,
    FailureCause,
    HungUp,
    InviteReceived,
    Provisional,
    Refused,
)
from offhook.sip.invite import InviteSession
from offhook.sip.session_state import OVER, TRANSITIONS, State

pytestmark = pytest.mark.conformance

TWO_XX = [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def received(solo: Solo, *headers: str, body: bytes = SDP) -> InviteSession:
    solo.receive(request("INVITE", *headers, body=body))
    session: InviteSession = solo.told(InviteReceived)[-1].session
    return session


def ack(session: InviteSession, body: bytes = b"", branch: str = "z9hG4bKack") -> object:
    return request("ACK", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}", branch=branch, body=body)


# ---------------------------------------------------------------------- callee


@pytest.mark.rfc(3261, "13.3.1.4")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_2xx_is_repeated_until_64_t1_then_bye(transport: str) -> None:
    solo = Solo()
    source = Source(transport, ("192.0.2.1", 5060), ("192.0.2.2", 5060), 1)
    solo.receive(request(body=SDP), source)
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    solo.run(100)
    assert solo.times(200) == TWO_XX
    assert solo.times("BYE")[0] == 32
    assert len(solo.told(AckMissing)) == 1
    assert [(reason.protocol, reason.cause) for reason in solo.requests("BYE")[0].reasons] == [
        ("Q.850", 102),
        ("SIP", 408),
    ]
    assert [event.response for event in solo.told(HungUp)] == [None]
    solo.run(200)
    solo.assert_empty()


@pytest.mark.rfc(3261, "13.3.1.4")
def test_the_ack_ends_the_repetition() -> None:
    solo = Solo()
    session = received(solo)
    solo.do(session.answer, SDP)
    solo.run(0.7)
    solo.receive(ack(session))
    solo.receive(ack(session))
    solo.run(100)
    assert solo.times(200) == [0, 0.5]
    assert len(solo.told(Acknowledged)) == 1
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3261, "13.3.1.4")
@pytest.mark.parametrize("branch", ["z9hG4bKack", "z9hG4bKone"])
def test_an_ack_with_the_branch_of_the_invite_counts_too(branch: str) -> None:
    solo = Solo()
    session = received(solo)
    solo.do(session.answer, SDP)
    solo.receive(ack(session, branch=branch))
    assert session.state is State.CONFIRMED
    assert len(solo.told(Acknowledged)) == 1


@pytest.mark.rfc(3261, "13.3.1.4")
def test_an_ack_of_another_invite_does_not_count() -> None:
    solo = Solo()
    session = received(solo)
    solo.do(session.answer, SDP)
    solo.receive(request("ACK", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}", branch="z9hG4bKx", cseq=9))
    assert session.state is State.ACCEPTED


@pytest.mark.rfc(6026, "8.5")
def test_repeated_invites_after_the_2xx_start_nothing() -> None:
    solo = Solo()
    session = received(solo)
    solo.do(session.answer, SDP)
    solo.receive(ack(session))
    assert solo.receive(request(body=SDP)) == []
    solo.run(31)
    assert solo.receive(request(body=SDP)) == []
    assert len(solo.told(InviteReceived)) == 1


@pytest.mark.rfc(3261, "13.2.1")
def test_an_invite_without_an_offer_gets_it_in_the_200_and_answers_in_the_ack() -> None:
    solo = Solo()
    session = received(solo, body=b"")
    solo.do(session.answer, b"v=0 our offer")
    assert solo.responses(200)[0].sdp == b"v=0 our offer"
    solo.receive(ack(session, SDP))
    assert [event.body for event in solo.told(Acknowledged)] == [SDP]


@pytest.mark.rfc(3261, "13.3.1.1")
def test_a_provisional_is_sent_again_every_minute() -> None:
    solo = Solo()
    session = received(solo)
    solo.run(1)
    solo.do(session.ring, 180)
    solo.run(190)
    assert solo.times(180) == [1, 61, 121, 181]
    solo.do(session.reject, 480)
    solo.receive(request("ACK", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}"))
    solo.run(400)
    assert solo.times(180) == [1, 61, 121, 181]
    solo.assert_empty()


@pytest.mark.rfc(3261, "13.3.1.3")
def test_a_rejection_is_repeated_until_its_ack() -> None:
    solo = Solo()
    session = received(solo)
    solo.do(session.reject, 486, "Busy", (("Reason", "Q.850;cause=17"),))
    solo.run(1)
    solo.receive(request("ACK", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}"))
    solo.run(100)
    assert solo.times(486) == [0, 0.5]
    assert solo.responses(486)[0].reasons[0].cause == 17
    assert "Contact" not in solo.responses(486)[0].headers
    solo.assert_empty()


@pytest.mark.rfc(3261, "12.1.1")
def test_what_a_200_carries() -> None:
    solo = Solo()
    session = received(solo, "Record-Route: <sip:192.0.2.9;lr>")
    solo.do(session.answer, SDP, (("X-Own", "1"),))
    answer = solo.responses(200)[0]
    assert [str(contact.uri) for contact in answer.contacts] == ["sip:offhook@192.0.2.2:5060"]
    assert [str(route) for route in answer.record_routes] == ["<sip:192.0.2.9;lr>"]
    assert "INVITE" in answer.allow
    assert answer.headers.get("X-Own") == "1"
    assert (answer.sdp, answer.content_type.name) == (SDP, "application/sdp")  # type: ignore[union-attr]


@pytest.mark.rfc(3261, "15")
def test_hanging_up_before_the_ack_waits_for_it() -> None:
    solo = Solo()
    session = received(solo)
    solo.do(session.answer, SDP)
    solo.do(session.hang_up, (("Reason", "Q.850;cause=16"),))
    solo.run(1)
    assert solo.requests("BYE") == []
    (bye,) = solo.receive(ack(session))
    assert (bye.method, bye.headers.get("Reason")) == ("BYE", "Q.850;cause=16")
    solo.receive(response(bye, 200))
    assert solo.told(Acknowledged) == []
    assert len(solo.told(HungUp)) == 1
    solo.run(100)
    solo.assert_empty()


@pytest.mark.rfc(3261, "15.1.2")
def test_a_bye_in_the_early_dialog_gets_200_and_the_invite_487() -> None:
    solo = Solo()
    session = received(solo)
    solo.do(session.ring)
    first, second = solo.receive(
        request("BYE", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}", branch="z9hG4bKbye", cseq=2)
    )
    assert (first.status, first.cseq.method) == (200, "BYE")
    assert (second.status, second.cseq.method) == (487, "INVITE")


def test_a_second_answer_is_not_sent() -> None:
    solo = Solo()
    session = received(solo)
    assert solo.do(session.answer, SDP) is True
    assert solo.do(session.answer, SDP) is False
    assert solo.times(200) == [0]


@pytest.mark.parametrize(("verb", "status"), [("ring", 100), ("ring", 200), ("reject", 200), ("reject", 180)])
def test_a_status_that_is_none_of_the_verb_is_our_mistake(verb: str, status: int) -> None:
    solo = Solo()
    session = received(solo)
    with pytest.raises(LocalProtocolError):
        solo.do(getattr(session, verb), status)


# ---------------------------------------------------------------------- caller


@pytest.mark.rfc(3261, "13.2.2.4")
def test_the_ack_to_a_2xx_has_its_own_branch_and_is_repeated_with_it() -> None:
    solo = Solo()
    session = solo.invite()
    invite = solo.requests("INVITE")[0]
    answer = response(invite, 200, body=SDP)
    (first,) = solo.receive(answer)
    (again,) = solo.receive(answer)
    assert first.method == "ACK"
    assert bytes(first) == bytes(again)
    assert first.via.branch != invite.via.branch
    assert (first.cseq.number, first.to.tag) == (invite.cseq.number, "bob")
    assert len(solo.told(Answered)) == 1
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3261, "13.2.1")
def test_an_offer_in_the_2xx_is_answered_in_the_ack() -> None:
    solo = Solo()
    session = solo.invite(offer=None)
    answer = response(solo.requests("INVITE")[0], 200, body=SDP)
    assert solo.receive(answer) == []
    assert solo.receive(answer) == []
    assert len(solo.told(Answered)) == 1
    solo.do(session.acknowledge, b"v=0 answer")
    assert solo.requests("ACK")[0].sdp == b"v=0 answer"
    solo.receive(answer)
    assert [sent.sdp for sent in solo.requests("ACK")] == [b"v=0 answer"] * 2
    assert solo.do(session.acknowledge, b"again") is False


def test_hanging_up_instead_of_answering_the_offer_acknowledges_first() -> None:
    solo = Solo()
    session = solo.invite(offer=None)
    solo.receive(response(solo.requests("INVITE")[0], 200, body=SDP))
    solo.do(session.hang_up)
    assert [effect.request.method for _, effect in solo.sent[-2:]] == ["ACK", "BYE"]  # type: ignore[union-attr]


@pytest.mark.rfc(3261, "13.2.2.4")
@pytest.mark.rfc(6026, "7.2")
def test_a_2xx_of_another_fork_ten_seconds_later_gets_ack_and_bye() -> None:
    solo = Solo()
    session = solo.invite()
    invite = solo.requests("INVITE")[0]
    solo.receive(response(invite, 200, "first", body=SDP))
    solo.run(10)
    ack_, bye = solo.receive(response(invite, 200, "second", body=SDP))
    assert [(m.method, m.to.tag) for m in (ack_, bye)] == [("ACK", "second"), ("BYE", "second")]
    (again,) = solo.receive(response(invite, 200, "second", body=SDP))
    assert again.method == "ACK"
    assert len(solo.told(Answered)) == 1
    assert session.remote_tag == "first"


@pytest.mark.rfc(3261, "13.2.2.1")
def test_twenty_forks_ring_three_answer_and_one_is_taken() -> None:
    solo = Solo()
    session = solo.invite()
    invite = solo.requests("INVITE")[0]
    for number in range(20):
        solo.receive(response(invite, 183, f"fork-{number}", body=SDP))
    assert len(solo.told(Provisional)) == 20
    assert solo.user_agent.open_dialogs == 20
    for number in (1, 2, 3):
        solo.receive(response(invite, 200, f"fork-{number}", body=SDP))
    assert session.remote_tag == "fork-1"
    assert [ack_.to.tag for ack_ in solo.requests("ACK")] == ["fork-1", "fork-2", "fork-3"]
    assert [bye.to.tag for bye in solo.requests("BYE")] == ["fork-2", "fork-3"]
    assert solo.user_agent.open_dialogs == 1
    assert len(solo.told(Answered)) == 1


@pytest.mark.rfc(3261, "13.2.2.4")
def test_the_200_decides_the_route_set_not_the_180() -> None:
    solo = Solo()
    session = solo.invite()
    invite = solo.requests("INVITE")[0]
    solo.receive(response(invite, 180, "bob", ("Record-Route", "<sip:192.0.2.8;lr>")))
    solo.receive(response(invite, 200, "bob", ("Record-Route", "<sip:192.0.2.9;lr>"), body=SDP))
    assert session.dialog is not None
    assert session.dialog.route_set == ("<sip:192.0.2.9;lr>",)


@pytest.mark.rfc(3261, "13.2.2.3")
def test_a_refusal_ends_every_early_dialog() -> None:
    solo = Solo()
    session = solo.invite()
    invite = solo.requests("INVITE")[0]
    solo.receive(response(invite, 180, "one"))
    solo.receive(response(invite, 183, "two"))
    solo.receive(response(invite, 486, "one"))
    assert [event.response.status for event in solo.told(Refused)] == [486]
    assert session.state is State.TERMINATED
    solo.run(100)
    solo.assert_empty()


@pytest.mark.rfc(3261, "17.1.1.2")
def test_an_invite_that_nobody_answers_fails_after_32_seconds() -> None:
    solo = Solo()
    solo.invite()
    solo.run(31.9)
    assert solo.told(Failed) == []
    solo.run(32)
    assert [event.cause for event in solo.told(Failed)] == [FailureCause.TIMEOUT]
    solo.assert_empty()


def test_100_is_not_told() -> None:
    solo = Solo()
    solo.invite()
    solo.receive(response(solo.requests("INVITE")[0], 100, None))
    assert solo.events == []


@pytest.mark.rfc(3261, "8.1.1")
def test_what_an_invite_carries() -> None:
    solo = Solo()
    solo.invite("sip:+14155550100@192.0.2.1", headers=(("X-Own", "1"),), max_forwards=12)
    invite = solo.requests("INVITE")[0]
    assert str(invite.request_uri) == "sip:+14155550100@192.0.2.1"
    assert invite.via.branch is not None
    assert invite.via.branch.startswith("z9hG4bK")
    assert invite.via.wants_rport
    assert (invite.max_forwards, invite.cseq.number) == (12, 1)
    assert invite.from_.tag
    assert invite.to.tag is None
    assert [str(contact.uri) for contact in invite.contacts] == ["sip:offhook@192.0.2.2:5060"]
    assert invite.headers.get("X-Own") == "1"
    assert invite.headers.get("User-Agent") == "offhook"


@pytest.mark.rfc(3261, "8.1.1.6")
def test_a_call_at_its_last_hop_is_not_continued() -> None:
    with pytest.raises(LocalProtocolError):
        Solo().invite(max_forwards=0)


def test_two_invites_never_share_their_secrets() -> None:
    solo = Solo()
    solo.invite()
    solo.invite()
    one, two = solo.requests("INVITE")
    assert one.call_id != two.call_id
    assert one.from_.tag != two.from_.tag
    assert one.via.branch != two.via.branch


@pytest.mark.parametrize("bad", ["a\r\nX-Evil: 1", "a\0b", "a\nb"])
def test_nothing_can_be_smuggled_into_a_header(bad: str) -> None:
    solo = Solo()
    with pytest.raises(LocalProtocolError):
        solo.invite(headers=(("X-Own", bad),))
    session = received(solo)
    with pytest.raises(LocalProtocolError):
        solo.do(session.ring, 180, None, (("X-Own", bad),))


def test_every_state_has_an_end() -> None:
    for start in State:
        reached, frontier = {start}, {start}
        while frontier:
            frontier = {after for (before, _), after in TRANSITIONS.items() if before in frontier} - reached
            reached |= frontier
        assert State.TERMINATED in reached, start
    assert all(before is not State.TERMINATED for before, _ in TRANSITIONS)
    assert {State.ENDING, State.TERMINATED} == OVER


def test_responses_that_fit_nothing_are_dropped() -> None:
    solo = Solo()
    solo.invite()
    invite = solo.requests("INVITE")[0]
    solo.user_agent.receive(
        response(request(branch=invite.via.branch + "x", call_id=invite.call_id), 200),  # type: ignore[operator]
        UDP,
        solo.now,
    )
    solo.drain()
    assert solo.events == []
    assert solo.user_agent.counters["stray_responses"] == 1
