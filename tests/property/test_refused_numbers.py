"""No spelling of a number that is refused is admitted: whatever a carrier would read as the same number is."""

from typing import Any

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType, shortnumberinfo

from offhook.call.out.dial_gate import DialGate
from offhook.call.out.gatekeeper import Denied
from offhook.call.out.outbound_gate import OutboundGate
from offhook.call.out.wish import Wish
from offhook.call.transfers.transfer_target import NoTarget, Target, read_target
from offhook.ids import TrunkName
from offhook.route.destination_uri import AgentUri
from offhook.route.pattern import ANY, Pattern
from offhook.route.trunk import Trunk
from offhook.route.usage import Usage
from offhook.sip.uri import SipUri

pytestmark = pytest.mark.unit

PEER = SipUri("192.0.2.9", 5060)
COSTLY = (
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.PERSONAL_NUMBER,
    PhoneNumberType.PAGER,
)
TRUNKS = ("US", "GB", "DE", "FR", "IN", "AU", "BR", None)
IDD = {"US": "011", "GB": "00", "DE": "00", "FR": "00", "IN": "00", "AU": "0011", "BR": "0014"}


def _premium() -> list[tuple[str, str]]:
    numbers = [
        (region, phonenumbers.example_number_for_type(region, kind))
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        for kind in COSTLY
    ]
    found = [(region, phonenumbers.format_number(n, phonenumbers.PhoneNumberFormat.E164)) for region, n in numbers if n]
    # Two types in one, as in the United States, are no premium numbers; those of no country have no region.
    found += [("001", number) for number in ("+870773111632", "+88213300000", "+8816123456789", "+979123456789")]
    return found


def _emergency() -> list[tuple[str, str]]:
    return [
        (region, f"{number:03}")
        for region in TRUNKS
        if region is not None
        for number in range(1000)
        if shortnumberinfo.is_emergency_number(f"{number:03}", region)
    ]


def spelled(draw: Any, digits: str, *, may_be_letters: bool) -> str:
    """The same digits in another writing."""
    kind = draw(st.sampled_from(("ascii", "wide", "arabic", "escaped", "escaped twice", "separated", "letters")))
    match kind:
        case "wide":
            return "".join(chr(0xFF10 + int(c)) if c.isdigit() else c for c in digits)
        case "arabic":
            return "".join(chr(0x0660 + int(c)) if c.isdigit() else c for c in digits)
        case "escaped":
            return "".join(f"%{ord(c):02x}" for c in digits)
        case "escaped twice":
            return "".join(f"%25{ord(c):02X}" for c in digits)
        case "separated":
            separators = st.sampled_from(("", "-", ".", "(", ")", " ", "--", " ", "​", "/"))
            return "".join(c + draw(separators) for c in digits)
        case "letters" if may_be_letters:
            keys = {"2": "b", "3": "E", "4": "h", "5": "K", "6": "n", "7": "S", "8": "v", "9": "Z"}
            # One digit at least, or it is a name.
            return digits[:3] + "".join(keys.get(c, c) for c in digits[3:])
        case _:
            return digits


def wrapped(draw: Any, text: str) -> str:
    """The text as a target."""
    return draw(
        st.sampled_from(
            (
                text,
                f"tel:{text}",
                f"TEL:{text};ext=1",
                f"sip:{text}@carrier.example",
                f"sips:{text}@carrier.example;user=phone",
                f"sip:{text};npdi@carrier.example;user=phone",
                f"sip:{text}@192.0.2.9:5061;transport=tcp",
                f" {text} ",
            )
        )
    )


