import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.route.number import MAX_NUMBER_LENGTH, is_country, read_caller, read_number, written

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "country", "e164"),
    [
        ("+14155550100", None, "+14155550100"),
        ("+14155550100", "DE", "+14155550100"),
        ("+1-415-555-0100", None, "+14155550100"),
        ("4155550100", "US", "+14155550100"),
        ("14155550100", "US", "+14155550100"),
        ("(415) 555-0100", "US", "+14155550100"),
        ("011442071838750", "US", "+442071838750"),
        ("02071838750", "GB", "+442071838750"),
        ("442071838750", "GB", "+442071838750"),
        ("00442071838750", "DE", "+442071838750"),
        ("030123456", "DE", "+4930123456"),
        ("9876543210", "IN", "+919876543210"),
        # E.164 whose plus sign the carrier left out, too long to be national.
        ("442071838750", "US", "+442071838750"),
        ("14155550100", "GB", "+14155550100"),
        ("+14155550100;npdi;rn=+14155550199", None, "+14155550100"),
    ],
)
def test_numbers_become_e164(text: str, country: str | None, e164: str) -> None:
    number = read_number(text, country)
    assert number.e164 == number.canonical == e164
    assert number.text == text.partition(";")[0]


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("4155550100", None),  # could be anywhere
        ("14155550100", None),
        ("911", "US"),
        ("1001", "US"),
        ("5550100", "US"),  # a local number lacks its area code
        ("+1555", None),
        ("sales", "US"),
        ("1800FLOWERS", "US"),
        ("٤١٥٥٥٥٠١٠٠", "US"),
        ("+", "US"),
        ("", "US"),
        ("+1+4155550100", None),
        ("alice.smith", None),
        ("9" * (MAX_NUMBER_LENGTH + 1), "US"),
    ],
)
def test_what_is_no_number_stays_as_it_is(text: str, country: str | None) -> None:
    number = read_number(text, country)
    assert number.e164 is None
    assert number.canonical == number.text == text


@pytest.mark.parametrize(
    ("user", "host"),
    [("anonymous", "anonymous.invalid"), ("Anonymous", "sip.example.net"), ("", "sip.example.net"),
     ("+14155550100", "anonymous.invalid"), ("Restricted", ""), ("unavailable", "")],
)  # fmt: skip
def test_withheld_callers(user: str, host: str) -> None:
    number = read_caller(user, host, "US")
    assert number.anonymous
    assert number.canonical == "anonymous"
    assert number.e164 is None


def test_a_caller_who_is_not_withheld_is_a_number() -> None:
    assert read_caller("4155550100", "sip.example.net", "US").canonical == "+14155550100"
    assert read_caller("anonymously", "sip.example.net").canonical == "anonymously"


def test_countries() -> None:
    assert is_country("US")
    assert is_country("IN")
    assert not is_country("us")
    assert not is_country("UK")
    assert not is_country("XX")


@given(st.text(max_size=50), st.sampled_from([None, "US", "DE", "IN"]))
def test_any_text_gives_e164_or_itself(text: str, country: str | None) -> None:
    number = read_number(text, country)
    assert number.text == text.partition(";")[0]
    if number.e164 is not None:
        assert number.e164[0] == "+"
        assert number.e164[1:].isascii()
        assert number.e164[1:].isdigit()
        assert len(number.e164) <= 16
        assert read_number(number.e164).e164 == number.e164


@pytest.mark.parametrize(
    ("e164", "number_format", "country", "dialled"),
    [
        ("+14155550100", "e164", "US", "+14155550100"),
        ("+14155550100", "e164-no-plus", "US", "14155550100"),
        ("+14155550100", "national", "US", "14155550100"),
        ("+442079460018", "national", "GB", "02079460018"),
        ("+390612345678", "national", "IT", "0612345678"),
        ("+442079460018", "national", "US", "011442079460018"),
        ("+14155550100", "national", "DE", "0014155550100"),
        # Nobody knows what is national where.
        ("+14155550100", "national", None, "+14155550100"),
    ],
)
def test_a_number_is_written_as_the_trunk_dials_it(
    e164: str, number_format: str, country: str | None, dialled: str
) -> None:
    assert written(e164, number_format, country) == dialled


@pytest.mark.parametrize("country", ["US", "GB", "DE", "IN", "IT", "BR", "JP"])
def test_what_is_written_in_national_form_is_read_back_as_the_same_number(country: str) -> None:
    for e164 in ("+14155552671", "+442079460018", "+493012345678", "+919876543210"):
        assert read_number(written(e164, "national", country), country).e164 == e164
