"""Session-Expires and Min-SE (RFC 4028 sections 4 and 5)."""

import pytest

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.headers.session_expires import SessionExpires, parse_min_se

pytestmark = pytest.mark.unit


@pytest.mark.rfc(4028, "4")
@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("1800", SessionExpires(1800)),
        ("90;refresher=uac", SessionExpires(90, "uac")),
        (" 0090 ; Refresher = UAS ", SessionExpires(90, "uas")),
        ("90;refresher=UaC;x=y", SessionExpires(90, "uac")),
        ("90;refresher=nobody", SessionExpires(90)),
        ("90;refresher", SessionExpires(90)),
        ("99999999999999999999999", SessionExpires(2**32 - 1)),
    ],
)
def test_what_can_be_read(text: str, parsed: SessionExpires) -> None:
    assert SessionExpires.parse(text) == parsed


@pytest.mark.parametrize("text", ["", "-1", "1.5", "90 refresher=uac", "soon", "٩٠", "90;;", "1e3", "90,90"])
def test_what_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        SessionExpires.parse(text)


def test_written() -> None:
    assert str(SessionExpires(1800)) == "1800"
    assert str(SessionExpires(90, "uas")) == "90;refresher=uas"
    with pytest.raises(LocalProtocolError):
        SessionExpires(-1)


@pytest.mark.rfc(4028, "5")
def test_min_se() -> None:
    assert parse_min_se("120") == 120
    assert parse_min_se(" 120 ;why=not") == 120
    with pytest.raises(RemoteProtocolError):
        parse_min_se("an hour")
