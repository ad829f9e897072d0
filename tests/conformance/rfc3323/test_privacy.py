"""RFC 3323: a caller who wants not to be known."""

import pytest
from tests.support.messages import request

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.calling_party import calling_party
from offhook.sip.headers import Privacy

pytestmark = pytest.mark.conformance


@pytest.mark.rfc(3323, "4.2")
@pytest.mark.parametrize(
    ("text", "values", "withholds"),
    [
        ("none", ("none",), False),
        ("header", ("header",), True),
        ("Header ; Session;USER ; critical", ("header", "session", "user", "critical"), True),
        ("session", ("session",), False),
        ("critical;session", ("critical", "session"), False),
        # Not by the grammar, and not seldom.
        ("user, id", ("user", "id"), True),
    ],
)
def test_the_header(text: str, values: tuple[str, ...], withholds: bool) -> None:
    privacy = Privacy.parse(text)
    assert (privacy.values, privacy.withholds_caller) == (values, withholds)
    assert Privacy.parse(str(privacy)) == privacy


@pytest.mark.parametrize("text", ["", ";", "id;", "a b", "id=1", '"id"'])
def test_a_broken_one_is_taken_for_a_wish(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Privacy.parse(text)
    assert calling_party(request("INVITE", f"Privacy: {text}"), trusted=True).is_withheld
    with pytest.raises(LocalProtocolError):
        Privacy(())


@pytest.mark.rfc(3323, "4.1")
@pytest.mark.parametrize(
    "from_",
    [
        '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=x',
        "<sip:anonymous@carrier.example>;tag=x",
        "<sip:c8oqz84zk7z@anonymous.invalid>;tag=x",
        "<sip:Anonymous@Anonymous.Invalid:5060;user=phone>;tag=x",
    ],
)
def test_a_caller_whose_own_device_withholds_it(from_: str) -> None:
    message = request("INVITE", "P-Asserted-Identity: <sip:+14155550142@carrier>", from_=from_)
    assert calling_party(message, trusted=True).is_withheld
    assert calling_party(message, trusted=False).is_withheld


@pytest.mark.rfc(3323, "4.2")
def test_a_caller_who_wants_no_privacy_is_who_the_network_says() -> None:
    message = request(
        "INVITE",
        "Privacy: none",
        "P-Asserted-Identity: <sip:+14155550142@carrier>",
        from_="<sip:anonymous@anonymous.invalid>;tag=x",
    )
    party = calling_party(message, trusted=True)
    assert not party.is_withheld
    assert party.claim.origin == "P-Asserted-Identity"