def trunk_of(country: str | None, domain: str | None, **rules: Any) -> Trunk:
    return Trunk(
        TrunkName("acme"),
        country=country,
        transfer_domain=domain,
        **({"transfer_to": (ANY, Pattern("+*"), Pattern("sip:*"), Pattern("sip:*@carrier.example"))} | rules),
    )


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_no_spelling_of_a_costly_number_is_a_target(data: st.DataObject) -> None:
    draw = data.draw
    region, e164 = draw(st.sampled_from(_PREMIUM))
    country = draw(st.sampled_from(TRUNKS))
    bare = e164[1:]
    forms = [e164, f"+00{bare}"]
    if country is None or not _is_its_own(bare, country):
        forms += [bare, f"00{bare}", f"011{bare}"]
    if country is not None:
        forms += [IDD[country] + bare]
    if country == region:
        number = phonenumbers.parse(e164)
        forms.append("".join(filter(str.isdigit, phonenumbers.format_number(number, 2))))
    form = draw(st.sampled_from(forms))
    digits = form + draw(st.sampled_from(("", "", "#", ",1", ";postd=1")))
    text = draw(st.sampled_from(("", "", "*67", "*31#", "#31#"))) + spelled(draw, digits, may_be_letters=len(form) > 4)
    trunk = trunk_of(country, draw(st.sampled_from((None, "carrier.example"))))
    target = read_target(wrapped(draw, text), trunk, PEER)
    assert isinstance(target, NoTarget), f"{text!r} of {e164} on a trunk of {country}: {target}"


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_no_spelling_of_a_costly_number_is_called(data: st.DataObject) -> None:
    draw = data.draw
    region, e164 = draw(st.sampled_from(_PREMIUM))
    country = draw(st.sampled_from(TRUNKS))
    forms = [e164, *([IDD[country] + e164[1:]] if country is not None else [])]
    if country == region:
        number = phonenumbers.parse(e164)
        forms.append("".join(filter(str.isdigit, phonenumbers.format_number(number, 2))))
    text = spelled(draw, draw(st.sampled_from(forms)), may_be_letters=True)
    trunk = Trunk(
        TrunkName("acme"),
        host="192.0.2.9",
        country=country,
        caller_ids=("+14155550100",),
        dial_to=(ANY, Pattern("+*")),
        number_format=draw(st.sampled_from(("e164", "e164-no-plus", "national"))),
    )
    gate = OutboundGate([trunk], DialGate(Usage({}), wall=round), chance=lambda: 0.0)
    verdict = gate.judge(Wish(draw(st.sampled_from((text, f"tel:{text}", f" {text};ext=1"))), AgentUri("bot")), 0)
    assert isinstance(verdict, Denied), f"{text!r} of {e164} on a trunk of {country}: {verdict}"


@settings(max_examples=1000, deadline=None)
@given(st.data())
def test_no_spelling_of_an_emergency_number_is_a_target(data: st.DataObject) -> None:
    draw = data.draw
    country, number = draw(st.sampled_from(_EMERGENCY))
    code = phonenumbers.country_code_for_region(country)
    form = draw(st.sampled_from((number, f"+{code}{number}", f"9{number}", f"0{number}")))
    digits = form + draw(st.sampled_from(("", "", "#", ",1", "p1")))
    text = draw(st.sampled_from(("", "", "*67", "*31#", "#31#"))) + spelled(draw, digits, may_be_letters=False)
    trunk = trunk_of(country, draw(st.sampled_from((None, "carrier.example"))))
    target = read_target(wrapped(draw, text), trunk, PEER)
    assert isinstance(target, NoTarget), f"{text!r} of {number} on a trunk of {country}: {target}"


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_what_is_sent_for_a_number_is_that_number_alone(data: st.DataObject) -> None:
    """Of any spelling that is admitted, the caller's side gets E.164, or an extension of seven digits at most."""
    draw = data.draw
    country = draw(st.sampled_from(TRUNKS))
    alphabet = st.sampled_from("0123456789+*#-. ()%23adpwx;=,")
    text = draw(st.text(alphabet, max_size=24))
    target = read_target(text, trunk_of(country, None), PEER)
    if isinstance(target, Target):
        sent = target.refer_to()
        if sent.startswith("<tel:"):
            assert sent == f"<tel:{target.name}>"
            assert phonenumbers.is_possible_number(phonenumbers.parse(target.name))
        else:
            assert sum(c.isdigit() for c in target.name) <= 7


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(TRUNKS), st.text(max_size=60))
def test_a_trunk_without_a_list_sends_nobody_anywhere(country: str | None, text: str) -> None:
    for scheme in ("", "tel:", "sip:"):
        assert isinstance(read_target(scheme + text, Trunk(TrunkName("acme"), country=country), PEER), NoTarget)


def _is_its_own(digits: str, country: str) -> bool:
    """Whether these digits are a number of the country's own, which is meant then."""
    try:
        number = phonenumbers.parse(digits, country)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_possible_number(number)


_PREMIUM = [
    pair for pair in _premium() if pair[0] == "001" or phonenumbers.number_type(phonenumbers.parse(pair[1])) in COSTLY
]
_EMERGENCY = _emergency()
