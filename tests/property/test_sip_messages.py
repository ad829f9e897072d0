"""Properties of messages: what is built is read back the same, and nothing can break out of its place."""

import string
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.grammar import Params, quote, split_commas, unquote
from offhook.sip.headers import (
    AuthValue,
    CSeq,
    Diversion,
    HistoryInfo,
    MediaType,
    NameAddr,
    Privacy,
    Reason,
    Replaces,
    SessionId,
    UserToUser,
    Via,
    Warning,
)
from offhook.sip.message import Headers, Request, Response
from offhook.sip.parser import KeepAlive, MessageError, StreamParser, parse_datagram, validate
from offhook.sip.uri import OtherUri, SipUri, TelUri, UriParams, parse_uri

pytestmark = pytest.mark.unit

TOKEN_CHARACTERS = string.ascii_letters + string.digits + "-.!%*_+`'~"
DANGEROUS = '\r\n\0\t <>,;:?&=@%"\\()[]/#*é☎\x01\x7f\udc80'

tokens = st.text(TOKEN_CHARACTERS, min_size=1, max_size=12)
plain = st.text(st.sampled_from(string.ascii_letters + string.digits + DANGEROUS), max_size=20)
anything = st.one_of(plain, st.text(max_size=20))
hosts = st.one_of(
    st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){0,3}", fullmatch=True),
    st.ip_addresses().map(str),
)
ports = st.one_of(st.none(), st.integers(0, 65535))
#: Text that a UTF-8 reader with surrogateescape can have made: lone surrogates only from DC80 to DCFF.
wire_text = st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


def attempt(build: Any, *arguments: Any, **named: Any) -> Any:
    """Build a value of ours; None where it is refused as our own mistake, which is the only way to refuse."""
    try:
        return build(*arguments, **named)
    except LocalProtocolError:
        return None


