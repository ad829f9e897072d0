"""What is read of an INVITE: numbers, identity, diversions, data, and the headers that an agent gets."""

from typing import Any

import pytest
from tests.support.messages import request

from offhook.call.facts import caller_of, claims_of, diversions_of, facts_of, headers_for_agent, identity_of
from offhook.destination.dialect.facts import AgentFacts
from offhook.ids import CallId, TrunkName
from offhook.route.trunk import Trunk
from offhook.sip.uri import parse_uri, user_of

pytestmark = pytest.mark.unit


def trunk(**values: object) -> Trunk:
    return Trunk(TrunkName("acme"), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("uri", "user"),
    [
        ("sip:+14155550100@192.0.2.2", "+14155550100"),
        ("sip:192.0.2.2", ""),
        ("tel:+1-415-555-0100", "+14155550100"),
        ("urn:service:sos", ""),
    ],
)
def test_who_a_uri_names(uri: str, user: str) -> None:
    assert user_of(parse_uri(uri)) == user


def test_the_number_dialled_is_the_request_uris_and_is_read_by_the_trunks_country() -> None:
    invite = request(uri="sip:4155550100@192.0.2.2", to="<sip:other@192.0.2.2>", from_="<sip:4155550199@x>;tag=1")
    facts = facts_of(invite, trunk(country="US"))
    assert (facts.to.canonical, facts.from_.canonical) == ("+14155550100", "+14155550199")
    assert facts.trunk == "acme"


def test_the_agent_gets_the_headers_of_the_trunks_patterns_the_first_of_a_name() -> None:
    invite = request("INVITE", "X-Queue: sales", "X-Queue: more", "Subject: hello", "P-Asserted-Identity: <sip:a@b>")
    assert headers_for_agent(invite, trunk()) == {"X-Queue": "sales"}
    assert headers_for_agent(invite, trunk(pass_headers=("x-*", "Subject"))) == {"X-Queue": "sales", "Subject": "hello"}


def test_credentials_are_no_header_for_the_agent() -> None:
    invite = request("INVITE", 'Authorization: Digest username="a"', 'Proxy-Authorization: Digest username="a"')
    assert (
        headers_for_agent(invite, trunk(pass_headers=("*",))).keys() & {"Authorization", "Proxy-Authorization"} == set()
    )


def test_the_routes_headers_are_the_agents_in_place_of_the_trunks() -> None:
    invite = request("INVITE", "X-Queue: sales", "Subject: hello")
    assert headers_for_agent(invite, trunk(), passed=("Subject",)) == {"Subject": "hello"}
    assert headers_for_agent(invite, trunk(), passed=()) == {}


def test_nothing_that_names_a_withheld_caller_is_passed_on_and_32_headers_are_enough() -> None:
    lines = [f"X-{number}: v" for number in range(40)]
    invite = request("INVITE", *lines, "P-Charge-Info: <sip:+14155550142@h>", "Remote-Party-ID: <sip:+1@h>")
    everything = ("X-*", "P-*", "From", "Contact", "Remote-*", "V*")
    assert len(headers_for_agent(invite, trunk(), passed=everything)) == 32
    seen = headers_for_agent(invite, trunk(), passed=everything[1:], withheld=True)
    assert set(seen) == {"Via"}


def test_an_identity_of_no_number_is_its_user_or_its_host() -> None:
    invite = request("INVITE", "P-Asserted-Identity: <sip:alice@h>, <sip:gateway.example:5070>, <urn:x:y>")
    claims = identity_of(caller_of(invite, trunk()), trunk()).claims
    assert [claim.number for claim in claims] == ["alice", "alice", "gateway.example:5070", ""]


def test_text_of_strangers_is_made_printable_and_cut() -> None:
    invite = request("INVITE", f'Diversion: "{"é" * 200}\u202e" <sip:{"9" * 300}@h>;reason=user-busy')
    (diversion,) = diversions_of(invite, trunk())
    assert (len(diversion.name), len(diversion.number)) == (128, 128)
    (short,) = diversions_of(request("INVITE", 'Diversion: "a\u202eb" <sip:1@h>'), trunk())
    assert short.name == "a\\u202eb"


def test_numbers_in_headers_are_read_by_the_trunks_country_and_routes_find_them() -> None:
    invite = request(
        "INVITE",
        "Diversion: <sip:4155550142@h>;reason=no-answer",
        "P-Asserted-Identity: <tel:4155550143;phone-context=+1>",
        from_="<sip:4155550199@x>;tag=1",
    )
    facts = facts_of(invite, trunk(country="US"))
    found = {name: [value for have, value in facts.headers if have == name] for name, _ in facts.headers}
    assert found["Diversion"] == ["<sip:4155550142@h>;reason=no-answer", "+14155550142"]
    assert "+14155550143" in found["P-Asserted-Identity"]


def test_claims_are_kept_of_what_was_said_beyond_from() -> None:
    def kept(*lines: str) -> dict[str, Any]:
        invite = request("INVITE", *lines)
        party = caller_of(invite, trunk())
        facts = AgentFacts(
            CallId("x"), "", "", identity=identity_of(party, trunk()), diversions=diversions_of(invite, trunk())
        )
        return claims_of(facts, ())

    assert kept() == {}
    assert kept("Diversion: <sip:1@h>")["diversions"][0]["number"] == "1"
    assert kept("Privacy: id")["identity"]["claims"] == []
    assert kept("P-Asserted-Identity: <sip:+1@h>")["identity"]["claims"][1]["header"] == "P-Asserted-Identity"
