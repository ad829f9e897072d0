"""Kinds of numbers that are not dialled unless the configuration names them: emergency services, and what costs more.

By the metadata of libphonenumber, for the country of the number or, for short numbers, that of the trunk.
"""

import re
from enum import Enum
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberType, ShortNumberCost, shortnumberinfo

from offhook.route.number import is_valid, read_number


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
_LONGEST_EXTENSION = 7
# In every area code of North America the exchange 976 is paid by the call.
_PAID_BY_THE_CALL = re.compile(r"\+1[2-9][0-9]{2}976[0-9]{4}")


@lru_cache(maxsize=8192)
def kind_of(number: str, country: str | None = None) -> NumberKind:
    """Say of what kind a number is: `+` and digits, or digits alone as a subscriber in `country` dials them."""
    if number.startswith("+"):
        return _kind_of_global(number)
    if number in (_SOMEWHERE if country is None else _EVERYWHERE):
        return NumberKind.EMERGENCY
    if country is not None and _connects_before_its_end(number, country):
        known = read_number(number, country).e164
        return NumberKind.ORDINARY if known is not None and is_valid(known) else NumberKind.EMERGENCY
    if country is None or len(number) > _LONGEST_SHORT:
        return NumberKind.ORDINARY
    if shortnumberinfo.is_emergency_number(number, country):
        return NumberKind.EMERGENCY
    code = phonenumbers.country_code_for_region(country)
    short = phonenumbers.PhoneNumber(country_code=code, national_number=int(number))
    cost = shortnumberinfo.expected_cost_for_region(short, country) if number[0] != "0" else None
    return NumberKind.PREMIUM if cost == ShortNumberCost.PREMIUM_RATE else NumberKind.ORDINARY


def _connects_before_its_end(digits: str, region: str) -> bool:
    """Whether an exchange that listens digit by digit has heard an emergency number before it has heard all of these.

    What is as short as an extension is left to the lists: in Germany 1101 may be a desk.
    """
    return len(digits) > _LONGEST_EXTENSION and shortnumberinfo.connects_to_emergency_number(digits, region)


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
    # Where 911 is dialled it is no area code. Other beginnings may be a number of the next country, guessed at.
    is_unknown = national.startswith("911") and not phonenumbers.is_valid_number(parsed)
    if is_unknown and _connects_before_its_end(national, region):
        return NumberKind.EMERGENCY
    if _PAID_BY_THE_CALL.match(number):
        return NumberKind.PREMIUM
    # An exchange has heard enough once the number is whole, whatever is dialled behind it.
    phonenumbers.truncate_too_long_number(parsed)
    return NumberKind.PREMIUM if phonenumbers.number_type(parsed) in _COSTLY else NumberKind.ORDINARY
