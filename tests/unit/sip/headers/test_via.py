"""Via: reading, received and rport."""

import pytest

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.grammar import Params
from offhook.sip.headers import Via

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "transport", "sent_by", "branch"),
    [
        ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa", "UDP", ("192.0.2.1", 5060), "z9hG4bKa"),
        ("SIP/2.0/tls Edge.example.com", "TLS", ("edge.example.com", 5061), None),
        ("sip / 2.0 /\tTCP   [2001:db8::1]:5070 ; branch = x", "TCP", ("2001:db8::1", 5070), "x"),
        ("SIP/2.0/WSS abc.invalid;branch=z9hG4bK1", "WSS", ("abc.invalid", 5061), "z9hG4bK1"),
        ("SIP/2.0/UDP h : 5080", "UDP", ("h", 5080), None),
    ],
)
def test_reading(text: str, transport: str, sent_by: tuple[str, int], branch: str | None) -> None:
    via = Via.parse(text)
    assert (via.transport, via.sent_by, via.branch) == (transport, sent_by, branch)
    assert str(via) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0 UDP h",
        "SIP/2.0/UDP ;branch=a",
        "SIP/2.0/UDP h;branch=",
        "SIP/2.0/UDP h;branch=a;branch=b",
        "SIP/2.0/UDP h;;",
        "SIP/2.0/UDP h i",
        "SIP/2.0/U DP h",
        "SIP/2.0/UDP h:99999",
        "SIP/2.0/UDP h;rport=65536",
        "SIP/2.0/UDP h;rport=-1",
        "SIP/2.0/UDP <h>",
        "/2.0/UDP h",
        "SIP//UDP h",
    ],
)
def test_broken(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Via.parse(text)


@pytest.mark.rfc(3581, "4")
def test_stamping_with_rport() -> None:
    via = Via.parse("SIP/2.0/UDP 10.0.0.5:5060;rport;branch=z9hG4bK1").stamped("203.0.113.5", 40112)
    assert str(via) == "SIP/2.0/UDP 10.0.0.5:5060;rport=40112;branch=z9hG4bK1;received=203.0.113.5"


@pytest.mark.rfc(3261, "18.2.1")
@pytest.mark.parametrize(
    ("text", "host", "expected"),
    [
        ("SIP/2.0/UDP 192.0.2.1;branch=a", "192.0.2.1", "SIP/2.0/UDP 192.0.2.1;branch=a"),
        ("SIP/2.0/UDP 192.0.2.1;branch=a", "192.0.2.9", "SIP/2.0/UDP 192.0.2.1;branch=a;received=192.0.2.9"),
        ("SIP/2.0/UDP a.example;branch=a", "192.0.2.9", "SIP/2.0/UDP a.example;branch=a;received=192.0.2.9"),
        ("SIP/2.0/UDP h;branch=a;received=6.6.6.6", "192.0.2.9", "SIP/2.0/UDP h;branch=a;received=192.0.2.9"),
        ("SIP/2.0/UDP 192.0.2.1;received=6.6.6.6", "192.0.2.1", "SIP/2.0/UDP 192.0.2.1"),
        (
            "SIP/2.0/UDP [2001:db8::1];branch=a",
            "2001:db8::9",
            "SIP/2.0/UDP [2001:db8::1];branch=a;received=2001:db8::9",
        ),
    ],
)
def test_stamping_without_rport(text: str, host: str, expected: str) -> None:
    assert str(Via.parse(text).stamped(host, 5060)) == expected


def test_rport_is_forced_for_peers_behind_nat() -> None:
    via = Via.parse("SIP/2.0/UDP 10.0.0.5;branch=a").stamped("203.0.113.5", 40112, force_rport=True)
    assert (via.received, via.rport) == ("203.0.113.5", 40112)


def test_a_forged_rport_is_replaced() -> None:
    via = Via.parse("SIP/2.0/UDP 10.0.0.5;rport=1;received=6.6.6.6;branch=a").stamped("203.0.113.5", 40112)
    assert (via.received, via.rport) == ("203.0.113.5", 40112)


def test_the_cookie_needs_something_behind_it() -> None:
    assert Via.parse("SIP/2.0/UDP h;branch=z9hG4bKx").has_magic_cookie
    assert not Via.parse("SIP/2.0/UDP h;branch=z9hG4bK").has_magic_cookie
    assert not Via.parse("SIP/2.0/UDP h").has_magic_cookie


def test_building() -> None:
    via = Via("TCP", "2001:db8::1", 5070, Params({"branch": "z9hG4bKq", "rport": None}))
    assert str(via) == "SIP/2.0/TCP [2001:db8::1]:5070;branch=z9hG4bKq;rport"
    assert Via.parse(str(via)) == via
    with pytest.raises(LocalProtocolError):
        Via("U DP", "h")
    with pytest.raises(LocalProtocolError):
        Via("UDP", "h\r\nX: y")


def test_salvage_finds_where_to_answer() -> None:
    via = Via.salvage("SIP/2.0/UDP 192.0.2.1:5070;;branch=z9hG4bKx;,;,,")
    assert via is not None
    assert (via.sent_by, via.branch) == (("192.0.2.1", 5070), "z9hG4bKx")
    assert Via.salvage("nothing of use") is None
