"""Digits by SIP INFO."""

import pytest
from tests.support.messages import request

from offhook.call.dtmf import digits_of_info, info_of_digit

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("content_type", "body", "digits"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", [("5", 160)]),
        ("application/dtmf-relay", b"Signal= *\nDuration= 250", [("*", 250)]),
        ("Application/DTMF-Relay; charset=x", b"signal=d\r\nduration=90\r\n", [("D", 90)]),
        ("application/dtmf-relay", b"Signal=#\r\n", [("#", 160)]),
        ("application/dtmf-relay", b"Signal=1\r\nDuration=99999999\r\n", [("1", 8000)]),
        ("application/dtmf-relay", b"Signal=1\r\nDuration=-5\r\n", [("1", 160)]),
        ("application/dtmf-relay", "Signal=1\r\nDuration=١٦\r\n".encode(), [("1", 160)]),
        ("application/dtmf-relay", b"Signal=1\r\nDuration=0\r\n", [("1", 160)]),
        ("application/dtmf-relay", b"SIGNAL = 7 \n DURATION = 100 ", [("7", 100)]),
        ("application/dtmf-relay", b"Duration=100\r\nSignal=0\r\n", [("0", 100)]),
        ("application/dtmf-relay", b"Signal=10\r\n", [("*", 160)]),
        ("application/dtmf-relay", b"Signal=11\r\n", [("#", 160)]),
        ("application/dtmf-relay", b"Signal=15\r\n", [("D", 160)]),
        ("application/dtmf-relay", b"Signal=16\r\n", []),
        ("application/dtmf-relay", b"Signal=99\r\n", []),
        ("application/dtmf-relay", b"5", []),
        ("application/dtmf-relay", b"Signal=\r\n", []),
        ("application/dtmf-relay", b"\xff\xfe", []),
        ("application/dtmf", b"9", [("9", 160)]),
        ("application/dtmf", b" a \r\n", [("A", 160)]),
        ("application/dtmf", b"x", []),
        ("application/dtmf", b"11", [("#", 160)]),
        ("application/dtmf", b"Signal=3\r\nDuration=90\r\n", [("3", 90)]),
        ("text/plain", b"Signal=5", []),
    ],
)
def test_bodies(content_type: str, body: bytes, digits: list[tuple[str, int]]) -> None:
    assert digits_of_info(request("INFO", body=body, content_type=content_type)) == digits


def test_no_body_is_no_digit_and_a_long_one_is_not_read_to_its_end() -> None:
    assert digits_of_info(request("INFO")) == []
    long = b"Signal=5\r\n" + b"x=y\r\n" * 10_000 + b"Signal=6\r\n"
    assert digits_of_info(request("INFO", body=long, content_type="application/dtmf-relay")) == [("5", 160)]


def test_the_first_part_with_a_key_counts() -> None:
    body = (
        b"--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
        b"--x\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal=6\r\nDuration=80\r\n\r\n"
        b"--x\r\nContent-Type: application/dtmf\r\n\r\n6\r\n--x--\r\n"
    )
    said = request("INFO", body=body, content_type='multipart/mixed; boundary="x"')
    assert digits_of_info(said) == [("6", 80)]
    broken = request("INFO", body=b"no boundary", content_type="multipart/mixed; boundary=x")
    assert digits_of_info(broken) == []


def test_what_is_sent_is_what_is_read() -> None:
    for digit in "0123456789*#ABCD":
        kind, body = info_of_digit(digit, 250)
        assert digits_of_info(request("INFO", body=body, content_type=kind)) == [(digit, 250)]
