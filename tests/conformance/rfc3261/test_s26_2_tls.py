"""RFC 3261 26.2 with RFC 5630: what is secure stays so, hop by hop, and nothing falls back to a lesser transport."""

import pytest
from tests.support.messages import SDP, TCP, UDP, request, response
from tests.support.solo import Solo

from offhook.sip.effects import SendRequest, SendResponse, Source, Target, TlsSession
from offhook.sip.events import Failed, FailureCause, HungUp, InviteReceived
from offhook.sip.invite import InviteSession

pytestmark = pytest.mark.conformance

TLS = Source("tls", ("192.0.2.1", 40_001), ("192.0.2.2", 5061), 9, TlsSession("TLSv1.3", "TLS_AES_256_GCM_SHA384"))
PROVEN = Source("tls", TLS.remote, TLS.local, 9, TlsSession("TLSv1.3", "TLS_AES_256_GCM_SHA384", ("pbx.example.com",)))
VIA = "SIP/2.0/TLS 192.0.2.1:5061;rport"


def speaking_tls() -> Solo:
    solo = Solo()
    solo.user_agent.speaks_tls = True
    return solo


def called(
    solo: Solo,
    uri: str = "sip:bob@192.0.2.2",
    contact: str = "<sip:alice@192.0.2.1:5061;transport=tls>",
    *headers: str,
    source: Source = TLS,
) -> InviteSession:
    """A call that came over TLS, answered and acknowledged."""
    solo.receive(request("INVITE", *headers, uri=uri, via=VIA, contact=contact, body=SDP), source)
    session: InviteSession = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    solo.receive(request("ACK", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}", branch="z9hG4bKa", via=VIA), source)
    return session


def hang_up(solo: Solo, session: InviteSession) -> SendRequest:
    solo.do(session.hang_up)
    effect = solo.last()
    assert isinstance(effect, SendRequest)
    return effect


def lose(solo: Solo) -> None:
    """What was sent last could not be sent."""
    solo.user_agent.transport_failed(solo.last().transaction, solo.now, "it is gone")
    solo.drain()


@pytest.mark.rfc(3261, "26.2.2")
@pytest.mark.rfc(5630, "4")
@pytest.mark.parametrize("source", [UDP, TCP])
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "BYE"])
def test_a_sips_request_uri_is_answered_over_tls_alone(method: str, source: Source) -> None:
    solo = speaking_tls()
    (answer,) = solo.receive(request(method, uri="sips:bob@192.0.2.2"), source)
    assert answer.status == 400  # type: ignore[union-attr]
    assert solo.told(InviteReceived) == []


@pytest.mark.rfc(3261, "12.1.1")
@pytest.mark.parametrize(
    ("uri", "contact", "headers", "ours"),
    [
        ("sip:bob@192.0.2.2", "<sip:alice@192.0.2.1;transport=tls>", (), "sip:offhook@192.0.2.2:5060;transport=tls"),
        ("sips:bob@192.0.2.2", "<sip:alice@192.0.2.1>", (), "sips:offhook@192.0.2.2:5060"),
        ("sip:bob@192.0.2.2", "<sips:alice@192.0.2.1>", (), "sips:offhook@192.0.2.2:5060"),
        (
            "sip:bob@192.0.2.2",
            "<sip:alice@192.0.2.1>",
            ("Record-Route: <sips:proxy.example;lr>",),
            "sips:offhook@192.0.2.2:5060",
        ),
        (
            "sip:bob@192.0.2.2",
            "<sips:alice@192.0.2.1>",
            ("Record-Route: <sip:proxy.example;lr;transport=tls>",),
            "sip:offhook@192.0.2.2:5060;transport=tls",
        ),
    ],
)
def test_our_contact_is_as_secure_as_the_call(uri: str, contact: str, headers: tuple[str, ...], ours: str) -> None:
    solo = speaking_tls()
    called(solo, uri, contact, *headers)
    (answer,) = solo.responses(200)
    assert str(answer.contacts[0].uri) == ours


@pytest.mark.rfc(3261, "18.2.2")
def test_answers_go_back_on_the_connection() -> None:
    solo = speaking_tls()
    called(solo)
    answers = [effect for _, effect in solo.sent if isinstance(effect, SendResponse)]
    assert {(effect.source, effect.to) for effect in answers} == {(TLS, ("192.0.2.1", 5061))}, "or to the Via's port"


@pytest.mark.rfc(3261, "26.2.1")
def test_the_peers_connection_serves_our_requests() -> None:
    solo = speaking_tls()
    bye = hang_up(solo, called(solo))
    assert (bye.target.transport, bye.target.flow) == ("tls", 9)
    assert str(bye.request.via).startswith("SIP/2.0/TLS 192.0.2.2:5060;")
    assert "alias" in bye.request.via.params


