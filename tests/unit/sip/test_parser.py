"""Framing and reading: line ends, folding, lengths, streams, keep-alives, limits."""

import pytest

from offhook.sip.message import Message, Request, Response
from offhook.sip.parser import KeepAlive, Limits, MessageError, StreamParser, parse_datagram, validate

pytestmark = pytest.mark.unit


def options(*rows: str, body: bytes = b"", length: str | None = None, eol: str = "\r\n") -> bytes:
    head = [
        "OPTIONS sip:gw.example.org SIP/2.0",
        "Via: SIP/2.0/TCP 192.0.2.7;branch=z9hG4bKp1",
        "From: <sip:peer@example.com>;tag=p",
        "To: <sip:gw.example.org>",
        "Call-ID: parser-1",
        "CSeq: 1 OPTIONS",
        *rows,
    ]
    if length != "":
        head.append(f"Content-Length: {len(body) if length is None else length}")
    return eol.join([*head, "", ""]).encode("utf-8", "surrogateescape") + body


def refused(data: bytes, limits: Limits | None = None) -> MessageError:
    with pytest.raises(MessageError) as caught:
        validate(parse_datagram(data, limits or Limits()), limits or Limits())
    return caught.value


# --- datagrams -----------------------------------------------------------------------------------------------------


def test_compact_names_case_and_blanks_before_the_colon() -> None:
    message = parse_datagram(options("k:timer,  path", "X-Own \t:  a  ", "m: <sip:a@b>", "SUPPORTED: gruu"))
    assert message.supported == ("timer", "path", "gruu")
    assert message.headers.get("x-own") == "a"
    assert message.headers.get("M") == "<sip:a@b>"
    assert [name for name, _ in message.headers][5:] == ["Supported", "X-Own", "Contact", "Supported"]


@pytest.mark.rfc(3261, "7.3.1")
def test_folds_are_one_blank() -> None:
    message = parse_datagram(options("Subject: a\r\n\t b\r\n   c", "X-Empty:", "X-Then:\r\n d"))
    assert message.headers.get("Subject") == "a b c"
    assert message.headers.get("X-Empty") == ""
    assert message.headers.get("X-Then") == "d"


@pytest.mark.rfc(3261, "7.5")
def test_line_ends_before_the_start_line_are_ignored() -> None:
    assert parse_datagram(b"\r\n\r\n" + options()) == parse_datagram(options())


def test_unknown_methods_and_headers_are_kept() -> None:
    data = options('X-Strange: ;;,"<', "P-Own: 1").replace(b"OPTIONS", b"DANCE")
    message = parse_datagram(data)
    assert isinstance(message, Request)
    assert message.method == "DANCE"
    assert message.headers.get("X-Strange") == ';;,"<'
    validate(message)


def test_responses() -> None:
    data = b"sip/2.0 486 Busy Here" + options()[len(b"OPTIONS sip:gw.example.org SIP/2.0") :]
    message = parse_datagram(data)
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (486, "Busy Here")
    validate(message)
    for line in (
        b"SIP/2.0 99 x",
        b"SIP/2.0 700 x",
        b"SIP/2.0 0200 x",
        b"SIP/2.0 2_0 x",
        b"SIP/2.0  200 x",
        b"SIP/2.0 -20 x",
    ):
        assert refused(data.replace(b"sip/2.0 486 Busy Here", line)).partial is None


def test_a_status_without_reason_and_space() -> None:
    message = parse_datagram(b"SIP/2.0 180" + options()[len(b"OPTIONS sip:gw.example.org SIP/2.0") :])
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (180, "")


def test_bytes_80_to_ff_survive_in_every_field() -> None:
    odd = bytes(range(0x80, 0x100)).decode("utf-8", "surrogateescape")
    message = parse_datagram(
        options(f"Subject: {odd}", f"X-{'a'}: {odd}", f'Contact: "{odd}" <sip:{odd}@h>;x="{odd}"', f"User-Agent: {odd}")
    )
    validate(message)
    assert parse_datagram(bytes(message)) == message
    assert message.contacts[0].display_name == odd
    assert bytes(range(0x80, 0x100)) in bytes(message)


