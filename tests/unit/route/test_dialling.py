"""What may be dialled: the readings of a text, the kinds of numbers, and what a trunk's rules make of both."""

from itertools import product

import pytest

from offhook.ids import TrunkName
from offhook.route.dial_string import readings
from offhook.route.dialling import judge_target
from offhook.route.number_kind import NumberKind, kind_of
from offhook.route.pattern import Pattern
from offhook.route.trunk import Trunk

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "country", "reading"),
    [
        ("911", "US", "911"),
        ("9-1-1", "US", "911"),
        ("%39%31%31", None, "911"),
        ("%2539%2531%2531", None, "911"),
        ("９１１", None, "911"),
        ("٩١١", None, "911"),
        ("*67911", "US", "911"),
        ("#31#112", "DE", "112"),
        ("*375911", "US", "911"),
        ("*31#+19005550100", "DE", "+19005550100"),
        ("9911", "US", "911"),
        ("0110", "DE", "110"),
        ("911,,7", "US", "911"),
        ("911ext7", "US", "911"),
        ("911;npdi", "US", "911"),
        ("1-900-FLOWERS", "US", "+19003569377"),
        ("00 881 6123456", None, "+8816123456"),
        ("+00881612345678", None, "+881612345678"),
        ("9011881612345678", "US", "+881612345678"),
        ("5550100;phone-context=+1900", None, "+19005550100"),
        ("+14155550142;rn=+19005550100", None, "+19005550100"),
        ("0900 1234567", "DE", "+499001234567"),
        ("+49 (0)900 1234567", None, "+499001234567"),
    ],
)
def test_a_text_is_read_in_every_way_that_a_carrier_may(text: str, country: str | None, reading: str) -> None:
    assert reading in readings(text, country)


def test_a_number_of_the_trunks_country_is_not_guessed_at() -> None:
    assert readings("8885550100", "US") == ("8885550100", "+18885550100")
    assert readings("+14155550142", "US") == ("+14155550142",)
    assert readings("sales", "US") == readings("", "US") == readings("www", "GB") == ()


def test_a_text_has_few_readings_however_it_is_made() -> None:
    for text in ("*#" * 128, "*67" * 80, "0" * 256, "9*9#" * 64, ";a=+1" * 50 + "1", "%25" * 80 + "31"):
        assert len(readings(text, "US")) < 400


@pytest.mark.parametrize(
    ("number", "country", "kind"),
    [
        ("112", None, "emergency"), ("911", "DE", "emergency"), ("110", "DE", "emergency"), ("110", "US", "ordinary"),
        ("999", "GB", "emergency"), ("999", None, "emergency"), ("999", "US", "ordinary"), ("000", "AU", "emergency"),
        ("100", "IN", "emergency"), ("100", "US", "ordinary"), ("15", "FR", "emergency"), ("+1911", None, "emergency"),
        ("+49110", None, "emergency"), ("+112", None, "emergency"), ("+911234567890", None, "ordinary"),
        ("+19005550100", None, "premium"), ("+499001234567", None, "premium"), ("+448431234567", None, "premium"),
        ("+447012345678", None, "premium"), ("+491805123456", None, "premium"), ("+8816123456789", None, "premium"),
        ("+88213300000", None, "premium"), ("+979123456789", None, "premium"), ("+190055501009999", None, "premium"),
        ("1001", "FR", "premium"), ("24280", "US", "premium"), ("2001", "US", "ordinary"), ("2001", None, "ordinary"),
        ("+14155550142", None, "ordinary"), ("+442079460000", None, "ordinary"), ("+80012345678", None, "ordinary"),
        ("9115550100", "US", "emergency"), ("+19115550100", None, "emergency"), ("9991234567", "GB", "emergency"),
        ("1101234567", "DE", "emergency"), ("1101", "DE", "ordinary"), ("911123456789", "US", "ordinary"),
        ("+911123456789", None, "ordinary"), ("+12129760100", None, "premium"), ("+12125550976", None, "ordinary"),
        ("+1", None, "ordinary"), ("0", "US", "ordinary"), ("00", "US", "ordinary"),
    ],
)  # fmt: skip
def test_kinds_of_numbers(number: str, country: str | None, kind: str) -> None:
    assert kind_of(number, country) is NumberKind(kind)


NUMBERS = {
    "+14155550142": (), "+442079460000": (), "2001": (), "sip:desk@example.com": (),
    "+19005550100": ("premium",), "+8816123456789": ("premium",), "911": ("emergency",), "112": ("emergency",),
    "sip:911@psap.example": ("emergency",), "sip:19005550100@carrier.example": ("premium",),
}  # fmt: skip
LISTS = ((), ("*",), ("+*",), ("+1415*",), ("sip:*",), ("2*", "911", "+1900*"))
PREMIUM = ((), ("+1900*",), ("*",))
EMERGENCY = ((), ("911",), ("*",))


@pytest.mark.parametrize("name", NUMBERS)
def test_the_matrix_of_numbers_and_rules(name: str) -> None:
    """Listed, and configured besides where it is an emergency or a premium number: nothing else is admitted."""
    for listed, premium, emergency in product(LISTS, PREMIUM, EMERGENCY):
        trunk = Trunk(
            TrunkName("acme"),
            country="US",
            premium_to=tuple(map(Pattern, premium)),
            emergency_to=tuple(map(Pattern, emergency)),
        )
        dialled = name.removeprefix("sip:").partition("@")[0]
        against = judge_target(name, dialled, trunk, tuple(map(Pattern, listed)), "transfer_to")
        number = "+19005550100" if "9005550100" in name else dialled
        if not any(Pattern(pattern).matches(name) for pattern in listed):
            rule = "dial_not_listed"
        elif "premium" in NUMBERS[name] and not any(Pattern(pattern).matches(number) for pattern in premium):
            rule = "dial_premium"
        elif "emergency" in NUMBERS[name] and not any(Pattern(pattern).matches(number) for pattern in emergency):
            rule = "dial_emergency"
        else:
            rule = ""
        assert (against.rule if against else "") == rule, (listed, premium, emergency)
        assert against is None or (against.why and "acme" in against.hint)


def test_a_refusal_says_what_to_write() -> None:
    trunk = Trunk(TrunkName("acme"), country="US")
    for name, said in (("+19005550100", 'premium_to = ["+19005550100"]'), ("911", 'emergency_to = ["911"]')):
        against = judge_target(name, name, trunk, (Pattern("*"),), "transfer_to")
        assert against is not None
        assert said in against.hint
    against = judge_target("9911", "9911", trunk, (Pattern("*"),), "transfer_to")
    assert against is not None
    assert "which may be dialled as 911" in against.why
    nowhere = judge_target("2001", "2001", trunk, (), "transfer_to")
    assert nowhere is not None
    assert "allows nothing" in nowhere.hint
