"""Tokens, quoting, lists, parameters and strict numbers."""

import json

import pytest

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.grammar import (
    MAX_PARAMS,
    Params,
    has_bare_control,
    is_token,
    parse_delta_seconds,
    parse_uint,
    quote,
    readable,
    split_commas,
    split_host_port,
    unquote,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "+1", "-1", "1_0", "0x10", "1e3", "1.0", "inf", "NaN", "١", "²", "1\n", "\0"]
)
def test_only_ascii_digits_are_a_number(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_uint(text, 2**40, "number")
    with pytest.raises(RemoteProtocolError):
        parse_delta_seconds(text, "number")


def test_numbers_and_their_bounds() -> None:
    assert parse_uint("0" * 60 + "12", 12, "number") == 12
    assert parse_uint("0" * 60, 12, "number") == 0
    for text in ("13", "9" * 21, "1" * 100_000):
        with pytest.raises(RemoteProtocolError):
            parse_uint(text, 12, "number")
    assert parse_delta_seconds("4294967296", "seconds") == 2**32 - 1
    assert parse_delta_seconds("9" * 1000, "seconds") == 2**32 - 1
    assert parse_delta_seconds("0" * 1000 + "7", "seconds") == 7


@pytest.mark.parametrize("text", ["", "a", 'say "hi"', "back\\slash", "tab\there", "ünï", "\x01\x7f", '\\"', "\udcff"])
def test_quote_and_unquote(text: str) -> None:
    quoted = quote(text)
    assert unquote(quoted) == text
    assert not has_bare_control(quoted)


@pytest.mark.parametrize("text", ["a\rb", "a\nb"])
def test_no_line_end_in_quotes(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        quote(text)


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("plain\ttext", False),
        ("a\x01b", True),
        ('"a\x01b"', True),
        ('"a\\\x01b"', False),
        ('"a\\\\\x01b"', True),
        ("a\\\x01b", True),
        ('"a" \x7f', True),
        ('"\\\r"', True),
        ('"\\\n"', True),
        ('"\\\0"', False),
    ],
)
def test_control_characters_live_only_as_quoted_pairs(text: str, bare: bool) -> None:
    assert has_bare_control(text) is bare


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a", ["a"]),
        ("a , b", ["a", "b"]),
        ('"x,y" <sip:a@b>, c', ['"x,y" <sip:a@b>', "c"]),
        ("", [""]),
        ("<sip:a,b@c>,d", ["<sip:a,b@c>", "d"]),
        ('"a\\",b",c', ['"a\\",b"', "c"]),
        ("a,,b", ["a", "", "b"]),
    ],
)
def test_lists(text: str, pieces: list[str]) -> None:
    assert split_commas(text) == pieces


@pytest.mark.parametrize(("text", "status"), [('"a', 400), ("<a", 400), ("," * 200, 513), ('"",' * 200, 513)])
def test_broken_lists(text: str, status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        split_commas(text)
    assert caught.value.status_hint == status


def test_parameters() -> None:
    params = Params.parse(' ; A = "x;\\"y" ;b;c=[::1] ; d=2001:db8::1;a=second'.lstrip())
    assert list(params) == [("A", 'x;"y'), ("b", None), ("c", "[::1]"), ("d", "2001:db8::1"), ("a", "second")]
    assert (params.get("a"), params.get("B"), params.get("z"), params.count("a")) == ('x;"y', "", None, 2)
    assert "B" in params
    assert str(params.replacing("a", "n w")) == ';a="n w";b;c=[::1];d=2001:db8::1'
    assert str(params.without("A")) == ";b;c=[::1];d=2001:db8::1"


@pytest.mark.parametrize(
    "text", [";", ";;a", ";a;", ";=b", ";a b", ";a=b c", ';a="b', ';a="b"c', ";a=<b>", ";a=b,c", ";ä=1", ";a=\0"]
)
def test_broken_parameters(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Params.parse(text)


def test_parameters_are_counted() -> None:
    assert len(Params.parse(";a" * MAX_PARAMS)) == MAX_PARAMS
    with pytest.raises(RemoteProtocolError):
        Params.parse(";a" * (MAX_PARAMS + 1))


def test_our_parameters_are_checked() -> None:
    assert str(Params({"tag": "a;b", "lr": None, "received": "2001:db8::1"})) == ';tag="a;b";lr;received=2001:db8::1'
    with pytest.raises(LocalProtocolError):
        Params({"a b": "c"})
    with pytest.raises(LocalProtocolError):
        Params({"a": "c\r\nd"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("h", ("h", None)), ("h:1", ("h", 1)), ("h : 1", ("h", 1)), ("[::1]", ("::1", None)), ("[::1] : 2", ("::1", 2))],
)
def test_host_and_port(text: str, expected: tuple[str, int | None]) -> None:
    assert split_host_port(text, "Via") == expected


def test_tokens() -> None:
    assert is_token("aZ09-.!%*_+`'~")
    assert not any(map(is_token, ("", "a b", "a:b", "ä", "a\n", "a(b)")))


def test_readable_text_is_valid_json() -> None:
    text = readable(b"caf\xe9 \xc3\xa9".decode("utf-8", "surrogateescape"))
    assert text == "caf\ufffd é"
    json.dumps(text, ensure_ascii=False).encode()
