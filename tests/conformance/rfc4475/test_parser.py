"""The torture cases of RFC 4475 through parser and validator: our own messages, and raw files where they are at hand.

`OFFHOOK_TORTURE_DIR` names a folder of raw files with an `index.json` of verdicts, `OFFHOOK_SAMPLES_DIR` one of
captures; where one is not set, the same test reads our own messages and the summary says so.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conformance.rfc4475.messages import BY_NAME, CASES, TortureCase

from offhook.sip.message import Message, Request, Response
from offhook.sip.parser import MessageError, StreamParser, parse_datagram, validate

pytestmark = [pytest.mark.conformance, pytest.mark.rfc(4475, "3")]


@dataclass(frozen=True)
class Raw:
    """A file to read: from a folder, or one of our own messages where no folder is named."""

    name: str
    data: bytes
    reading: str
    answers: frozenset[int]
    response: bool

    def __str__(self) -> str:
        return self.name


def torture_files() -> Iterator[Raw]:
    folder = os.environ.get("OFFHOOK_TORTURE_DIR")
    if not folder:
        for case in CASES:
            yield Raw(f"own:{case.name}", case.data, case.reading, case.answers, case.data[:4] == b"SIP/")
        return
    index = json.loads((Path(folder) / "index.json").read_text("utf-8"))
    for entry in index["messages"]:
        answers = frozenset(status for status in entry["uas_expect"] if isinstance(status, int))
        kind = entry["kind"].startswith("response")
        yield Raw(entry["file"], (Path(folder) / entry["file"]).read_bytes(), entry["parser"], answers, kind)
    for path in sorted(Path(folder).glob("*.archive.dat")):
        yield Raw(path.name, path.read_bytes(), "either", frozenset(), False)


def sample_files() -> Iterator[Raw]:
    folder = os.environ.get("OFFHOOK_SAMPLES_DIR")
    if not folder:
        for case in CASES:
            if case.kind == "valid":
                yield Raw(f"own:{case.name}", case.data, "accept", frozenset(), case.data[:4] == b"SIP/")
        return
    index = json.loads((Path(folder) / "index.json").read_text("utf-8"))
    for entry in index["messages"]:
        path = Path(folder) / entry["file"]
        if path.suffix == ".sip":
            reading = "either" if "400" in entry["expect"] else "accept"
            yield Raw(path.name, path.read_bytes(), reading, frozenset(), entry["facts"]["start_line"][:4] == "SIP/")


def read(data: bytes) -> Message | MessageError:
    try:
        message = parse_datagram(data)
        validate(message)
    except MessageError as error:
        return error
    return message


def judge(name: str, data: bytes, reading: str, answers: frozenset[int], response: bool) -> None:
    got = read(data)
    if isinstance(got, MessageError):
        assert reading != "accept" or got.status_hint in answers, f"{name}: {got}"
        if answers and got.partial is not None:
            assert got.status_hint in answers | {400}, f"{name}: {got}"
            refusal = got.partial.response(got.status_hint, to_tag="r1")
            assert read(bytes(refusal)).__class__ in (Response, MessageError)
            assert refusal.via == got.partial.via
        if response:
            assert got.partial is None, f"{name}: a response is never answered"
        return
    assert reading != "reject", f"{name} was accepted"
    assert isinstance(got, Response) == response
    assert bytes(parse_datagram(bytes(got))) == bytes(got), f"{name}: print and parse is no fixed point"
    assert parse_datagram(bytes(got)) == got


@pytest.mark.parametrize("case", CASES, ids=str)
def test_own_message(case: TortureCase) -> None:
    judge(case.name, case.data, case.reading, case.answers, case.data[:4] == b"SIP/")


@pytest.mark.parametrize("raw", list(torture_files()), ids=str)
def test_torture_file(raw: Raw) -> None:
    judge(raw.name, raw.data, raw.reading, raw.answers, raw.response)


@pytest.mark.parametrize("raw", list(sample_files()), ids=str)
def test_sample_file(raw: Raw) -> None:
    judge(raw.name, raw.data, raw.reading, raw.answers, raw.response)


def test_every_section_has_its_case() -> None:
    sections = {case.section for case in CASES}
    assert len(CASES) == len(sections) == len(BY_NAME) == 49
    expected = {f"3.1.1.{n}" for n in range(1, 14)} | {f"3.1.2.{n}" for n in range(1, 20)}
    expected |= {"3.2.1", "3.4.1"} | {f"3.3.{n}" for n in range(1, 16)}
    assert sections == expected


def request(name: str) -> Request:
    message = read(BY_NAME[name].data)
    assert isinstance(message, Request), message
    return message


def refusal(name: str) -> MessageError:
    got = read(BY_NAME[name].data)
    assert isinstance(got, MessageError)
    return got


@pytest.mark.rfc(4475, "3.1.1.1")
def test_wsinv_is_read_through_its_blanks_and_folds() -> None:
    message = request("wsinv")
    assert (message.to.tag, message.from_.tag) == ("9a7ffe10c", "ws-from")
    assert message.from_.display_name == 'Rig \\ "One"'
    assert (message.cseq.number, message.cseq.method, message.max_forwards) == (77, "INVITE", 41)
    assert [(via.transport, via.host, via.branch) for via in message.vias] == [
        ("UDP", "192.0.2.40", "oldstyle17"),
        ("TCP", "relay.example.com", "z9hG4bKrelay"),
        ("UDP", "10.9.8.7", "z9hG4bKinner"),
    ]
    assert not message.via.has_magic_cookie
    assert message.headers.get("Subject") == ""
    assert message.headers.get("somethingnew") == "first half second half"
    assert message.headers.get("OddlyFilled") == ",,;;=;,"
    (contact,) = message.contacts
    assert (contact.params.get("extra"), contact.q) == ("yes", 0.7)
    assert message.call_id == "wsinv-19aa@192.0.2.40"


@pytest.mark.rfc(4475, "3.1.1.2")
def test_intmeth_keeps_every_character() -> None:
    message = request("intmeth")
    assert message.method == message.cseq.method == "~`'+_*%!.-Odd42"
    assert message.to.display_name == "bell \x07 nul \x00 del \x7f end"
    assert message.from_.tag == "~`'+_*%!.-f"
    assert message.from_.params.get("~`'+_*%!.-") == "ключ"
    assert message.headers.get("~`'+_*%!.-header") == "電話"
    assert message.sdp is None
    assert message.response(501).headers.get("To") == message.headers.get("To")


@pytest.mark.rfc(4475, "3.1.1.3")
def test_esc01_escapes_are_undone_once() -> None:
    message = request("esc01")
    assert message.request_uri.user == "tel:desk@home"  # type: ignore[union-attr]
    assert message.from_.sip_uri.user == "two words"
    assert message.to.sip_uri.user == "desk"
    contact = message.contacts[0].sip_uri
    assert (contact.user, contact.is_loose_router, contact.params.get("key")) == ("rig", True, "ab%42")
    assert b"sip:r%69g@192.0.2.40;%6Cr;k%65y=%61b%2542" in bytes(message)


@pytest.mark.rfc(4475, "3.1.1.4")
def test_escnull_does_not_stop_at_nul() -> None:
    message = request("escnull")
    assert message.to.sip_uri.user == "a\0b"
    first, second = (contact.sip_uri for contact in message.contacts)
    assert not first.equivalent(second)
    assert (first.user, second.user) == ("\0", "\0\0")


@pytest.mark.rfc(4475, "3.1.1.5")
def test_esc02_a_percent_is_no_escape_in_names() -> None:
    message = request("esc02")
    assert message.method == "%4FPTIONS"
    assert message.to.display_name == "%Q%41"
    assert [contact.sip_uri.user for contact in message.contacts] == ["one", "three"]


@pytest.mark.rfc(4475, "3.1.1.7")
def test_longreq_keeps_all_vias() -> None:
    message = request("longreq")
    assert len(message.vias) == 34
    assert message.response(486, to_tag="x").headers.get_all("Via") == message.headers.get_all("Via")


@pytest.mark.rfc(4475, "3.1.1.8")
def test_dblreq_is_one_message_in_a_datagram_and_two_on_a_stream() -> None:
    data = BY_NAME["dblreq"].data
    assert request("dblreq").body == b""
    methods = [got.method for got in StreamParser().receive(data) if isinstance(got, Request)]
    assert methods == ["REGISTER", "INVITE"]


@pytest.mark.rfc(4475, "3.1.1.9")
def test_semiuri_has_no_uri_parameter() -> None:
    uri = request("semiuri").request_uri
    assert uri.user == "desk;floor=2@house"  # type: ignore[union-attr]
    assert len(uri.params) == 0  # type: ignore[union-attr]
    assert request("semiuri").accepts("message/sipfrag")


@pytest.mark.rfc(4475, "3.1.1.10")
def test_transports_come_back_in_order() -> None:
    answer = request("transports").response(200, to_tag="x")
    assert [via.transport for via in answer.vias] == ["UDP", "SCTP", "TLS", "PIGEON", "TCP"]


@pytest.mark.rfc(4475, "3.1.1.11")
def test_mpart01_parts_are_exact_to_the_byte() -> None:
    note, blob = request("mpart01").parts
    assert note.body == b"short note"
    assert blob.body == b"\x00\x01\r\x02\n\xff\xfe\r\n\n\r\x80--cut-her\x00"


@pytest.mark.rfc(4475, "3.1.2.1")
def test_badinv01_is_answered_where_its_via_says() -> None:
    partial = refusal("badinv01").partial
    assert partial is not None
    assert partial.via.sent_by == ("192.0.2.40", 5060)
    assert b";;" not in bytes(partial.response(400))


@pytest.mark.rfc(4475, "3.1.2.5")
def test_scalarlg_schedules_nothing() -> None:
    message = parse_datagram(BY_NAME["scalarlg"].data)
    assert isinstance(message, Response)
    assert message.retry_after is None


@pytest.mark.rfc(4475, "3.1.2.16")
def test_badvers_is_answered_505() -> None:
    assert refusal("badvers").status_hint == 505


@pytest.mark.rfc(4475, "3.1.2.18")
def test_mismatch02_names_the_method_as_unknown() -> None:
    assert refusal("mismatch02").status_hint == 501


@pytest.mark.rfc(4475, "3.2.1")
def test_badbranch_is_no_transaction_id() -> None:
    assert not request("badbranch").via.has_magic_cookie


@pytest.mark.rfc(4475, "3.3.1")
def test_insuf_cannot_be_answered_and_does_not_raise() -> None:
    assert refusal("insuf").partial is None


@pytest.mark.rfc(4475, "3.3.12")
def test_cparam_a_parameter_belongs_where_it_stands() -> None:
    outside, inside = request("cparam01").contacts[0], request("cparam02").contacts[0]
    assert "belongstoheader" in outside.params
    assert "belongstoheader" not in outside.sip_uri.params
    assert "belongstouri" in inside.sip_uri.params
    assert "belongstouri" not in inside.params


@pytest.mark.rfc(4475, "3.3.14")
def test_regescrt_the_escaped_route_stays_in_its_uri() -> None:
    message = request("regescrt")
    assert message.routes == ()
    assert message.contacts[0].sip_uri.header("route") == "<sip:thief.example>"


@pytest.mark.rfc(4475, "3.3.15")
def test_sdp01_takes_no_description() -> None:
    assert not request("sdp01").accepts("application/sdp")


@pytest.mark.rfc(4475, "3.4.1")
def test_inv2543_body_runs_to_the_end_of_the_datagram() -> None:
    message = request("inv2543")
    assert message.sdp == message.body != b""
    assert message.from_.tag is None
    assert message.max_forwards is None
    (dead,) = StreamParser().receive(BY_NAME["inv2543"].data)
    assert isinstance(dead, MessageError)
    assert dead.fatal
