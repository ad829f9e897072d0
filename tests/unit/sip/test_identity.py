"""Names in a certificate; what they prove is in conformance/rfc5922."""

import pytest

from offhook.sip.identity import CertificateNames

pytestmark = pytest.mark.unit


def test_a_few_names_are_shown_and_nothing_that_a_terminal_would_obey() -> None:
    assert str(CertificateNames(dns=("a.example", "b.example"))) == "a.example, b.example"
    assert str(CertificateNames(dns=tuple(f"{n}.example" for n in range(9)))) == (
        "0.example, 1.example, 2.example and 6 more"
    )
    assert str(CertificateNames()) == "nobody"
    assert str(CertificateNames(dns=("*.example",))) == "*.example", "what proves nothing is told all the same"
    assert str(CertificateNames(common_names=("\x1b[2Jx\0",), has_alternative_name=True)) == "?[2Jx?"


def test_identities_are_in_lower_case_and_once_each() -> None:
    names = CertificateNames(dns=("Sip.Example.NET", "sip.example.net.", "b.example"), has_alternative_name=True)
    assert names.identities == ("sip.example.net", "b.example")
