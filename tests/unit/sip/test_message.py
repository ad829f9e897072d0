"""Requests and responses: reading, building, answering."""

import pytest

from offhook.errors import LocalProtocolError
from offhook.sip.message import Headers, Request
from offhook.sip.parser import parse_datagram, validate
from offhook.sip.uri import parse_uri

pytestmark = pytest.mark.unit

INVITE = (
    b"INVITE sip:desk@gw.example.org SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.30:5070;branch=z9hG4bK77;rport, SIP/2.0/TCP [2001:db8::5];branch=z9hG4bK76\r\n"
    b"Record-Route: <sip:edge.example.org;lr>\r\n"
    b"From: Carol <sip:carol@example.com>;tag=c1\r\n"
    b"To: <sip:desk@gw.example.org>\r\n"
    b"Call-ID: 81be@192.0.2.30\r\nCSeq: 7 INVITE\r\nMax-Forwards: 70\r\nTimestamp: 12.5\r\n"
    b"Contact: <sip:carol@192.0.2.30:5070>\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
)


@pytest.fixture
def invite() -> Request:
    request = parse_datagram(INVITE)
    assert isinstance(request, Request)
    validate(request)
    return request


def test_typed_fields(invite: Request) -> None:
    assert str(invite.request_uri) == "sip:desk@gw.example.org"
    assert [via.sent_by for via in invite.vias] == [("192.0.2.30", 5070), ("2001:db8::5", 5060)]
    assert (invite.from_.display_name, invite.from_.tag, invite.to.tag) == ("Carol", "c1", None)
    assert (invite.cseq.number, invite.cseq.method) == (7, "INVITE")
    assert invite.sdp == b"v=0\r\n"


def test_print_and_parse_again(invite: Request) -> None:
    assert parse_datagram(bytes(invite)) == invite


def test_a_response_copies_what_section_8_2_6_2_names(invite: Request) -> None:
    ringing = invite.response(180, to_tag="d9")
    assert ringing.headers.get_all("Via") == invite.headers.get_all("Via")
    assert str(ringing.to) == "<sip:desk@gw.example.org>;tag=d9"
    assert ringing.headers.get("Record-Route") == "<sip:edge.example.org;lr>"
    assert "Timestamp" not in ringing.headers
    trying = invite.response(100, to_tag="d9")
    assert trying.to.tag is None
    assert trying.headers.get("Timestamp") == "12.5"
    assert "Record-Route" not in invite.response(486, to_tag="d9").headers


def test_what_a_response_has_of_its_request_reads_as_it_stands_on_the_wire(invite: Request) -> None:
    request = invite.received_from("203.0.113.7", 40_000)
    assert request.via.sent_by == request.vias[0].sent_by
    ringing = request.response(180, to_tag="d9")
    again = parse_datagram(bytes(ringing))
    for name in ("vias", "via", "from_", "to", "call_id", "cseq"):
        assert getattr(ringing, name) == getattr(again, name), name


def test_the_top_via_is_stamped_and_the_others_stay(invite: Request) -> None:
    stamped = invite.received_from("198.51.100.4", 6001)
    assert (stamped.via.received, stamped.via.rport) == ("198.51.100.4", 6001)
    assert stamped.vias[1] == invite.vias[1]


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0b", "a\rb"])
def test_a_value_cannot_break_out_of_its_line(value: str) -> None:
    with pytest.raises(LocalProtocolError):
        Headers([("Subject", value)])
    with pytest.raises(LocalProtocolError):
        Headers().adding("Subject", value)
    with pytest.raises(LocalProtocolError):
        Request("OPTIONS", parse_uri("sip:a@example.org"), Headers()).response(200, value)


@pytest.mark.parametrize(
    ("to", "has"),
    [("<sip:a@b>;tag=x", True), ("<sip:a@b>", False), ('"no end <sip:a@b>;tag=x', False)],
)
def test_a_to_that_cannot_be_read_names_no_dialog(to: str, has: bool) -> None:
    assert Request("BYE", parse_uri("sip:a@b"), Headers([("To", to)])).has_to_tag is has
