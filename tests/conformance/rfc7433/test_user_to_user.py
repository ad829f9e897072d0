"""RFC 7433: data of one application for the other, in hexadecimal or not, one value or several, read and written."""

import pytest
from tests.support.messages import request

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.headers import UserToUser
from offhook.sip.readable import readable

pytestmark = pytest.mark.conformance


def values(*lines: str) -> tuple[UserToUser, ...]:
    return readable(request("INVITE", *lines).headers, "User-to-User", UserToUser.parse)


@pytest.mark.rfc(7433, "4.2")
def test_data_in_hexadecimal_with_purpose_and_content() -> None:
    (value,) = values("User-to-User: 56a390f3d2b7310023a2;encoding=hex;purpose=isdn-uui;content=isdn-uui")
    assert value.data == bytes.fromhex("56a390f3d2b7310023a2")
    assert (value.purpose, value.content, value.encoding) == ("isdn-uui", "isdn-uui", "hex")
    assert UserToUser.parse(str(value)) == value


@pytest.mark.rfc(7433, "4.1")
@pytest.mark.parametrize(
    ("text", "data", "encoding"),
    [
        ("48656C6C6F;encoding=HEX", b"Hello", "hex"),
        # Peers leave the parameter out, with digits and with words.
        ("48656c6c6f", b"Hello", "hex"),
        ('"48656c6c6f" ; encoding=hex', b"Hello", "hex"),
        ('"ticket 4711; gold"', b"ticket 4711; gold", ""),
        ("ticket-4711", b"ticket-4711", ""),
        ("abc", b"abc", ""),
        ('"say \\"hi\\""', b'say "hi"', ""),
        ('"plain";encoding=ascii', b"plain", "ascii"),
        ('"";encoding=hex', b"", "hex"),
        ('"Zürich"', "Zürich".encode(), ""),
    ],
)
def test_each_way_in_which_data_stands(text: str, data: bytes, encoding: str) -> None:
    value = UserToUser.parse(text)
    assert (value.data, value.encoding) == (data, encoding)
    assert UserToUser.parse(str(value)) == value


@pytest.mark.rfc(7433, "4.1")
def test_several_values_on_one_line_and_on_several() -> None:
    found = values('User-to-User: "a, b", 6869;encoding=hex;purpose=x', "User-To-User: c")
    assert [value.data for value in found] == [b"a, b", b"hi", b"c"]


@pytest.mark.rfc(7433, "4.2")
@pytest.mark.parametrize("octets", [0, 128, 129, 2048])
def test_128_octets_and_more(octets: int) -> None:
    written = str(UserToUser(bytes(octets), "isdn-uui"))
    assert UserToUser.parse(written).data == bytes(octets)


def test_more_than_can_be_meant_is_refused_both_ways() -> None:
    with pytest.raises(LocalProtocolError):
        UserToUser(bytes(2049))
    for text in ("00" * 2049 + ";encoding=hex", '"' + "x" * 2049 + '"', "0" * 60_000):
        with pytest.raises(RemoteProtocolError):
            UserToUser.parse(text)


@pytest.mark.parametrize(
    "text", ["", ";encoding=hex", "abc;encoding=hex", "zz;encoding=hex", '"open', '"a"b', "a b", "\u00e4"]
)
def test_garbage_is_left_out_and_the_rest_is_read(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        UserToUser.parse(text)
    line = f"User-to-User: {text}".encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    assert [value.data for value in values(line, "User-to-User: 6869;encoding=hex")] == [b"hi"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # What an ISDN user sends begins with a protocol discriminator: 04 is IA5 characters.
        (UserToUser(b"\x04ticket 4711", "isdn-uui"), "ticket 4711"),
        (UserToUser(b"\x00ticket"), "ticket"),
        (UserToUser(b"\x04ticket", "crm"), None),
        (UserToUser("Zürich".encode()), "Zürich"),
        (UserToUser(b"\xff\xfe"), None),
        (UserToUser(b"\x1b[2J"), None),
    ],
)
def test_the_text_in_it(value: UserToUser, text: str | None) -> None:
    assert value.text == text


def test_parameters_of_ours_are_tokens() -> None:
    for options in ({"purpose": "a;b"}, {"content": "x\r\nVia: y"}, {"encoding": "a b"}):
        with pytest.raises(LocalProtocolError):
            UserToUser(b"x", **options)
