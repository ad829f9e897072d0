"""RFC 3261 section 12: dialogs, their routes and their numbers."""

import pytest
from tests.support.messages import SDP, TCP, request, response
from tests.support.pair import Peer
from tests.support.solo import Solo

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.dialog import TRANSITIONS, Dialog, DialogId, Input, State
from offhook.sip.effects import SendRequest, Source, Target
from offhook.sip.events import Answered, ByeReceived, InfoReceived, InviteReceived, Reinvited
from offhook.sip.invite import InviteSession
from offhook.sip.screening import Admit

pytestmark = pytest.mark.conformance


def answered(solo: Solo, *headers: str, source: Source | None = None, **fields: str) -> InviteSession:
    """An INVITE of the peer, answered and acknowledged."""
    invite = request("INVITE", *headers, body=SDP, **fields)  # type: ignore[arg-type]
    solo.receive(invite, *([source] if source else []))
    session: InviteSession = solo.told(InviteReceived)[-1].session
    solo.do(session.answer, SDP)
    solo.receive(within(session, "ACK", 1), *([source] if source else []))
    return session


def within(session: InviteSession, method: str, cseq: int, *headers: str, **fields: object) -> object:
    """A request of the peer within the dialog."""
    return request(
        method,
        *headers,
        to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}",
        branch=f"z9hG4bK{method}{cseq}",
        cseq=cseq,
        **fields,  # type: ignore[arg-type]
    )


@pytest.mark.rfc(3261, "12.1.1")
def test_the_callees_side_takes_the_routes_in_their_order() -> None:
    invite = request(
        "INVITE", "Record-Route: <sip:p2.example;lr>, <sip:p1.example;lr>", contact="<sip:a@10.0.0.1:5062>"
    )
    dialog = Dialog.uas(invite, "us", first_cseq=7)
    assert dialog.id == DialogId("call@192.0.2.1", "us", "alice")
    assert dialog.route_set == ("<sip:p2.example;lr>", "<sip:p1.example;lr>")
    assert str(dialog.next_hop) == "sip:p2.example;lr"
    bye = dialog.request("BYE")
    assert str(bye.request_uri) == "sip:a@10.0.0.1:5062"
    assert [str(route.uri) for route in bye.routes] == ["sip:p2.example;lr", "sip:p1.example;lr"]
    assert (bye.from_.tag, bye.to.tag, bye.cseq.number) == ("us", "alice", 8)


@pytest.mark.rfc(3261, "12.1.2")
def test_the_callers_side_takes_them_the_other_way_round() -> None:
    invite = request()
    answer = response(
        invite, 200, "bob", ("Record-Route", "<sip:p2.example;lr>"), ("Record-Route", "<sip:p1.example;lr>")
    )
    dialog = Dialog.uac(invite, answer)
    assert dialog.route_set == ("<sip:p1.example;lr>", "<sip:p2.example;lr>")
    assert dialog.id == DialogId("call@192.0.2.1", "alice", "bob")
    assert dialog.state is State.CONFIRMED
    assert str(dialog.request("BYE").request_uri) == "sip:bob@192.0.2.2"


@pytest.mark.rfc(3261, "12.2.1.1")
def test_a_strict_router_takes_the_request_uri() -> None:
    invite = request("INVITE", "Record-Route: <sip:old.example;method=INVITE?X=1>, <sip:p1.example;lr>")
    bye = Dialog.uas(invite, "us", first_cseq=1).request("BYE")
    assert str(bye.request_uri) == "sip:old.example"
    assert [str(route) for route in bye.routes] == ["<sip:p1.example;lr>", "<sip:alice@192.0.2.1>"]


def test_an_endless_route_set_is_refused() -> None:
    invite = request("INVITE", *(f"Record-Route: <sip:p{n}.example;lr>" for n in range(40)))
    with pytest.raises(RemoteProtocolError):
        Dialog.uas(invite, "us", first_cseq=1)


def test_only_ack_and_cancel_are_given_their_number() -> None:
    dialog = Dialog.uas(request(), "us", first_cseq=1)
    with pytest.raises(LocalProtocolError):
        dialog.request("BYE", cseq=3)
    with pytest.raises(LocalProtocolError):
        dialog.request("ACK")


