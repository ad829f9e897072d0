import pytest

from offhook.call.out.shown import shown
from offhook.ids import TrunkName
from offhook.route.trunk import Trunk

pytestmark = pytest.mark.unit

HOST = "sip.acme.example"
OURS = "+14155550100"


def trunk(**settings: object) -> Trunk:
    return Trunk(TrunkName("out"), host=HOST, **settings)  # type: ignore[arg-type]


def test_from_has_the_number_at_the_trunk() -> None:
    caller = shown(trunk(), OURS, HOST)
    assert (str(caller.from_), caller.headers) == (f"<sip:{OURS}@{HOST}>", ())


def test_from_may_have_another_domain_and_an_account() -> None:
    caller = shown(trunk(from_user="alice", from_domain="pbx.example.com", assert_identity=True), OURS, HOST)
    assert str(caller.from_) == "<sip:alice@pbx.example.com>"
    assert caller.headers == (("P-Asserted-Identity", f"<sip:{OURS}@pbx.example.com>"),)


@pytest.mark.parametrize(
    ("header", "name", "end"),
    [
        (True, "P-Asserted-Identity", ""),
        ("preferred", "P-Preferred-Identity", ""),
        ("remote-party-id", "Remote-Party-ID", ";party=calling;screen=no;privacy=off"),
    ],
)
def test_the_number_stands_in_the_header_that_the_trunk_reads(header: object, name: str, end: str) -> None:
    caller = shown(trunk(assert_identity=header), OURS, HOST)
    assert caller.headers == ((name, f"<sip:{OURS}@{HOST}>{end}"),)


@pytest.mark.rfc(3323, "4.1.1.3")
@pytest.mark.rfc(3325, "9.3")
@pytest.mark.parametrize(
    ("header", "name", "end"),
    [
        (False, "P-Asserted-Identity", ""),
        (True, "P-Asserted-Identity", ""),
        ("preferred", "P-Preferred-Identity", ""),
        ("remote-party-id", "Remote-Party-ID", ";party=calling;screen=no;privacy=full"),
    ],
)
@pytest.mark.parametrize("by_trunk", [True, False])
def test_a_private_caller_is_anonymous_but_for_the_trunk(header: object, name: str, end: str, by_trunk: bool) -> None:
    settings = trunk(assert_identity=header, private=by_trunk, from_user="alice")
    caller = shown(settings, OURS, HOST, private=not by_trunk)
    assert str(caller.from_) == '"Anonymous" <sip:anonymous@anonymous.invalid>'
    assert caller.headers == ((name, f"<sip:{OURS}@{HOST}>{end}"), ("Privacy", "id"))


@pytest.mark.rfc(5806)
@pytest.mark.parametrize("private", [True, False])
def test_a_call_that_goes_on_for_a_caller_shows_theirs_and_is_held_to_account_by_ours(private: bool) -> None:
    caller = shown(trunk(assert_identity=True), "+442079460018", HOST, private=private, own=OURS)
    ours = f"<sip:{OURS}@{HOST}>"
    assert ("P-Asserted-Identity", ours) in caller.headers
    assert ("Diversion", f"{ours};reason=unconditional") in caller.headers
    assert ("+442079460018" in str(caller.from_)) is not private
    assert (("Privacy", "id") in caller.headers) is private
