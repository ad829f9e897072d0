"""RFC 3325 and the Remote-Party-ID before it: who calls, as a network asserts it, and whose assertion is believed."""

import pytest
from tests.support.messages import request

from offhook.sip.calling_party import CallingParty, calling_party
from offhook.sip.message import Request
from offhook.sip.uri import user_of

pytestmark = pytest.mark.conformance

FROM = '"Alice" <sip:+14155550199@192.0.2.1>;tag=alice'


def invite(*lines: str, from_: str = FROM) -> Request:
    return request("INVITE", *lines, from_=from_)


def shown(party: CallingParty) -> tuple[str, str]:
    return user_of(party.claim.address.uri), party.claim.origin


@pytest.mark.rfc(3325, "9.1")
def test_a_trusted_assertion_goes_before_from() -> None:
    party = calling_party(invite('P-Asserted-Identity: "Bob" <sip:+14155550142@carrier>'), trusted=True)
    assert shown(party) == ("+14155550142", "P-Asserted-Identity")
    assert party.is_asserted
    assert (party.display_name, party.is_withheld) == ("Bob", False)
    assert [claim.origin for claim in party.claims] == ["From", "P-Asserted-Identity"]


@pytest.mark.rfc(3325, "8")
def test_an_assertion_of_somebody_untrusted_is_a_claim_and_no_caller() -> None:
    party = calling_party(invite("P-Asserted-Identity: <sip:+14155550142@carrier>"), trusted=False)
    assert shown(party) == ("+14155550199", "From")
    assert not party.is_asserted
    assert [user_of(claim.address.uri) for claim in party.claims] == ["+14155550199", "+14155550142"]


@pytest.mark.rfc(3325, "9.1")
@pytest.mark.parametrize(
    "lines",
    [
        ("P-Asserted-Identity: <sip:alice@carrier>, <tel:+14155550142>",),
        ("P-Asserted-Identity: <tel:+14155550142>, <sip:alice@carrier>",),
        ("P-Asserted-Identity: <sip:alice@carrier>", "P-Asserted-Identity: tel:+1-415-555-0142"),
        # The parameters of the number are no part of it.
        ("P-Asserted-Identity: <sip:alice@carrier>, <sip:+14155550142;npdi@carrier;user=phone>",),
    ],
)
def test_of_a_sip_and_a_tel_identity_the_telephone_number_is_taken(lines: tuple[str, ...]) -> None:
    party = calling_party(invite(*lines), trusted=True)
    assert user_of(party.claim.address.uri).partition(";")[0] == "+14155550142"


def test_the_name_may_stand_at_the_other_of_the_two() -> None:
    party = calling_party(invite('P-Asserted-Identity: "Zoë Müller" <sip:z@c>, <tel:+14155550142>'), trusted=True)
    assert (user_of(party.claim.address.uri), party.display_name) == ("+14155550142", "Zoë Müller")


@pytest.mark.rfc(3325, "9.2")
def test_what_a_caller_prefers_is_a_claim_of_the_caller() -> None:
    party = calling_party(invite("P-Preferred-Identity: <sip:+14155550142@carrier>"), trusted=True)
    assert shown(party) == ("+14155550199", "From")
    assert party.claims[1].origin == "P-Preferred-Identity"


@pytest.mark.parametrize(
    ("line", "believed"),
    [
        ('Remote-Party-ID: "1002" <sip:+14155550142@pbx>;party=calling;screen=yes;privacy=off', True),
        ("Remote-Party-ID: <sip:+14155550142@pbx>;screen=yes", True),
        # Nobody has looked whether it is true.
        ("Remote-Party-ID: <sip:+14155550142@pbx>;party=calling;screen=no;privacy=off", False),
        ("Remote-Party-ID: <sip:+14155550142@pbx>;party=calling", False),
        # Who is called.
        ("Remote-Party-ID: <sip:+14155550142@pbx>;party=called;screen=yes", False),
    ],
)
def test_remote_party_id_as_carriers_still_send_it(line: str, believed: bool) -> None:
    party = calling_party(invite(line), trusted=True)
    assert shown(party) == (("+14155550142", "Remote-Party-ID") if believed else ("+14155550199", "From"))
    assert shown(calling_party(invite(line), trusted=False))[1] == "From"


def test_an_assertion_goes_before_a_remote_party_id() -> None:
    lines = ("Remote-Party-ID: <sip:1@h>;screen=yes", "P-Asserted-Identity: <sip:+14155550142@h>")
    assert shown(calling_party(invite(*lines), trusted=True)) == ("+14155550142", "P-Asserted-Identity")


@pytest.mark.rfc(3325, "9.3")
@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("wish", ["id", "ID", "id;critical", "header;id", "user", "none;id"])
def test_who_asks_for_privacy_is_withheld_whoever_brings_it(wish: str, trusted: bool) -> None:
    lines = (f"Privacy: {wish}", "P-Asserted-Identity: <sip:+14155550142@carrier>")
    assert calling_party(invite(*lines), trusted=trusted).is_withheld


@pytest.mark.parametrize("privacy", ["full", "uri", "name", "name-network", "uri-network"])
def test_the_privacy_of_a_remote_party_id_counts_too(privacy: str) -> None:
    line = f"Remote-Party-ID: <sip:+14155550142@pbx>;party=calling;privacy={privacy}"
    assert calling_party(invite(line), trusted=False).is_withheld


@pytest.mark.parametrize(
    "line",
    [
        "P-Asserted-Identity: ",
        "P-Asserted-Identity: <sip:",
        'P-Asserted-Identity: "open <sip:a@b>',
        "P-Asserted-Identity: <<sip:a@b>>",
        "P-Asserted-Identity: ,,,",
        "P-Asserted-Identity: " + "x" * 8_000,
        "Remote-Party-ID: ;party=calling",
        "Remote-Party-ID: <sip:a@b>;privacy",
    ],
)
def test_garbage_leaves_the_caller_of_from(line: str) -> None:
    party = calling_party(invite(line), trusted=True)
    assert shown(party) == ("+14155550199", "From")
    assert not party.is_withheld


def test_a_hundred_identities_are_bounded() -> None:
    many = ", ".join(f"<sip:{number}@h>" for number in range(100))
    party = calling_party(invite(f"P-Asserted-Identity: {many}"), trusted=True)
    assert len(party.claims) == 6