@pytest.mark.parametrize(
    "start",
    [
        "",
        "OPTIONS",
        "OPTIONS sip:a",
        "OPTIONS  sip:a@b SIP/2.0",
        "OPTIONS sip:a@b SIP/2.0 ",
        " OPTIONS sip:a@b SIP/2.0",
        "OPTIONS sip:a@b\tSIP/2.0",
        "OPTIONS sip:a@b SIP/2",
        "OPTIONS sip:a@b HTTP/1.1",
        "OPT(IONS sip:a@b SIP/2.0",
        "OPTIONS sip:a@b ſIP/2.0",
        "OPTIONS\u2003sip:a@b\u2003SIP/2.0",
        "GET / HTTP/1.1",
        "OPTIONS a@b SIP/2.0",
        "OPTIONS sip:a@b;x y SIP/2.0",
        "OPTIONS <sip:a@b> SIP/2.0",
    ],
)
def test_broken_request_lines(start: str) -> None:
    data = options().replace(b"OPTIONS sip:gw.example.org SIP/2.0", start.encode())
    assert refused(data).status_hint == 400


def test_another_version_is_505_and_can_be_answered() -> None:
    error = refused(options().replace(b"org SIP/2.0", b"org SIP/3.0"))
    assert error.status_hint == 505
    assert error.partial is not None
    assert error.partial.response(505).via.branch == "z9hG4bKp1"


def test_a_request_without_length_runs_to_the_end_of_its_datagram() -> None:
    assert parse_datagram(options(length="", body=b"abc")).body == b"abc"


def test_the_answer_of_a_refused_request_goes_by_its_via() -> None:
    error = refused(options("Content-Length: 3"))
    assert error.partial is not None
    answer = error.partial.response(error.status_hint, to_tag="r")
    assert (answer.status, answer.via.sent_by, answer.to.tag) == (400, ("192.0.2.7", 5060), "r")
    validate(answer)


def test_an_ack_is_never_answered() -> None:
    assert refused(options("Content-Length: 3").replace(b"OPTIONS", b"ACK")).partial is None


# --- streams -------------------------------------------------------------------------------------------------------


def feed(data: bytes, size: int, limits: Limits | None = None) -> list[Message | KeepAlive | MessageError]:
    parser = StreamParser(limits or Limits())
    found: list[Message | KeepAlive | MessageError] = []
    for start in range(0, len(data), size):
        found += parser.receive(data[start : start + size])
    return found


@pytest.mark.rfc(3261, "18.3")
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("eol", ["\r\n", "\n"])
def test_segments_of_any_size_give_the_same_messages(size: int, eol: str) -> None:
    first, second = options(body=b"one\r\n\r\ntwo", eol=eol), options("X: y", eol=eol)
    expected = [parse_datagram(first), parse_datagram(second), parse_datagram(first)]
    assert feed(first + second + first, size) == expected


def test_a_body_that_looks_like_a_message_is_a_body() -> None:
    inner = options()
    (message,) = feed(options(body=inner), 5)
    assert isinstance(message, Request)
    assert message.body == inner


def test_pending_tells_of_half_a_message() -> None:
    parser = StreamParser()
    data = options(body=b"12345")
    assert parser.receive(data[:-5]) == []
    assert parser.pending > 0
    assert parser.receive(data[-5:-1]) == []
    assert parser.pending > 0
    assert len(parser.receive(data[-1:])) == 1
    assert parser.pending == 0


