"""name-addr: display names, brackets, parameters."""

import pytest

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.grammar import Params
from offhook.sip.headers import NameAddr
from offhook.sip.uri import SipUri

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "name", "uri", "tag"),
    [
        ("sip:a@b", "", "sip:a@b", None),
        ("sip:a@b ; tag=x", "", "sip:a@b", "x"),
        ("sip:a@b;lr;tag=x", "", "sip:a@b", "x"),
        ("<sip:a@b;lr>;tag=x", "", "sip:a@b;lr", "x"),
        ("Ann <sip:a@b>", "Ann", "sip:a@b", None),
        ("Ann<sip:a@b>", "Ann", "sip:a@b", None),
        ("Ann Bee, Ltd. <sip:a@b>", "Ann Bee, Ltd.", "sip:a@b", None),
        ("Žofie <sip:a@b>", "Žofie", "sip:a@b", None),
        ("bob@example.com <sip:a@b>", "bob@example.com", "sip:a@b", None),
        ('"A \\"B\\" <x>" <sip:a@b>;tag=1', 'A "B" <x>', "sip:a@b", "1"),
        ('""<sip:a@b>', "", "sip:a@b", None),
        ('"+1 415"<sip:a@b>  ;tag=1', "+1 415", "sip:a@b", "1"),
        ("<tel:+1415>;tag=t", "", "tel:+1415", "t"),
        ('sip:a@b;x="<y>"', "", "sip:a@b", None),
    ],
)
def test_reading(text: str, name: str, uri: str, tag: str | None) -> None:
    address = NameAddr.parse(text)
    assert (address.display_name, str(address.uri), address.tag) == (name, uri, tag)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<>",
        "Ann",
        "<sip:a@b",
        '"Ann <sip:a@b>',
        '"Ann" sip:a@b',
        '"Ann" x <sip:a@b>',
        "<sip:a@b>x",
        "<sip:a@b>,<sip:c@d>",
        "sip:a@b?Route=x",
        "sip:a,b@c",
        "< sip:a@b>",
        "<sip:a@b >",
        "sip:x@y;tag=1<sip:a@b>",
        "<<sip:a@b>>",
        "a>b <sip:a@b>",
        "<sip:a@b>;tag=a b",
    ],
)
def test_broken(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        NameAddr.parse(text)


def test_building_and_tagging() -> None:
    address = NameAddr(SipUri("example.com", user="a"), 'O"Hara')
    assert str(address) == '"O\\"Hara" <sip:a@example.com>'
    assert str(address.with_tag("t1")) == '"O\\"Hara" <sip:a@example.com>;tag=t1'
    assert str(NameAddr.parse("sip:a@b;x=1").with_tag("t")) == "<sip:a@b>;x=1;tag=t"
    assert NameAddr.parse(str(address)) == address
    for name in ("a\r\nb", "a\0"):
        with pytest.raises(LocalProtocolError):
            NameAddr(SipUri("h"), name)
    with pytest.raises(LocalProtocolError):
        address.with_tag("a b")


@pytest.mark.parametrize(
    ("q", "value"),
    [("0.5", 0.5), ("1", 1.0), (".3", 0.3), ("0", 0.0), ("nan", 1.0), ("7", 1.0), ("1e9", 1.0), ("", 1.0)],
)
def test_q(q: str, value: float) -> None:
    assert NameAddr(SipUri("h"), params=Params({"q": q})).q == value
