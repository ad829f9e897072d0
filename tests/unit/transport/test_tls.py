"""The TLS of one connection: what opens it, what ends it, and that each end has its one cause."""

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.support.certificates import DAY, NOW, authority, stranger
from tests.support.tls import Line, Peer, contexts, peer_context

from offhook.sip.effects import TlsSession
from offhook.transport.limits import TransportLimits
from offhook.transport.tls import State
from offhook.transport.tls_failure import Speaks, TlsCause, first_bytes

pytestmark = pytest.mark.unit

OWN = authority().issue("sip.example.net")
OPTIONS = b"OPTIONS sip:sip.example.net SIP/2.0\r\nContent-Length: 0\r\n\r\n"


def server_line(**options: object) -> Line:
    return Line(contexts(OWN, client_certificate="optional"), **options)  # type: ignore[arg-type]


def hello() -> bytes:
    """The first flight of a client."""
    return Peer(peer_context()).take()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sip_goes_both_ways(version: ssl.TLSVersion) -> None:
    context = peer_context()
    context.minimum_version = context.maximum_version = version
    line, peer = server_line(), Peer(context)
    line.shake(peer)
    assert line.opened is not None
    assert line.opened.session.version == version.name.replace("_", ".")
    assert "GCM" in line.opened.session.cipher or "CHACHA20" in line.opened.session.cipher
    assert line.opened.session.identities == (), "it showed no certificate"
    line.take(peer.say(OPTIONS))
    assert line.received == OPTIONS
    assert line.channel.send(b"x" * 100_000)
    peer.take(line.settle())
    assert peer.received == b"x" * 100_000
    assert line.channel.next_timeout() is None


def test_byte_by_byte_it_is_the_same() -> None:
    line, peer = server_line(), Peer(peer_context())
    data = peer.take()
    for _ in range(4):
        answer = b"".join(line.take(bytes([byte])) for byte in data)
        data = peer.take(answer)
    assert line.opened is not None
    for byte in peer.say(OPTIONS):
        line.take(bytes([byte]))
    assert line.received == OPTIONS


def test_sip_in_the_same_segment_as_the_end_of_the_handshake_is_read() -> None:
    line, peer = server_line(), Peer(peer_context())
    last_flight = peer.take(line.take(peer.take()))
    line.take(last_flight + peer.say(OPTIONS))
    assert line.received == OPTIONS


def test_a_clients_certificate_tells_who_it_is() -> None:
    own = authority().issue("pbx.example.com", uris=("sip:example.com",))
    line, peer = server_line(), Peer(peer_context(own))
    line.shake(peer)
    assert line.opened is not None
    assert line.opened.session.identities == ("example.com",)


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (OPTIONS, TlsCause.PLAIN_SIP),
        (b"\r\n\r\n", TlsCause.PLAIN_SIP),
        (b"GET / HTTP/1.1\r\n", TlsCause.PLAIN_HTTP),
        (b"PRI * HTTP/2.0\r\n", TlsCause.PLAIN_HTTP),
        (b"\x00\x01\x02", TlsCause.NOT_TLS),
        (b"\x16\x02\x00", TlsCause.NOT_TLS),
        (b"\x15\x03\x01\x00\x02\x02\x28", TlsCause.NOT_TLS),
        (b"\x80\x2e\x01\x00\x02", TlsCause.OLD_VERSION),
    ],
)
def test_what_is_no_tls_is_told_by_its_first_bytes(sent: bytes, cause: TlsCause) -> None:
    line = server_line()
    assert line.take(sent) == b"", "nobody is answered who does not speak TLS"
    assert line.failure is not None
    assert (line.failure.cause, line.failure.direction) == (cause, "in")
    assert line.channel.state is State.ENDED
    assert line.asked == 0


def test_first_bytes_are_known_whatever_they_are() -> None:
    assert {first_bytes(bytes([byte, second])) for byte in range(256) for second in (0, 3, 71)} <= set(Speaks)
    assert [byte for byte in range(256) if first_bytes(bytes([byte])) is Speaks.TLS] == [0x16]


