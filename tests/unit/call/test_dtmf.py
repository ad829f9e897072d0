"""Digits by SIP INFO."""

import pytest
from tests.support.messages import request

from offhook.call.dtmf import digits_of_info

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("content_type", "body", "digits"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", [("5", 160)]),
        ("application/dtmf-relay", b"Signal= *\nDuration= 250", [("*", 250)]),
        ("Application/DTMF-Relay; charset=x", b"signal=d\r\nduration=90\r\n", [("D", 90)]),
        ("application/dtmf-relay", b"Signal=#\r\n", [("#", 160)]),
        ("application/dtmf-relay", b"Signal=1\r\nDuration=99999999\r\n", [("1", 5000)]),
        ("application/dtmf-relay", b"Signal=1\r\nDuration=-5\r\n", [("1", 160)]),
        ("application/dtmf-relay", "Signal=1\r\nDuration=١٦\r\n".encode(), [("1", 160)]),
        ("application/dtmf-relay", b"Signal=16\r\n", []),
        ("application/dtmf-relay", b"Signal=\r\n", []),
        ("application/dtmf-relay", b"\xff\xfe", []),
        ("application/dtmf", b"9", [("9", 160)]),
        ("application/dtmf", b" a \r\n", [("A", 160)]),
        ("application/dtmf", b"x", []),
        ("text/plain", b"Signal=5", None),
    ],
)
def test_bodies(content_type: str, body: bytes, digits: list[tuple[str, int]] | None) -> None:
    assert digits_of_info(request("INFO", body=body, content_type=content_type)) == digits


def test_no_body_is_no_digit_and_a_long_one_is_not_read_to_its_end() -> None:
    assert digits_of_info(request("INFO")) is None
    long = b"Signal=5\r\n" + b"x=y\r\n" * 10_000 + b"Signal=6\r\n"
    assert digits_of_info(request("INFO", body=long, content_type="application/dtmf-relay")) == [("5", 160)]
