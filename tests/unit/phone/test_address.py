"""Whom to call and who calls, as people write it."""

import pytest

from offhook.phone.address import UsageError, read_codecs, read_from, read_header, read_listen, read_uri

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:hello@127.0.0.1", "sip:hello@127.0.0.1"),
        ("hello@127.0.0.1", "sip:hello@127.0.0.1"),
        ("127.0.0.1:5080", "sip:127.0.0.1:5080"),
        ("+14155550100@sip.example.net", "sip:+14155550100@sip.example.net"),
        ("  SIP:a@b;transport=TCP ", "SIP:a@b;transport=TCP"),
        ("sip:a@[2001:db8::1]:5070", "sip:a@[2001:db8::1]:5070"),
        ("sips:a@b", "sips:a@b"),
        ("sip:a@b;transport=tls", "sip:a@b;transport=tls"),
    ],
)
def test_what_can_be_called(text: str, uri: str) -> None:
    assert str(read_uri(text)).lower() == uri.lower()


def test_the_option_wins_over_the_uri() -> None:
    assert read_uri("sip:a@b;transport=udp", "tcp").transport == "tcp"
    assert read_uri("a@b", "tcp").transport == "tcp"
    assert read_uri("sip:a@b;transport=tls", "udp").transport == "udp"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("tel:+14155550100", "sip:+14155550100@HOST"),
        ("sips:a@b;transport=udp", "leave the transport out"),
        ("sip:a@b;transport=ws", "udp, tcp or tls"),
        ("sip:", "USER@HOST"),
        ("a b@c", "USER@HOST"),
    ],
)
def test_what_can_not_be_called(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        read_uri(text)
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("+14155550100", "<sip:+14155550100@192.0.2.1>"),
        ("alice@example.net", "<sip:alice@example.net>"),
        ("sip:alice@example.net", "<sip:alice@example.net>"),
        ('"Al" <sip:alice@example.net>', '"Al" <sip:alice@example.net>'),
        ("tel:+14155550100", "<tel:+14155550100>"),
    ],
)
def test_who_calls(text: str, written: str) -> None:
    assert str(read_from(text, "192.0.2.1")) == written


def test_headers_are_one_line_and_not_the_phones_own() -> None:
    assert read_header("X-Queue:  sales ") == ("X-Queue", "sales")
    for wrong in ("X-Queue", "Via: x", "X Queue: y", "X: a\r\nVia: b", ": x"):
        with pytest.raises(UsageError):
            read_header(wrong)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", (None, 0)),
        ("192.0.2.1", ("192.0.2.1", 0)),
        ("192.0.2.1:5070", ("192.0.2.1", 5070)),
        (":5070", (None, 5070)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]:5070", ("2001:db8::1", 5070)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
    ],
)
def test_local_addresses(text: str, found: tuple[str | None, int]) -> None:
    assert read_listen(text) == found


def test_local_addresses_that_are_none() -> None:
    for wrong in ("0.0.0.0", "host", "192.0.2.1:x", "192.0.2.1:70000", "::"):
        with pytest.raises(UsageError):
            read_listen(wrong)


def test_codecs_in_the_order_of_preference() -> None:
    assert read_codecs("") == ("PCMU", "PCMA")
    assert read_codecs("pcma, PCMU") == ("PCMA", "PCMU")
    with pytest.raises(UsageError):
        read_codecs("PCMU,G729")
