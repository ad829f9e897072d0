"""What the switchboard reads of an INVITE. Its calls are in tests/scenario."""

import pytest
from tests.support.messages import request

from offhook.call.switchboard import facts_of, headers_for_agent, user_of
from offhook.ids import TrunkName
from offhook.route.trunk import Trunk
from offhook.sip.uri import parse_uri

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