def test_the_table_has_no_way_back() -> None:
    assert all(after is not State.EARLY for after in TRANSITIONS.values())
    assert all(before is not State.TERMINATED for before, _ in TRANSITIONS)
    assert {step for _, step in TRANSITIONS} == set(Input)


@pytest.mark.rfc(3261, "13.2.2.4")
def test_the_ack_goes_through_two_proxies_to_an_inside_contact() -> None:
    solo = Solo()
    solo.invite("sip:+14155550100@192.0.2.1")
    invite = solo.requests("INVITE")[0]
    routes = (("Record-Route", "<sip:192.0.2.9;lr;ftag=x>, <sip:10.0.0.9;lr;transport=tcp>"),)
    answer = invite.response(
        200,
        to_tag="bob",
        headers=[*routes, ("Contact", "<sip:bob@10.1.2.3:5066>")],
        body=SDP,
        content_type="application/sdp",
    )
    solo.receive(answer)
    sent = solo.last()
    assert sent.request.method == "ACK"
    assert str(sent.request.request_uri) == "sip:bob@10.1.2.3:5066"
    assert [str(route) for route in sent.request.routes] == [
        "<sip:10.0.0.9;lr;transport=tcp>",
        "<sip:192.0.2.9;lr;ftag=x>",
    ]
    assert (sent.target.transport, sent.target.host, sent.target.port) == ("tcp", "10.0.0.9", 5060)


@pytest.mark.rfc(3261, "12.2.1.2")
def test_a_reinvite_moves_the_remote_target() -> None:
    solo = Solo()
    session = answered(solo)
    solo.receive(within(session, "INVITE", 2, contact="<sip:alice@192.0.2.77:5099>", body=SDP))
    solo.do(solo.told(Reinvited)[0].session.answer_reinvite, SDP)
    solo.receive(within(session, "ACK", 2))
    solo.do(session.hang_up)
    effect = solo.last()
    assert str(effect.request.request_uri) == "sip:alice@192.0.2.77:5099"
    assert effect.target.remote == ("192.0.2.77", 5099)


@pytest.mark.rfc(3261, "12.2.2")
def test_a_lower_cseq_is_500_and_does_nothing() -> None:
    solo = Solo()
    session = answered(solo, cseq=5)  # type: ignore[arg-type]
    solo.receive(within(session, "ACK", 5))
    (answer,) = solo.receive(within(session, "BYE", 4))
    assert answer.status == 500
    assert solo.told(ByeReceived) == []
    (answer,) = solo.receive(within(session, "BYE", 900))
    assert answer.status == 200


@pytest.mark.rfc(3261, "12.2.2")
@pytest.mark.parametrize("field", ["to", "from_", "call_id"])
def test_another_tag_or_call_id_is_481(field: str) -> None:
    solo = Solo()
    session = answered(solo)
    wrong = {"to": "<sip:bob@192.0.2.2>;tag=nobody", "from_": "<sip:alice@192.0.2.1>;tag=x", "call_id": "other"}
    fields = {"to": f"<sip:bob@192.0.2.2>;tag={session.local_tag}", field: wrong[field]}
    (answer,) = solo.receive(request("BYE", branch="z9hG4bKbye", cseq=2, **fields))  # type: ignore[arg-type]
    assert answer.status == 481


def test_a_bye_of_another_peer_is_481_and_the_call_goes_on() -> None:
    solo = Solo()
    session = answered(solo)
    solo.screen = lambda request, source, user: Admit(Peer("another trunk"))
    (answer,) = solo.receive(within(session, "BYE", 2))
    assert answer.status == 481
    assert solo.told(ByeReceived) == []
    assert solo.user_agent.counters["foreign_dialog_requests"] == 1


def test_after_bye_a_reinvite_is_481() -> None:
    solo = Solo()
    session = answered(solo)
    solo.receive(within(session, "BYE", 2))
    (answer,) = solo.receive(within(session, "INVITE", 3, body=SDP))
    assert answer.status == 481


def test_two_peers_with_the_same_tags_but_other_call_ids_are_two_dialogs() -> None:
    solo = Solo()
    first = answered(solo, call_id="one", branch="z9hG4bK1")
    second = answered(solo, call_id="two", branch="z9hG4bK2")
    solo.receive(within(second, "BYE", 2, call_id="two"))
    assert solo.told(ByeReceived)[0].session is second
    assert not first.is_over


