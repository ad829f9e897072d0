"""Where a call may be transferred to: how targets are read, and what a trunk allows."""

import pytest

from offhook.call.transfers.transfer_hints import hint_for_refusal, hint_for_target
from offhook.call.transfers.transfer_target import NoTarget, Target, read_target
from offhook.ids import TrunkName
from offhook.route.pattern import Pattern
from offhook.route.trunk import Trunk
from offhook.sip.uri import SipUri

pytestmark = pytest.mark.unit

PEER = SipUri("192.0.2.9", 5080, "asterisk")


def read(text: str, *allowed: str, country: str | None = "US", domain: str | None = None) -> Target | NoTarget:
    patterns = tuple(Pattern(pattern) for pattern in allowed or ("*",))
    trunk = Trunk(TrunkName("acme"), country=country, transfer_to=patterns, transfer_domain=domain)
    return read_target(text, trunk, PEER)


@pytest.mark.parametrize(
    ("text", "name", "refer_to"),
    [
        ("tel:+14155550142", "+14155550142", "<tel:+14155550142>"),
        (" tel:+1-415-555-0142 ", "+14155550142", "<tel:+14155550142>"),
        ("TEL:+14155550142;ext=7", "+14155550142", "<tel:+14155550142;ext=7>"),
        ("tel:555-0142;phone-context=+1415", "+14155550142", "<tel:+14155550142>"),
        ("+14155550142", "+14155550142", "<tel:+14155550142>"),
        ("4155550142", "+14155550142", "<tel:+14155550142>"),
        ("011 44 20 7946 0000", "+442079460000", "<tel:+442079460000>"),
        ("2001", "2001", "<sip:2001@192.0.2.9:5080>"),
        ("tel:2001;phone-context=PBX.example", "sip:2001@pbx.example", "<tel:2001;phone-context=PBX.example>"),
        ("tel:2001", "2001", "<sip:2001@192.0.2.9:5080>"),
        ("sales", "sales", "<sip:sales@192.0.2.9:5080>"),
        ("*98#", "*98#", "<sip:*98%23@192.0.2.9:5080>"),
        (
            "sip:Desk@Example.com:5070;transport=tcp",
            "sip:Desk@example.com",
            "<sip:Desk@Example.com:5070;transport=tcp>",
        ),
        ("sips:example.com", "sips:example.com", "<sips:example.com>"),
        ("sip:%64esk@example.com", "sip:desk@example.com", "<sip:desk@example.com>"),
    ],
)
def test_targets(text: str, name: str, refer_to: str) -> None:
    target = read(text)
    assert isinstance(target, Target)
    assert (target.name, target.refer_to()) == (name, refer_to)


def test_a_trunks_own_domain() -> None:
    for text, written in (
        ("tel:+14155550142", "<sip:+14155550142@acme.pstn.example;user=phone>"),
        ("2001", "<sip:2001@acme.pstn.example>"),
        ("sip:desk@example.com", "<sip:desk@example.com>"),
    ):
        target = read(text, domain="acme.pstn.example")
        assert isinstance(target, Target)
        assert target.refer_to() == written


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "x" * 300, "http://example.com/", "javascript:alert(1)", "agent:front", "echo:", "sip:", "sip:a@b@c",
        "sip:desk@example.com?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc", "sip:desk@example.com;method=MESSAGE",
        "sip:desk:secret@example.com", "desk@example.com", "two words", "tel:", "tel:xyz", "<sip:a@b>", "sip:a@b>",
        "sip:a@b\r\nX: y", "٢٠٠١", "+4155", "tel:+4155;ext=1", "tel:+14155550142;phone-context=+1900",
        "tel:+14155550142;rn=+19005550100", "tel:2001;phone-context=%2B1900", "tel:2001;ext=1;ext=2",
        "sip:desk@example.com;maddr=192.0.2.66", "sip:desk@example.com;tgrp=abroad;trunk-context=x.example",
        "sip:desk@example.com;user=phone;user=ip", "sip:desk;phone-context=x@example.com", "sip:a%40b@example.com",
        "sip:%0d%0aX@example.com", "sip:%00@example.com", "sip:a%250a@example.com", "sip:%2531@example.com",
    ],
)  # fmt: skip
def test_what_is_no_target(text: str) -> None:
    target = read(text)
    assert isinstance(target, NoTarget)
    assert target.why.isprintable()


def test_a_number_without_its_country_is_not_taken_for_an_extension() -> None:
    for text in ("0088213300000", "4155550142"):
        assert isinstance(read(text, country=None), NoTarget)
    refused = read("0088213300000", country=None)
    assert isinstance(refused, NoTarget)
    assert "`country` of trunk 'acme'" in refused.hint


def test_hints_say_what_to_change() -> None:
    assert "Twilio" in hint_for_refusal(603, None)
    assert "does not list REFER" in hint_for_refusal(405, frozenset({"INVITE", "ACK"}))
    assert "does not list REFER" not in hint_for_refusal(405, frozenset({"INVITE", "REFER"}))
    assert "another place" in hint_for_refusal(302, None)
    assert hint_for_refusal(599, None) == ""
    assert hint_for_target(486) == ""
    assert "transfer_domain" in hint_for_target(404)
