"""SIP, tel and other URIs: parts, escapes, comparison, building."""

from dataclasses import replace

import pytest

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.uri import OtherUri, SipUri, TelUri, UriParams, parse_sip_uri, parse_uri, sip_uri_from_tel

pytestmark = pytest.mark.unit


def sip(text: str) -> SipUri:
    uri = parse_uri(text)
    assert isinstance(uri, SipUri)
    return uri


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:example.com", None, "example.com", None),
        ("sip:desk@example.com:5080", "desk", "example.com", 5080),
        ("SIPS:desk@Example.COM", "desk", "Example.COM", None),
        ("sip:desk@[2001:db8::7]:5061;lr", "desk", "2001:db8::7", 5061),
        ("sip:[2001:db8::7]", None, "2001:db8::7", None),
        ("sip:+1415;phone-context=x@192.0.2.1", "+1415;phone-context=x", "192.0.2.1", None),
        ("sip:*21#@pbx_1.example.com", "*21#", "pbx_1.example.com", None),
        ("sip:a?b/c@example.com", "a?b/c", "example.com", None),
    ],
)
def test_parts(text: str, user: str | None, host: str, port: int | None) -> None:
    uri = sip(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)
    assert str(uri) == text, "a parsed URI is written back as it came"


def test_password_parameters_and_headers() -> None:
    uri = sip("sip:a:s%3Acret@example.com;transport=TCP;lr;x=%41?Replaces=1%40h%3Bto-tag%3Da&Subject=hi%20there")
    assert (uri.password, uri.transport, uri.is_loose_router, uri.params.get("X")) == ("s:cret", "tcp", True, "A")
    assert uri.header("replaces") == "1@h;to-tag=a"
    assert str(uri.without_headers()) == "sip:a:s%3Acret@example.com;transport=TCP;lr;x=%41"
    assert "cret" not in repr(uri)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "desk@example.com",
        "sip:",
        "sip:@example.com",
        "sip:a@",
        "sip:a@b@c",
        "sip:a b@example.com",
        "sip:a@exa mple",
        "sip:a@example.com:",
        "sip:a@example.com:65536",
        "sip:a@example.com:+1",
        "sip:a@example.com:5_0",
        "sip:a@h:٥",
        "sip:a@[::1",
        "sip:a@[::g]",
        "sip:a@[fe80::1%25eth0]",
        "sip:a@[::1]x",
        "sip:a%4@example.com",
        "sip:a%zz@example.com",
        "sip:a@example.com;=b",
        "sip:a@example.com;;lr",
        "sip:a@example.com;x=%1",
        "sip:a@example.com?=1",
        "sip:<a@example.com>",
        'sip:"a"@example.com',
        "sip:a@example.com\r\nX: y",
        "sip:a\0@example.com",
        "sip:a@" + "h" * 256,
        "1sip:a@example.com",
        "tel:",
        "tel:+",
        "tel:12a+3",
        "tel:+1;=x",
        "http:",
    ],
)
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_uri(text)


def test_too_many_parameters() -> None:
    with pytest.raises(RemoteProtocolError):
        parse_uri("sip:a@example.com" + ";p" * 100)


@pytest.mark.rfc(3261, "19.1.4")
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a%3bb@h", "sip:a%3Bb@h"),
        ("tel:+1-201-555-0123", "tel:+1(201)5550123"),
        ("tel:7042;phone-context=Example.com", "tel:70-42;PHONE-CONTEXT=example.com"),
        ("tel:+1;ext=1-2;isub=a", "tel:+1;isub=A;ext=12"),
        ("urn:service:sos", "URN:service:sos"),
    ],
)
def test_equivalent(left: str, right: str) -> None:
    assert parse_uri(left).equivalent(parse_uri(right))
    assert parse_uri(right).equivalent(parse_uri(left))