def test_nothing_sent_is_told_when_the_time_is_over() -> None:
    line = server_line()
    assert line.channel.next_timeout() == 110.0
    line.channel.handle_timeout(109.9)
    line.settle()
    assert line.failure is None
    line.channel.handle_timeout(110.0)
    line.settle()
    assert line.failure is not None
    assert line.failure.cause is TlsCause.NOTHING_SENT


@pytest.mark.parametrize("part", [1, 5, 60])
def test_half_a_client_hello_is_told_when_the_time_is_over(part: int) -> None:
    line = server_line()
    line.take(hello()[:part])
    line.channel.handle_timeout(110.0)
    line.settle()
    assert line.failure is not None
    assert line.failure.cause is TlsCause.TIMEOUT


def test_whoever_waits_in_vain_for_its_turn_is_told_so() -> None:
    line = server_line(turns=False)
    assert line.take(hello()) == b""
    assert (line.asked, line.channel.state) == (1, State.WAITING)
    line.channel.handle_timeout(110.0)
    line.settle()
    assert line.failure is not None
    assert line.failure.cause is TlsCause.OVERLOADED


def test_a_turn_that_comes_later_finds_all_that_was_sent() -> None:
    line, peer = server_line(turns=False), Peer(peer_context())
    data = peer.take()
    line.take(data[:50])
    line.take(data[50:])
    assert line.asked == 1
    line.channel.begin(105.0)
    peer.take(line.settle())
    assert peer.is_open


@pytest.mark.parametrize(
    ("part", "cause"), [(0, TlsCause.NOTHING_SENT), (20, TlsCause.CLOSED), (9999, TlsCause.CLOSED)]
)
def test_a_connection_that_goes_away_is_told(part: int, cause: TlsCause) -> None:
    line = server_line()
    line.take(hello()[:part])
    line.channel.lost()
    line.settle()
    assert line.failure is not None
    assert line.failure.cause is cause