@pytest.mark.parametrize(
    ("contact", "nat", "to"),
    [
        ("<sip:alice@192.0.2.1:5066>", False, ("192.0.2.1", 5066)),
        ("<sip:alice@192.0.2.1:5066>", True, ("192.0.2.1", 31000)),
        ("<sip:alice@pc.example>", True, ("192.0.2.1", 31000)),
    ],
)
def test_where_a_request_within_the_dialog_goes(contact: str, nat: bool, to: tuple[str, int]) -> None:
    solo = Solo()
    solo.peer = Peer("trunk", nat=nat)
    source = Source("udp", ("192.0.2.1", 31000), ("192.0.2.2", 5060), 3)
    session = answered(solo, contact=contact, source=source)
    solo.do(session.hang_up)
    effect = solo.last()
    assert (effect.target.remote, effect.target.flow) == (to, 3)


def test_a_private_contact_seen_under_a_public_address_is_reached_where_it_was_seen() -> None:
    solo = Solo()
    source = Source("udp", ("8.8.4.4", 31000), ("192.0.2.2", 5060), 3)
    session = answered(solo, contact="<sip:alice@192.168.1.20:5060>", source=source)
    solo.do(session.hang_up)
    assert solo.last().target == Target("udp", "8.8.4.4", 31000, 3)


@pytest.mark.parametrize("contact", ["<sip:alice@192.0.2.1:5060;transport=tcp>", "<sip:alice@192.0.2.1>"])
def test_a_peer_on_tcp_is_reached_on_its_connection(contact: str) -> None:
    solo = Solo()
    session = answered(solo, contact=contact, via="SIP/2.0/TCP 192.0.2.1", source=TCP)
    solo.do(session.hang_up)
    effect = solo.last()
    assert effect.target.flow == TCP.flow
    assert effect.request.via.transport == "TCP"


def test_a_connection_that_is_gone_is_opened_anew_to_the_contact() -> None:
    solo = Solo()
    session = answered(
        solo, contact="<sip:alice@192.0.2.1:5070;transport=tcp>", via="SIP/2.0/TCP 192.0.2.1", source=TCP
    )
    solo.do(session.hang_up)
    solo.user_agent.transport_failed(solo.last().transaction, solo.now)
    solo.drain()
    effect = solo.last()
    assert isinstance(effect, SendRequest)
    assert effect.request.method == "BYE"
    assert effect.target == Target("tcp", "192.0.2.1", 5070)
    assert effect.request.cseq.number == solo.requests("BYE")[0].cseq.number
    assert effect.request.via.branch != solo.requests("BYE")[0].via.branch


def test_info_within_the_dialog_is_told_and_answered() -> None:
    solo = Solo()
    session = answered(solo)
    info = within(session, "INFO", 2, body=b"Signal=5\r\nDuration=160\r\n", content_type="application/dtmf-relay")
    assert solo.receive(info) == []  # type: ignore[arg-type]
    assert solo.told(InfoReceived)[0].request.body.startswith(b"Signal=5")
    solo.do(session.answer_info, 200)
    assert solo.responses(200)[-1].cseq.method == "INFO"
    assert solo.do(session.answer_info, 200) is False


def test_a_flood_of_infos_is_bounded() -> None:
    solo = Solo()
    session = answered(solo)
    for number in range(2, 22):
        solo.receive(within(session, "INFO", number))
    assert len(solo.told(InfoReceived)) == 8
    assert len(solo.responses(503)) == 12


def test_an_info_of_another_kind_is_415() -> None:
    solo = Solo()
    session = answered(solo)
    (answer,) = solo.receive(within(session, "INFO", 2, body=b"<xml/>", content_type="application/media_control+xml"))
    assert answer.status == 415


def test_options_within_the_dialog_are_answered() -> None:
    solo = Solo()
    session = answered(solo)
    (answer,) = solo.receive(within(session, "OPTIONS", 2))
    assert (answer.status, answer.to.tag) == (200, session.local_tag)


@pytest.mark.rfc(3261, "12.1.2")
def test_a_2xx_without_contact_still_makes_a_dialog() -> None:
    solo = Solo()
    solo.invite("sip:bob@192.0.2.1")
    solo.receive(response(solo.requests("INVITE")[0], 200, body=SDP, contact=False))
    assert len(solo.told(Answered)) == 1
    assert str(solo.requests("ACK")[0].request_uri) == "sip:bob@192.0.2.1"