@pytest.mark.rfc(3261, "19.1.4")
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
        ("sip:bob@biloxi.com;user=phone", "sip:bob@biloxi.com"),
        ("sip:a;b@h", "sip:a%3Bb@h"),
        ("sip:bob@h", "sip:h"),
        ("sip:%00@h", "sip:%00%00@h"),
        ("tel:+12015550123", "tel:12015550123"),
        ("tel:1", "tel:1;phone-context=x"),
        ("tel:+1", "sip:+1@h"),
        ("urn:service:sos", "urn:service:fire"),
    ],
)
def test_not_equivalent(left: str, right: str) -> None:
    assert not parse_uri(left).equivalent(parse_uri(right))
    assert not parse_uri(right).equivalent(parse_uri(left))


def test_building_escapes_what_would_break_out() -> None:
    uri = SipUri(
        "example.com",
        5070,
        'a@b>;?x" é',
        "p:w@",
        UriParams({"x y": "a;b=c?", "lr": None}),
        (("To", "<sip:a@b>;tag=1"),),
    )
    text = str(uri)
    assert text.count("@") == 1
    assert not set(text) & set(' "<>\r\n')
    again = sip(text)
    assert (again.user, again.password, again.host, again.port) == ('a@b>;?x" é', "p:w@", "example.com", 5070)
    assert again.params.get("x y") == "a;b=c?"
    assert again.headers == (("To", "<sip:a@b>;tag=1"),)


def test_a_changed_uri_is_written_anew() -> None:
    uri = sip("sip:%61@example.com;lr")
    assert str(replace(uri, port=5080)) == "sip:a@example.com:5080;lr"
    assert str(replace(uri, params=uri.params.replacing("transport", "tcp"))) == "sip:a@example.com;lr;transport=tcp"
    assert str(replace(uri, params=uri.params.without("LR"))) == "sip:a@example.com"


@pytest.mark.parametrize(
    "host", ["", "a b", "a\r\nb", "a@b", "a;b", "a>b", "exa/mple", "[::1]", "::zz", "fe80::1%eth0", "ä"]
)
def test_a_host_of_ours_is_checked(host: str) -> None:
    with pytest.raises(LocalProtocolError):
        SipUri(host)


def test_other_parts_of_ours_are_checked() -> None:
    with pytest.raises(LocalProtocolError):
        SipUri("h", 70000)
    with pytest.raises(LocalProtocolError):
        SipUri("h", user="")
    with pytest.raises(LocalProtocolError):
        SipUri("h", scheme="tel")  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError):
        OtherUri("x", "a b")
    with pytest.raises(LocalProtocolError):
        TelUri("+1\r\n2")


def test_tel() -> None:
    uri = parse_uri("tel:+1-(415).555-0100;phone-context=+1;x=%41")
    assert isinstance(uri, TelUri)
    assert (uri.number, uri.is_global, uri.phone_context, uri.params.get("x")) == ("+14155550100", True, "+1", "A")
    assert str(uri) == "tel:+1-(415).555-0100;phone-context=+1;x=%41"
    assert str(TelUri("+1415", UriParams({"ext": "12"}))) == "tel:+1415;ext=12"
    assert str(sip_uri_from_tel(TelUri("+1415"), "gw.example.com")) == "sip:+1415@gw.example.com;user=phone"


def test_an_unknown_scheme_is_kept_and_not_taken_for_sip() -> None:
    uri = parse_uri("B0119:532@192.0.2.59")
    assert isinstance(uri, OtherUri)
    assert (uri.scheme, uri.opaque, str(uri)) == ("b0119", "532@192.0.2.59", "B0119:532@192.0.2.59")
    with pytest.raises(RemoteProtocolError) as caught:
        parse_sip_uri("B0119:532@192.0.2.59")
    assert caught.value.status_hint == 416


def test_bytes_that_are_no_utf8_survive() -> None:
    raw = b"sip:\xff\xfe@example.com;x=%FF".decode("utf-8", "surrogateescape")
    uri = sip(raw)
    assert str(uri) == raw
    assert str(replace(uri, port=1)) == "sip:%FF%FE@example.com:1;x=%FF"