@pytest.mark.rfc(5626, "4.4.1")
@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([b"\r\n\r\n"], [KeepAlive.PING]),
        ([b"\r\n"], [KeepAlive.PONG]),
        ([b"\r\n\r\n\r\n\r\n" * 500], [KeepAlive.PING]),
        ([b"\r\n\r\n", b"\r\n\r\n"], [KeepAlive.PING, KeepAlive.PING]),
        ([b"\r", b"\n\r", b"\n"], [KeepAlive.PING]),
        ([b"\r\n", b"\r\n"], [KeepAlive.PONG, KeepAlive.PING]),
    ],
)
def test_keep_alives(segments: list[bytes], expected: list[KeepAlive]) -> None:
    parser = StreamParser()
    assert [got for segment in segments for got in parser.receive(segment)] == expected
    assert parser.pending == 0
    assert parser.receive(options()) == [parse_datagram(options())]


def test_keep_alives_between_messages() -> None:
    got = StreamParser().receive(options() + b"\r\n\r\n" + options() + b"\r\n")
    assert got == [parse_datagram(options()), KeepAlive.PING, parse_datagram(options()), KeepAlive.PONG]


def test_a_refused_message_with_sound_framing_costs_only_itself() -> None:
    bad = options(body=b"skip this").replace(b"From: <", b"From <")
    for size in (1, 9, 10_000):
        error, message = feed(bad + options(), size)
        assert isinstance(error, MessageError)
        assert not error.fatal
        assert isinstance(message, Request)


@pytest.mark.parametrize(
    "data",
    [
        options(length=""),
        options(length="-1"),
        options(length="+5"),
        options(length="0x10"),
        options(length="5 5"),
        options(length="5, 5"),
        options(length=str(2**31)),
        options(length=str(2**32 + 32)),
        options(length=str(2**64)),
        options(length="9" * 400),
        options(length="1_0"),
        options(length="٥"),
        options("Content-Length: 0"),
        options("l: 5"),
        options("Content-Length: 5"),
        options("X: a\nContent-Length: 5"),
        options("X: a\rContent-Length: 5"),
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01" + b"\r\n\r\n",
        b"\rX",
    ],
)
def test_lost_framing_ends_the_stream(data: bytes) -> None:
    parser = StreamParser()
    got = parser.receive(data + options() + options())
    assert len(got) == 1
    assert isinstance(got[0], MessageError)
    assert got[0].fatal
    assert parser.is_dead
    assert parser.receive(options()) == []
    assert parser.pending == 0


def test_a_stream_without_an_empty_line_is_bounded() -> None:
    parser = StreamParser(Limits(max_head_bytes=1000))
    got = []
    for _ in range(200):
        got += parser.receive(b"X: " + b"a" * 100 + b"\r\n")
    assert len(got) == 1
    assert isinstance(got[0], MessageError)
    assert (got[0].fatal, got[0].status_hint) == (True, 513)


# --- limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "data", "status"),
    [
        (Limits(max_message_bytes=300), options(body=b"x" * 300), 513),
        (Limits(max_head_bytes=200), options("X: " + "a" * 60), 513),
        (Limits(max_header_bytes=30), options("X: " + "a" * 30), 513),
        (Limits(max_headers=6), options("X: a"), 513),
        (Limits(max_request_uri_bytes=10), options(), 414),
        (Limits(max_method_bytes=3), options(), 400),
        (Limits(max_body_bytes=10), options(body=b"x" * 11), 413),
        (Limits(max_vias=2), options("v: SIP/2.0/UDP a, SIP/2.0/UDP b"), 513),
    ],
)
def test_each_limit_has_its_status(limits: Limits, data: bytes, status: int) -> None:
    error = refused(data, limits)
    assert error.status_hint == status
    assert error.partial is not None or limits.max_method_bytes == 3


def test_a_large_body_is_refused_before_it_is_read() -> None:
    parser = StreamParser()
    (error,) = parser.receive(options(length="3000000"))
    assert isinstance(error, MessageError)
    assert (error.status_hint, error.fatal) == (413, True)
