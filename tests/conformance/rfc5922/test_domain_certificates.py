"""RFC 5922 section 7: whom a certificate speaks for."""

import pytest
from tests.support.certificates import authority

from offhook.sip.identity import CertificateNames
from offhook.transport.certificate import names_in

pytestmark = pytest.mark.conformance


def issued(*dns: str, uris: tuple[str, ...] = (), addresses: tuple[str, ...] = (), cn: str | None = None) -> bytes:
    return authority().issue(*dns, uris=uris, addresses=addresses, common_name=cn).der


@pytest.mark.rfc(5922, "7.1")
@pytest.mark.parametrize(
    ("der", "identities"),
    [
        (issued(uris=("sip:example.com",)), ("example.com",)),
        (issued("sbc.example.com", uris=("sip:example.com",)), ("example.com",)),
        (issued("sbc.example.com", "example.com"), ("sbc.example.com", "example.com")),
        (issued("sbc.example.com", uris=("sip:alice@example.com",)), ("sbc.example.com",)),
        (issued("sbc.example.com", uris=("sips:example.com", "https://example.com")), ("sbc.example.com",)),
        (issued(uris=("SIP:Example.com:5061;transport=tls",)), ("example.com",)),
        (issued(cn="pbx.example.com"), ("pbx.example.com",)),
        (issued("sbc.example.com", cn="pbx.example.com"), ("sbc.example.com",)),
        (issued(uris=("sip:alice@example.com",), cn="pbx.example.com"), ()),
        (issued(addresses=("192.0.2.1",), cn="pbx.example.com"), ()),
        (issued(cn="Front Desk"), ()),
        (issued(), ()),
    ],
    ids=[
        "a sip URI",
        "a sip URI goes before DNS",
        "every DNS name",
        "a URI with a user is a person's",
        "other schemes are no identities",
        "port and parameters are no part of it",
        "the common name where nothing else is",
        "never beside a subjectAltName",
        "even where that holds none",
        "nor beside an address",
        "a common name that is no domain",
        "no name at all",
    ],
)
def test_where_the_identities_of_a_certificate_stand(der: bytes, identities: tuple[str, ...]) -> None:
    assert names_in(der).identities == identities


@pytest.mark.rfc(5922, "7.2")
@pytest.mark.parametrize(
    ("name", "host", "proven"),
    [
        ("example.com", "example.com", True),
        ("Example.COM", "eXample.com", True),
        ("example.com", "example.com.", True),
        ("example.com", "sip.example.com", False),
        ("sip.example.com", "example.com", False),
        ("*.example.com", "sip.example.com", False),
        ("*.example.com", "a.sip.example.com", False),
        ("*.example.com", "*.example.com", False),
        ("sip.*.com", "sip.example.com", False),
        (".example.com", "sip.example.com", False),
        ("victim.example\0.attacker.example", "victim.example", False),
        ("victim.example\0", "victim.example", False),
        ("victim.example ", "victim.example", False),
    ],
)
def test_names_are_compared_whole(name: str, host: str, proven: bool) -> None:
    assert names_in(issued(name)).proves(host) is proven


@pytest.mark.rfc(5922, "7.2")
@pytest.mark.parametrize("uri", ["sip:*.example.com", "sip:victim.example\0.attacker.example", "sip:", "sip:[::1]"])
def test_a_uri_without_a_whole_domain_is_nobodys(uri: str) -> None:
    names = CertificateNames(uris=(uri,), has_alternative_name=True)
    assert names.identities == ()
    assert not names.proves("victim.example")


@pytest.mark.rfc(5922, "7.1")
def test_an_address_is_proven_by_an_address_alone() -> None:
    assert names_in(issued(addresses=("192.0.2.1", "2001:db8::1"))).proves("192.0.2.1")
    assert names_in(issued(addresses=("192.0.2.1", "2001:db8::1"))).proves("2001:DB8:0::1")
    assert not names_in(issued(cn="192.0.2.1")).proves("192.0.2.1")
    assert not names_in(issued("192.0.2.1")).proves("192.0.2.1")
    assert not names_in(issued("192.0.2.1")).identities
    assert not names_in(issued(uris=("sip:192.0.2.1",))).proves("192.0.2.1")