@pytest.mark.rfc(3261, "26.2.2")
@pytest.mark.parametrize(
    ("contact", "target"),
    [
        ("<sip:alice@192.0.2.1:5071;transport=tls>", Target("tls", "192.0.2.1", 5071, None, ("192.0.2.1",))),
        ("<sip:alice@192.0.2.1;transport=tls>", Target("tls", "192.0.2.1", 5061, None, ("192.0.2.1",))),
        ("<sips:alice@192.0.2.1>", Target("tls", "192.0.2.1", 5061, None, ("192.0.2.1",))),
        ("<sip:alice@192.0.2.1:5071>", Target("tls", "192.0.2.1", 5071, None, ("192.0.2.1",))),
    ],
    ids=["its port", "the default port", "sips", "no transport named"],
)
def test_when_its_connection_is_gone_the_peer_is_dialled_by_tls(contact: str, target: Target) -> None:
    solo = speaking_tls()
    hang_up(solo, called(solo, contact=contact))
    lose(solo)
    assert solo.last().target == target


@pytest.mark.rfc(3261, "26.2.2")
def test_a_secure_call_never_leaves_in_the_clear() -> None:
    solo = speaking_tls()
    session = called(solo, "sips:bob@192.0.2.2", "<sip:alice@192.0.2.1:5060;transport=udp>")
    assert (hang_up(solo, session).target.transport, solo.last().target.flow) == ("tls", 9)
    lose(solo)
    assert {effect.target.transport for _, effect in solo.sent if isinstance(effect, SendRequest)} == {"tls"}
    (hung_up,) = solo.told(HungUp)
    assert "must not leave by udp" in hung_up.detail


@pytest.mark.rfc(3261, "26.2.2")
def test_a_sips_contact_of_a_plain_call_is_reached_by_tls() -> None:
    solo = speaking_tls()
    solo.receive(request(contact="<sips:alice@192.0.2.1>", body=SDP), UDP)
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    solo.receive(request("ACK", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}", branch="z9hG4bKa"), UDP)
    assert hang_up(solo, session).target == Target("tls", "192.0.2.1", 5061, None, ("192.0.2.1",))


@pytest.mark.rfc(3261, "8.1.1.8")
@pytest.mark.rfc(3261, "26.2.2")
def test_a_sips_call_of_ours() -> None:
    solo = speaking_tls()
    solo.invite("sips:bob@sip.example.net")
    solo.user_agent.resolved(
        solo.resolves[0].resolution,
        (Target("udp", "192.0.2.9", 5060), Target("tls", "192.0.2.9", 5061), Target("tcp", "192.0.2.9", 5060)),
        solo.now,
    )
    solo.drain()
    sent = solo.last()
    assert sent.target == Target("tls", "192.0.2.9", 5061, None, ("sip.example.net",)), "the domain asked for is proven"
    assert str(sent.request.contacts[0].uri) == "sips:offhook@192.0.2.2:5060"
    lose(solo)
    (failed,) = solo.told(Failed)
    assert (failed.cause, failed.detail) == (FailureCause.TRANSPORT, "it is gone")


@pytest.mark.rfc(5922, "7.3")
def test_a_trunk_may_prove_the_name_that_it_is_known_by() -> None:
    class Known:
        nat = False
        tls_name = "pbx.example.com"

    solo = speaking_tls()
    solo.peer = Known()  # type: ignore[assignment]
    hang_up(solo, called(solo))
    lose(solo)
    assert solo.last().target.names == ("192.0.2.1", "pbx.example.com")


@pytest.mark.rfc(3261, "26.2.2")
def test_a_trunk_of_tls_alone_is_reached_by_nothing_else() -> None:
    class Strict:
        nat = False
        tls_only = True

    solo = speaking_tls()
    solo.peer = Strict()  # type: ignore[assignment]
    hang_up(solo, called(solo, contact="<sip:alice@192.0.2.99:5060;transport=udp>"))
    lose(solo)
    (hung_up,) = solo.told(HungUp)
    assert "must not leave by udp" in hung_up.detail


@pytest.mark.rfc(5923, "5")
@pytest.mark.parametrize(("source", "reused"), [(PROVEN, True), (TLS, False)])
def test_a_name_that_its_certificate_proves_is_behind_its_connection(source: Source, reused: bool) -> None:
    solo = speaking_tls()
    session = called(solo, contact="<sip:alice@pbx.example.com;transport=tls>", source=source)
    before = len(solo.resolves)
    solo.do(session.hang_up)
    assert (len(solo.resolves) == before) is reused
    if reused:
        assert solo.last().target.flow == 9


@pytest.mark.rfc(3261, "18.1.1")
def test_large_requests_stay_on_tls() -> None:
    solo = speaking_tls()
    solo.invite("sip:bob@192.0.2.1;transport=tls", offer=b"v=0 " + b"x" * 3000)
    assert solo.last().target.transport == "tls"
    solo.receive(response(solo.last().request, 486))


def test_without_tls_a_sips_contact_of_a_plain_call_is_where_it_speaks_from() -> None:
    solo = Solo()
    solo.receive(request(contact="<sips:alice@192.0.2.1>", body=SDP), UDP)
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    solo.receive(request("ACK", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}", branch="z9hG4bKa"), UDP)
    assert hang_up(solo, session).target.transport == "udp"
