"""RFC 3261 8.2: what a UAS answers to requests that it will not, or can't, serve, and how it answers at all."""

import pytest
from tests.support.messages import SDP, TCP, UDP, request
from tests.support.pair import Peer
from tests.support.solo import Solo

from offhook.sip.effects import SendResponse, Source
from offhook.sip.events import InviteReceived, InviteRefused
from offhook.sip.message import Response
from offhook.sip.parser import parse_datagram
from offhook.sip.screening import Admit, Drop, Refuse
from offhook.sip.user_agent import UserAgentConfig

pytestmark = pytest.mark.conformance


def only(messages: list[object]) -> Response:
    assert len(messages) == 1
    assert isinstance(messages[0], Response)
    return messages[0]


@pytest.mark.rfc(3261, "8.2.1")
@pytest.mark.parametrize(
    ("method", "status"),
    [("REGISTER", 405), ("SUBSCRIBE", 405), ("MESSAGE", 405), ("REFER", 405), ("JUMP", 501)],
)
def test_a_method_that_is_not_served(method: str, status: int) -> None:
    answer = only(Solo().receive(request(method)))
    assert answer.status == status
    assert set(answer.allow) == set(UserAgentConfig().allow) >= {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE"}


@pytest.mark.rfc(3261, "8.2.2.1")
@pytest.mark.parametrize("uri", ["isdn:12", "http://example.com/", "nobody:knows"])
def test_an_unknown_scheme_is_416(uri: str) -> None:
    assert only(Solo().receive(request("OPTIONS", uri=uri))).status == 416


def test_a_tel_uri_is_served() -> None:
    assert only(Solo().receive(request("OPTIONS", uri="tel:+14155550100"))).status == 200


@pytest.mark.rfc(3261, "8.2.2.3")
def test_required_extensions_that_nobody_knows_are_420() -> None:
    solo = Solo()
    answer = only(solo.receive(request("INVITE", "Require: elder, timer, 100rel", "Require: novel")))
    assert answer.status == 420
    assert answer.unsupported == ("elder", "novel")
    assert [event.response.status for event in solo.told(InviteRefused)] == [420]
    solo.assert_empty()


@pytest.mark.rfc(3261, "8.2.2.3")
def test_what_is_required_of_proxies_does_not_concern_us() -> None:
    assert only(Solo().receive(request("OPTIONS", "Proxy-Require: novel"))).status == 200


@pytest.mark.rfc(3261, "8.2.2.3")
def test_an_extension_that_is_configured_is_no_hindrance() -> None:
    solo = Solo(UserAgentConfig(supported=("timer",)))
    assert only(solo.receive(request("OPTIONS", "Require: Timer"))).status == 200


@pytest.mark.rfc(3261, "8.2.3")
def test_a_body_of_another_type_is_415_with_accept() -> None:
    answer = only(Solo().receive(request(body=b"x", content_type="application/x-new")))
    assert answer.status == 415
    assert answer.headers.get("Accept") == "application/sdp"


@pytest.mark.rfc(3261, "8.2.3")
def test_a_coded_body_is_415_with_accept_encoding() -> None:
    answer = only(Solo().receive(request("INVITE", "Content-Encoding: gzip", body=b"x")))
    assert answer.status == 415
    assert answer.headers.get("Accept-Encoding") == "identity"


@pytest.mark.rfc(3261, "8.2.3")
def test_a_multipart_with_sdp_is_taken() -> None:
    body = b"--b\r\nContent-Type: application/sdp\r\n\r\n" + SDP + b"\r\n--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b--\r\n"
    solo = Solo()
    solo.receive(request(body=body, content_type="multipart/mixed;boundary=b"))
    assert solo.told(InviteReceived)[0].request.sdp == SDP


@pytest.mark.rfc(3261, "8.2.3")
def test_an_invite_whose_sender_takes_no_sdp_is_406() -> None:
    assert only(Solo().receive(request("INVITE", "Accept: text/novel"))).status == 406


@pytest.mark.rfc(3261, "8.2.2.2")
def test_the_same_invite_by_another_way_is_482_and_starts_nothing() -> None:
    solo = Solo()
    solo.receive(request(branch="z9hG4bKone"))
    answer = only(solo.receive(request(branch="z9hG4bKtwo")))
    assert answer.status == 482
    assert len(solo.told(InviteReceived)) == 1


@pytest.mark.rfc(3261, "16.3")
def test_an_invite_of_ours_that_comes_back_is_482() -> None:
    """A proxy sent it round: its Via, or one below, has a branch that waits for its answer here."""
    solo = Solo()
    solo.invite("sip:bob@192.0.2.1")
    ours = solo.requests("INVITE")[0]
    reflected = parse_datagram(bytes(ours))
    by_proxy = parse_datagram(
        bytes(ours).replace(b"Via:", b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKp\r\nVia:", 1)
    )
    for message in (reflected, by_proxy):
        assert [answer.status for answer in solo.receive(message)] == [482]
    assert solo.told(InviteReceived) == []
    assert ["come back" in event.detail for event in solo.told(InviteRefused)] == [True, True]
    assert solo.user_agent.counters["looped_invites"] == 2


@pytest.mark.rfc(3261, "8.2.2.2")
def test_livekit_sip_626_a_call_that_is_cancelled_and_sent_again_is_a_new_one() -> None:
    """pains: the second INVITE of a consultation got 482. Its number is higher, so that it is no copy."""
    solo = Solo()
    solo.receive(request(body=SDP))
    solo.receive(request("CANCEL"))
    solo.receive(request(body=SDP, cseq=2, branch="z9hG4bKtwo"))
    first, second = (event.session for event in solo.told(InviteReceived))
    assert first.is_over
    assert solo.do(second.answer, SDP)
    assert solo.responses(482) == []


@pytest.mark.rfc(3261, "16.3")
def test_an_address_like_ours_in_a_via_is_no_loop() -> None:
    """Two containers, or two sites behind NAT, may call themselves the same."""
    solo = Solo()
    solo.receive(request("INVITE", "Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKsomebody", body=SDP))
    assert len(solo.told(InviteReceived)) == 1


@pytest.mark.rfc(3261, "8.2.2.2")
def test_after_a_refusal_a_retry_gets_the_same_verdict_for_32_seconds() -> None:
    solo = Solo()
    solo.receive(request(branch="z9hG4bKone"))
    solo.do(solo.told(InviteReceived)[0].session.reject, 503, "Full up", (("Retry-After", "17"),))
    for at in (1, 20, 31.9):
        solo.run(at)
        answer = only(solo.receive(request(branch=f"z9hG4bK{at}")))
        assert (answer.status, answer.reason, answer.headers.get("Retry-After")) == (503, "Full up", "17")
    solo.run(32.1)
    solo.receive(request(branch="z9hG4bKlate"))
    assert len(solo.told(InviteReceived)) == 2


@pytest.mark.rfc(3261, "8.2.2.2")
def test_a_higher_cseq_is_new_work() -> None:
    solo = Solo()
    solo.receive(request(branch="z9hG4bKone", cseq=1))
    solo.do(solo.told(InviteReceived)[0].session.reject, 486)
    solo.receive(request(branch="z9hG4bKtwo", cseq=2))
    assert len(solo.told(InviteReceived)) == 2


@pytest.mark.rfc(3261, "17.2.3")
def test_twenty_copies_of_one_invite_are_one_call() -> None:
    solo = Solo()
    for _ in range(20):
        solo.receive(request())
    assert len(solo.told(InviteReceived)) == 1
    assert len(solo.responses(100)) == 20
    assert solo.user_agent.counters["absorbed_requests"] == 19


@pytest.mark.rfc(3261, "8.2.6.1")
def test_100_leaves_before_anybody_is_told() -> None:
    solo = Solo()
    solo.user_agent.receive(request("INVITE", "Timestamp: 54.2"), UDP, solo.now)
    first, second = solo.user_agent.drain()
    assert isinstance(first, SendResponse)
    assert first.response.status == 100
    assert first.response.to.tag is None
    assert first.response.headers.get("Timestamp") == "54.2"
    assert isinstance(second.event, InviteReceived)  # type: ignore[union-attr]


@pytest.mark.rfc(3261, "8.2.6.2")
def test_the_to_tag_is_the_same_in_all_responses() -> None:
    solo = Solo()
    solo.receive(request())
    session = solo.told(InviteReceived)[0].session
    solo.do(session.ring)
    solo.do(session.ring, 183, SDP)
    solo.do(session.answer, SDP)
    tags = {effect.response.to.tag for _, effect in solo.sent if effect.response.status > 100}  # type: ignore[union-attr]
    assert tags == {session.local_tag}


@pytest.mark.rfc(3261, "16.3")
def test_an_invite_at_its_last_hop_is_483_and_options_are_answered() -> None:
    assert only(Solo().receive(request("INVITE", max_forwards=0))).status == 483
    assert only(Solo().receive(request("OPTIONS", max_forwards=0))).status == 200


@pytest.mark.rfc(3261, "8.1.1.8")
@pytest.mark.parametrize("contact", [None, "<sip:a@192.0.2.1>, <sip:b@192.0.2.1>", "<tel:+14155550100>"])
def test_an_invite_without_one_sip_contact_is_400(contact: str | None) -> None:
    solo = Solo()
    assert only(solo.receive(request(contact=contact))).status == 400
    solo.assert_empty()


@pytest.mark.rfc(3261, "11.2")
def test_options_tell_what_we_can() -> None:
    answer = only(Solo().receive(request("OPTIONS", contact=None)))
    assert answer.status == 200
    assert set(answer.allow) >= {"INVITE", "BYE", "CANCEL", "ACK", "OPTIONS"}
    assert answer.headers.get("Accept") == "application/sdp"
    assert answer.to.tag


@pytest.mark.rfc(3261, "11.2")
def test_options_while_draining_are_503_with_retry_after() -> None:
    solo = Solo()
    solo.user_agent.draining = True
    answer = only(solo.receive(request("OPTIONS")))
    assert answer.status == 503
    assert answer.retry_after


@pytest.mark.rfc(3261, "8.2.7")
def test_options_leave_nothing_behind_and_repetitions_get_the_same_tag() -> None:
    solo = Solo()
    answers = [only(solo.receive(request("OPTIONS"))) for _ in range(3)]
    assert len({answer.to.tag for answer in answers}) == 1
    solo.assert_empty()


@pytest.mark.rfc(3261, "15.1.2")
@pytest.mark.parametrize("method", ["BYE", "INFO"])
@pytest.mark.parametrize("to", ["<sip:bob@192.0.2.2>", "<sip:bob@192.0.2.2>;tag=unknown"])
def test_requests_for_no_dialog_are_481(method: str, to: str) -> None:
    assert only(Solo().receive(request(method, to=to))).status == 481


@pytest.mark.rfc(3261, "12.2.2")
def test_a_reinvite_for_an_unknown_dialog_is_481() -> None:
    solo = Solo()
    assert only(solo.receive(request(to="<sip:bob@192.0.2.2>;tag=unknown"))).status == 481
    assert solo.told(InviteReceived) == []
    solo.assert_empty()


@pytest.mark.rfc(3261, "9.2")
def test_a_cancel_that_matches_nothing_is_481() -> None:
    assert only(Solo().receive(request("CANCEL"))).status == 481


def test_a_stray_ack_means_nothing() -> None:
    solo = Solo()
    assert solo.receive(request("ACK")) == []
    assert solo.receive(request("ACK", to="<sip:b@192.0.2.2>;tag=x")) == []
    assert solo.user_agent.counters["stray_acks"] == 2


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER", "BYE", "CANCEL", "ACK", "JUMP"])
def test_a_stranger_learns_nothing(method: str) -> None:
    solo = Solo()
    solo.screen = lambda request, source, user: Drop("stranger")
    assert solo.receive(request(method)) == []
    assert solo.receive_bytes(bytes(request(method)).replace(b"CSeq: 1", b"CSeq: x")) == []
    assert solo.events == []
    solo.assert_empty()


def test_a_known_peer_is_told_what_is_broken() -> None:
    solo = Solo()
    answer = only(solo.receive_bytes(bytes(request()).replace(b"CSeq: 1", b"CSeq: x")))
    assert answer.status == 400
    assert solo.told(InviteReceived) == []


def test_a_refusal_of_the_screen_needs_no_transaction() -> None:
    solo = Solo()
    solo.screen = lambda request, source, user: Refuse(403, "Not you", (("Reason", "Q.850;cause=21"),))
    answer = only(solo.receive(request()))
    assert (answer.status, answer.reason, answer.headers.get("Reason")) == (403, "Not you", "Q.850;cause=21")
    solo.assert_empty()


def test_too_many_transactions_are_503_with_retry_after() -> None:
    solo = Solo(UserAgentConfig(max_transactions=3))
    for number in range(5):
        solo.receive(request(branch=f"z9hG4bK{number}", call_id=f"call-{number}"))
    assert len(solo.told(InviteReceived)) == 3
    assert [answer.retry_after for answer in solo.responses(503)] == [5, 5]


@pytest.mark.rfc(3261, "18.2.2")
@pytest.mark.rfc(3581, "4")
@pytest.mark.parametrize(
    ("via", "nat", "to", "top"),
    [
        ("SIP/2.0/UDP 192.0.2.1:5070", False, ("192.0.2.1", 5070), "192.0.2.1:5070"),
        ("SIP/2.0/UDP 192.0.2.1", False, ("192.0.2.1", 5060), "192.0.2.1"),
        ("SIP/2.0/UDP 10.1.1.1:5070", False, ("192.0.2.1", 5070), ";received=192.0.2.1"),
        ("SIP/2.0/UDP pc.example", False, ("192.0.2.1", 5060), ";received=192.0.2.1"),
        ("SIP/2.0/UDP 10.1.1.1:5070;rport", False, ("192.0.2.1", 31000), "rport=31000"),
        ("SIP/2.0/UDP 10.1.1.1:5070", True, ("192.0.2.1", 31000), "rport=31000"),
        ("SIP/2.0/UDP 192.0.2.1:5070;received=203.0.113.9", False, ("192.0.2.1", 5070), "192.0.2.1:5070"),
    ],
)
def test_where_a_response_goes(via: str, nat: bool, to: tuple[str, int], top: str) -> None:
    solo = Solo()
    solo.peer = Peer("trunk", nat=nat)
    solo.receive(request("OPTIONS", via=via), Source("udp", ("192.0.2.1", 31000), ("192.0.2.2", 5060), 1))
    effect = solo.last()
    assert effect.to == to
    assert top in str(effect.response.via)
    assert "203.0.113.9" not in str(effect.response.via)


@pytest.mark.rfc(3261, "18.2.2")
def test_maddr_aims_at_nobody() -> None:
    solo = Solo()
    solo.receive(request("OPTIONS", via="SIP/2.0/UDP 192.0.2.1;maddr=224.0.1.75"))
    assert solo.last().to == ("192.0.2.1", 5060)


@pytest.mark.rfc(3261, "18.2.2")
def test_on_tcp_the_port_that_the_peer_listens_on_is_the_second_choice() -> None:
    solo = Solo()
    solo.receive(request("OPTIONS", via="SIP/2.0/TCP 10.9.9.9:5080;rport"), TCP)
    effect = solo.last()
    assert (effect.source, effect.to) == (TCP, ("192.0.2.1", 5080))


@pytest.mark.rfc(3581, "4")
def test_an_invites_responses_all_follow_rport() -> None:
    solo = Solo()
    source = Source("udp", ("192.0.2.1", 31000), ("192.0.2.2", 5060), 1)
    solo.receive(request(via="SIP/2.0/UDP 10.1.1.1;rport"), source)
    session = solo.told(InviteReceived)[0].session
    solo.do(session.ring)
    solo.do(session.reject, 486)
    assert {effect.to for _, effect in solo.sent} == {("192.0.2.1", 31000)}  # type: ignore[union-attr]
    assert all(effect.response.via.rport == 31000 for _, effect in solo.sent)  # type: ignore[union-attr]


def test_a_fault_of_the_screen_is_ours_alone() -> None:
    solo = Solo()

    def broken(*_: object) -> Admit:
        raise ZeroDivisionError

    solo.screen = broken
    with pytest.raises(ZeroDivisionError):
        solo.receive(request())
    solo.screen = lambda request, source, user: Admit(solo.peer)
    assert only(solo.receive(request("OPTIONS"))).status == 200