def test_a_connection_that_goes_away_later_is_no_failure() -> None:
    line, peer = server_line(), Peer(peer_context())
    line.shake(peer)
    line.channel.lost()
    line.settle()
    assert line.failure is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_old_versions_are_refused(version: ssl.TLSVersion) -> None:
    context = peer_context(ciphers="DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    line, peer = server_line(), Peer(context)
    line.shake(peer)
    assert line.failure is not None
    assert line.failure.cause is TlsCause.OLD_VERSION
    assert peer.error is not None, "the alert says so to the peer"
    assert peer.error.reason == "TLSV1_ALERT_PROTOCOL_VERSION"


def test_the_least_version_can_be_raised() -> None:
    context = peer_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    line = Line(contexts(OWN, min_version="1.3"))
    line.shake(Peer(context))
    assert line.failure is not None
    assert line.failure.cause is TlsCause.OLD_VERSION


@pytest.mark.parametrize(
    "ciphers", ["AES256-SHA:@SECLEVEL=0", "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES256-GCM-SHA384", "aNULL:@SECLEVEL=0"]
)
def test_weak_ciphers_are_refused(ciphers: str) -> None:
    context = peer_context(ciphers=ciphers)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    line = server_line()
    line.shake(Peer(context))
    assert line.failure is not None
    assert line.failure.cause is TlsCause.NO_COMMON_CIPHER


@pytest.mark.parametrize(
    ("own", "cause"),
    [
        (authority().issue("a.example", begins=NOW - 9 * DAY, ends=NOW - DAY), TlsCause.CERTIFICATE_EXPIRED),
        (authority().issue("a.example", begins=NOW + DAY), TlsCause.CERTIFICATE_NOT_YET_VALID),
        (stranger().issue("a.example"), TlsCause.UNKNOWN_ISSUER),
        (authority().issue("a.example", usage=[ExtendedKeyUsageOID.SERVER_AUTH]), TlsCause.WRONG_PURPOSE),
    ],
    ids=["expired", "not yet", "unknown", "a server's"],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_clients_bad_certificate_is_refused_even_where_none_is_needed(
    own: object, cause: TlsCause, version: ssl.TLSVersion
) -> None:
    context = peer_context(own)  # type: ignore[arg-type]
    context.maximum_version = version
    line = server_line()
    line.shake(Peer(context))
    assert line.failure is not None
    assert line.failure.cause is cause
    assert line.opened is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_without_a_certificate_is_refused_where_one_is_required(version: ssl.TLSVersion) -> None:
    context = peer_context()
    context.maximum_version = version
    line = Line(contexts(OWN, client_certificate="required"))
    line.shake(Peer(context))
    assert line.failure is not None
    assert line.failure.cause is TlsCause.CERTIFICATE_MISSING


def test_a_client_that_does_not_like_our_certificate_is_told_as_such() -> None:
    context = peer_context()
    context.verify_mode = ssl.CERT_REQUIRED
    line = server_line()
    line.shake(Peer(context))
    assert line.failure is not None
    assert line.failure.cause is TlsCause.OUR_CERTIFICATE_REFUSED
    assert "unknown ca" in line.failure.detail


def test_a_handshake_of_any_size_is_not_listened_to() -> None:
    line = server_line(limits=TransportLimits(handshake_bytes=4096))
    line.take(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(5000))
    assert line.failure is not None
    assert line.failure.cause is TlsCause.TOO_LARGE


def test_garbage_in_the_middle_is_a_protocol_error() -> None:
    line = server_line()
    line.take(b"\x16\x03\x01\x00\x05hello")
    assert line.failure is not None
    assert line.failure.cause in (TlsCause.PROTOCOL_ERROR, TlsCause.OLD_VERSION)


def test_renegotiation_ends_the_connection() -> None:
    # Python can't ask for one; what tells it from outside is a record of the handshake on an open connection of TLS
    # 1.2. A real client's is in interop/tls.
    context = peer_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    line, peer = server_line(), Peer(context)
    line.shake(peer)
    first = peer.say(OPTIONS)
    line.take(first + b"\x16")
    assert line.failure is None, "one byte is no header yet"
    line.take(b"\x03\x03\x00\x40" + bytes(64))
    assert line.received == OPTIONS
    assert line.failure is not None
    assert line.failure.cause is TlsCause.RENEGOTIATION


def test_tickets_and_key_updates_of_tls_1_3_are_no_renegotiation() -> None:
    line, peer = server_line(), Peer(peer_context())
    line.shake(peer)
    for _ in range(5):
        line.take(peer.say(OPTIONS))
    assert line.received == 5 * OPTIONS
    assert line.failure is None


def test_many_records_with_next_to_nothing_in_them_are_a_flood() -> None:
    line, peer = server_line(limits=TransportLimits(poor_records=100)), Peer(peer_context())
    line.shake(peer)
    for _ in range(102):
        line.take(peer.say(b"\r\n"))
    assert line.failure is not None
    assert line.failure.cause is TlsCause.RECORD_FLOOD


def test_keep_alives_at_their_pace_are_none() -> None:
    line, peer = server_line(limits=TransportLimits(poor_records=100)), Peer(peer_context())
    line.shake(peer)
    for _ in range(2000):
        line.now += 1
        line.take(peer.say(b"\r\n\r\n"))
    assert line.failure is None


def test_goodbyes_in_good_order() -> None:
    line, peer = server_line(), Peer(peer_context())
    line.shake(peer)
    with pytest.raises(ssl.SSLWantReadError):
        peer.object.unwrap()
    line.take(peer.outgoing.read())
    assert line.ended
    assert line.failure is None
    other, peer = server_line(), Peer(peer_context())
    other.shake(peer)
    other.channel.close()
    assert other.settle(), "a close_notify"
    assert not other.channel.send(b"too late")


# ---------------------------------------------------------------------- where we connect


def dialling(*names: str) -> Line:
    return Line(contexts(authority().issue("us.example")), "out", names=names or ("sip.example.net",))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_proves_its_name(version: ssl.TLSVersion) -> None:
    context = peer_context(OWN, server=True)
    context.maximum_version = version
    line, peer = dialling(), Peer(context, server=True)
    line.shake(peer)
    assert line.opened is not None
    assert line.opened.session == TlsSession(
        version.name.replace("_", "."), line.opened.session.cipher, ("sip.example.net",)
    )
    assert line.channel.send(OPTIONS)
    peer.take(line.settle())
    assert peer.received == OPTIONS


def test_a_name_that_the_trunk_is_known_by_will_do() -> None:
    line = dialling("192.0.2.9", "sip.example.net")
    line.shake(Peer(peer_context(OWN, server=True), server=True))
    assert line.opened is not None


@pytest.mark.parametrize(
    ("own", "cause"),
    [
        (authority().issue("other.example"), TlsCause.WRONG_NAME),
        (authority().issue("*.example.net"), TlsCause.WRONG_NAME),
        (authority().issue("sip.example.net\0.evil.example"), TlsCause.WRONG_NAME),
        (authority().issue(common_name="192.0.2.9"), TlsCause.WRONG_NAME),
        (authority().issue("sip.example.net", ends=NOW - timedelta(hours=1)), TlsCause.CERTIFICATE_EXPIRED),
        (stranger().issue("sip.example.net"), TlsCause.UNKNOWN_ISSUER),
        (authority().issue("sip.example.net", usage=[ExtendedKeyUsageOID.CLIENT_AUTH]), TlsCause.WRONG_PURPOSE),
    ],
    ids=["other name", "wildcard", "NUL", "address in CN", "expired", "unknown", "a client's"],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_does_not(own: object, cause: TlsCause, version: ssl.TLSVersion) -> None:
    context = peer_context(own, server=True)  # type: ignore[arg-type]
    context.maximum_version = version
    line = dialling("sip.example.net", "192.0.2.9")
    peer = Peer(context, server=True)
    line.shake(peer)
    assert line.failure is not None
    assert (line.failure.cause, line.failure.direction) == (cause, "out")
    assert line.opened is None
    if version is ssl.TLSVersion.TLSv1_3:
        assert not peer.is_open, "it is never told that the handshake is done"
    assert not line.channel.send(OPTIONS)
    assert line.settle() == b""


def test_both_names_are_told_where_they_differ() -> None:
    line = dialling()
    line.shake(Peer(peer_context(authority().issue("other.example"), server=True), server=True))
    assert line.failure is not None
    assert str(line.failure) == (
        "the peer's certificate is for another name: it is for other.example, not for sip.example.net"
    )


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (b"SIP/2.0 400 Bad Request\r\n\r\n", TlsCause.PLAIN_SIP),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", TlsCause.PLAIN_HTTP),
        (b"\x15\x03\x01\x00\x02\x02\x46", TlsCause.OLD_VERSION),
        (b"\x15\x03\x01\x00\x02\x02\x28", TlsCause.NO_COMMON_CIPHER),
    ],
)
def test_a_server_that_speaks_otherwise(said: bytes, cause: TlsCause) -> None:
    line = dialling()
    line.channel.begin(line.now)
    assert line.settle().startswith(b"\x16\x03")
    line.take(said)
    assert line.failure is not None
    assert line.failure.cause is cause


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_a_server_of_old_days() -> None:
    context = peer_context(OWN, server=True, ciphers="DEFAULT:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    line = dialling()
    line.shake(Peer(context, server=True))
    assert line.failure is not None
    assert line.failure.cause is TlsCause.OLD_VERSION


def test_a_server_that_wants_our_certificate_gets_it() -> None:
    context = peer_context(OWN, server=True)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority().pem.decode())
    line, peer = dialling(), Peer(context, server=True)
    line.shake(peer)
    assert peer.is_open
    assert ("DNS", "us.example") in (peer.object.getpeercert() or {}).get("subjectAltName", ())


def test_a_server_that_wants_one_that_we_do_not_have_is_told_as_such() -> None:
    context = peer_context(OWN, server=True)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority().pem.decode())
    line = Line(contexts(), "out")
    line.shake(Peer(context, server=True))
    assert line.failure is not None
    assert line.failure.cause is TlsCause.OUR_CERTIFICATE_MISSING


def test_a_server_that_never_answers() -> None:
    line = dialling()
    line.channel.begin(line.now)
    line.settle()
    line.channel.handle_timeout(110.0)
    line.settle()
    assert line.failure is not None
    assert line.failure.cause is TlsCause.TIMEOUT


def test_every_cause_says_what_to_change_and_is_in_the_guide() -> None:
    assert len({cause.slug for cause in TlsCause}) == len(TlsCause)
    guide = (Path(__file__).parents[3] / "docs/guides/encryption.md").read_text()
    for cause in TlsCause:
        assert cause.text
        assert cause.hint
        assert f"| `{cause.slug}` | {cause.text} | {cause.hint} |" in guide
