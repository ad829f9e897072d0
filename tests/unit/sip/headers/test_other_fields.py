"""CSeq, media types, Reason, Replaces, Warning, authentication values."""

import pytest

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.headers import AuthValue, CSeq, MediaType, Reason, Replaces, Warning

pytestmark = pytest.mark.unit


def test_cseq() -> None:
    assert CSeq.parse("0009  INVITE") == CSeq(9, "INVITE")
    assert str(CSeq(2**31 - 1, "BYE")) == "2147483647 BYE"
    with pytest.raises(LocalProtocolError):
        CSeq(2**31, "BYE")
    with pytest.raises(LocalProtocolError):
        CSeq(1, "B YE")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "INVITE",
        "1 2 INVITE",
        "2147483648 INVITE",
        "-1 INVITE",
        "1_0 INVITE",
        "١ INVITE",
        "1e3 A",
        "1\u2003INVITE",
        "1 INV(ITE",
    ],
)
def test_broken_cseq(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        CSeq.parse(text)


def test_media_type() -> None:
    media_type = MediaType.parse('Application / SDP ; charset="utf-8"')
    assert (media_type.name, media_type.params.get("charset")) == ("application/sdp", "utf-8")
    assert str(MediaType("application", "sdp")) == "application/sdp"
    for text in ("", "application", "a/", "/b", "a/b/c", "a b/c", 'a/b;x="'):
        with pytest.raises(RemoteProtocolError):
            MediaType.parse(text)


@pytest.mark.parametrize(
    ("text", "covers"),
    [
        ("*/*", True),
        ("application/*", True),
        ("application/sdp", True),
        ("text/*", False),
        ("application/sdp;q=0", False),
        ("application/sdp;q=0.0", False),
        ("application/sdp;q=0.1", True),
    ],
)
def test_media_ranges(text: str, covers: bool) -> None:
    assert MediaType.parse(text).covers("application/sdp") is covers


@pytest.mark.rfc(3326, "2")
def test_reason() -> None:
    assert Reason.parse('q.850 ; cause=16 ; text="Terminated"') == Reason("Q.850", 16, "Terminated")
    assert Reason.parse("SIP") == Reason("SIP")
    assert str(Reason("SIP", 200, 'say "hi"')) == 'SIP;cause=200;text="say \\"hi\\""'
    for text in ("", ";cause=1", "SIP;cause=1000", "SIP;cause=-1", 'SIP;text="x'):
        with pytest.raises(RemoteProtocolError):
            Reason.parse(text)


@pytest.mark.rfc(3891, "6.1")
def test_replaces() -> None:
    value = Replaces.parse("a@b ;from-tag=f; to-tag=t;early-only")
    assert value == Replaces("a@b", "t", "f", True)
    assert str(value) == "a@b;to-tag=t;from-tag=f;early-only"
    for text in (
        "",
        "a@b",
        "a@b;to-tag=t",
        "a@b;to-tag=t;from-tag=",
        "a b;to-tag=t;from-tag=f",
        "a;to-tag=t;to-tag=u;from-tag=f",
    ):
        with pytest.raises(RemoteProtocolError):
            Replaces.parse(text)
    with pytest.raises(LocalProtocolError):
        Replaces("a;b", "t", "f")


def test_warning() -> None:
    assert Warning.parse('370 gw.example.com "no \\"g\\""') == Warning(370, "gw.example.com", 'no "g"')
    assert str(Warning(399, "gw", "text")) == '399 gw "text"'
    for text in ("", "370", "370 gw", "370 gw text", '1812 gw "x"', '37 gw "x"', '370 gw "x', '370 "x"'):
        with pytest.raises(RemoteProtocolError):
            Warning.parse(text)


def test_authentication_values() -> None:
    value = AuthValue.parse('Digest  username = "a\\"b", realm="r, s",nc=00000001 , qop=auth')
    assert (value.get("username"), value.get("realm"), value.get("nc"), value.get("qop")) == (
        'a"b',
        "r, s",
        "00000001",
        "auth",
    )
    assert AuthValue.parse(str(value)) == value
    assert AuthValue.parse("Later a b c = ,,") == AuthValue("later")