def encodable(text: str) -> bool:
    """Whether text can be written: surrogates other than escaped bytes have no wire form."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == text
    except UnicodeError:
        return False


printable = anything.filter(encodable)

sip_uris = st.builds(
    SipUri,
    hosts,
    ports,
    st.one_of(st.none(), printable.filter(bool)),
    st.none(),
    st.dictionaries(printable.filter(bool), st.one_of(st.none(), printable), max_size=4).map(UriParams),
    st.lists(st.tuples(printable.filter(bool), printable), max_size=3).map(tuple),
    st.sampled_from(["sip", "sips"]),
)
header_params = st.dictionaries(
    tokens, st.one_of(st.none(), wire_text.filter(lambda text: not set(text) & set("\r\n\0"))), max_size=4
).map(Params)
names = wire_text.filter(lambda text: not set(text) & set("\r\n\0"))


@given(sip_uris)
def test_a_built_uri_is_read_back_the_same(uri: SipUri) -> None:
    again = parse_uri(str(uri))
    assert isinstance(again, SipUri)
    assert (again.host, again.port, again.user, again.headers) == (uri.host, uri.port, uri.user, uri.headers)
    assert list(again.params) == list(uri.params)
    assert again.equivalent(uri)
    assert str(again) == str(uri)


@given(st.from_regex(r"(\+[0-9]{1,15}|[0-9A-Fa-f*#]{1,15})", fullmatch=True), st.dictionaries(tokens, printable))
def test_a_built_tel_uri_is_read_back_the_same(number: str, params: dict[str, str | None]) -> None:
    uri = TelUri(number, UriParams(params))
    again = parse_uri(str(uri))
    assert again == uri


@given(wire_text.filter(lambda text: not set(text) & set("\r\n\0")))
def test_a_quoted_string_is_read_back_the_same(text: str) -> None:
    assert unquote(quote(text)) == text
    assert split_commas(f"{quote(text)}, {quote(text)}") == [quote(text)] * 2


@given(sip_uris, names, header_params)
def test_a_built_address_is_read_back_the_same(uri: SipUri, name: str, params: Params) -> None:
    address = NameAddr(uri, name, params)
    again = NameAddr.parse(str(address))
    assert (again.display_name, str(again.uri), list(again.params)) == (name, str(uri), list(params))
    assert split_commas(f"{address}, {address}") == [str(address)] * 2


@given(st.builds(Via, tokens, hosts, ports, header_params.map(lambda p: p.without("branch").without("rport"))))
@example(Via("wss", "192.0.2.1"))
def test_a_built_via_is_read_back_the_same(via: Via) -> None:
    again = Via.parse(str(via))
    assert (again.sent_by, again.transport, again.params) == (via.sent_by, via.transport, via.params)


@given(st.data())
def test_other_built_fields_are_read_back_the_same(data: st.DataObject) -> None:
    cseq = CSeq(data.draw(st.integers(0, 2**31 - 1)), data.draw(tokens))
    assert CSeq.parse(str(cseq)) == cseq
    reason = Reason(data.draw(tokens).upper(), data.draw(st.one_of(st.none(), st.integers(0, 999))), data.draw(names))
    assert Reason.parse(str(reason)) == reason
    warning = Warning(data.draw(st.integers(100, 999)), data.draw(tokens), data.draw(names))
    assert Warning.parse(str(warning)) == warning
    media_type = MediaType(data.draw(tokens).lower(), data.draw(tokens).lower(), data.draw(header_params))
    assert MediaType.parse(str(media_type)) == media_type
    replaces = Replaces(data.draw(tokens), data.draw(tokens), data.draw(tokens), data.draw(st.booleans()))
    assert Replaces.parse(str(replaces)) == replaces
    auth = AuthValue("digest", tuple({data.draw(tokens).lower(): data.draw(names) for _ in range(3)}.items()))
    assert AuthValue.parse(str(auth)) == auth


@settings(max_examples=300)
@given(
    st.lists(st.tuples(anything, anything), max_size=5),
    anything,
    anything,
    anything,
    anything,
    anything,
    st.binary(max_size=50),
)
def test_a_built_message_has_exactly_the_fields_meant(
    fields: list[tuple[str, str]], method: str, user: str, host: str, name: str, reason: str, body: bytes
) -> None:
    kept = [
        (have, value)
        for have, value in fields
        if encodable(have + value)
        and attempt(Headers, [(have, value)]) is not None
        and have.lower() not in ("l", "content-length")
    ]
    uri = attempt(SipUri, host, None, user if encodable(user) else None) or SipUri("example.org")
    headers = Headers(kept)
    address = attempt(NameAddr, uri, name if encodable(name) else "")
    if address is not None:
        headers = headers.adding("X-Address", str(address))
    request = attempt(Request, method, uri, headers, body) or Request("OPTIONS", uri, headers, body)
    again = parse_datagram(bytes(request))
    assert isinstance(again, Request)
    assert (again.method, str(again.request_uri), again.body) == (request.method, str(uri), body)
    assert list(again.headers) == list(headers)
    response = attempt(Response, 200, reason if encodable(reason) else "", headers, body) or Response(
        200, "OK", headers, body
    )
    answered = parse_datagram(bytes(response))
    assert isinstance(answered, Response)
    assert list(answered.headers) == list(headers)
    assert answered.body == body


@given(st.sampled_from(["From", "Subject", "X-Any", "Contact", "Via"]), st.text(), st.text())
def test_no_line_end_is_ever_added(name: str, before: str, after: str) -> None:
    for mark in ("\r\n", "\n", "\r", "\0"):
        value = before + mark + after
        if value.strip(" \t") != value or not value:
            continue
        with pytest.raises(LocalProtocolError):
            Headers([(name, value)])
        with pytest.raises(LocalProtocolError):
            Headers().adding(name, value)
        with pytest.raises(LocalProtocolError):
            Headers().replacing(name, value)
        with pytest.raises(LocalProtocolError):
            NameAddr(SipUri("h"), value)
        with pytest.raises(LocalProtocolError):
            OtherUri("x", value)


NAMES = ["Via", "v", "From", "t", "Contact", "m", "CSeq", "Route", "l", "X-y", "Require"]
SOUND = [
    "Via: SIP/2.0/UDP h;branch=z9hG4bKa",
    "From: <sip:a@b>;tag=1",
    "To: <sip:c@d>",
    "Call-ID: x",
    "CSeq: 1 INVITE",
    "Content-Length: 0",
    " fold",
    "Contact: <sip:a@b>, <sip:c@d>",
]
ROWS = st.lists(
    st.one_of(st.builds("{}: {}".format, st.sampled_from(NAMES), wire_text), wire_text, st.sampled_from(SOUND)),
    max_size=10,
)
READ = ("vias", "from_", "to", "call_id", "cseq", "max_forwards", "contacts", "routes", "record_routes", "content_type")
PARSERS = (
    Via.parse,
    NameAddr.parse,
    CSeq.parse,
    MediaType.parse,
    Reason.parse,
    Replaces.parse,
    Warning.parse,
    AuthValue.parse,
    parse_uri,
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["INVITE sip:a@b SIP/2.0", "SIP/2.0 200 OK", "X y:z SIP/2.0", ""]),
    ROWS,
    st.sampled_from(["\r\n", "\n"]),
    st.binary(max_size=20),
)
def test_nothing_but_message_errors_and_both_readers_agree(start: str, rows: list[str], eol: str, body: bytes) -> None:
    head = eol.join([start, *rows, "", ""]).encode("utf-8", "surrogateescape")
    check_reading(head + body)


@settings(max_examples=400)
@given(st.binary(max_size=300))
def test_nothing_but_message_errors_for_any_bytes(data: bytes) -> None:
    check_reading(data)


def check_reading(data: bytes) -> None:
    """Read bytes both ways: only MessageError, a fixed point after printing, and the same message on a stream."""
    try:
        message = parse_datagram(data)
    except MessageError as error:
        if error.partial is not None:
            bytes(error.partial.response(error.status_hint))
        return
    printed = bytes(message)
    assert parse_datagram(printed) == message
    assert bytes(parse_datagram(printed)) == printed
    streamed = StreamParser().receive(printed)
    assert [got for got in streamed if not isinstance(got, KeepAlive)] == [message]
    try:
        validate(message)
    except MessageError:
        return
    for name in (
        "vias",
        "from_",
        "to",
        "call_id",
        "cseq",
        "max_forwards",
        "contacts",
        "routes",
        "record_routes",
        "content_type",
    ):
        getattr(message, name)
    if isinstance(message, Request):
        validate(message.response(404, to_tag="t"))
        stamped = message.received_from("192.0.2.77", 5099, force_rport=True)
        assert (stamped.via.received, stamped.via.rport) == ("192.0.2.77", 5099)
        assert stamped.vias[1:] == message.vias[1:]


@given(wire_text)
def test_typed_fields_raise_one_error_only(text: str) -> None:
    for parse in (
        Via.parse,
        NameAddr.parse,
        CSeq.parse,
        MediaType.parse,
        Reason.parse,
        Replaces.parse,
        Warning.parse,
        AuthValue.parse,
        Diversion.parse,
        HistoryInfo.parse,
        Privacy.parse,
        SessionId.parse,
        UserToUser.parse,
        parse_uri,
    ):
        try:
            value = parse(text)
        except RemoteProtocolError:
            continue
        assert isinstance(value, AuthValue) or parse(str(value)) == value
