"""Kinds of numbers that are not dialled unless the configuration names them: emergency services, and what costs more.

By the metadata of libphonenumber, for the country of the number or, for short numbers, that of the trunk.
"""

from enum import Enum
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberType, ShortNumberCost, shortnumberinfo


class NumberKind(Enum):
    """What a number is to the gate."""

    ORDINARY = "ordinary"
    PREMIUM = "premium"
    """Calls to it may cost many times what others do: premium rate, shared cost, personal numbers, pagers, satellites
    and networks of no country."""
    EMERGENCY = "emergency"


# Every mobile phone calls emergency services by these (3GPP TS 22.101 section 10.1.1), and carriers of any country may.
_EVERYWHERE = frozenset({"112", "911"})
# The same section: these too where the country is not known.
_SOMEWHERE = _EVERYWHERE | {"000", "08", "110", "118", "119", "999"}

_COSTLY = frozenset(
    {
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.PERSONAL_NUMBER,
        PhoneNumberType.PAGER,
    }
)

# ITU-T E.164 assigned country codes: satellites (870, 881), international networks (882, 883), international shared
# cost (808) and premium rate (979), and what is held in reserve beside them (878, 888).
_NO_COUNTRY = ("+808", "+870", "+878", "+881", "+882", "+883", "+888", "+979")

_LONGEST_SHORT = 6


@lru_cache(maxsize=8192)
def kind_of(number: str, country: str | None = None) -> NumberKind:
    """Say of what kind a number is: `+` and digits, or digits alone as a subscriber in `country` dials them."""
    if number.startswith("+"):
        return _kind_of_global(number)
    if number in (_SOMEWHERE if country is None else _EVERYWHERE):
        return NumberKind.EMERGENCY
    if country is None or len(number) > _LONGEST_SHORT:
        return NumberKind.ORDINARY
    if shortnumberinfo.is_emergency_number(number, country):
        return NumberKind.EMERGENCY
    code = phonenumbers.country_code_for_region(country)
    short = phonenumbers.PhoneNumber(country_code=code, national_number=int(number))
    cost = shortnumberinfo.expected_cost_for_region(short, country) if number[0] != "0" else None
    return NumberKind.PREMIUM if cost == ShortNumberCost.PREMIUM_RATE else NumberKind.ORDINARY


def _kind_of_global(number: str) -> NumberKind:
    # Some carriers take +112 and +1911 for what they look like.
    if number[1:] in _EVERYWHERE:
        return NumberKind.EMERGENCY
    if number.startswith(_NO_COUNTRY):
        return NumberKind.PREMIUM
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return NumberKind.ORDINARY
    national = phonenumbers.national_significant_number(parsed)
    region = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    if national in _EVERYWHERE or (
        len(national) <= _LONGEST_SHORT and shortnumberinfo.is_emergency_number(national, region)
    ):
        return NumberKind.EMERGENCY
    # An exchange has heard enough once the number is whole, whatever is dialled behind it.
    phonenumbers.truncate_too_long_number(parsed)
    return NumberKind.PREMIUM if phonenumbers.number_type(parsed) in _COSTLY else NumberKind.ORDINARY
